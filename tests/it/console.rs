//! The node over HTTP, as browsers and Prometheus meet it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;

use nix::sys::signal::Signal;

use crate::support::{Node, free_address, rmq_node};

const PORT: u16 = 8080;

/// An answer: its head, status line first, and its body.
struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// One request on a connection of its own; `more` are further header lines.
fn ask(address: impl Into<SocketAddr>, request: &str, more: &str) -> Answer {
    let address = address.into();
    let mut stream = TcpStream::connect(address).unwrap();
    // Not a byte behind a body: an end with unread bytes would take the answer with it.
    let end = if more.contains("\r\n\r\n") { "" } else { "\r\n" };
    let head = format!("{request} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n");
    stream.write_all(format!("{head}{more}{end}").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { head: head.to_owned(), body: body.to_owned() }
}

impl Answer {
    /// What a page holds behind `before`, up to the next quote.
    fn value(&self, before: &str) -> &str {
        let (_, rest) = self.body.split_once(before).expect(&self.body);
        rest.split('"').next().unwrap()
    }

    fn location(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("location: "));
        line.expect(&self.head)
    }
}

/// Somebody with a browser that keeps its session.
struct Browser {
    address: Ipv4Addr,
    cookie: String,
    csrf: String,
}

impl Browser {
    fn get(&self, path: &str) -> Answer {
        ask(at(self.address), &format!("GET {path}"), &format!("Cookie: {}\r\n", self.cookie))
    }

    fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &self.csrf, fields)
    }

    fn post_with(&self, path: &str, csrf: &str, fields: &[(&str, &str)]) -> Answer {
        let token = [("csrf", csrf)];
        let all = fields.iter().chain(&token);
        let pairs: Vec<_> = all.map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let body = pairs.join("&");
        let head = format!(
            "Cookie: {}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.cookie,
            body.len()
        );
        ask(at(self.address), &format!("POST {path}"), &head)
    }

    /// Logs in, and has chosen a password before anything else.
    fn log_in(address: Ipv4Addr, data_dir: &Path) -> Self {
        let mut browser = Self { address, cookie: String::new(), csrf: String::new() };
        let file = data_dir.join("console-admin-password");
        let made = until(|| std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
        let made = made.trim();
        let refused = browser.get("/topics");
        assert_eq!((refused.status(), refused.location()), ("303", "/login?next=/topics"));
        let wrong = browser.post("/login", &[("user", "admin"), ("password", "guess")]);
        assert_eq!(wrong.status(), "403");
        let right = browser.post("/login", &[("user", "admin"), ("password", made)]);
        assert_eq!(right.status(), "303", "{}", right.body);
        let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        browser.cookie = cookie.split(';').next().unwrap().to_owned();
        assert!(!file.exists());
        assert_eq!(browser.get("/topics").location(), "/password");
        let form = browser.get("/password");
        let policy =
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';";
        assert!(form.head.contains(policy), "{}", form.head);
        browser.csrf = form.value("name=\"csrf\" value=\"").to_owned();
        let fields = [("old", made), ("new", "chosen by me"), ("again", "chosen by me")];
        assert_eq!(browser.post_with("/password", "", &fields).status(), "403");
        assert_eq!(browser.post("/password", &fields).location(), "/");
        browser
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Tries until there is something.
fn until<T>(what: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(found) = what() {
            return found;
        }
        std::thread::yield_now();
    }
}

fn at(address: Ipv4Addr) -> (Ipv4Addr, u16) {
    (address, PORT)
}

#[test]
fn metrics_and_health_are_served_with_and_without_pages() {
    for settings in ["", "[console]\nenabled = false\n"] {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let file = dir.path().join("a.toml");
        std::fs::write(&file, settings).unwrap();
        let mut command = rmq_node(&["run", "--listen", &address.to_string()]);
        command.args(["--config", file.to_str().unwrap()]);
        let node = Node::spawn(command.env("STATE_DIRECTORY", dir.path()));
        let health = ask(at(address), "GET /healthz", "");
        assert_eq!(
            (health.status(), health.body.as_str()),
            ("200", format!("{}\n", node.status_line()).as_str())
        );
        let text = ask(at(address), "GET /metrics", "");
        assert!(text.head.contains("content-type: text/plain; version=0.0.4"), "{}", text.head);
        assert!(
            text.body.contains("# TYPE rmq_messages_in_total counter\nrmq_messages_in_total 0\n")
        );
        let open = "Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.3\r\n";
        let open = ask(at(address), "GET /metrics", open);
        assert!(open.head.contains("content-type: application/openmetrics-text"), "{}", open.head);
        assert!(
            open.body.contains("# TYPE rmq_messages_in counter\n")
                && open.body.ends_with("# EOF\n")
        );
        // A connection that says nothing keeps no node from ending.
        let _idle = TcpStream::connect(at(address)).unwrap();
        node.signal(Signal::SIGTERM);
        let (status, log) = node.wait();
        assert_eq!(status.code(), Some(0), "{log}");
    }
}

#[test]
fn a_port_that_somebody_has_stops_only_a_node_that_was_told_to_have_it() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _holder = TcpListener::bind((address, PORT)).unwrap();
    let node = Node::start(address, dir.path());
    node.signal(Signal::SIGTERM);
    let (status, log) = node.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    let told = format!("cannot bind {address}:{PORT}, port of the console: process ");
    assert!(log.contains(&told) && log.contains("without console and /metrics"), "{log}");
    let (listen, data) = (address.to_string(), dir.path().to_str().unwrap());
    let mut command = rmq_node(&["run", "--listen", &listen, "--data-dir", data]);
    let refused = command.env("RMQ_NODE_CONSOLE__PORT", "8080").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.starts_with(&format!("error: {told}")), "{error}");
}

