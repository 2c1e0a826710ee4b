//! Looks at peers that answer what the test says.

use super::super::history::History;
use super::super::rules::{Rule, observe};
use super::*;
use crate::admin::tests::{NOBODY, Running};
use crate::config::Alerts as Settings;
use crate::remoting::Command;

/// A broker of ours, and a name server that knows these.
fn peer() -> Running {
    let peer = Running::start();
    peer.answer_body(28, r#"{"table":{"brokerVersionDesc":"V4_9_4"}}"#);
    peer.answer_body(9009, r#"{"atMs":1}"#);
    peer
}

fn dead_letters(peer: &Running, rows: &str) {
    peer.answer_body(9009, &format!(r#"{{"atMs":1,"deadLetters":[{rows}]}}"#));
}

#[tokio::test]
async fn name_servers_that_do_not_agree_answer_all_the_same() {
    let (one, other) = (peer(), peer());
    one.register(&[("a", &one.address)]);
    other.register(&[("a", &other.address)]);
    let names = vec![one.address.clone(), other.address.clone(), NOBODY.to_owned()];
    let look = Admin::new(names, Default::default()).look(&Clock::system()).await.unwrap();
    let gone = look.name_servers.iter().filter(|(_, reason)| reason.is_some());
    assert_eq!(gone.map(|(address, _)| address.as_str()).collect::<Vec<_>>(), [NOBODY]);
    let [problem] = &look.problems[..] else { panic!("{:?}", look.problems) };
    assert!(problem.reason.starts_with("a 0 is at "), "{problem:?}");
}

#[tokio::test]
async fn a_write_permission_that_was_wiped_is_looked_at_n062() {
    let peer = peer();
    peer.register(&[("a", &peer.address)]);
    peer.answer_body(26, "brokerPermission=6\n");
    let route =
        r#"{"queueDatas":[{"brokerName":"a","perm":4,"readQueueNums":1,"writeQueueNums":1}]}"#;
    peer.answer_body(105, route);
    let look = peer.admin().look(&Clock::system()).await.unwrap();
    assert_eq!(look.brokers[0].kept_away_by, std::slice::from_ref(&peer.address));
}

#[tokio::test]
async fn dead_letters_of_a_broker_that_was_away_are_not_new() {
    let (a, b) = (peer(), peer());
    a.register(&[("a", &a.address), ("b", &b.address)]);
    dead_letters(&a, r#"["G",5]"#);
    let (admin, clock, mut history) = (a.admin(), Clock::system(), History::default());
    let settings = Settings { dead_letters_per_hour: 1, ..Settings::default() };
    let mut new = async || {
        clock.advance(std::time::Duration::from_secs(60));
        let look = admin.look(&clock).await.unwrap();
        history.add(&look);
        let mut found = observe(&look, &history, &settings);
        found.retain(|one| one.rule == Rule::DeadLetters);
        let new: Vec<_> = found.into_iter().map(|one| (one.subject, one.level)).collect();
        (new, look.problems.len())
    };
    let in_group = |group: &str, level: f64| (group.to_owned(), level);
    b.answer(9009, Command::response(1));
    assert_eq!(new().await, (vec![in_group("G", 0.0)], 1), "it does not answer");
    b.answer_body(9009, r#"{"atMs":0}"#);
    assert_eq!(new().await, (vec![in_group("G", 0.0)], 1), "it has not reckoned yet");
    dead_letters(&b, r#"["G",500]"#);
    assert_eq!(new().await, (vec![in_group("G", 0.0)], 0), "it is back");
    dead_letters(&a, r#"["G",6],["H",2]"#);
    dead_letters(&b, r#"["G",503]"#);
    assert_eq!(new().await, (vec![in_group("G", 4.0), in_group("H", 2.0)], 0));
}
