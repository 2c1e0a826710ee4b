//! Name servers: what each is and knows (106, 206, 319), their key-value settings (100, 102, 219), their own settings (318,
//! 319), and whether producers may write to a broker (205, 327).
//!
//! They do not know of one another, so that everything is asked of, and done at, each by itself. Invariants: no code is
//! sent that one of 4.9.4 does not know, which it would not answer; one that fails does not keep the others back.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::parse_properties;
use super::cluster::name_server_problem;
use super::{Admin, AdminError, Became, all, done, dry_run, failed, outcome, unchanged};
use crate::model::{system, version_text};
use crate::proto::v1::{
    DeleteKvRequest, DeleteKvResponse, Done, ListKvRequest, ListKvResponse,
    ListNameServerSettingsResponse, ListNameServersRequest, ListNameServersResponse, NameServer,
    NameServerEntry, NameServerValue, Outcome, Problem, PutKvRequest, PutKvResponse,
    PutNameServerSettingRequest, PutNameServerSettingResponse, PutWritePermissionRequest,
    PutWritePermissionResponse,
};
use crate::remoting::bodies::route::{ClusterInfo, TopicRoute};
use crate::remoting::bodies::topics::parse_topic_list;
use crate::remoting::{Command, request};

/// Topics whose routes one name server is asked for at the same time.
const ROUTES_AT_ONCE: usize = 64;
/// Name servers of ours tell no file here; those of 4.9.4 always have one.
const SETTINGS_FILE: &str = "configStorePath";

/// What one name server knows: in the words of a comparison, with a value of each.
type Known = BTreeMap<String, String>;

/// What one name server answered.
#[derive(Default)]
struct Told {
    version: String,
    brokers: usize,
    topics: BTreeSet<String>,
    known: Known,
}

impl Admin {
    /// Every name server, and where they differ.
    ///
    /// # Errors
    /// None answers, or one that is asked is something else.
    pub async fn list_name_servers(
        &self,
        request: &ListNameServersRequest,
    ) -> Result<ListNameServersResponse, AdminError> {
        let mut addresses = self.name_servers.clone();
        let mut told = all(addresses.iter().map(|address| self.told_by(address))).await;
        if told.iter().all(Result::is_err)
            && let Some(Err(error)) = told.pop()
        {
            return Err(error);
        }
        let mut answer = ListNameServersResponse::default();
        let others = self.named_by_brokers(&mut answer.problems).await;
        told.extend(all(others.iter().map(|address| self.told_by(address))).await);
        addresses.extend(others);
        if request.with_routes {
            self.add_routes(&addresses, &mut told, &mut answer.problems).await;
        }
        for (at, (address, told)) in addresses.iter().zip(&told).enumerate() {
            let mut name_server = NameServer {
                address: address.clone(),
                is_asked: at < self.name_servers.len(),
                ..NameServer::default()
            };
            match told {
                Ok(told) => {
                    name_server.version = Some(told.version.clone());
                    name_server.brokers = u32::try_from(told.brokers).unwrap_or(u32::MAX);
                    name_server.topics = u32::try_from(told.topics.len()).unwrap_or(u32::MAX);
                }
                Err(error) => name_server.error = Some(error.to_string()),
            }
            answer.name_servers.push(name_server);
        }
        let known = addresses.iter().zip(&told);
        let known = known.filter_map(|(address, told)| Some((address, &told.as_ref().ok()?.known)));
        let mut entries = entries(known.collect());
        entries.retain(|entry| entry.values.iter().any(|one| one.value != entry.values[0].value));
        answer.differences = entries;
        Ok(answer)
    }