#[test]
fn an_operator_creates_a_topic_finds_a_message_and_moves_a_group() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    // Nothing is done by a form of somebody else, nor before it was asked.
    let fields = [("topic", "Orders"), ("queues", "2")];
    let sure = [("topic", "Orders"), ("queues", "2"), ("sure", "yes")];
    assert_eq!(browser.post_with("/topics", "guess", &sure).status(), "403");
    let asked = browser.post("/topics", &fields);
    assert!(asked.body.contains("Create the topic Orders?") && asked.body.contains("dry-run"));
    assert_eq!(browser.get("/topics/Orders").status(), "404");
    let done = browser.post("/topics", &sure);
    assert!(done.body.contains("badge done"), "{}", done.body);
    assert!(browser.get("/topics?q=rder").body.contains("href=\"/topics/Orders\""));
    let servers = format!("{address}:9876");
    let sent = rmq_node(&["bench", "produce", "-t", "Orders", "-m", "70", "-n", &servers]).output();
    assert!(sent.unwrap().status.success());
    // All messages are found, each once, in two pages.
    let rows = |page: &Answer| {
        let ids = page.body.split("href=\"/messages/Orders/").skip(1);
        ids.map(|rest| rest.split('"').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let first = browser.get("/messages?by=time&topic=Orders");
    let older = first.value("<a rel=\"next\" href=\"").replace("&#38;", "&");
    let second = browser.get(&older);
    let mut found = [rows(&first), rows(&second)].concat();
    assert_eq!((rows(&first).len(), found.len()), (50, 70), "{}", first.body);
    let id = found[0].clone();
    found.sort();
    found.dedup();
    assert_eq!(found.len(), 70);
    assert!(!second.body.contains("rel=\"next\""));
    let message = browser.get(&format!("/messages/Orders/{id}?as=hex"));
    assert!(message.body.contains("00000000  "), "{}", message.body);
    assert_eq!(rows(&browser.get(&format!("/messages?by=id&topic=Orders&id={id}"))), [id]);
    // A group is put at its beginning, once its name was typed.
    let preview = browser.get("/groups/g/reset?topic=Orders&target=earliest");
    assert!(preview.body.contains("badge dry-run"), "{}", preview.body);
    let reset = [("topic", "Orders"), ("target", "latest")];
    assert_eq!(browser.post("/groups/g/reset", &reset).status(), "400");
    let reset = [("topic", "Orders"), ("target", "latest"), ("typed", "g")];
    let done = browser.post("/groups/g/reset", &reset);
    assert!(
        done.body.contains("badge done") && !done.body.contains("badge failed"),
        "{}",
        done.body
    );
    let audit = browser.get("/audit").body;
    for method in ["Topics/Create", "Offsets/Reset", "console user admin at 127.0.0.1"] {
        assert!(
            audit.replace(&address.to_string(), "127.0.0.1").contains(method),
            "{method}: {audit}"
        );
    }
    let delete = browser.post("/topics/Orders/delete", &[("sure", "yes"), ("typed", "Order")]);
    assert_eq!(delete.status(), "400");
    let delete = browser.post("/topics/Orders/delete", &[("sure", "yes"), ("typed", "Orders")]);
    assert!(delete.body.contains("badge done"), "{}", delete.body);
    assert_eq!(browser.post("/logout", &[]).location(), "/login");
    assert_eq!(browser.get("/").location(), "/login");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().0.code(), Some(0));
}

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
fn a_brokers_status_and_settings_are_shown_and_changed_and_it_is_closed_and_opened() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let cluster = browser.get("/cluster");
    let path = cluster.value("<td><a href=\"").to_owned();
    assert!(path.starts_with("/cluster/") && path.ends_with("/0"), "{path}");
    let page = browser.get(&path).body;
    for text in ["bootTimestamp", "msgPutTotalTodayNow", "brokerPermission", "fileReservedTime"] {
        assert!(page.contains(&format!("<th scope=\"row\">{text}</th>")), "{text}: {page}");
    }
    let page = browser.get(&format!("{path}?q=RESERVED")).body;
    assert!(page.contains("fileReservedTime") && !page.contains("bootTimestamp"), "{page}");
    let form = browser.get(&format!("{path}?key=fileReservedTime"));
    let before = form.value("name=\"value\" value=\"").to_owned();
    let config = format!("{path}/config");
    let key = ("key", "fileReservedTime");
    let asked = browser.post(&config, &[key, ("value", "99")]).body;
    assert!(asked.contains(&format!("{before} → 99")), "{asked}");
    assert!(browser.get(&format!("{path}?q=fileReservedTime")).body.contains(&before));
    let done = browser.post(&config, &[key, ("value", "99"), ("sure", "yes")]).body;
    assert!(done.contains("badge done"), "{done}");
    let page = browser.get(&format!("{path}?q=fileReservedTime")).body;
    assert!(page.contains(&format!("<span class=\"badge warn\">{before}</span>")), "{page}");
    let unknown = [("key", "noSuchKey"), ("value", "1")];
    assert!(browser.post(&config, &unknown).body.contains("tells no setting of this name"));
    let refused = browser.post(&config, &[&unknown[..], &[("sure", "yes")]].concat());
    assert_ne!(refused.status(), "200");
    let back = [key, ("action", "reset")];
    assert!(browser.post(&config, &back).body.contains(&format!("99 → {before}")));
    let done = browser.post(&config, &[&back[..], &[("sure", "yes")]].concat()).body;
    assert!(done.contains("badge done"), "{done}");
    // Closed to producers: said on the page of all, and on the first.
    assert!(!cluster.body.contains("closed to producers"));
    let drain = format!("{path}/drain");
    assert!(browser.post(&drain, &[]).body.contains("out of use for producers?"));
    let done = browser.post(&drain, &[("sure", "yes")]).body;
    assert!(done.contains("badge done"), "{done}");
    for (page, text) in [("/cluster", "closed to producers"), ("/", "What is wrong with brokers")] {
        let shown = browser.get(page).body;
        assert!(shown.contains(text) && shown.contains("it is read-only"), "{page}: {shown}");
    }
    assert!(browser.get(&path).body.contains("Put it to use again"));
    let done = browser.post(&format!("{path}/resume"), &[("sure", "yes")]).body;
    assert!(done.contains("badge done"), "{done}");
    assert!(!browser.get("/cluster").body.contains("closed to producers"));
    assert_eq!(browser.get("/cluster/no-such-broker/0").status(), "404");
}

