//! What a cluster is configured to be, as a whole: told, compared with what it is to be, and made so.
//!
//! | file | what |
//! | --- | --- |
//! | `tables` | topics and groups, which each master has in a table: 21, 201; 17, 215, 216, 200, 207 |
//! | `settings` | what of a topic and of a group is looked at |
//! | `positions` | how far groups are: 43, 202; 15 |
//! | `accounts` | accounts, which every broker has: 26, 54; 50, 51, 53 |
//! | `kv` | what every name server keeps: 219; 100, 102 |
//! | here | the steps, in their order, and doing one |
//!
//! Not the file that people keep (`cli`). Invariants: steps of one kind may be done side by side, others and those of accounts
//! are not begun before the one before has ended; a plan has a step for what differs and for nothing else, so that the
//! second one has none; nothing is changed before all that makes no sense was refused; what is the system's own is neither
//! told nor deleted; deletions come last, and accounts last of them, because one of them may be who asks.

mod accounts;
mod kv;
mod positions;
mod settings;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, VecDeque};

use super::cluster::must_be_one_cluster;
use super::{Admin, AdminError, Became, all, dry_run, failed, outcome};
use crate::model::{MessageQueue, SubscriptionGroupConfig, TopicConfig};
use crate::proto::v1::{
    ApplyMetadataRequest, ApplyMetadataResponse, ClusterMetadata, ExportMetadataRequest,
    ExportMetadataResponse, MetadataAction, MetadataKind, MetadataStep, Outcome, Problem,
    SettingChange,
};
use crate::remoting::bodies::accounts::Account;
use crate::remoting::bodies::route::BrokerData;

/// Steps that are done at the same time: brokers write changes that come together to the disk together, and tell name
/// servers of them together.
const AT_ONCE: usize = 32;

/// How a step is done; where, and with what name, says the [`MetadataStep`].
#[derive(Clone, Debug)]
enum Action {
    PutTopic(TopicConfig),
    DeleteTopic,
    /// At a name server.
    ForgetTopic {
        cluster: String,
    },
    PutGroup(SubscriptionGroupConfig),
    DeleteGroup,
    SetOffsets {
        group: String,
        offsets: Vec<(MessageQueue, i64)>,
    },
    PutAccount(Account),
    DeleteAccount,
    SetWhiteAddresses(String),
    PutKv {
        namespace: String,
        key: String,
        value: String,
    },
    DeleteKv {
        namespace: String,
        key: String,
    },
    /// It differs, and cannot be changed: why.
    Impossible(String),
}

impl Action {
    /// Whether it is about who may ask for the next one.
    fn is_of_accounts(&self) -> bool {
        matches!(self, Self::PutAccount(_) | Self::DeleteAccount | Self::SetWhiteAddresses(_))
    }
}

/// What is to be done, in this order.
#[derive(Debug, Default)]
pub struct MetadataPlan {
    steps: VecDeque<(MetadataStep, Action)>,
    /// Done after all others.
    deletions: Vec<(MetadataStep, Action)>,
    problems: Vec<Problem>,
    left_alone: u32,
    /// Topics that a master still has because it could not delete them.
    kept_topics: BTreeSet<String>,
}

/// Where a step is done.
#[derive(Clone, Copy)]
struct Place<'a> {
    at: &'a str,
    address: &'a str,
}

impl MetadataPlan {
    /// Takes the next step, and those behind it that can be done at the same time.
    fn next_steps(&mut self) -> Vec<(MetadataStep, Action)> {
        let kind = |action: &Action| std::mem::discriminant(action);
        let Some(first) = self.steps.front().map(|(_, action)| action) else { return Vec::new() };
        let (first, at_once) = (kind(first), if first.is_of_accounts() { 1 } else { AT_ONCE });
        let ends = self.steps.iter().take(at_once).take_while(|(_, action)| kind(action) == first);
        let count = ends.count();
        self.steps.drain(..count).collect()
    }

    fn add(&mut self, step: MetadataStep, action: Action) {
        self.steps.push_back((step, action));
    }

