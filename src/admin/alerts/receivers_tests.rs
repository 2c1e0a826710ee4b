//! What receivers get, in each shape, and what becomes of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::mpsc;

use super::*;
use crate::admin::alerts::rules::{Observation, Rule};
use crate::admin::alerts::sentence::Sentence;
use crate::admin::alerts::states::{Patience, States};

/// An alert that fires, and a message of it.
pub(super) fn message(at_ms: i64) -> Message {
    let observed = Observation {
        rule: Rule::Disk,
        subject: "broker-a 0 (h:1)".to_owned(),
        level: 1.0,
        sentence: Sentence::of("the disk is {} % full", &[&90]),
    };
    let patience = Patience { pending_ms: 0, repeat_ms: 0 };
    let news = States::default().step(0, &[observed], true, patience);
    assert_eq!(news.len(), 1);
    Message { cluster: "C".to_owned(), node: "h:1".to_owned(), at_ms, news }
}

#[test]
fn every_shape_says_what_is_wrong_and_what_to_do() {
    let told = message(1_600_000_000_000);
    assert_eq!(told.title(), "[C] critical: the disk is 90 % full");
    for (shape, pointer) in [
        (Shape::DingTalk, "/markdown/text"),
        (Shape::WeCom, "/markdown/content"),
        (Shape::Feishu, "/content/text"),
        (Shape::Slack, "/text"),
    ] {
        let body = told.body(shape, None);
        let text = body.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        for words in [
            "[C] critical",
            "(disk): the disk is 90 % full",
            "What to do: make room",
            "Told by h:1",
        ] {
            assert!(text.contains(words), "{shape:?}: {words}: {body}");
        }
    }
    assert_eq!(told.body(Shape::DingTalk, None)["msgtype"], "markdown");
    assert_eq!(told.body(Shape::WeCom, None)["msgtype"], "markdown");
    assert_eq!(told.body(Shape::Feishu, None)["msg_type"], "text");
    let json = told.body(Shape::Json, None);
    assert_eq!(json.pointer("/alerts/0/rule"), Some(&"disk".into()));
    assert_eq!(json.pointer("/alerts/0/state"), Some(&"firing".into()));
    assert_eq!((&json["version"], &json["is_test"]), (&1.into(), &false.into()));
}

#[test]
fn many_alerts_are_one_message_that_fits() {
    let one = message(0);
    let many = Message { news: vec![one.news[0].clone(); 500], ..one };
    assert_eq!(many.title(), "[C] 500 alerts");
    assert!(many.lines().iter().any(|line| line.starts_with("and 480 more")));
    let mut long = many.clone();
    long.news[0].1.sentence.words = "字".repeat(5000);
    let body = long.body(Shape::WeCom, None);
    assert!(body["markdown"]["content"].as_str().unwrap().len() <= WECOM_BYTES_MAX);
}

/// Reckoned by Python's hmac, as both robots' documents do it.
const FEISHU_SIGN: &str = "HQV03+so/amIWQSXS50Llvl9vzTATYaRg+mJZ+EZzjY=";
const DINGTALK_QUERY: &str =
    "&timestamp=1600000000000&sign=MljFxvXxKg4RBW1mTZDCDsfAQRf0WLgr0jEy%2BiCEN6I%3D";

#[test]
fn signatures_are_as_the_robots_documents_say() {
    let signed = message(1_600_000_000_000).body(Shape::Feishu, Some("demo"));
    assert_eq!(signed["timestamp"], "1600000000");
    assert_eq!(signed["sign"], FEISHU_SIGN);
    assert_eq!(dingtalk_query(1_600_000_000_000, "demo"), DINGTALK_QUERY);
}

/// Answers one request with a status and a body; tells what was asked, head and body.
fn server(answer: &'static str) -> (String, mpsc::Receiver<(String, String)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = sender.send(answer_one(stream.unwrap(), answer).unwrap());
        }
    });
    (format!("http://{address}"), receiver)
}

/// Reads a request, head and body, and answers it.
pub(super) fn answer_one<S: Read + Write>(
    stream: S,
    answer: &str,
) -> std::io::Result<(String, String)> {
    let mut stream = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().unwrap())
    });
    let mut body = vec![0; length.unwrap()];
    stream.read_exact(&mut body)?;
    stream.get_mut().write_all(answer.as_bytes())?;
    Ok((head, String::from_utf8(body).unwrap()))
}

