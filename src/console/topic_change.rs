//! Changing a topic that is there, its queues and permission, and sending it a message.
//!
//! Not creating and deleting (`topics`). Invariants: what is left empty stays as each broker has it; a message is sent once it
//! was asked whether it is to be, as every group that reads the topic gets it.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};

use super::change::{Confirm, Row, change, result, rows};
use super::visitor::{Page, Posted, query_escaped};
use super::{Answer, Pages, format, html, may_call};
use crate::message::properties;
use crate::proto::v1::{
    Done, Outcome, SendMessageRequest, SendMessageResponse, TopicRepair, TopicSettings,
    UpdateTopicRequest,
};

/// What the form holds.
const FIELDS: [&str; 4] = ["broker", "read_queues", "write_queues", "permission"];

/// Shows what would change on each broker, then changes it.
pub async fn update(State(pages): State<Pages>, Path(name): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Topics/Update")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let wrong = |_| visitor.invalid("The number of queues is a whole number.");
    let number = |name| fields.number_if_any::<u32>(name).map_err(wrong);
    let request = UpdateTopicRequest {
        topic: name.clone(),
        read_queues: number("read_queues")?,
        write_queues: number("write_queues")?,
        permission: fields.filled("permission"),
        cluster: None,
        broker: fields.filled("broker"),
        dry_run: !is_sure,
    };
    let back = format!("/topics/{}", query_escaped(&name));
    if !is_sure {
        let told = pages.asking().update_topic(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?.changes;
        let warning = if told.iter().any(leaves_unread) {
            page.t("Fewer queues are read than there were or are written: messages in the others are not consumed.")
        } else {
            ""
        };
        let done: Vec<_> = told.iter().map(|one| done(page, one)).collect();
        let confirm = Confirm {
            question: page.t1("Change the topic {}?", &name),
            warning,
            rows: rows(&done, ""),
            action: format!("{back}/update"),
            fields: fields.kept(FIELDS),
            label: page.t("Change"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.update_topic(&asked).await };
    let told = change(&pages, &visitor, "Topics/Update", &request, work).await;
    let told = told.map_err(|error| visitor.failed(&error))?.changes;
    let done: Vec<_> = told.iter().map(|one| done(page, one)).collect();
    Ok(result(page, page.t1("Changing the topic {}", &name), &done, back))
}

/// Whether consumers do not look into all queues that have or get messages.
fn leaves_unread(change: &TopicRepair) -> bool {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return false };
    after.read_queues < before.write_queues.max(after.write_queues)
}

/// A change as of other things, with what differs in words.
fn done(page: &Page, change: &TopicRepair) -> Done {
    let differs = change.before.as_ref().zip(change.after.as_ref());
    let differs = differs.map(|(before, after)| differences(page, before, after));
    Done {
        at: change.broker.clone(),
        address: Some(change.address.clone()).filter(|address| !address.is_empty()),
        outcome: change.outcome,
        reason: change.reason.clone().or(differs),
    }
}

fn differences(page: &Page, before: &TopicSettings, after: &TopicSettings) -> String {
    let number = |settings: u32| settings.to_string();
    let all = [
        (page.t("Read queues"), number(before.read_queues), number(after.read_queues)),
        (page.t("Write queues"), number(before.write_queues), number(after.write_queues)),
        (page.t("Permission"), before.permission.clone(), after.permission.clone()),
    ];
    let differs = all.into_iter().filter(|(_, before, after)| before != after);
    let differs = differs.map(|(what, before, after)| format!("{what} {before} → {after}"));
    differs.collect::<Vec<_>>().join(", ")
}

#[derive(Template)]
#[template(path = "sent.html")]
struct SentPage<'a> {
    page: &'a Page,
    topic: &'a str,
    path: String,
    sent: SendMessageResponse,
    is_delayed: bool,
}

/// Makes a message wait.
const DELAYS: [&str; 4] = [
    properties::DELAY,
    properties::TIMER_DELIVER_MS,
    properties::TIMER_DELAY_SEC,
    properties::TIMER_DELAY_MS,
];

/// What lines of `name = value` say; none if one of them is none.
fn pairs(text: &str) -> Option<BTreeMap<String, String>> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let pairs = lines.map(|line| {
        let (name, value) = line.split_once('=')?;
        Some((name.trim().to_owned(), value.trim().to_owned()))
    });
    pairs.collect()
}

/// What a message is that is to be sent, in a line.
fn summary(page: &Page, request: &SendMessageRequest) -> String {
    let size = u64::try_from(request.body.len()).unwrap_or(u64::MAX);
    let level = request.delay_level.map(|level| page.t1("delay level {}", level));
    let own = request.properties.iter().map(|(name, value)| format!("{name} = {value}"));
    let first = [Some(format::bytes(size)), request.tags.clone(), request.keys.clone(), level];
    first.into_iter().flatten().chain(own).collect::<Vec<_>>().join(", ")
}

/// Asks, then sends a message.
pub async fn send(State(pages): State<Pages>, Path(name): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Messages/Send")?;
    let page = &visitor.page;
    let request = SendMessageRequest {
        topic: name.clone(),
        tags: fields.filled("tags"),
        keys: fields.filled("keys"),
        // Browsers end lines as Windows does.
        body: fields.raw("body").replace("\r\n", "\n"),
        properties: pairs(fields.raw("properties"))
            .ok_or_else(|| visitor.invalid("A property is a line: name = value."))?,
        delay_level: fields
            .number_if_any("delay_level")
            .map_err(|_| visitor.invalid("The delay level is a whole number."))?,
        dry_run: false,
    };
    let properties = request.to_properties().map_err(|error| visitor.failed(&error))?;
    let path = query_escaped(&name);
    if fields.get("sure") != "yes" {
        let admin = pages.asking();
        admin.topic(&name).await.map_err(|error| visitor.failed(&error))?;
        let mut kept = fields.kept(["tags", "keys", "delay_level"]);
        kept.push(("properties", fields.raw("properties").to_owned()));
        kept.push(("body", request.body.clone()));
        let planned = Row {
            at: name.clone(),
            outcome: Outcome::DryRun.as_word(),
            reason: page.t1("send: {}", summary(page, &request)),
        };
        let confirm = Confirm {
            question: page.t1("Send a message to {}?", &name),
            warning: page.t("Every group that reads the topic gets it, as any other message."),
            rows: vec![planned],
            action: format!("/topics/{path}/send"),
            fields: kept,
            label: page.t("Send"),
            back: format!("/topics/{path}"),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, shown) = (pages.admin.clone(), request.without_body());
    let work = async move { admin.send_message(&request).await };
    let sent = change(&pages, &visitor, "Messages/Send", &shown, work).await;
    let sent = sent.map_err(|error| visitor.failed(&error))?;
    let is_delayed = DELAYS.iter().any(|name| properties.get(name).is_some());
    Ok(html(&SentPage { page, topic: &name, path, sent, is_delayed }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_lines_of_names_and_values() {
        let read = |text| pairs(text).map(|all| all.into_iter().collect::<Vec<_>>());
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let both = Some(vec![pair("a", "1 = 2"), pair("颜色", "红")]);
        assert_eq!(read("a = 1 = 2\r\n\r\n 颜色=红 \r\n"), both);
        assert_eq!(read(""), Some(Vec::new()));
        assert_eq!(read("a = 1\nb"), None);
    }
}
