//! Accounts on brokers that have the same, and that do not.

use std::sync::{Arc, Mutex};

use super::tests::{NOBODY, Running, outcomes};
use super::*;
use crate::proto::v1::{
    AccountSettings, CreateAccountRequest, DeleteAccountRequest, PermissionList,
    PutWhiteAddressesRequest, UpdateAccountRequest,
};

const ACCOUNT: &str =
    r#"{"accessKey":"reader-key","admin":false,"secretKey":"s3cret-one","topicPerms":["T=SUB"]}"#;

/// A broker `a` that has an account, and notes what it is given.
fn with_account() -> (Running, Arc<Mutex<Vec<Command>>>) {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    let body = format!(r#"{{"globalWhiteAddrs":["10.0.0.*"],"plainAccessConfigs":[{ACCOUNT}]}}"#);
    peer.answer_body(54, &body);
    peer.answer_body(26, "aclEnable=true\n");
    let versions = r#"{"/conf/plain_acl.yml":{"counter":2,"timestamp":9}}"#;
    peer.answer(52, Command::response(0).with_field("allAclFileVersion", versions));
    let given = Arc::new(Mutex::new(Vec::new()));
    for code in [50, 51, 53] {
        let noted = Arc::clone(&given);
        peer.answer_with(code, move |request| {
            noted.lock().unwrap().push(request.clone());
            Command::response(0)
        });
    }
    (peer, given)
}

#[tokio::test]
async fn accounts_are_listed_once_where_brokers_have_the_same_and_no_secret_is_told() {
    let (peer, _) = with_account();
    let other = Running::start();
    peer.register(&[("a", &peer.address), ("b", &other.address), ("down", NOBODY)]);
    let told = |body: &str| {
        other.answer_body(54, &format!(r#"{{"plainAccessConfigs":[{body}]}}"#));
        other.answer(52, Command::response(0));
        other.answer_body(26, "aclEnable=true\n");
    };
    told(ACCOUNT);
    let found = peer.admin().list_accounts().await.unwrap();
    let [account] = &found.accounts[..] else { panic!("{found:?}") };
    assert_eq!(
        (account.secret, &account.brokers[..]),
        (0, &["a 0".to_owned(), "b 0".to_owned()][..])
    );
    let broker = &found.brokers[0];
    assert_eq!((broker.accounts, broker.white_addresses.len()), (1, 1));
    assert_eq!((broker.files[0].counter, broker.files[0].changed_ms), (2, Some(9)));
    assert!(found.problems[0].reason.starts_with("accounts of down 0 are missing: "), "{found:?}");
    told(&ACCOUNT.replace("s3cret-one", "s3cret-two"));
    let found = peer.admin().list_accounts().await.unwrap();
    let secrets: Vec<_> = found.accounts.iter().map(|one| one.secret).collect();
    assert_eq!(secrets, [1, 2]);
    assert!(!format!("{found:?}").contains("s3cret"));
}

fn settings(topics: &[&str]) -> Option<AccountSettings> {
    let items = topics.iter().map(|one| (*one).to_owned()).collect();
    let topic_permissions = Some(PermissionList { items });
    Some(AccountSettings { topic_permissions, ..AccountSettings::default() })
}

#[tokio::test]
async fn an_account_is_created_where_none_has_it() {
    let (peer, given) = with_account();
    let request = |key: &str| CreateAccountRequest {
        access_key: key.to_owned(),
        secret_key: "s3cret-new".to_owned(),
        settings: settings(&["U=PUB"]),
        ..CreateAccountRequest::default()
    };
    let refused = peer.admin().create_account(&request("reader-key")).await;
    assert!(matches!(refused, Err(AdminError::Conflict(_))), "{refused:?}");
    let refused = peer.admin().create_account(&request("short")).await;
    assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    for wrong in [&["U"][..], &["U=PUB", "U=pub"]] {
        let request = CreateAccountRequest { settings: settings(wrong), ..request("writer-key") };
        let refused = peer.admin().create_account(&request).await;
        assert!(matches!(refused, Err(AdminError::Invalid(_))), "{refused:?}");
    }
    let dry = CreateAccountRequest { dry_run: true, ..request("writer-key") };
    let done = peer.admin().create_account(&dry).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a 0", Outcome::DryRun)]);
    assert!(given.lock().unwrap().is_empty());
    let done = peer.admin().create_account(&request("writer-key")).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a 0", Outcome::Done)]);
    let given = given.lock().unwrap();
    let field = |key| given[0].field(key);
    assert_eq!((field("accessKey"), field("secretKey")), (Some("writer-key"), Some("s3cret-new")));
    assert_eq!((field("topicPerms"), field("admin")), (Some("U=PUB"), Some("false")));
}

#[tokio::test]
async fn what_is_not_given_of_an_account_stays() {
    let (peer, given) = with_account();
    let request = |settings| UpdateAccountRequest {
        access_key: "reader-key".to_owned(),
        settings,
        ..UpdateAccountRequest::default()
    };
    let same = peer.admin().update_account(&request(settings(&["T=SUB"]))).await.unwrap().done;
    assert_eq!(outcomes(&same), [("a 0", Outcome::Unchanged)]);
    let admin = AccountSettings { is_admin: Some(true), ..AccountSettings::default() };
    let done = peer.admin().update_account(&request(Some(admin))).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a 0", Outcome::Done)]);
    {
        let given = given.lock().unwrap();
        assert_eq!((given.len(), given[0].field("topicPerms")), (1, Some("T=SUB")));
        assert_eq!(
            (given[0].field("admin"), given[0].field("secretKey")),
            (Some("true"), Some("s3cret-one"))
        );
    }
    let nothing = peer.admin().update_account(&request(None)).await;
    assert!(matches!(nothing, Err(AdminError::Invalid(_))), "{nothing:?}");
    // A broker without it cannot get it without a secret.
    let other = Running::start();
    other.answer_body(54, "{}");
    other.answer_body(26, "aclEnable=true\n");
    peer.register(&[("a", &peer.address), ("b", &other.address)]);
    let done = peer.admin().update_account(&request(settings(&["T=PUB"]))).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a 0", Outcome::Done), ("b 0", Outcome::Failed)]);
    assert!(done[1].reason.as_ref().unwrap().ends_with("without a secret"), "{done:?}");
}

#[tokio::test]
async fn a_list_of_nothing_takes_away_what_was_there_b340() {
    let (peer, given) = with_account();
    let nothing = AccountSettings {
        is_admin: Some(false),
        default_topic_permission: Some("DENY".to_owned()),
        default_group_permission: Some("DENY".to_owned()),
        white_address: Some(String::new()),
        topic_permissions: None,
        group_permissions: Some(PermissionList::default()),
    };
    let put = async |settings: &AccountSettings| {
        let request = UpdateAccountRequest {
            access_key: "reader-key".to_owned(),
            settings: Some(settings.clone()),
            ..UpdateAccountRequest::default()
        };
        peer.admin().update_account(&request).await.unwrap().done
    };
    // It has none of all this.
    assert_eq!(outcomes(&put(&nothing).await), [("a 0", Outcome::Unchanged)]);
    let topic_permissions = Some(PermissionList::default());
    let none = AccountSettings { topic_permissions, ..nothing };
    assert_eq!(outcomes(&put(&none).await), [("a 0", Outcome::Done)]);
    let given = given.lock().unwrap();
    let field = |key| given[0].field(key);
    assert_eq!((field("topicPerms"), field("groupPerms")), (Some(","), None));
    assert_eq!((field("whiteRemoteAddress"), field("defaultTopicPerm")), (None, None));
}

#[tokio::test]
async fn an_account_and_white_addresses_are_taken_away() {
    let (peer, given) = with_account();
    let delete = |key: &str| DeleteAccountRequest {
        access_key: key.to_owned(),
        ..DeleteAccountRequest::default()
    };
    let unknown = peer.admin().delete_account_everywhere(&delete("nobody")).await;
    assert!(matches!(unknown, Err(AdminError::NotFound(_))), "{unknown:?}");
    let done = peer.admin().delete_account_everywhere(&delete("reader-key")).await.unwrap().done;
    assert_eq!(outcomes(&done), [("a 0", Outcome::Done)]);
    let white = |addresses: &[&str]| PutWhiteAddressesRequest {
        addresses: addresses.iter().map(|one| (*one).to_owned()).collect(),
        ..PutWhiteAddressesRequest::default()
    };
    let done = peer.admin().put_white_addresses(&white(&["10.0.0.*"])).await.unwrap().done;
    assert_eq!(done[0].outcome(), Outcome::Unchanged);
    let done = peer.admin().put_white_addresses(&white(&["a", "b"])).await.unwrap().done;
    assert_eq!(done[0].outcome(), Outcome::Done);
    let given = given.lock().unwrap();
    assert_eq!(given.last().unwrap().field("globalWhiteAddrs"), Some("a,b"));
}

#[tokio::test]
async fn accounts_that_are_off_are_an_error() {
    let peer = Running::start();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(26, "aclEnable=false\n");
    // One of 4.9.4 is not asked, which it would not answer.
    let refused = peer.admin().list_accounts().await;
    assert!(matches!(refused, Err(AdminError::Conflict(_))), "{refused:?}");
    assert!(!peer.asked().contains(&54));
    // One of ours says more.
    peer.answer_body(9010, "{}");
    peer.answer(54, Command::response(1).with_remark("accounts are off"));
    let refused = peer.admin().list_accounts().await;
    assert!(matches!(refused, Err(AdminError::Refused { code: 1, .. })), "{refused:?}");
}
