//! The consumer groups of a broker (B-070 to B-073).
//!
//! Not who is connected: that is the broker's. Invariant: the groups of B-071 are always there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::clock::Clock;
use crate::model::{DataVersion, GroupName, SubscriptionGroupConfig, system};

#[derive(Debug, Default)]
struct State {
    groups: BTreeMap<GroupName, Arc<SubscriptionGroupConfig>>,
    version: DataVersion,
    /// Groups that were not saved since they changed.
    unsaved: BTreeSet<GroupName>,
}

/// The group table; its methods never block on the disk.
#[derive(Debug)]
pub struct Groups {
    state: RwLock<State>,
    clock: Clock,
}

/// The groups that changed (`None`: removed), and the version saved with them.
#[derive(Debug)]
pub(super) struct UnsavedGroups {
    pub(super) rows: Vec<(GroupName, Option<Arc<SubscriptionGroupConfig>>)>,
    pub(super) version: DataVersion,
}

impl Groups {
    /// A table with the groups that are there from the start (B-071).
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let mut state = State::default();
        add_start_groups(&mut state.groups);
        Self { state: RwLock::new(state), clock }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A group's configuration.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<SubscriptionGroupConfig>> {
        self.read().groups.get(name).cloned()
    }

    /// A group's configuration; an unknown group is created if `auto_create` is set or its name begins as
    /// 4.9.4's own do, else `None` (B-072).
    #[must_use]
    pub fn get_or_create(
        &self,
        name: &str,
        auto_create: bool,
    ) -> Option<Arc<SubscriptionGroupConfig>> {
        if let Some(found) = self.get(name) {
            return Some(found);
        }
        if !auto_create && !name.starts_with(system::GROUP_PREFIX) {
            return None;
        }
        let name = GroupName::new(name);
        let mut state = self.write();
        if let Some(found) = state.groups.get(&name) {
            return Some(Arc::clone(found));
        }
        let created = Arc::new(SubscriptionGroupConfig::new(name.clone()));
        state.groups.insert(name.clone(), Arc::clone(&created));
        self.changed(&mut state, name);
        Some(created)
    }

    /// Creates or replaces a group's configuration.
    pub fn put(&self, config: SubscriptionGroupConfig) {
        let name = config.name.clone();
        let mut state = self.write();
        state.groups.insert(name.clone(), Arc::new(config));
        self.changed(&mut state, name);
    }

    /// Deletes a group; returns whether it was there.
    pub fn remove(&self, name: &str) -> bool {
        let mut state = self.write();
        let Some((name, _)) = state.groups.remove_entry(name) else { return false };
        self.changed(&mut state, name);
        true
    }

    fn changed(&self, state: &mut State, name: GroupName) {
        state.version = state.version.next(self.clock.now_ms());
        state.unsaved.insert(name);
    }

    /// How many groups there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.read().groups.len()
    }

    /// The table's version.
    #[must_use]
    pub fn version(&self) -> DataVersion {
        self.read().version
    }

    /// All groups, by name, with the version that they are.
    #[must_use]
    pub fn snapshot(&self) -> (DataVersion, Vec<Arc<SubscriptionGroupConfig>>) {
        let state = self.read();
        (state.version, state.groups.values().cloned().collect())
    }

    /// Takes over another broker's table.
    pub fn replace_all(&self, version: DataVersion, configs: Vec<SubscriptionGroupConfig>) {
        let mut state = self.write();
        let mut groups: BTreeMap<_, _> =
            configs.into_iter().map(|config| (config.name.clone(), Arc::new(config))).collect();
        add_start_groups(&mut groups);
        let names: Vec<GroupName> = state.groups.keys().chain(groups.keys()).cloned().collect();
        let changed = names.into_iter().filter(|name| state.groups.get(name) != groups.get(name));
        let changed: Vec<GroupName> = changed.collect();
        state.unsaved.extend(changed);
        state.groups = groups;
        state.version = version;
    }

    /// Fills the table with what was saved.
    pub(super) fn load(&self, configs: Vec<SubscriptionGroupConfig>, version: DataVersion) {
        let mut state = self.write();
        state.groups = configs.into_iter().map(|c| (c.name.clone(), Arc::new(c))).collect();
        add_start_groups(&mut state.groups);
        state.version = version;
    }

    /// What changed since the last call; `None` if nothing did.
    pub(super) fn take_unsaved(&self) -> Option<UnsavedGroups> {
        let mut state = self.write();
        if state.unsaved.is_empty() {
            return None;
        }
        let names = std::mem::take(&mut state.unsaved);
        let rows = names.into_iter().map(|name| {
            let config = state.groups.get(&name).cloned();
            (name, config)
        });
        Some(UnsavedGroups { rows: rows.collect(), version: state.version })
    }

    /// Puts back what could not be saved.
    pub(super) fn not_saved(&self, unsaved: &UnsavedGroups) {
        self.write().unsaved.extend(unsaved.rows.iter().map(|(name, _)| name.clone()));
    }
}

fn add_start_groups(groups: &mut BTreeMap<GroupName, Arc<SubscriptionGroupConfig>>) {
    for name in system::GROUPS {
        let name = GroupName::new(name);
        groups.entry(name.clone()).or_insert_with(|| Arc::new(SubscriptionGroupConfig::new(name)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_groups_are_created_only_where_b072_says_so() {
        let groups = Groups::new(Clock::system());
        assert_eq!(groups.count(), 7);
        assert!(groups.get_or_create("TOOLS_CONSUMER", false).is_some());
        assert!(groups.get_or_create("g", false).is_none());
        assert_eq!(groups.version().counter, 0);
        assert!(groups.get_or_create("CID_RMQ_SYS_x", false).is_some());
        assert_eq!(groups.get_or_create("g", true).unwrap().retry_max_times, 16);
        assert!(groups.get_or_create("g", false).is_some());
        assert_eq!(groups.version().counter, 2);
        assert!(groups.remove("g") && !groups.remove("g"));
        assert_eq!(groups.version().counter, 3);
    }

    #[test]
    fn another_table_is_taken_over_but_the_start_groups_stay() {
        let groups = Groups::new(Clock::system());
        let _ = groups.get_or_create("mine", true);
        let _ = groups.take_unsaved();
        let version = DataVersion { timestamp: 1, counter: 30 };
        let theirs = SubscriptionGroupConfig::new(GroupName::new("theirs"));
        groups.replace_all(version, vec![theirs]);
        assert!(groups.get("mine").is_none() && groups.get("theirs").is_some());
        assert_eq!((groups.count(), groups.version()), (8, version));
        let unsaved = groups.take_unsaved().unwrap();
        let names: Vec<_> = unsaved.rows.iter().map(|(n, c)| (n.as_str(), c.is_some())).collect();
        assert_eq!(names, [("mine", false), ("theirs", true)]);
    }
}