    /// Something that is there and not wanted.
    fn add_unwanted(&mut self, prune: bool, step: MetadataStep, action: Action) {
        if prune {
            self.deletions.push((step, action));
        } else {
            self.left_alone += 1;
        }
    }

    /// All but the steps.
    #[must_use]
    pub fn head(&self) -> ApplyMetadataResponse {
        ApplyMetadataResponse {
            steps_total: u32::try_from(self.steps.len()).unwrap_or(u32::MAX),
            left_alone: self.left_alone,
            problems: self.problems.clone(),
            steps: Vec::new(),
        }
    }

    /// What would be done.
    #[must_use]
    pub fn into_dry_run(self) -> ApplyMetadataResponse {
        let head = self.head();
        let steps = self.steps.into_iter().map(|(mut step, action)| {
            became(
                &mut step,
                match action {
                    Action::Impossible(reason) => failed(&reason),
                    _ => dry_run(),
                },
            );
            step
        });
        ApplyMetadataResponse { steps: steps.collect(), ..head }
    }
}

fn became(step: &mut MetadataStep, (outcome, reason): Became) {
    (step.outcome, step.reason) = (outcome, reason);
}

fn step(
    kind: MetadataKind,
    name: &str,
    action: MetadataAction,
    place: Place<'_>,
    changes: Vec<SettingChange>,
) -> MetadataStep {
    MetadataStep {
        kind: kind.into(),
        name: name.to_owned(),
        action: action.into(),
        at: place.at.to_owned(),
        address: place.address.to_owned(),
        changes,
        ..MetadataStep::default()
    }
}

fn change(setting: &str, before: Option<&str>, after: Option<&str>) -> SettingChange {
    SettingChange {
        setting: setting.to_owned(),
        before: before.map(str::to_owned),
        after: after.map(str::to_owned),
    }
}

