//! The accounts as tools ask for and change them (50 to 54, A-007), and as nodes tell them one another (9006).
//!
//! Not what they let in (`permissions`), nor their files (`acl`). Invariant: secrets are shown to admins that signed,
//! and to nobody else (S-52).

use std::sync::Arc;

use super::Broker;
use super::answers::{Answer, Refusal};
use crate::acl::Acl;
use crate::acl::account::{Description, Secret};
use crate::acl::edit::Standing;
use crate::remoting::bodies::accounts::list_items;
use crate::remoting::bodies::extension::{self, AccountsOffer};
use crate::remoting::bodies::topics::version_value;
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, request, response};
use crate::replication::peers::PeerError;
use crate::task;
use crate::transport::Connection;

/// The accounts, or why there are none.
fn acl(broker: &Broker, code: i32) -> Result<&Arc<Acl>, Refusal> {
    let off = || Refusal::new(code, "accounts are off: write enabled = true in [acl]");
    broker.options.acl.as_ref().ok_or_else(off)
}

/// 50.
pub(super) fn update(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    const FAILED: i32 = response::UPDATE_AND_CREATE_ACL_CONFIG_FAILED;
    let acl = acl(broker, FAILED)?;
    let text = |field| request.field(field).map(str::to_owned);
    let given = Description {
        access_key: request.required_str("accessKey")?.to_owned(),
        secret_key: Secret(text("secretKey").unwrap_or_default()),
        white_remote_address: text("whiteRemoteAddress"),
        admin: request.flag_bool("admin"),
        default_topic_perm: text("defaultTopicPerm"),
        default_group_perm: text("defaultGroupPerm"),
        topic_perms: request.field("topicPerms").map(list_items),
        group_perms: request.field("groupPerms").map(list_items),
    };
    let done = acl.update_account(&given);
    done.map_err(|why| Refusal::new(FAILED, why))?;
    tracing::info!(access_key = given.access_key, "an account was changed");
    Ok(Command::response(response::SUCCESS))
}

/// 51.
pub(super) fn delete(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    const FAILED: i32 = response::DELETE_ACL_CONFIG_FAILED;
    let acl = acl(broker, FAILED)?;
    let key = request.required_str("accessKey")?;
    let none =
        || format!("The accesskey[{key}] corresponding to accessConfig has been deleted failed.");
    let done = acl.delete_account(key);
    done.map_err(|why| Refusal::new(FAILED, why.unwrap_or_else(none)))?;
    tracing::info!(access_key = key, "an account was deleted");
    Ok(Command::response(response::SUCCESS))
}

/// 53.
pub(super) fn set_white_addresses(
    broker: &Arc<Broker>,
    request: &Command,
    _: &Connection,
) -> Answer {
    const FAILED: i32 = response::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG_FAILED;
    let acl = acl(broker, FAILED)?;
    let mut addresses = list_items(request.required_str("globalWhiteAddrs")?);
    addresses.retain(|address| !address.is_empty());
    let path = request.field("aclFileFullPath").unwrap_or_default();
    let done = acl.set_white_addresses(addresses, path);
    done.map_err(|why| Refusal::new(FAILED, why))?;
    tracing::info!("the white list was changed");
    Ok(Command::response(response::SUCCESS))
}

/// 52.
pub(super) fn versions(broker: &Arc<Broker>, _: &Command, _: &Connection) -> Answer {
    let (all, own) = acl(broker, response::SYSTEM_ERROR)?.versions();
    let all = all.iter().map(|(path, version)| (path.as_str(), version_value(*version)));
    let text =
        |value: Value<'_>| String::from_utf8_lossy(&value.to_bytes(Form::Dialect)).into_owned();
    let options = &broker.options;
    Ok(Command::response(response::SUCCESS)
        .with_field("version", text(version_value(own)))
        .with_field("allAclFileVersion", text(Value::map(all)))
        .with_field("brokerName", &options.group)
        .with_field("brokerAddr", options.address)
        .with_field("clusterName", &options.cluster))
}

/// 54.
pub(super) fn all(broker: &Arc<Broker>, request: &Command, _: &Connection) -> Answer {
    let acl = acl(broker, response::SYSTEM_ERROR)?;
    let shows_secrets = acl.is_signed_by_admin(request);
    let (white, accounts) = acl.all();
    let accounts = accounts.iter().map(|account| account_value(account, shows_secrets));
    let body = Value::object([
        ("globalWhiteAddrs", texts(&white)),
        ("plainAccessConfigs", Value::array(accounts)),
    ]);
    let answer = Command::response(response::SUCCESS).with_empty_fields();
    Ok(answer.with_body(body.to_bytes(Form::Dialect)))
}

