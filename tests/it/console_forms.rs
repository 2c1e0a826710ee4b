//! Forms of the console: of groups and accounts, and those that are refused.

use std::net::SocketAddr;

use crate::console::{Answer, Browser, at};
use crate::support::{Node, free_address, rmq_node};

#[test]
fn an_admin_creates_changes_and_deletes_a_group() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let new = [("group", "billing"), ("retryMaxTimes", "3"), ("consumeEnable", "")];
    let asked = browser.post("/groups", &new).body;
    assert!(asked.contains("Create the group billing?"), "{asked}");
    assert!(asked.contains("retryMaxTimes: 16 → 3"), "{asked}");
    assert_eq!(browser.get("/groups/billing").status(), "404");
    let done = browser.post("/groups", &[&new[..], &[("sure", "yes")]].concat()).body;
    assert!(done.contains("badge done"), "{done}");
    let refused = browser.post("/groups/billing/settings", &[("retryQueueNums", "many")]);
    assert_eq!(refused.status(), "400");
    let off = [("consumeEnable", "no"), ("retryMaxTimes", "3")];
    let asked = browser.post("/groups/billing/settings", &off).body;
    assert!(asked.contains("consumeEnable: yes → no</td>"), "{asked}");
    assert!(asked.contains("Its members get nothing from then on"), "{asked}");
    assert!(!browser.get("/groups").body.contains("gets nothing from"));
    let done =
        browser.post("/groups/billing/settings", &[&off[..], &[("sure", "yes")]].concat()).body;
    assert!(done.contains("badge done"), "{done}");
    let page = browser.get("/groups/billing").body;
    assert!(page.contains("consumeEnable is switched off there"), "{page}");
    assert!(page.contains(
        "name=\"retryMaxTimes\" type=\"number\" min=\"0\" max=\"2147483647\" value=\"3\""
    ));
    assert!(browser.get("/groups?q=bill").body.contains("gets nothing from"));
    let asked = browser.post("/groups/billing/delete", &[]).body;
    assert!(asked.contains("No consumer is connected. 0 messages wait for it."), "{asked}");
    let typed = [("sure", "yes"), ("typed", "bill")];
    assert_eq!(browser.post("/groups/billing/delete", &typed).status(), "400");
    let typed = [("sure", "yes"), ("typed", "billing")];
    let done = browser.post("/groups/billing/delete", &typed).body;
    assert!(done.contains("badge done"), "{done}");
    assert_eq!(browser.get("/groups/billing").status(), "404");
    let audit = browser.get("/audit").body;
    for method in ["Groups/Create", "Groups/Update", "Groups/Delete"] {
        assert!(audit.contains(method), "{method}: {audit}");
    }
}

#[test]
fn a_form_that_is_refused_keeps_what_was_typed() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let shown_again = |refused: &Answer, status: &str, texts: &[&str]| {
        assert_eq!(refused.status(), status, "{}", refused.body);
        assert!(refused.head.contains("content-security-policy: "), "{}", refused.head);
        refused.says(&["role=\"alert\" id=\"refused\" tabindex=\"-1\" autofocus>"]);
        refused.says(texts);
    };
    let topic = [("topic", "Or\"ders"), ("queues", "many"), ("permission", "r")];
    let refused = browser.post("/topics", &topic);
    let why = "The number of queues is a whole number.";
    let values = ["value=\"Or&#34;ders\">", "value=\"many\">", "<option value=\"r\" selected>"];
    shown_again(&refused, "400", &[&[why, "<h2>Create a topic"], &values[..]].concat());
    let topic = [("topic", "Orders"), ("queues", "2"), ("sure", "yes")];
    browser.post("/topics", &topic).says(&["badge done"]);
    // Who is sure, and has typed nothing on the page that asked, gets the form before it.
    let other = [("topic", "Orders"), ("queues", "4"), ("sure", "yes")];
    let there = browser.post("/topics", &other);
    shown_again(
        &there,
        "409",
        &["creating does not change it", "value=\"Orders\">", "Create a topic"],
    );
    let wrong = browser.post("/topics/Orders/update", &[("write_queues", "x"), ("broker", "")]);
    shown_again(
        &wrong,
        "400",
        &[why, "<h1>Orders", "value=\"x\">", "href=\"/topics/Orders?span=24h\""],
    );
    let wrong = browser.post("/topics/Orders/delete", &[("sure", "yes"), ("typed", "Order")]);
    shown_again(
        &wrong,
        "400",
        &["Delete the topic Orders?", "value=\"Order\">", "nothing was done"],
    );
    let group = [("group", "billing"), ("sure", "yes")];
    browser.post("/groups", &group).says(&["badge done"]);
    let wrong = browser.post("/groups/billing/settings", &[("retryQueueNums", "many")]);
    shown_again(
        &wrong,
        "400",
        &["This needs a whole number.", "value=\"many\">", "<details open>"],
    );
    let reset = "/groups/billing/reset";
    let wrong = browser.get(&format!("{reset}?topic=Orders&target=shift&value=abc"));
    let shift = "<option value=\"shift\" selected>";
    shown_again(&wrong, "400", &["This needs a whole number.", "value=\"abc\">", shift]);
    let from = format!("h{reset}?topic=Orders&target=earliest");
    let fields = [("topic", "Orders"), ("target", "earliest"), ("typed", "bill")];
    let wrong = browser.post_from(&from, reset, &browser.csrf, &fields);
    shown_again(&wrong, "400", &["badge dry-run", "value=\"bill\">"]);
    let user = [("user", "a b"), ("role", "operator"), ("action", ""), ("sure", "yes")];
    let wrong = browser.post("/settings/users", &user);
    let role = "<option value=\"operator\" selected>";
    shown_again(&wrong, "409", &["up to 64 letters", "value=\"a b\">", role]);
    // Where forms go there may be no page.
    assert_eq!(browser.get("/topics/Orders/update").location(), "/topics/Orders");
    assert_eq!(browser.get("/logout").location(), "/");
    // Where nothing was typed there is nothing to keep.
    let last = [("user", "admin"), ("action", "remove"), ("sure", "yes")];
    let wrong = browser.post("/settings/users", &last);
    shown_again(&wrong, "409", &["somebody has to be an admin", "<h1>It did not work"]);
    assert!(!wrong.body.contains("name=\"user\""), "{}", wrong.body);
}