    async fn told_by(&self, address: &str) -> Result<Told, AdminError> {
        let cluster = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let cluster = self.at_name_server(address, cluster).await?;
        let unreadable = |error| AdminError::unreadable(address, &error);
        let cluster = ClusterInfo::parse(&cluster.body).map_err(unreadable)?;
        let topics = Command::request(request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
        let topics = self.at_name_server(address, topics).await?;
        let topics = parse_topic_list(&topics.body).map_err(unreadable)?;
        let settings = Command::request(request::GET_NAMESRV_CONFIG);
        let settings = self.at_name_server(address, settings).await?;
        let version = settings.version;
        let settings = parse_properties(&settings.body).map_err(unreadable)?;
        let is_ours = settings.get(SETTINGS_FILE).is_some_and(String::is_empty);
        let mut told = Told {
            version: if is_ours { "rmq-node".to_owned() } else { version_text(version) },
            topics: topics.into_iter().collect(),
            ..Told::default()
        };
        for group in cluster.brokers {
            told.brokers += group.addresses.len();
            for (id, at) in group.addresses {
                told.known.insert(format!("broker {} {id}", group.broker_name), at);
            }
        }
        let present =
            told.topics.iter().map(|topic| (format!("topic {topic}"), "known".to_owned()));
        told.known.extend(present);
        Ok(told)
    }

    /// Name servers that masters register with, and that are not asked.
    async fn named_by_brokers(&self, problems: &mut Vec<Problem>) -> Vec<String> {
        let groups = match self.broker_groups(None).await {
            Ok(groups) => groups,
            // There is nobody yet who could name any.
            Err(AdminError::NotFound(_)) => return Vec::new(),
            Err(error) => {
                let reason = format!("which name servers brokers have is missing: {error}");
                problems.push(Problem {
                    at: "name server".to_owned(),
                    reason,
                    ..Default::default()
                });
                return Vec::new();
            }
        };
        let masters: Vec<_> = groups.iter().filter_map(|group| group.master()).collect();
        let settings = all(masters.iter().map(|master| self.broker_settings(master))).await;
        let mut others = BTreeSet::new();
        for settings in settings.into_iter().flatten() {
            let named = settings.get("namesrvAddr").map_or("", String::as_str);
            let named = named.split(';').map(str::trim).filter(|address| !address.is_empty());
            others.extend(named.map(str::to_owned));
        }
        others.retain(|address| !self.name_servers.contains(address));
        others.into_iter().collect()
    }

    /// Adds the routes of all topics to what each name server knows.
    async fn add_routes(
        &self,
        addresses: &[String],
        told: &mut [Result<Told, AdminError>],
        problems: &mut Vec<Problem>,
    ) {
        let both =
            addresses.iter().zip(told).filter_map(|(at, told)| Some((at, told.as_mut().ok()?)));
        let missing = all(both.map(async |(address, told)| {
            let topics: Vec<String> = told.topics.iter().cloned().collect();
            for some in topics.chunks(ROUTES_AT_ONCE) {
                let routes = all(some.iter().map(|topic| self.route_at(address, topic))).await;
                for (topic, route) in some.iter().zip(routes) {
                    match route {
                        Ok(Some(route)) => told.known.extend(in_words(topic, &route)),
                        Ok(None) => {}
                        Err(error) => {
                            let reason = format!("routes of {address} are missing: {error}");
                            return Some(name_server_problem(address, reason));
                        }
                    }
                }
            }
            None
        }));
        problems.extend(missing.await.into_iter().flatten());
    }

    /// The values of a namespace.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn list_kv(&self, request: &ListKvRequest) -> Result<ListKvResponse, AdminError> {
        let namespace = namespace(&request.namespace);
        let asked =
            self.name_servers.iter().map(|address| self.kv_of_namespace(address, namespace));
        let (entries, problems) = self.compared(all(asked).await)?;
        Ok(ListKvResponse { entries, problems })
    }

    /// Sets a value at each name server.
    ///
    /// # Errors
    /// Nothing was set: there is no key.
    pub async fn put_kv_everywhere(
        &self,
        request: &PutKvRequest,
    ) -> Result<PutKvResponse, AdminError> {
        let PutKvRequest { namespace: given, key, value, dry_run: is_dry } = request;
        let namespace = namespace(given);
        if key.is_empty() {
            return Err(AdminError::Invalid("there is no key".to_owned()));
        }
        let done = self.at_each(self.name_servers.iter().map(async |address| {
            match self.kv_of_namespace(address, namespace).await {
                Err(error) => failed(&error),
                Ok(table) if table.get(key) == Some(value) => unchanged(),
                Ok(_) if *is_dry => dry_run(),
                Ok(_) => outcome(self.put_kv(address, namespace, key, value).await),
            }
        }));
        Ok(PutKvResponse { done: done.await })
    }

    /// Takes a value away from each name server that has it.
    ///
    /// # Errors
    /// None has it.
    pub async fn delete_kv_everywhere(
        &self,
        request: &DeleteKvRequest,
    ) -> Result<DeleteKvResponse, AdminError> {
        let DeleteKvRequest { namespace: given, key, dry_run: is_dry } = request;
        let namespace = namespace(given);
        let done = self.at_each(self.name_servers.iter().map(async |address| {
            match self.kv_of_namespace(address, namespace).await {
                Err(error) => failed(&error),
                Ok(table) if !table.contains_key(key) => unchanged(),
                Ok(_) if *is_dry => dry_run(),
                Ok(_) => outcome(self.delete_kv(address, namespace, key).await),
            }
        }));
        let done = done.await;
        if done.iter().all(|one| one.outcome() == Outcome::Unchanged) {
            let text = format!("no name server has \"{key}\" in the namespace \"{namespace}\"");
            return Err(AdminError::NotFound(text));
        }
        Ok(DeleteKvResponse { done })
    }