pub(super) const OK: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 13\r\nConnection: close\r\n\r\n{\"errcode\":0}";

/// Settings with one file of addresses for a shape.
fn settings(
    dir: &Path,
    lines: &str,
    set: impl FnOnce(&mut Settings, std::path::PathBuf),
) -> Settings {
    let file = dir.join("hooks");
    std::fs::write(&file, lines).unwrap();
    let mut settings = Settings::default();
    set(&mut settings, file);
    settings
}

pub(super) async fn tell(settings: &Settings, message: &Message) -> Vec<(String, Option<String>)> {
    let done = load(settings).await.tell(message, None).await;
    done.into_iter().map(|one| (one.at, one.reason)).collect()
}

#[tokio::test]
async fn a_hook_gets_json_at_its_path_and_its_secret_is_in_no_name() {
    let dir = tempfile::tempdir().unwrap();
    let (address, asked) = server(OK);
    let lines = format!("# robot of the team\n{address}/robot?access_token=geheim demo\n");
    let settings = settings(dir.path(), &lines, |settings, file| settings.dingtalk_file = file);
    let done = tell(&settings, &message(1_600_000_000_000)).await;
    assert_eq!(done, [("dingtalk 127.0.0.1".to_owned(), None)]);
    let (head, body) = asked.recv().unwrap();
    let expected = format!("POST /robot?access_token=geheim{DINGTALK_QUERY} HTTP/1.1\r\n");
    assert!(head.starts_with(&expected), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    assert!(body.contains("the disk is 90 % full"), "{body}");
}

/// A hook that takes what it gets and never answers.
fn silent() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    (listener, address)
}

#[tokio::test]
async fn who_never_answers_keeps_nobody_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let ((_listener, silent), (address, asked)) = (silent(), server(OK));
    let lines = format!("{silent}\n{address}/b\n");
    let settings = settings(dir.path(), &lines, |settings, file| settings.webhook_file = file);
    let receivers = load(&settings).await;
    let told = message(0);
    let next = task::spawn_blocking("next", move || asked.recv_timeout(Duration::from_secs(10)));
    tokio::select! {
        done = receivers.tell(&told, None) => panic!("{done:?}"),
        asked = next => assert!(asked.unwrap().is_ok(), "the next one waits"),
    }
    let done = receivers.tell(&told, Some(Duration::from_secs(5))).await;
    let reasons: Vec<_> = done.iter().map(|one| one.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("it took longer than whoever asked waits"), None]);
}

#[tokio::test]
async fn who_refuses_is_named_with_its_reason() {
    let dir = tempfile::tempdir().unwrap();
    let refusing = "HTTP/1.1 200 OK\r\nContent-Length: 40\r\nConnection: close\r\n\r\n{\"errcode\":310000,\"errmsg\":\"sign wrong\"}";
    let (robot, _asked) = server(refusing);
    let (gone, _asked_too) =
        server("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone");
    let lines = format!("{robot}/a\n{gone}/b\nhttp://127.0.0.1:1/c\n");
    let settings = settings(dir.path(), &lines, |settings, file| settings.webhook_file = file);
    let test = Message { news: Vec::new(), ..message(0) };
    let done = tell(&settings, &test).await;
    let reasons: Vec<String> = done.into_iter().map(|(_, reason)| reason.unwrap()).collect();
    assert_eq!(reasons[0], "it refuses: 310000 sign wrong");
    assert_eq!(reasons[1], "it answers 404 Not Found none");
    assert!(reasons[2].contains("refused"), "{reasons:?}");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_without_the_address() {
    let dir = tempfile::tempdir().unwrap();
    for (lines, expected) in [
        ("ftp://h/geheim\n", "an address does not begin with https:// or http:// and a host"),
        ("# nothing\n", "there is no address in it"),
    ] {
        let settings = settings(dir.path(), lines, |settings, file| settings.slack_file = file);
        let done = tell(&settings, &message(0)).await;
        let reason = done[0].1.as_deref().unwrap();
        assert!(reason.ends_with(expected) && !reason.contains("geheim"), "{reason}");
    }
    let missing = Settings { feishu_file: dir.path().join("none"), ..Settings::default() };
    assert!(tell(&missing, &message(0)).await[0].1.as_deref().unwrap().contains("No such file"));
}