fn texts(texts: &[String]) -> Value<'_> {
    Value::array(texts.iter().map(|text| Value::from(text.as_str())))
}

/// A `PlainAccessConfig`: what is null is left out.
fn account_value(account: &Description, shows_secrets: bool) -> Value<'_> {
    let secret = shows_secrets.then(|| Value::from(account.secret_key.0.as_str()));
    let fields = [
        ("accessKey", Some(Value::from(account.access_key.as_str()))),
        ("admin", Some(Value::from(account.admin))),
        ("defaultGroupPerm", account.default_group_perm.as_deref().map(Value::from)),
        ("defaultTopicPerm", account.default_topic_perm.as_deref().map(Value::from)),
        ("groupPerms", account.group_perms.as_deref().map(texts)),
        ("secretKey", secret),
        ("topicPerms", account.topic_perms.as_deref().map(texts)),
        ("whiteRemoteAddress", account.white_remote_address.as_deref().map(Value::from)),
    ];
    Value::object(fields.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

/// 9006: what another node has, for what is here. May write a file.
pub(super) fn exchange(broker: &Arc<Broker>, request: &Command, connection: &Connection) -> Answer {
    let acl = acl(broker, response::SYSTEM_ERROR)?;
    let theirs: AccountsOffer = extension::parse(&request.body)?;
    let peer = connection.remote().ip().to_string();
    let met = acl.meet(&peer, &theirs);
    let standing = met.map_err(|why| Refusal::new(response::SYSTEM_ERROR, why))?;
    let ours = acl.offer(standing == Standing::Ahead);
    Ok(Command::response(response::SUCCESS).with_body(extension::to_bytes(&ours)))
}

/// A slave asks its master for newer accounts, and tells it those that are newer here.
pub(super) async fn exchange_with(broker: &Arc<Broker>, master: &str) -> Result<(), PeerError> {
    let Some(acl) = &broker.options.acl else { return Ok(()) };
    let theirs = ask(broker, master, &acl.offer(false)).await?;
    let standing = meet(acl, master, theirs).await;
    if standing == Some(Standing::Ahead) {
        ask(broker, master, &acl.offer(true)).await?;
    }
    Ok(())
}

async fn ask(
    broker: &Arc<Broker>,
    master: &str,
    offer: &AccountsOffer,
) -> Result<AccountsOffer, PeerError> {
    let request = Command::request(request::EXTENSION_ACCOUNTS);
    let request = request.with_body(extension::to_bytes(offer));
    let body = broker.member.ask(master, request).await?;
    Ok(extension::parse(&body)?)
}

async fn meet(acl: &Arc<Acl>, master: &str, theirs: AccountsOffer) -> Option<Standing> {
    let (acl, master) = (Arc::clone(acl), master.to_owned());
    let meeting = task::spawn_blocking("accounts of the master", move || {
        let met = acl.meet(&master, &theirs);
        met.inspect_err(|why| tracing::error!(master, "its accounts cannot be taken: {why}")).ok()
    });
    // It fails only if it panics, which is reported.
    meeting.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::signature::Key;
    use crate::broker::tests_support::TestBroker;
    use crate::remoting::json;

    const ACCOUNTS: &str = "\
globalWhiteRemoteAddresses: [10.9.9.9]
accounts:
- {accessKey: node-account, secretKey: node-secret, admin: true}
- {accessKey: ordinary, secretKey: secret-1, defaultTopicPerm: PUB}
";

    fn signed(mut request: Command) -> Command {
        Key::new("node-secret").sign("node-account", &mut request);
        request
    }

    fn update(key: &str) -> Command {
        let request = Command::request(50).with_field("accessKey", key);
        request.with_field("secretKey", "a-secret").with_field("topicPerms", "T=PUB,U=SUB")
    }

    #[tokio::test]
    async fn tools_change_accounts_and_that_counts_at_once_a007() {
        let broker = TestBroker::with_accounts(ACCOUNTS);
        assert_eq!(broker.call(signed(update("application"))).await.code, 0);
        let mut request = Command::request(28);
        Key::new("a-secret").sign("application", &mut request);
        assert_eq!(broker.call(request.clone()).await.code, 0);
        let versions = broker.call(signed(Command::request(52))).await;
        let version = versions.field("version").unwrap();
        assert!(version.starts_with("{\"counter\":1,\"timestamp\":"), "{version}");
        let all = versions.field("allAclFileVersion").unwrap();
        assert!(all.contains("/acl/plain_acl.yml\":{\"counter\":1,"), "{all}");
        let white = Command::request(53).with_field("globalWhiteAddrs", "10.1.1.1,10.1.1.2");
        assert_eq!(broker.call(signed(white.with_field("aclFileFullPath", ""))).await.code, 0);
        let delete = Command::request(51).with_field("accessKey", "application");
        assert_eq!(broker.call(signed(delete.clone())).await.code, 0);
        assert_eq!(broker.call(request).await.code, 1);
        let none =
            "The accesskey[application] corresponding to accessConfig has been deleted failed.";
        assert_eq!(broker.refused(signed(delete)).await, (210, none.to_owned()));
        let own = "accessKey of the node";
        let node = Command::request(51).with_field("accessKey", "node-account");
        assert_eq!(broker.refused(signed(node)).await.0, 210, "{own}");
        let bad = signed(update("short").with_field("defaultTopicPerm", "PUB"));
        assert_eq!(broker.refused(bad).await.0, 209);
        let bad = Command::request(53).with_field("globalWhiteAddrs", "nowhere");
        assert_eq!(broker.refused(signed(bad)).await.0, 211);
    }

    #[tokio::test]
    async fn a_list_of_nothing_takes_all_permissions_away_b340() {
        let broker = TestBroker::with_accounts(ACCOUNTS);
        let of_application = || {
            let accounts = broker.broker.options.acl.as_ref().unwrap().all().1;
            let of = accounts.into_iter().find(|account| account.access_key == "application");
            of.unwrap().topic_perms
        };
        let permissions = |text: &str| {
            let request = Command::request(50).with_field("accessKey", "application");
            signed(request.with_field("secretKey", "a-secret").with_field("topicPerms", text))
        };
        assert_eq!(broker.call(permissions("T=PUB,U=SUB,")).await.code, 0);
        assert_eq!(of_application().unwrap(), ["T=PUB", "U=SUB"]);
        let (code, why) = broker.refused(permissions("")).await;
        assert!(code == 209 && why.starts_with("Parse Resource format error for ."), "{why}");
        assert_eq!(broker.call(permissions(",")).await.code, 0);
        assert_eq!(of_application(), Some(Vec::new()));
    }

    #[tokio::test]
    async fn accounts_are_shown_with_their_secrets_to_admins_that_signed_only_s52() {
        let broker = TestBroker::with_accounts(ACCOUNTS);
        let answer = broker.call(signed(Command::request(54))).await;
        let expected = "{\"globalWhiteAddrs\":[\"10.9.9.9\"],\"plainAccessConfigs\":[{\"accessKey\":\"node-account\",\"admin\":true,\"secretKey\":\"node-secret\"},{\"accessKey\":\"ordinary\",\"admin\":false,\"defaultTopicPerm\":\"PUB\",\"secretKey\":\"secret-1\"}]}";
        assert_eq!(String::from_utf8_lossy(&answer.body), expected);
        let white = format!(
            "{ACCOUNTS}- {{accessKey: from-here, secretKey: secret-2, whiteRemoteAddress: 127.0.0.1}}\n"
        );
        let broker = TestBroker::with_accounts(&white);
        let unsigned = Command::request(54).with_field("AccessKey", "from-here");
        let answer = broker.call(unsigned).await;
        let body = json::parse(&answer.body).unwrap();
        assert_eq!(body.get("plainAccessConfigs").items().len(), 3);
        assert!(!String::from_utf8_lossy(&answer.body).contains("secret"), "no secret");
    }

    #[tokio::test]
    async fn where_accounts_are_off_that_is_said() {
        let broker = TestBroker::new();
        let off = "accounts are off: write enabled = true in [acl]".to_owned();
        let key = |code| Command::request(code).with_field("accessKey", "application");
        assert_eq!(broker.refused(key(50)).await, (209, off.clone()));
        assert_eq!(broker.refused(key(51)).await, (210, off.clone()));
        for code in [52, 54, 9006] {
            assert_eq!(broker.refused(key(code)).await, (1, off.clone()));
        }
    }

    #[tokio::test]
    async fn a_slave_and_its_master_come_to_have_the_same_accounts() {
        let master = TestBroker::with_accounts(ACCOUNTS);
        let slave = TestBroker::with_accounts(ACCOUNTS);
        master.call(signed(update("of-master"))).await;
        exchange_with(&slave.broker, &master.address).await.unwrap();
        let keys = |broker: &TestBroker| {
            let accounts = broker.broker.options.acl.as_ref().unwrap().all().1;
            accounts.into_iter().map(|account| account.access_key).collect::<Vec<_>>()
        };
        assert!(keys(&slave).contains(&"of-master".to_owned()));
        slave.call(signed(update("of-slave"))).await;
        exchange_with(&slave.broker, &master.address).await.unwrap();
        assert_eq!(keys(&master), ["node-account", "ordinary", "of-master", "of-slave"]);
    }
}
