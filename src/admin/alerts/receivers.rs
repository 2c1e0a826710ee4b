//! Who is told of alerts, and in which words: web hooks in the shapes of DingTalk, WeCom, Feishu and Slack, or as plain
//! JSON, and e-mail.
//!
//! Not whether to tell (`states`). Invariants: addresses of hooks and passwords come from files and are in no text;
//! one receiver that fails, or is slow, keeps no other from being told.

use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::hmac;
use serde_json::{Value, json};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::super::all;
use super::states::{Alert, News};
use super::{http, mail};
use crate::config::Alerts as Settings;
use crate::model::human_time;
use crate::proto::v1::{Done, Outcome};
use crate::task;

/// WeCom takes so many bytes of text.
const WECOM_BYTES_MAX: usize = 4096;
/// Alerts that one message names; more are counted.
const NAMED_MAX: usize = 20;
/// Tries of a message, and the pauses between them.
const PAUSES: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// The shape of a web hook's messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Everything, as JSON of our own.
    Json,
    /// DingTalk's robots; signed if there is a secret.
    DingTalk,
    /// WeCom's group robots.
    WeCom,
    /// Feishu's (and Lark's) robots; signed if there is a secret.
    Feishu,
    /// Slack's incoming web hooks, and who imitates them.
    Slack,
}

impl Shape {
    fn name(self) -> &'static str {
        match self {
            Self::Json => "webhook",
            Self::DingTalk => "dingtalk",
            Self::WeCom => "wecom",
            Self::Feishu => "feishu",
            Self::Slack => "slack",
        }
    }
}

/// What is told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The cluster.
    pub cluster: String,
    /// The node that tells.
    pub node: String,
    /// When, in milliseconds since 1970.
    pub at_ms: i64,
    /// What is new; nothing in a test.
    pub news: Vec<(News, Alert)>,
}

impl Message {
    /// A line for a subject.
    pub fn title(&self) -> String {
        let count = |what: News| self.news.iter().filter(|(one, _)| *one == what).count();
        let wrong = count(News::Fires) + count(News::Repeats);
        let over = count(News::IsOver);
        let what = match (wrong, over, &self.news[..]) {
            (_, _, []) => "test: alerts arrive here".to_owned(),
            (_, _, [(News::IsOver, alert)]) => format!("over: {}", alert.sentence),
            (_, _, [(_, alert)]) => format!("{}: {}", alert.rule.severity(), alert.sentence),
            (0, over, _) => format!("{over} alerts are over"),
            (wrong, 0, _) => format!("{wrong} alerts"),
            (wrong, over, _) => format!("{wrong} alerts, {over} are over"),
        };
        format!("[{}] {what}", self.cluster)
    }

