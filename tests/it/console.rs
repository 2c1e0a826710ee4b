//! The node over HTTP, as browsers and Prometheus meet it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::{Node, free_address, rmq_node};

const PORT: u16 = 8080;

/// An answer: its head, status line first, and its body.
pub struct Answer {
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

/// One request on a connection of its own; `more` are further header lines.
pub fn ask(address: impl Into<SocketAddr>, request: &str, more: &str) -> Answer {
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

    pub fn says(&self, texts: &[&str]) {
        for text in texts {
            assert!(self.body.contains(text), "{text}: {}", self.body);
        }
    }

    pub fn location(&self) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix("location: "));
        line.expect(&self.head)
    }
}

/// Somebody with a browser that keeps its session.
pub struct Browser {
    address: Ipv4Addr,
    cookie: String,
    pub csrf: String,
    /// What paths begin with for the browser.
    base: &'static str,
    /// Whether a proxy takes that off.
    is_proxied: bool,
}

impl Browser {
    fn guest(address: Ipv4Addr) -> Self {
        Self { address, cookie: String::new(), csrf: String::new(), base: "", is_proxied: false }
    }

    /// The start of a request, and what its head says of who asks.
    fn request(&self, method: &str, path: &str) -> (String, String) {
        let cookie = format!("Cookie: {}\r\n", self.cookie);
        if !self.is_proxied {
            return (format!("{method} {path}"), cookie);
        }
        let rest = path.strip_prefix(self.base).expect(path);
        (format!("{method} {rest}"), format!("X-Forwarded-Prefix: {}\r\n{cookie}", self.base))
    }

    pub fn get(&self, path: &str) -> Answer {
        let (request, head) = self.request("GET", path);
        ask(at(self.address), &request, &head)
    }

