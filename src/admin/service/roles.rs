//! What somebody may do, and what each method of the admin API needs over TCP: the one table.
//!
//! Not who has which role (`logins`), nor the check (`gate`). Invariants: every method that is served has a row, which a
//! test compares with the descriptors; what has none needs the greatest role.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a login, or a user of the console, may do; each role may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads everything, bodies of messages too.
    Reader,
    /// Moves groups, sends, resends and cancels messages, takes brokers out of use for a while: what can be undone or repeated.
    Operator,
    /// Creates and deletes, and changes who may do what.
    Admin,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Admin];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == name)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a caller must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// Anybody: load balancers look how a node is before they know anything.
    Nothing,
    /// Of this role at least.
    Role(Role),
}

use Needed::Nothing;
const READER: Needed = Needed::Role(Role::Reader);
const OPERATOR: Needed = Needed::Role(Role::Operator);
const ADMIN: Needed = Needed::Role(Role::Admin);

/// Every method by its path without the slash before it.
const METHODS: &[(&str, Needed)] = &[
    ("grpc.health.v1.Health/Check", Nothing),
    ("grpc.health.v1.Health/Watch", Nothing),
    ("grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READER),
    ("grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", READER),
    ("rmqnode.admin.v1.Acl/Create", ADMIN),
    ("rmqnode.admin.v1.Acl/Delete", ADMIN),
    ("rmqnode.admin.v1.Acl/List", READER),
    ("rmqnode.admin.v1.Acl/PutWhiteAddresses", ADMIN),
    ("rmqnode.admin.v1.Acl/Update", ADMIN),
    ("rmqnode.admin.v1.Alerts/List", READER),
    ("rmqnode.admin.v1.Alerts/Silence", OPERATOR),
    ("rmqnode.admin.v1.Alerts/Test", OPERATOR),
    ("rmqnode.admin.v1.Audit/List", READER),
    ("rmqnode.admin.v1.Brokers/Drain", OPERATOR),
    ("rmqnode.admin.v1.Brokers/Get", READER),
    ("rmqnode.admin.v1.Brokers/GetConfig", READER),
    ("rmqnode.admin.v1.Brokers/List", READER),
    ("rmqnode.admin.v1.Brokers/ResetConfig", ADMIN),
    ("rmqnode.admin.v1.Brokers/Resume", OPERATOR),
    ("rmqnode.admin.v1.Brokers/SetConfig", ADMIN),
    ("rmqnode.admin.v1.Clients/Get", READER),
    ("rmqnode.admin.v1.Clients/List", READER),
    ("rmqnode.admin.v1.Cluster/Get", READER),
    ("rmqnode.admin.v1.Groups/Create", ADMIN),
    ("rmqnode.admin.v1.Groups/Delete", ADMIN),
    ("rmqnode.admin.v1.Groups/Get", READER),
    ("rmqnode.admin.v1.Groups/List", READER),
    ("rmqnode.admin.v1.Groups/Update", ADMIN),
    ("rmqnode.admin.v1.Messages/CancelTimer", OPERATOR),
    ("rmqnode.admin.v1.Messages/ConsumeDirectly", OPERATOR),
    ("rmqnode.admin.v1.Messages/CountDeadLetters", READER),
    ("rmqnode.admin.v1.Messages/Find", READER),
    ("rmqnode.admin.v1.Messages/Get", READER),
    ("rmqnode.admin.v1.Messages/ListDeadLetters", READER),
    ("rmqnode.admin.v1.Messages/ListTimers", READER),
    ("rmqnode.admin.v1.Messages/ResendDeadLetters", OPERATOR),
    ("rmqnode.admin.v1.Messages/Send", OPERATOR),
    ("rmqnode.admin.v1.Messages/Tail", READER),
    ("rmqnode.admin.v1.Metadata/Apply", ADMIN),
    // It has secrets of accounts, if they are asked for.
    ("rmqnode.admin.v1.Metadata/Export", ADMIN),
    ("rmqnode.admin.v1.Metadata/Plan", READER),
    ("rmqnode.admin.v1.NameServers/DeleteKv", ADMIN),
    ("rmqnode.admin.v1.NameServers/List", READER),
    ("rmqnode.admin.v1.NameServers/ListKv", READER),
    ("rmqnode.admin.v1.NameServers/ListSettings", READER),
    ("rmqnode.admin.v1.NameServers/PutKv", ADMIN),
    ("rmqnode.admin.v1.NameServers/PutSetting", ADMIN),
    ("rmqnode.admin.v1.NameServers/PutWritePermission", OPERATOR),
    ("rmqnode.admin.v1.Node/Reload", ADMIN),
    ("rmqnode.admin.v1.Node/Resync", ADMIN),
    ("rmqnode.admin.v1.Node/Status", READER),
    ("rmqnode.admin.v1.Node/Stop", ADMIN),
    ("rmqnode.admin.v1.Node/UpgradeCheck", READER),
    ("rmqnode.admin.v1.Offsets/Reset", OPERATOR),
    ("rmqnode.admin.v1.Topics/Create", ADMIN),
    ("rmqnode.admin.v1.Topics/Delete", ADMIN),
    ("rmqnode.admin.v1.Topics/Get", READER),
    ("rmqnode.admin.v1.Topics/List", READER),
    ("rmqnode.admin.v1.Topics/Repair", ADMIN),
    ("rmqnode.admin.v1.Topics/Update", ADMIN),
];

/// What a call of this path needs, as HTTP writes it: `/rmqnode.admin.v1.Topics/List`.
pub fn needed(path: &str) -> Needed {
    let method = path.strip_prefix('/').unwrap_or(path);
    METHODS.iter().find(|(name, _)| *name == method).map_or(ADMIN, |(_, needed)| *needed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message;
    use prost_types::FileDescriptorSet;

    use super::*;
    use crate::proto::DESCRIPTORS;

    #[test]
    fn every_method_that_is_served_has_a_row_and_no_other() {
        let described = [
            DESCRIPTORS,
            tonic_health::pb::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
            tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
        ];
        let mut served = BTreeSet::new();
        for bytes in described {
            for file in FileDescriptorSet::decode(bytes).unwrap().file {
                for service in &file.service {
                    let name = format!("{}.{}", file.package(), service.name());
                    served
                        .extend(service.method.iter().map(|one| format!("{name}/{}", one.name())));
                }
            }
        }
        let rows: BTreeSet<_> = METHODS.iter().map(|(name, _)| (*name).to_owned()).collect();
        assert_eq!(rows, served);
        assert_eq!(rows.len(), METHODS.len());
    }

    #[test]
    fn what_has_no_row_needs_the_greatest_role() {
        assert_eq!(needed("/grpc.health.v1.Health/Check"), Nothing);
        assert_eq!(needed("/rmqnode.admin.v1.Offsets/Reset"), OPERATOR);
        for unknown in ["", "/", "/rmqnode.admin.v1.Topics/list", "//grpc.health.v1.Health/Check"] {
            assert_eq!(needed(unknown), ADMIN, "{unknown}");
        }
        assert!(Role::Reader < Role::Operator && Role::Operator < Role::Admin);
    }
}