    /// What is new, a paragraph each.
    pub fn lines(&self) -> Vec<String> {
        let line = |(what, alert): &(News, Alert)| {
            let since = human_time(alert.since_ms);
            match what {
                News::IsOver => format!("OVER ({}): {}", alert.rule.name(), alert.subject),
                News::Fires | News::Repeats => {
                    let still = if *what == News::Repeats { "STILL " } else { "" };
                    let severity = alert.rule.severity().to_uppercase();
                    format!(
                        "{still}{severity} ({}): {}. Since {since} UTC. What to do: {}",
                        alert.rule.name(),
                        alert.sentence,
                        alert.rule.fix()
                    )
                }
            }
        };
        let mut lines: Vec<String> = self.news.iter().take(NAMED_MAX).map(line).collect();
        if self.news.is_empty() {
            lines.push("This is a test of the receivers of alerts: nothing is wrong.".to_owned());
        }
        if let Some(more) = self.news.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
            lines.push(format!("and {more} more: `rmq-node admin alerts` shows all"));
        }
        lines.push(format!("Told by {} at {} UTC.", self.node, human_time(self.at_ms)));
        lines
    }

    /// The body of a web hook.
    pub fn body(&self, shape: Shape, secret: Option<&str>) -> Value {
        let text = format!("{}\n\n{}", self.title(), self.lines().join("\n\n"));
        match shape {
            Shape::Json => self.json(),
            Shape::DingTalk => {
                let markdown = json!({ "title": self.title(), "text": format!("### {text}") });
                json!({ "msgtype": "markdown", "markdown": markdown })
            }
            Shape::WeCom => {
                let end = text.floor_char_boundary(WECOM_BYTES_MAX);
                json!({ "msgtype": "markdown", "markdown": { "content": &text[..end] } })
            }
            Shape::Feishu => {
                let mut body = json!({ "msg_type": "text", "content": { "text": text } });
                if let Some(secret) = secret {
                    let timestamp = (self.at_ms / 1000).to_string();
                    // The text that is signed is the key, and nothing is signed with it.
                    let sign = signature(&format!("{timestamp}\n{secret}"), "");
                    body["timestamp"] = timestamp.into();
                    body["sign"] = sign.into();
                }
                body
            }
            Shape::Slack => json!({ "text": text }),
        }
    }

    fn json(&self) -> Value {
        let alert = |(what, alert): &(News, Alert)| {
            let state = if *what == News::IsOver { "over" } else { "firing" };
            json!({
                "rule": alert.rule.name(),
                "subject": alert.subject,
                "severity": alert.rule.severity(),
                "state": state,
                "is_repeated": *what == News::Repeats,
                "since_ms": alert.since_ms,
                "text": alert.sentence.to_string(),
                "fix": alert.rule.fix(),
            })
        };
        json!({
            "version": 1,
            "cluster": self.cluster,
            "node": self.node,
            "time_ms": self.at_ms,
            "is_test": self.news.is_empty(),
            "title": self.title(),
            "alerts": self.news.iter().map(alert).collect::<Vec<_>>(),
        })
    }
}

/// HMAC-SHA256 as base64.
fn signature(key: &str, text: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// What has to be added to DingTalk's address.
fn dingtalk_query(at_ms: i64, secret: &str) -> String {
    let sign = signature(secret, &format!("{at_ms}\n{secret}"));
    let sign = sign.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    format!("&timestamp={at_ms}&sign={sign}")
}

/// A web hook.
#[derive(Clone, PartialEq, Eq)]
struct Hook {
    shape: Shape,
    /// With secrets in it.
    address: String,
    secret: Option<String>,
}

impl Hook {
    /// What it is called: its kind and host.
    fn name(&self) -> String {
        let host = http::address(&self.address).ok();
        let host = host.as_ref().and_then(|uri| uri.host()).unwrap_or("an address that is none");
        format!("{} {host}", self.shape.name())
    }

    /// Sends it, more than once if need be; once if it is a test.
    async fn tell(&self, message: &Message, tls: Option<&TlsConnector>) -> Result<(), String> {
        let mut result = self.send(message, tls).await;
        for pause in PAUSES {
            if result.is_ok() || message.news.is_empty() {
                break;
            }
            tokio::time::sleep(pause).await;
            result = self.send(message, tls).await;
        }
        result
    }

    async fn send(&self, message: &Message, tls: Option<&TlsConnector>) -> Result<(), String> {
        let mut address = self.address.clone();
        if let (Shape::DingTalk, Some(secret)) = (self.shape, &self.secret) {
            address.push_str(&dingtalk_query(message.at_ms, secret));
        }
        let uri = http::address(&address)?;
        let body = message.body(self.shape, self.secret.as_deref());
        let answer = http::post(&uri, body.to_string(), tls).await?;
        refusal(&answer).map_or(Ok(()), Err)
    }
}

/// Robots answer 200 and say in the body that they refuse.
fn refusal(answer: &[u8]) -> Option<String> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let code = ["errcode", "code", "StatusCode"].iter().find_map(|key| answer.get(key)?.as_i64());
    let code = code.filter(|code| *code != 0)?;
    let words = ["errmsg", "msg", "StatusMessage"].iter().find_map(|key| answer.get(key)?.as_str());
    Some(format!("it refuses: {code} {}", http::readable(words.unwrap_or_default())))
}