/// The masters' groups that a metadata names, all of which must be there.
fn must_be_known<'a>(
    brokers: impl Iterator<Item = &'a String>,
    groups: &[BrokerData],
    of: &str,
) -> Result<(), AdminError> {
    for name in brokers {
        if !groups.iter().any(|group| group.broker_name == *name) {
            let known: Vec<_> = groups.iter().map(|group| group.broker_name.as_str()).collect();
            return Err(AdminError::Invalid(format!(
                "{of}: there is no broker \"{name}\" in this cluster; there is: {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

impl Admin {
    /// What a cluster has.
    ///
    /// # Errors
    /// No name server answers, none of the brokers does, or it is not said which of several clusters is meant.
    pub async fn export_metadata(
        &self,
        request: &ExportMetadataRequest,
    ) -> Result<ExportMetadataResponse, AdminError> {
        let groups = self.broker_groups(request.cluster.as_deref()).await?;
        must_be_one_cluster(&groups)?;
        let mut problems = Vec::new();
        let metadata = ClusterMetadata {
            topics: Some(self.export_topics(&groups, &mut problems).await?),
            groups: Some(self.export_groups(&groups, &mut problems).await?),
            offsets: match request.with_offsets {
                true => Some(self.export_offsets(&groups, &mut problems).await?),
                false => None,
            },
            accounts: self.export_accounts(&groups, request.with_secrets, &mut problems).await,
            kv: Some(self.export_kv(&request.namespaces, &mut problems).await),
        };
        Ok(ExportMetadataResponse { metadata: Some(metadata), problems })
    }

    /// What makes a cluster what it is to be.
    ///
    /// # Errors
    /// No name server answers, none of the brokers does, it is not said which of several clusters is meant, or something
    /// that is wanted makes no sense there.
    pub async fn plan_metadata(
        &self,
        request: &ApplyMetadataRequest,
    ) -> Result<MetadataPlan, AdminError> {
        let groups = self.broker_groups(request.cluster.as_deref()).await?;
        must_be_one_cluster(&groups)?;
        let wanted = request.metadata.clone().unwrap_or_default();
        let (mut plan, prune) = (MetadataPlan::default(), request.prune);
        if let Some(topics) = &wanted.topics {
            self.plan_topics(&mut plan, &groups, topics, prune).await?;
        }
        if let Some(wanted) = &wanted.groups {
            self.plan_groups(&mut plan, &groups, wanted, prune).await?;
        }
        if let Some(kv) = &wanted.kv {
            self.plan_kv(&mut plan, kv, prune).await;
        }
        if let Some(accounts) = &wanted.accounts {
            self.plan_accounts(&mut plan, &groups, accounts, prune).await?;
        }
        if let Some(offsets) = &wanted.offsets {
            self.plan_offsets(&mut plan, &groups, offsets).await?;
        }
        plan.steps.extend(std::mem::take(&mut plan.deletions));
        Ok(plan)
    }

    /// Does the next steps, those of one kind side by side, and tells what became of each; none behind the last one.
    pub async fn do_next_steps(&self, plan: &mut MetadataPlan) -> Vec<MetadataStep> {
        let steps = plan.next_steps();
        let kept = &plan.kept_topics;
        let doing = steps.iter().map(|(step, action)| self.act(step, action.clone(), kept));
        let ends = all(doing).await;
        let mut done = Vec::new();
        for ((mut step, action), end) in steps.into_iter().zip(ends) {
            if matches!(action, Action::DeleteTopic) && end.is_err() {
                plan.kept_topics.insert(step.name.clone());
            }
            became(&mut step, outcome(end));
            done.push(step);
        }
        done
    }

    async fn act(
        &self,
        step: &MetadataStep,
        action: Action,
        kept_topics: &BTreeSet<String>,
    ) -> Result<(), AdminError> {
        let (address, name) = (step.address.as_str(), step.name.as_str());
        match action {
            Action::PutTopic(config) => self.put_topic(address, &config).await,
            Action::DeleteTopic => self.delete_topic_at(address, name).await,
            Action::ForgetTopic { .. } if kept_topics.contains(name) => {
                Err(AdminError::Conflict("a broker still has the topic".to_owned()))
            }
            Action::ForgetTopic { cluster } => self.forget_topic(address, name, &cluster).await,
            Action::PutGroup(config) => self.put_group(address, &config).await,
            Action::DeleteGroup => self.delete_group_at(address, name, false).await,
            Action::SetOffsets { group, offsets } => {
                for (queue, offset) in offsets {
                    self.set_offset(address, &group, &queue, offset).await?;
                }
                Ok(())
            }
            Action::PutAccount(account) => self.put_account(address, &account).await,
            Action::DeleteAccount => self.delete_account(address, name).await,
            Action::SetWhiteAddresses(list) => self.set_white_addresses(address, &list, None).await,
            Action::PutKv { namespace, key, value } => {
                self.put_kv(address, &namespace, &key, &value).await
            }
            Action::DeleteKv { namespace, key } => self.delete_kv(address, &namespace, &key).await,
            Action::Impossible(reason) => Err(AdminError::Conflict(reason)),
        }
    }
}

impl MetadataStep {
    /// A line about it, as `create topic T at broker-a: done`.
    #[must_use]
    pub fn as_line(&self) -> String {
        let action = match self.action() {
            MetadataAction::Unspecified => "leave",
            MetadataAction::Create => "create",
            MetadataAction::Change => "change",
            MetadataAction::Delete => "delete",
        };
        let reason = match self.outcome() {
            Outcome::Failed => format!(": {}", self.reason.as_deref().unwrap_or_default()),
            _ => String::new(),
        };
        let (kind, name, at) = (self.kind().as_word(), &self.name, &self.at);
        format!("{action} {kind} {name} at {at}: {}{reason}", self.outcome().as_word())
    }
}

impl MetadataKind {
    /// What it is called in lines and lists.
    #[must_use]
    pub fn as_word(self) -> &'static str {
        match self {
            Self::Unspecified => "something",
            Self::Topic => "topic",
            Self::Group => "group",
            Self::Offsets => "offsets of",
            Self::Account => "account",
            Self::WhiteAddresses => "white addresses",
            Self::Kv => "value",
        }
    }
}