#[test]
fn readers_look_and_pages_speak_chinese_below_a_path() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let admin = Browser::log_in(address, dir.path());
    let asked = [("user", "li"), ("role", "reader"), ("sure", "yes")];
    let made = admin.post("/settings/users", &asked);
    let (_, rest) = made.body.split_once("<code id=\"made\">").expect(&made.body);
    let password = rest.split('<').next().unwrap();
    assert!(!admin.get("/audit").body.contains(password));
    let guest = Browser { address, cookie: String::new(), csrf: String::new() };
    let right = guest.post("/login", &[("user", "li"), ("password", password)]);
    let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let mut reader = Browser {
        address,
        cookie: cookie.split(';').next().unwrap().to_owned(),
        csrf: String::new(),
    };
    reader.csrf = reader.get("/password").value("name=\"csrf\" value=\"").to_owned();
    let fields = [("old", password), ("new", "chosen by li"), ("again", "chosen by li")];
    assert_eq!(reader.post("/password", &fields).status(), "303");
    assert!(!reader.get("/topics").body.contains("name=\"queues\""));
    let refused = reader.post("/topics", &[("topic", "T"), ("sure", "yes")]);
    assert_eq!(refused.status(), "403");
    assert_eq!(reader.post("/settings/users", &asked).status(), "403");
    // Every page can be read, and nothing be done on it.
    for page in ["/name-servers", "/alerts", "/clients", "/dead-letters", "/acl", "/trace"] {
        let shown = reader.get(page);
        assert_eq!(shown.status(), "200", "{page}: {}", shown.body);
        let forms = shown.body.matches("method=\"post\"").count();
        assert_eq!(forms, 1, "{page} has the log-out only");
    }
    let fields = [("key", "some-account"), ("hours", "1"), ("rule", "*"), ("place", "a.0.1")];
    for path in [
        "/name-servers/values",
        "/name-servers/settings",
        "/name-servers/writing",
        "/alerts/silence",
        "/alerts/test",
        "/dead-letters/g/resend",
        "/acl/accounts",
        "/acl/accounts/some-account",
        "/acl/accounts/some-account/delete",
        "/acl/white",
        "/groups",
        "/groups/g/settings",
        "/groups/g/delete",
        "/cluster/a/0/config",
        "/cluster/a/0/drain",
        "/cluster/a/0/resume",
    ] {
        let refused = reader.post(path, &fields);
        assert_eq!(refused.status(), "403", "{path}");
        assert!(refused.body.contains("This needs the role"), "{path}");
    }
    let proxied = "X-Forwarded-Prefix: /rmq\r\nAccept-Language: zh-CN,zh;q=0.9\r\n";
    let page = ask(at(address), "GET /login", proxied);
    assert!(page.body.contains("lang=\"zh\"") && page.body.contains("登录"), "{}", page.body);
    assert!(page.body.contains("action=\"/rmq/login\"") && page.body.contains("\"/rmq/assets/"));
    assert_eq!(ask(at(address), "GET /topics", proxied).location(), "/rmq/login?next=/topics");
}