#[test]
fn a_form_of_another_session_comes_back_and_one_without_is_said_to_be_lost() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let typed = [("topic", "Orders"), ("queues", "many")];
    let send = |site: &str| {
        let from = format!("h/topics\r\n{site}");
        let refused = browser.post_from(&from, "/topics", "another", &typed);
        assert_eq!(refused.status(), "403");
        refused.says(&["This form is not of this session, and nothing was done"]);
        refused
    };
    let again = send(&format!("Origin: http://{}", SocketAddr::from(at(address))));
    again.says(&["value=\"many\">", "value=\"Orders\">"]);
    again.says(&[&format!("name=\"csrf\" value=\"{}\"", browser.csrf)]);
    for site in ["Origin: http://other.example", "Origin: null", "Accept: */*"] {
        let foreign = send(site).body;
        assert!(!foreign.contains("value=\"many\""), "{foreign}");
    }
    assert_eq!(browser.post("/logout", &[]).location(), "/login");
    let lost = browser.post_from("h/topics?q=a", "/topics", &browser.csrf, &typed);
    assert_eq!(lost.location(), "/login?lost=yes&next=/topics%3Fq%3Da");
    let page = browser.get(lost.location());
    page.says(&["What you sent was not done", "name=\"next\" value=\"/topics?q=a\""]);
    assert!(!browser.get("/login").body.contains("What you sent was not done"));
    // Strangers send no more than a log-in has.
    let others = "=&csrf=".len() + 3 * browser.csrf.len();
    for (bytes, status) in [(8192, "403"), (8193, "413")] {
        let form = browser.post("/login", &[(&"a".repeat(bytes - others), "")]);
        assert_eq!(form.status(), status);
    }
}

#[test]
fn an_account_has_what_its_form_says_and_its_secret_is_never_shown_again() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let data = dir.path().join("data");
    let accounts = "accounts: [{accessKey: node-account, secretKey: node-secret, admin: true}]\n";
    std::fs::create_dir(dir.path().join("acl")).unwrap();
    std::fs::write(dir.path().join("acl/plain_acl.yml"), accounts).unwrap();
    let acl = dir.path().join("acl");
    let settings = format!(
        "data_dir = {data:?}\n[acl]\nenabled = true\naccounts_dir = {acl:?}\nnode_account = \"node-account\"\n"
    );
    let file = dir.path().join("a.toml");
    std::fs::write(&file, settings).unwrap();
    let mut command = rmq_node(&["run", "--listen", &address.to_string()]);
    let _node = Node::spawn(command.args(["--config", file.to_str().unwrap()]));
    let browser = Browser::log_in(address, &data);
    let key = ("key", "billing-account");
    let allowed = [("topics", "T=SUB\r\nU=PUB"), ("white", "10.0.0.1"), ("topic_default", "PUB")];
    let secret = |secret| [("secret", secret), ("sure", "yes")];
    let short = [&[key], &allowed[..], &secret("abc12")].concat();
    let refused = browser.post("/acl/accounts", &short);
    assert_eq!(refused.status(), "400");
    refused.says(&["the secret is too short", "Create the account billing-account?", "T=SUB"]);
    refused.says(&["<input name=\"secret\" type=\"password\"", "id=\"refused\""]);
    assert!(!refused.body.contains("abc12"), "{}", refused.body);
    let made = browser.post("/acl/accounts", &[&[key], &allowed[..], &secret("a-secret")].concat());
    made.says(&["badge done"]);
    let account = "/acl/accounts/billing-account";
    browser.get(account).says(&["T=SUB\nU=PUB</textarea>", "value=\"10.0.0.1\""]);
    let same = browser.post(account, &allowed);
    same.says(&["badge unchanged"]);
    let none =
        [("topics", ""), ("groups", ""), ("white", ""), ("topic_default", "DENY"), ("sure", "yes")];
    browser.post(account, &none).says(&["badge done"]);
    let shown = browser.get(account);
    shown.says(&["<option value=\"DENY\" selected>"]);
    assert!(!shown.body.contains("T=SUB") && !shown.body.contains("10.0.0.1"), "{}", shown.body);
    browser.post(account, &none).says(&["badge unchanged"]);
    for (field, value) in [("topics", "T=both"), ("white", "10.0.0.300")] {
        let wrong = browser.post(account, &[(field, value)]);
        assert_eq!(wrong.status(), "400");
        wrong.says(&[value, "id=\"refused\"", "<h1>billing-account"]);
    }
}
