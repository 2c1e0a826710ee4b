//! What every name server keeps for others: which topics are ordered, and what tools have put there.
//!
//! Each name server has its own, so that each is asked and each is changed. 4.9 has no list of namespaces: only those
//! that are named are looked at. Invariant: a namespace of which nothing is said is left alone, with `prune` too.

use std::collections::BTreeMap;

use super::{
    Action, Admin, AdminError, MetadataAction, MetadataKind, MetadataPlan, Place, change, step,
};
use crate::admin::all;
use crate::admin::cluster::name_server_problem;
use crate::model::system;
use crate::proto::v1::{KvMetadata, KvNamespace, Problem};

impl Admin {
    /// What each name server has in a namespace; who does not answer is told of.
    async fn kv_there(
        &self,
        namespace: &str,
        problems: &mut Vec<Problem>,
    ) -> Vec<(&str, BTreeMap<String, String>)> {
        let answers = all(self.name_servers.iter().map(async |address| {
            let values = self.kv_of_namespace(address, namespace).await;
            (address.as_str(), values)
        }));
        let mut there = Vec::new();
        for (address, values) in answers.await {
            match values {
                Ok(values) => there.push((address, values)),
                Err(error) => problems.push(missing(address, namespace, &error)),
            }
        }
        there
    }

    pub(super) async fn export_kv(
        &self,
        namespaces: &[String],
        problems: &mut Vec<Problem>,
    ) -> KvMetadata {
        let mut metadata = KvMetadata::default();
        for namespace in
            [system::ORDER_NAMESPACE].into_iter().chain(namespaces.iter().map(String::as_str))
        {
            let there = self.kv_there(namespace, problems).await;
            let Some((first, values)) = there.first() else { continue };
            for (address, its) in there.iter().filter(|(_, its)| its != values) {
                let differs = its.len().abs_diff(values.len());
                let reason = format!(
                    "{namespace} at {address} is not as at {first} ({differs} values more or less); that of the latter is \
                     told"
                );
                problems.push(name_server_problem(address, reason));
            }
            let namespace = namespace.to_owned();
            metadata.namespaces.insert(namespace, KvNamespace { values: values.clone() });
        }
        metadata
    }

    pub(super) async fn plan_kv(&self, plan: &mut MetadataPlan, wanted: &KvMetadata, prune: bool) {
        for (namespace, KvNamespace { values }) in &wanted.namespaces {
            for (address, there) in self.kv_there(namespace, &mut plan.problems).await {
                let place = Place { at: "name server", address };
                for (key, value) in values {
                    let before = there.get(key);
                    if before == Some(value) {
                        continue;
                    }
                    let action = match before {
                        Some(_) => MetadataAction::Change,
                        None => MetadataAction::Create,
                    };
                    let changes = vec![change("value", before.map(String::as_str), Some(value))];
                    let name = format!("{namespace}/{key}");
                    let step = step(MetadataKind::Kv, &name, action, place, changes);
                    let (namespace, key, value) = (namespace.clone(), key.clone(), value.clone());
                    plan.add(step, Action::PutKv { namespace, key, value });
                }
                for key in there.keys().filter(|key| !values.contains_key(*key)) {
                    let (name, action) = (format!("{namespace}/{key}"), MetadataAction::Delete);
                    let step = step(MetadataKind::Kv, &name, action, place, Vec::new());
                    let (namespace, key) = (namespace.clone(), key.clone());
                    plan.add_unwanted(prune, step, Action::DeleteKv { namespace, key });
                }
            }
        }
    }
}

fn missing(address: &str, namespace: &str, error: &AdminError) -> Problem {
    name_server_problem(address, format!("values of {namespace} at {address} are missing: {error}"))
}