/// Everybody who is told.
#[derive(Default)]
pub struct Receivers {
    hooks: Vec<Hook>,
    mail: Option<mail::Mail>,
    trusted: Vec<CertificateDer<'static>>,
    /// For hooks; unset if none needs it, or no CA is trusted.
    tls: Option<TlsConnector>,
    /// What of the settings cannot be used.
    pub problems: Vec<String>,
}

impl Receivers {
    /// Those of the settings. Blocks.
    pub fn load(settings: &Settings) -> Self {
        let mut found = Self::default();
        for (shape, file) in [
            (Shape::Json, &settings.webhook_file),
            (Shape::DingTalk, &settings.dingtalk_file),
            (Shape::WeCom, &settings.wecom_file),
            (Shape::Feishu, &settings.feishu_file),
            (Shape::Slack, &settings.slack_file),
        ] {
            if file.as_os_str().is_empty() {
                continue;
            }
            match hooks(shape, file) {
                Ok(hooks) => found.hooks.extend(hooks),
                Err(error) => found.problems.push(error),
            }
        }
        if !settings.mail_to.is_empty() {
            match mail::Mail::load(settings) {
                Ok(mail) => found.mail = Some(mail),
                Err(error) => found.problems.push(error),
            }
        }
        let needs_trust = found.mail.as_ref().is_some_and(mail::Mail::is_encrypted)
            || found.hooks.iter().any(|hook| hook.address.starts_with("https"));
        if needs_trust && let Err(error) = found.trust(&settings.ca_file) {
            found.problems.push(error);
        }
        found
    }

    fn trust(&mut self, ca_file: &Path) -> Result<(), String> {
        self.trusted = http::trusted(ca_file)?;
        self.tls = Some(http::connector(&self.trusted)?);
        Ok(())
    }

    /// Tells everybody side by side, and what became of it; who is not told `within` that time has failed.
    pub async fn tell(&self, message: &Message, within: Option<Duration>) -> Vec<Done> {
        let hooks = all(self.hooks.iter().map(async |hook| {
            let telling = hook.tell(message, self.tls.as_ref());
            became(&hook.name(), in_time(within, telling).await)
        }));
        let mail = all(self.mail.iter().map(async |mail| {
            let telling = mail.send(message, &self.trusted);
            became(&mail.name(), in_time(within, telling).await)
        }));
        let (mut done, mut mailed) = tokio::join!(hooks, mail);
        done.append(&mut mailed);
        let problems = self.problems.iter();
        done.extend(problems.map(|problem| became("settings", Err(problem.clone()))));
        done
    }
}

/// What became of telling somebody; late is failed.
async fn in_time(
    within: Option<Duration>,
    telling: impl Future<Output = Result<(), String>>,
) -> Result<(), String> {
    let Some(within) = within else { return telling.await };
    let told = tokio::time::timeout(within, telling).await;
    told.unwrap_or_else(|_| Err("it took longer than whoever asked waits".to_owned()))
}

fn became(who: &str, result: Result<(), String>) -> Done {
    let outcome = if result.is_ok() { Outcome::Done } else { Outcome::Failed };
    Done { at: who.to_owned(), address: None, outcome: outcome.into(), reason: result.err() }
}

/// Loads them on a thread that may wait.
pub async fn load(settings: &Settings) -> Receivers {
    let settings = settings.clone();
    let loading = task::spawn_blocking("receivers of alerts", move || Receivers::load(&settings));
    loading.await.unwrap_or_default()
}

/// The addresses of a file: one a line, with a secret behind it if its messages are signed.
fn hooks(shape: Shape, file: &Path) -> Result<Vec<Hook>, String> {
    let told = |error: String| format!("{}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| told(error.to_string()))?;
    let lines = text.lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let hooks: Result<Vec<_>, _> = lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let address = words.next().unwrap_or_default().to_owned();
            http::address(&address).map_err(told)?;
            Ok(Hook { shape, address, secret: words.next().map(str::to_owned) })
        })
        .collect();
    match hooks {
        Ok(hooks) if hooks.is_empty() => Err(told("there is no address in it".to_owned())),
        hooks => hooks,
    }
}

#[cfg(test)]
#[path = "receivers_tests.rs"]
mod tests;
#[cfg(test)]
#[path = "receivers_tls_tests.rs"]
mod tls_tests;