    /// The settings of all name servers.
    ///
    /// # Errors
    /// None answers.
    pub async fn list_name_server_settings(
        &self,
    ) -> Result<ListNameServerSettingsResponse, AdminError> {
        let asked = self.name_servers.iter().map(|address| self.name_server_settings(address));
        let (entries, problems) = self.compared(all(asked).await)?;
        Ok(ListNameServerSettingsResponse { entries, problems })
    }

    /// Changes a setting at each name server. 4.9.4's do not say that they have no such setting (N-070), which is why they are
    /// asked first.
    pub async fn put_name_server_setting(
        &self,
        request: &PutNameServerSettingRequest,
    ) -> PutNameServerSettingResponse {
        let PutNameServerSettingRequest { key, value, dry_run: is_dry } = request;
        let done = self.at_each(self.name_servers.iter().map(async |address| {
            let settings = self.name_server_settings(address).await;
            match settings.map(|settings| settings.get(key).cloned()) {
                Err(error) => failed(&error),
                Ok(None) => failed(&format!("it has no setting {key}")),
                Ok(Some(now)) if now == *value => unchanged(),
                Ok(_) if *is_dry => dry_run(),
                Ok(_) => outcome(self.set_name_server_setting(address, key, value).await),
            }
        }));
        PutNameServerSettingResponse { done: done.await }
    }

    /// Has each name server tell producers that they may not write to a broker, or may again.
    ///
    /// # Errors
    /// Nothing was changed: nobody answers, or there is no such broker.
    pub async fn put_write_permission(
        &self,
        request: &PutWritePermissionRequest,
    ) -> Result<PutWritePermissionResponse, AdminError> {
        let PutWritePermissionRequest { broker, may_write, dry_run: is_dry } = request;
        self.groups_meant(None, Some(broker)).await?;
        let done = self.at_each(self.name_servers.iter().map(async |address| {
            if *is_dry {
                return dry_run();
            }
            let changed = if *may_write {
                self.add_write_permission(address, broker).await
            } else {
                self.wipe_write_permission(address, broker).await
            };
            match changed {
                Ok(0) => failed(&format!("it knows no topic of {broker}")),
                changed => outcome(changed),
            }
        }));
        Ok(PutWritePermissionResponse { done: done.await })
    }

    /// What became of something at each name server that is asked.
    async fn at_each<F: Future<Output = Became>>(
        &self,
        actions: impl IntoIterator<Item = F>,
    ) -> Vec<Done> {
        let became = all(actions).await;
        let both = self.name_servers.iter().zip(became);
        both.map(|(address, became)| done("name server", Some(address), became)).collect()
    }

    /// What each name server has under each key, and who did not say.
    fn compared(
        &self,
        answers: Vec<Result<Known, AdminError>>,
    ) -> Result<(Vec<NameServerEntry>, Vec<Problem>), AdminError> {
        let (mut known, mut problems, mut last_error) = (Vec::new(), Vec::new(), None);
        for (address, answer) in self.name_servers.iter().zip(&answers) {
            match answer {
                Ok(table) => known.push((address, table)),
                Err(error) => {
                    let reason = format!("name server {address}: {error}");
                    problems.push(name_server_problem(address, reason));
                    last_error = Some(error.clone());
                }
            }
        }
        match last_error {
            Some(error) if known.is_empty() => Err(error),
            _ => Ok((entries(known), problems)),
        }
    }
}

fn namespace(given: &str) -> &str {
    if given.is_empty() { system::ORDER_NAMESPACE } else { given }
}

/// Each key with the value of each name server.
fn entries(known: Vec<(&String, &Known)>) -> Vec<NameServerEntry> {
    let keys: BTreeSet<&String> = known.iter().flat_map(|(_, table)| table.keys()).collect();
    let value = |key: &String, (address, table): &(&String, &Known)| NameServerValue {
        name_server: (*address).clone(),
        value: table.get(key).cloned(),
    };
    let entry = |key: &String| NameServerEntry {
        key: key.clone(),
        values: known.iter().map(|one| value(key, one)).collect(),
    };
    keys.into_iter().map(entry).collect()
}

/// A route in the words of a comparison.
fn in_words(topic: &str, route: &TopicRoute) -> Known {
    let words = route.queues.iter().map(|data| {
        let text = format!(
            "{} read, {} write, {}",
            data.read_queues,
            data.write_queues,
            super::permission_text(data.permission)
        );
        (format!("route {topic} of {}", data.broker_name), text)
    });
    words.collect()
}
