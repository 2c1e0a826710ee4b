//! What is wrong with a cluster and what is gone from it, as the console's pages and the command line say it.

use nix::sys::signal::Signal;

use crate::admin::admin_beside;
use crate::console::{Browser, until};
use crate::support::{Node, free_address, rmq_node};

#[test]
fn what_is_wrong_is_shown_in_the_language_of_the_page_and_what_is_gone_too() {
    let (hosts, dir) = ([free_address(), free_address()], tempfile::tempdir().unwrap());
    let start = |this: usize, group: &str, roles: &str| {
        let home = dir.path().join(group);
        std::fs::create_dir(&home).unwrap();
        let (file, own, names) = (home.join("node.toml"), hosts[this], hosts[0]);
        let text = format!(
            "listen = \"{own}\"\nname_servers = [\"{names}:9876\"]\ndata_dir = \"{}\"\n\
             [[broker]]\ngroup = \"{group}\"\n[alerts]\ninterval_s = 1\n{roles}",
            home.display()
        );
        std::fs::write(&file, text).unwrap();
        Node::spawn(rmq_node(&["run", "--config"]).arg(file))
    };
    let _one = start(0, "broker-a", "[name_server]\n");
    let other = start(1, "broker-b", "");
    let home = dir.path().join("broker-a");
    let browser = Browser::log_in(hosts[0], &home);
    let chinese = browser.in_chinese();
    // The write permission of one is wiped at the name server.
    let path = "/cluster/broker-a/0";
    until(|| (browser.get(path).status() == "200").then_some(()));
    assert!(!browser.get(path).body.contains("closed to producers"));
    let fields = [("broker", "broker-a"), ("may", "no"), ("sure", "yes")];
    let wiped = browser.post("/name-servers/writing", &fields);
    assert!(wiped.body.contains("badge done"), "{}", wiped.body);
    let by = format!("by name server {}:9876", hosts[0]);
    browser.get(path).says(&["closed to producers", &by]);
    let told =
        format!("producers are kept away from broker-a 0 ({}:10911) by name server ", hosts[0]);
    until(|| browser.get("/alerts").body.contains(&told).then_some(()));
    let told = format!("生产者不能写入 broker-a 0 ({}:10911)：NameServer ", hosts[0]);
    chinese.get("/alerts").says(&[&told, "恢复写权限"]);
    let shown = admin_beside(&home, &["brokers", "show"]).1;
    assert!(shown.contains(&format!("rw, wiped at {}:9876", hosts[0])), "{shown}");
    // The other one leaves, after it was seen.
    let seen = || std::fs::read_to_string(home.join("alerts.json")).unwrap_or_default();
    until(|| seen().contains("\"broker-b\"").then_some(()));
    other.signal(Signal::SIGTERM);
    assert_eq!(other.wait().0.code(), Some(0));
    let was = format!("was at {}:10911", hosts[1]);
    browser.get("/cluster").says(&["broker-b", "not registered", &was]);
    browser.get("/").says(&["broker-b 0: it is not registered any more", &hosts[1].to_string()]);
    browser.get("/cluster/broker-b/0").says(&["not registered", &was]);
    chinese.get("/cluster").says(&["未注册", &format!("原地址 {}:10911", hosts[1])]);
    until(|| chinese.get("/alerts").body.contains("不再注册").then_some(()));
    let (code, shown, error) = admin_beside(&home, &["cluster"]);
    assert_eq!(code, Some(0), "{error}");
    assert!(shown.contains(&format!("was {}:10911", hosts[1])), "{shown}");
}
