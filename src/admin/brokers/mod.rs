//! Brokers one by one: how each is (28, 26, 9010), and their settings (25, 26, 9011).
//!
//! | file | what |
//! | --- | --- |
//! | here | the list, one broker |
//! | `config` | settings: all, changing one, taking a change back |
//! | `drain` | taking a master out of use, how far that is, and putting it to use again |
//!
//! Which brokers there are is `cluster`'s. Invariants: all are asked at the same time; what only nodes of ours tell is
//! unset for others.

mod config;
mod drain;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::cluster::{Members, Told, ToldBy};
use super::{Admin, AdminError, all, permission_text};
use crate::model::Permission;
use crate::proto::v1::{
    Broker, BrokerSetting, BrokerStatus, ClusterState, GetBrokerRequest, ListBrokersResponse,
    Problem,
};
use crate::remoting::bodies::extension::OverrideRow;
use crate::remoting::bodies::route::BrokerData;

/// The key of what clients may do.
const PERMISSION: &str = "brokerPermission";

impl From<OverrideRow> for BrokerSetting {
    fn from(row: OverrideRow) -> Self {
        let OverrideRow { key, value, instead_of } = row;
        Self { key, value, instead_of: Some(instead_of) }
    }
}

impl Admin {
    /// Every broker of every group, and how it is.
    ///
    /// # Errors
    /// No name server answers, or what answers is none.
    pub async fn brokers(&self) -> Result<ListBrokersResponse, AdminError> {
        let (state, told) = self.members(None).await?.with_silent();
        Ok(self.statuses(state, &told).await)
    }

    /// How each of these is.
    pub(super) async fn statuses(&self, state: ClusterState, told: &ToldBy) -> ListBrokersResponse {
        let ClusterState { brokers: members, mut problems } = state;
        let asked = members.iter().map(|one| self.status_of(one, &members, told));
        let mut brokers = Vec::new();
        for (status, problem) in all(asked).await {
            brokers.push(status);
            problems.extend(problem);
        }
        ListBrokersResponse { brokers, problems }
    }

    /// One broker, and how it is.
    ///
    /// # Errors
    /// No name server answers, the broker is not registered, or does not answer.
    pub async fn broker(&self, request: &GetBrokerRequest) -> Result<BrokerStatus, AdminError> {
        let group = self.group_named(request.broker.as_deref()).await?;
        let (id, address) = member(&group, request.id)?;
        let Members { state, told, .. } = self.members(Some(&group.broker_name)).await?;
        let members = state.brokers;
        let found = members.iter().find(|one| one.id == id && one.address.is_some());
        let Some(found) = found else {
            return Err(AdminError::NotFound(format!("{} {id} has just gone", group.broker_name)));
        };
        match self.status_of(found, &members, &told).await {
            (_, Some(problem)) => Err(AdminError::Unreachable(problem.reason)),
            (BrokerStatus { permission: None, .. }, None) => {
                Err(AdminError::Unreachable(format!("{address} does not answer")))
            }
            (status, None) => Ok(status),
        }
    }

    /// How one of `members` is; of one that has not answered nothing more is known.
    async fn status_of(
        &self,
        broker: &Broker,
        members: &[Broker],
        told: &ToldBy,
    ) -> (BrokerStatus, Option<Problem>) {
        let mut status = BrokerStatus { broker: Some(broker.clone()), ..BrokerStatus::default() };
        let its = broker.address.as_ref().and_then(|address| Some((address, told.get(address)?)));
        let Some((address, Told { info, settings, .. })) = its else { return (status, None) };
        let settings = match settings {
            Ok(settings) => settings,
            Err(error) => {
                let reason = format!("{} {}: {error}", broker.group, broker.id);
                let at = broker.group.clone();
                let problem = Problem { at, address: broker.address.clone(), reason };
                return (status, Some(problem));
            }
        };
        let own = self.broker_state(address).await.ok().flatten();
        let permission = permission_of(settings);
        status.permission = permission.map(permission_text);
        status.started_ms = number(info, "bootTimestamp");
        let used = number::<f64>(info, "commitLogDiskRatio").filter(|used| *used >= 0.0);
        status.disk_used_percent = used.map(|used| 100.0 * used);
        status.log_begin = number(info, "commitLogMinOffset");
        if let Some(own) = &own {
            status.producers = u32::try_from(own.producers).ok();
            status.overrides = own.overrides.iter().cloned().map(BrokerSetting::from).collect();
        }
        let is_closed = permission.is_some_and(|of| !of.contains(Permission::WRITE));
        if broker.id == 0 && is_closed {
            let drain = self.drain_state(broker, members, info, own.as_ref()).await;
            let word = if drain.waits_for.is_empty() { "drained" } else { "draining" };
            status.drain = Some(drain);
            if let Some(broker) = status.broker.as_mut().filter(|one| one.state == "serving") {
                word.clone_into(&mut broker.state);
            }
        }
        (status, None)
    }

    /// The group of this name, or the only one.
    pub(super) async fn group_named(&self, name: Option<&str>) -> Result<BrokerData, AdminError> {
        let mut groups = match name {
            Some(_) => self.groups_meant(None, name).await?,
            None => self.broker_groups(None).await?,
        };
        if groups.len() > 1 {
            let known: Vec<_> = groups.iter().map(|group| group.broker_name.as_str()).collect();
            let text = format!("there are several brokers, name one: {}", known.join(", "));
            return Err(AdminError::Invalid(text));
        }
        Ok(groups.swap_remove(0))
    }
}

/// A member of a group with its address; the master if no number is given.
fn member(group: &BrokerData, id: Option<i64>) -> Result<(i64, String), AdminError> {
    let id = id.unwrap_or(0);
    let address = group.addresses.get(&id).cloned();
    let address = address.ok_or_else(|| {
        let known: Vec<_> = group.addresses.keys().map(ToString::to_string).collect();
        let (name, known) = (&group.broker_name, known.join(", "));
        let master = if id == 0 { "the master of " } else { "" };
        AdminError::NotFound(format!(
            "{master}{name} is not registered under {id}; of this group there is: {known}"
        ))
    })?;
    Ok((id, address))
}

/// What the settings of a broker let clients do.
pub(super) fn permission_of(settings: &BTreeMap<String, String>) -> Option<Permission> {
    settings.get(PERMISSION)?.parse().ok().map(Permission)
}

fn number<T: std::str::FromStr>(info: &BTreeMap<String, String>, key: &str) -> Option<T> {
    info.get(key)?.parse().ok()
}