    /// The stream of events there, and what stands before it.
    fn follow(&self, path: &str) -> (String, Events) {
        let (request, head) = self.request("GET", path);
        let mut stream = TcpStream::connect(at(self.address)).unwrap();
        let head = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{head}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream).lines().map(Result::unwrap);
        let head: Vec<_> = lines.by_ref().take_while(|line| !line.is_empty()).collect();
        (head.join("\n"), Events { lines: Box::new(lines) })
    }

    pub fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_with(path, &self.csrf, fields)
    }

    pub fn post_with(&self, path: &str, csrf: &str, fields: &[(&str, &str)]) -> Answer {
        self.post_from("", path, csrf, fields)
    }

    /// The same from this page.
    pub fn post_from(&self, from: &str, path: &str, csrf: &str, fields: &[(&str, &str)]) -> Answer {
        let token = [("csrf", csrf)];
        let all = fields.iter().chain(&token);
        let pairs: Vec<_> = all.map(|(key, value)| format!("{key}={}", escaped(value))).collect();
        let body = pairs.join("&");
        let (request, who) = self.request("POST", path);
        let head = format!(
            "{who}Referer: http://{from}\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        ask(at(self.address), &request, &head)
    }

    /// Logs in, and has chosen a password before anything else.
    pub fn log_in(address: Ipv4Addr, data_dir: &Path) -> Self {
        Self::guest(address).logged_in(data_dir)
    }

    /// The same session, in Chinese.
    pub fn in_chinese(&self) -> Self {
        let (cookie, csrf) = (format!("{}; rmq_language=zh", self.cookie), self.csrf.clone());
        Self { cookie, csrf, ..*self }
    }

    fn logged_in(mut self, data_dir: &Path) -> Self {
        let base = self.base;
        let [topics, login, password] =
            ["topics", "login", "password"].map(|page| format!("{base}/{page}"));
        let file = data_dir.join("console-admin-password");
        let made = until(|| std::fs::read_to_string(&file).ok().filter(|text| !text.is_empty()));
        let made = made.trim();
        let refused = self.get(&topics);
        let next = format!("{login}?next=/topics");
        assert_eq!((refused.status(), refused.location()), ("303", next.as_str()));
        let wrong = self.post(&login, &[("user", "admin"), ("password", "guess")]);
        assert_eq!(wrong.status(), "403");
        let right = self.post(&login, &[("user", "admin"), ("password", made)]);
        assert_eq!(right.status(), "303", "{}", right.body);
        let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        assert!(cookie.contains("; HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let path = if base.is_empty() { "/" } else { base };
        assert!(cookie.contains(&format!("; Path={path};")), "{cookie}");
        self.cookie = cookie.split(';').next().unwrap().to_owned();
        assert!(!file.exists());
        assert_eq!(self.get(&topics).location(), password);
        let form = self.get(&password);
        let policy =
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self';";
        assert!(form.head.contains(policy), "{}", form.head);
        self.csrf = form.value("name=\"csrf\" value=\"").to_owned();
        let fields = [("old", made), ("new", "chosen by me"), ("again", "chosen by me")];
        assert_eq!(self.post_with(&password, "", &fields).status(), "403");
        assert_eq!(self.post(&password, &fields).location(), format!("{base}/"));
        self
    }
}

/// Events as they come.
struct Events {
    lines: Box<dyn Iterator<Item = String>>,
}

impl Events {
    /// The next that has news; `None` at the end.
    fn next(&mut self) -> Option<String> {
        loop {
            // Between the lines of events stand the lengths of chunks.
            let is_of_event =
                |line: &String| line.starts_with("data: ") || line.starts_with("event: ");
            let lines = self.lines.by_ref().skip_while(|line| !is_of_event(line));
            let event: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            if event.is_empty() {
                return None;
            }
            if event[0].starts_with("data: ") {
                let text = event.iter().map(|line| line.strip_prefix("data: ").expect(line));
                return Some(text.collect());
            }
            assert_eq!(event, ["event: alive", "data: ."]);
        }
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Tries until there is something.
pub fn until<T>(what: impl Fn() -> Option<T>) -> T {
    loop {
        if let Some(found) = what() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Where the console of a node is.
pub fn at(address: Ipv4Addr) -> (Ipv4Addr, u16) {
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
    asked.says(&["Create the topic Orders?", "dry-run", "create: 2 queues, rw"]);
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
    // A group is put at its beginning, if there is one, once its name was typed.
    assert_eq!(browser.get("/groups/g/reset?topic=Orders&target=earliest").status(), "404");
    browser.post("/groups", &[("group", "g"), ("sure", "yes")]).says(&["badge done"]);
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

/// What a process has of its own in memory, in MiB.
fn memory_mib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[test]
fn an_export_of_long_dead_letters_is_sent_as_they_are_read() {
    const LETTERS: usize = 16;
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let servers = format!("{address}:9876");
    let run = |arguments: &[&str]| {
        let done = rmq_node(&[arguments, &["-n", servers.as_str()][..]].concat()).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8(done.stdout).unwrap()
    };
    run(&["admin", "groups", "create", "g"]);
    run(&["admin", "topics", "create", "%DLQ%g", "--queues", "1"]);
    let (count, size) = (LETTERS.to_string(), (2 << 20).to_string());
    run(&["bench", "produce", "-t", "%DLQ%g", "-m", &count, "-s", &size, "-c", "1"]);
    assert!(browser.get("/dead-letters/g").body.contains("16 in all"));
    let before = memory_mib(node.pid());
    let stream = TcpStream::connect(at(address)).unwrap();
    let head = format!(
        "GET /dead-letters/g/export?as=json HTTP/1.1\r\nHost: h\r\nConnection: close\r\nCookie: {}\r\n\r\n",
        browser.cookie
    );
    (&stream).write_all(head.as_bytes()).unwrap();
    let mut stream = BufReader::new(stream);
    let (mut letters, mut most, mut line) = (0, 0, Vec::new());
    while stream.read_until(b'\n', &mut line).unwrap() > 0 {
        if line.starts_with(b"{\"message\":") {
            letters += 1;
            most = memory_mib(node.pid()).max(most);
        }
        line.clear();
    }
    assert_eq!(letters, LETTERS);
    // Held as a whole, they would be 32 MiB twice, and the text of the file.
    assert!(most < before + 60, "{before} MiB, then {most} MiB");
    // The command line prints each as it comes.
    let printed = run(&["admin", "messages", "dlq", "g", "-o", "json"]);
    let found: serde_json::Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(found["letters"].as_array().unwrap().len(), LETTERS);
    assert_eq!(found["queues"][0]["count"], LETTERS);
}

#[test]
fn a_topics_page_changes_it_sends_to_it_and_tells_who_reads_it() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let two = [("topic", "Orders"), ("queues", "2"), ("sure", "yes")];
    browser.post("/topics", &two).says(&["badge done"]);
    // What is there is changed by its own page, and only what is said.
    let again = browser.post("/topics", &[("topic", "Orders"), ("queues", "4")]);
    assert_eq!(again.status(), "409");
    again.says(&["creating does not change it", "the topic&#39;s page in the console"]);
    let wider = [("broker", ""), ("write_queues", "4"), ("read_queues", ""), ("permission", "")];
    let asked = browser.post("/topics/Orders/update", &wider);
    asked.says(&["Write queues 2 → 4", "dry-run", "messages in the others are not consumed"]);
    assert!(!asked.body.contains("Permission"), "{}", asked.body);
    let wider = [("write_queues", "4"), ("read_queues", "4"), ("sure", "yes")];
    browser.post("/topics/Orders/update", &wider).says(&["badge done", "Read queues 2 → 4"]);
    let nothing = browser.post("/topics/Orders/update", &[("broker", "")]);
    assert_eq!(nothing.status(), "400");
    nothing.says(&["nothing is said that is to change"]);
    // A message is sent once it was asked, and its page is a step away.
    let message = [("tags", "paid"), ("keys", "order-1"), ("body", "line 1\r\n<b>")];
    for (field, value, why) in [
        ("properties", "color", "A property is a line: name = value."),
        ("properties", "WAIT = false", "the name is the system&#39;s, choose another"),
        ("properties", "color =", "neither its name nor its value may be blank"),
        ("delay_level", "soon", "The delay level is a whole number."),
    ] {
        let wrong = [message.as_slice(), &[(field, value)]].concat();
        let refused = browser.post("/topics/Orders/send", &wrong);
        assert_eq!(refused.status(), "400");
        refused.says(&[why]);
    }
    let message = [message.as_slice(), &[("properties", "color = dark red\r\na=b=c")]].concat();
    let asked = browser.post("/topics/Orders/send", &message);
    let line = "send: 10 B, paid, order-1, a = b=c, color = dark red";
    asked.says(&["Send a message to Orders?", line, "&#60;b&#62;"]);
    browser.get("/topics/Orders").says(&["0 messages in the queues", "No group reads it."]);
    let sure = [message.as_slice(), &[("sure", "yes")]].concat();
    let sent = browser.post("/topics/Orders/send", &sure);
    let path = format!("/messages/Orders/{}", sent.value("href=\"/messages/Orders/"));
    let page = until(|| Some(browser.get(&path)).filter(|page| page.status() == "200"));
    page.says(&["order-1", "paid", "dark red", "line 1\n&#60;b&#62;"]);
    // There is nobody to hand it to.
    let gone = browser.get(&format!("{path}/consume?group=g"));
    assert_eq!(gone.status(), "404");
    gone.says(&["no member of group &#34;g&#34; is connected to broker-a"]);
    let gone = browser.post(&format!("{path}/consume"), &[("group", "g"), ("client", "c")]);
    gone.says(&["no &#34;c&#34; of group &#34;g&#34; is connected to broker-a"]);
    browser.post("/groups", &[("group", "g"), ("sure", "yes")]).says(&["badge done"]);
    let reset = [("topic", "Orders"), ("target", "earliest"), ("typed", "g")];
    browser.post("/groups/g/reset", &reset).says(&["badge done"]);
    let topic = browser.get("/topics/Orders");
    let reset = "href=\"/groups/g/reset?topic=Orders\"";
    topic.says(&["1 messages in the queues", "href=\"/groups/g\"", reset, "nobody is connected"]);
    let asked = browser.post("/topics/Orders/delete", &[]);
    asked.says(&["1 messages are in its queues.", "Groups that read it: g"]);
    let audit = browser.get("/audit");
    audit.says(&["Topics/Update", "Messages/Send", "10 bytes", "Messages/ConsumeDirectly"]);
    assert!(!audit.body.contains("line 1"), "{}", audit.body);
}

#[test]
fn a_brokers_status_and_settings_are_shown_and_changed_and_it_is_closed_and_opened() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let _node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let cluster = browser.get("/cluster");
    let path = cluster.value("<td class=\"name\"><a href=\"").to_owned();
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
    let mut reader = Browser::guest(address);
    let right = reader.post("/login", &[("user", "li"), ("password", password)]);
    let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    reader.cookie = cookie.split(';').next().unwrap().to_owned();
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
        "/topics/T/update",
        "/topics/T/send",
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

#[test]
fn what_changes_on_a_page_is_sent_until_the_session_or_the_node_ends() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let node = Node::start(address, dir.path());
    let browser = Browser::log_in(address, dir.path());
    let page = browser.get("/");
    let path = page.value("<div data-live=\"").to_owned();
    let (head, mut events) = browser.follow(&path);
    for line in [
        "HTTP/1.1 200 OK",
        "content-type: text/event-stream",
        "x-accel-buffering: no",
        "cache-control: no-store",
    ] {
        assert!(head.lines().any(|one| one == line), "{line}: {head}");
    }
    let first = events.next().unwrap();
    assert!(first.starts_with("<section class=\"tiles\">") && !first.contains("<main"), "{first}");
    // How long the node has been up.
    assert_ne!(events.next().unwrap(), first);
    // As the visitor sees it.
    let chinese = browser.in_chinese();
    let (_, mut of_alerts) = chinese.follow("/live?page=/alerts");
    assert!(of_alerts.next().unwrap().contains("状态"));
    // Whatever has no such part, or is none of the console's pages, has no stream.
    for none in [
        "/topics",
        "/live%3Fpage=/",
        "/no-such-page",
        "http://127.0.0.1/",
        "",
        "/assets/console.js",
    ] {
        assert_eq!(browser.get(&format!("/live?page={none}")).status(), "404", "{none}");
    }
    assert_eq!(Browser::guest(address).get(&path).status(), "303");
    assert_eq!(browser.post(&path, &[]).status(), "405");
    let _third = browser.follow("/live?page=/cluster");
    let (_, mut fourth) = browser.follow("/live?page=/alerts%3Frule=lag");
    assert!(fourth.next().is_some());
    let refused = browser.get(&path);
    assert_eq!(refused.status(), "503");
    assert!(refused.head.contains("retry-after: 60"), "{}", refused.head);
    // Its place is free when a browser has gone.
    drop(fourth);
    let (_, mut again) =
        until(|| Some(browser.follow(&path)).filter(|(head, _)| head.contains(" 200 ")));
    assert!(again.next().is_some());
    assert_eq!(browser.post("/logout", &[]).location(), "/login");
    while events.next().is_some() {}
    while of_alerts.next().is_some() {}

    let login = [("user", "admin"), ("password", "chosen by me")];
    let right = browser.post("/login", &login);
    let cookie = right.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
    let browser =
        Browser { cookie: cookie.split(';').next().unwrap().to_owned(), ..Browser::guest(address) };
    let (_, mut events) = browser.follow(&path);
    assert!(events.next().is_some());
    node.signal(Signal::SIGTERM);
    while events.next().is_some() {}
    assert_eq!(node.wait().0.code(), Some(0));
}

/// Follows every link from the first page on, and sends every form to where it goes, without being of the session.
fn crawl(browser: &Browser) -> BTreeSet<String> {
    let mut known = BTreeSet::from([format!("{}/", browser.base)]);
    let mut open: Vec<String> = known.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let page = browser.get(&path);
        if page.status() == "303" {
            let to = page.location();
            assert!(to.starts_with(&format!("{}/", browser.base)), "{path} leads to {to}");
            continue;
        }
        assert_eq!(page.status(), "200", "{path}: {}", page.body);
        if !page.head.contains("content-type: text/html") {
            continue;
        }
        for mark in [" href=\"", " src=\"", " action=\"", " data-live=\""] {
            for rest in page.body.split(mark).skip(1) {
                let to =
                    rest.split('"').next().unwrap().replace("&#38;", "&").replace("&amp;", "&");
                let here = path.split('?').next().unwrap();
                let to = if to.starts_with('?') { format!("{here}{to}") } else { to };
                let to = to.split('#').next().unwrap().to_owned();
                if to.is_empty() || !known.insert(to.clone()) {
                    continue;
                }
                assert!(to.starts_with(&format!("{}/", browser.base)), "{path} has {mark}{to}");
                if mark == " data-live=\"" {
                    assert!(browser.follow(&to).1.next().is_some(), "{to}");
                } else if mark == " action=\"" {
                    let refused = browser.post_with(&to, "guess", &[]);
                    // A search answers to GET only.
                    assert!(["403", "405"].contains(&refused.status()), "{to}: {}", refused.head);
                } else {
                    // Choices of language and theme are there once a page: these lead back to all kinds.
                    open.push(to);
                }
            }
        }
    }
    known
}

#[test]
fn below_a_path_every_link_form_and_stream_is_right() {
    for is_proxied in [false, true] {
        let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
        let file = dir.path().join("a.toml");
        let settings = if is_proxied { "" } else { "[console]\nbase_path = \"/rmq\"\n" };
        std::fs::write(&file, settings).unwrap();
        let data = dir.path().join("data");
        let mut command = rmq_node(&["run", "--listen", &address.to_string()]);
        command.args(["--config", file.to_str().unwrap(), "--data-dir", data.to_str().unwrap()]);
        let node = Node::spawn(&mut command);
        let browser = Browser { base: "/rmq", is_proxied, ..Browser::guest(address) };
        let browser = browser.logged_in(&data);
        let sure = [("topic", "Orders"), ("queues", "2"), ("sure", "yes")];
        assert!(browser.post("/rmq/topics", &sure).body.contains("badge done"));
        let servers = format!("{address}:9876");
        let sent =
            rmq_node(&["bench", "produce", "-t", "Orders", "-m", "3", "-n", &servers]).output();
        assert!(sent.unwrap().status.success());
        let group =
            ["admin", "updateSubGroup", "-n", &servers, "-c", "DefaultCluster", "-g", "readers"];
        assert!(rmq_node(&group).output().unwrap().status.success());
        let reset = [("topic", "Orders"), ("target", "earliest"), ("typed", "readers")];
        let done = browser.post("/rmq/groups/readers/reset", &reset);
        assert!(done.body.contains("badge done"), "{}", done.body);
        let found = browser.get("/rmq/messages?by=time&topic=Orders");
        assert!(found.body.contains("href=\"/rmq/messages/Orders/"), "{}", found.body);
        let known = crawl(&browser);
        for page in [
            "/",
            "/topics/Orders",
            "/groups/readers",
            "/cluster",
            "/alerts",
            "/live?page=/alerts",
            "/assets/console.js",
        ] {
            let is_known = |one: &String| one.split("?v=").next() == Some(&format!("/rmq{page}"));
            assert!(known.iter().any(is_known), "{page}: {known:#?}");
        }
        let silence = [("rule", "lag"), ("hours", "1"), ("sure", "yes")];
        assert_eq!(browser.post("/rmq/alerts/silence", &silence).location(), "/rmq/alerts");
        let chosen = browser.get("/rmq/choose?theme=dark&next=/topics");
        assert_eq!(chosen.location(), "/rmq/topics");
        assert!(chosen.head.contains("rmq_theme=dark; Path=/rmq;"), "{}", chosen.head);
        assert_eq!(
            browser.get("/rmq/dead-letters?group=readers").location(),
            "/rmq/dead-letters/readers"
        );
        assert_eq!(browser.post("/rmq/logout", &[]).location(), "/rmq/login");
        node.signal(Signal::SIGTERM);
        assert_eq!(node.wait().0.code(), Some(0));
    }
}

#[test]
fn charts_show_what_was_before_a_restart_too() {
    let (address, dir) = (free_address(), tempfile::tempdir().unwrap());
    let start = || {
        let mut command = rmq_node(&["run", "--listen", &address.to_string()]);
        command.env("STATE_DIRECTORY", dir.path()).env("RMQ_NODE_METRICS__INTERVAL_S", "1");
        Node::spawn(&mut command)
    };
    let node = start();
    let browser = Browser::log_in(address, dir.path());
    let made = browser.post("/topics", &[("topic", "Orders"), ("queues", "2"), ("sure", "yes")]);
    assert!(made.body.contains("badge done"), "{}", made.body);
    let servers = format!("{address}:9876");
    let sent =
        rmq_node(&["bench", "produce", "-t", "Orders", "-m", "700", "-n", &servers]).output();
    assert!(sent.unwrap().status.success());
    let figure = |path: &str, title: &str| {
        let page = browser.get(path).body;
        let figures = page
            .split("<figcaption>")
            .skip(1)
            .map(|rest| rest.split_once("</figure>").unwrap().0.to_owned());
        figures.into_iter().find(|figure| figure.starts_with(title))
    };
    let topic = |span: &str| {
        let path = format!("/topics/Orders?span={span}");
        figure(&path, "Messages in per second <").filter(|figure| !figure.contains("highest 0<"))
    };
    let day = until(|| topic("24h"));
    assert!(day.contains("last "), "{day}");
    assert!(topic("30d").unwrap().contains("last "));
    let rates = until(|| figure("/", "broker-a: Messages per second <"));
    assert!(rates.contains("in: last ") && rates.contains("out: last 0, highest 0"), "{rates}");
    let disk = figure("/", "broker-a: Used part of the disk").unwrap();
    assert!(disk.contains(" %</span>"), "{disk}");
    // A line, or words where that would be a dot.
    assert_ne!(
        disk.contains("class=\"chart\""),
        disk.contains("A line needs two points"),
        "{disk}"
    );
    assert!(
        browser.get("/topics/Orders").body.contains("Of the masters of this node only: broker-a.")
    );
    let none = browser.get("/topics/TBW102").body;
    assert!(none.contains("last 0, highest 0"), "an idle topic has a line at zero: {none}");
    node.signal(Signal::SIGTERM);
    assert_eq!(node.wait().0.code(), Some(0));
    let _node = start();
    // A master that has begun anew counts from zero: this is from before.
    until(|| (browser.get("/topics/Orders").status() == "200").then_some(()));
    assert!(topic("24h").is_some() && topic("30d").is_some());
}
