//! Topics: which there are, one with its queues, creating and deleting.
//!
//! Not what is sent to them (`messages`), nor changing one that is there (`topic_change`).

use askama::Template;
use axum::extract::{Path, State};

use super::change::{Confirm, change, result, rows};
use super::chart::Charts;
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, Paging, format, html, may_call};
use crate::proto::v1::{
    CreateTopicRequest, DeleteTopicRequest, Problem, QueueStatus, Topic, TopicGroup, TopicKind,
    TopicStatus,
};

/// The kinds of topics that a list can show, applications' first.
const KINDS: [(&str, TopicKind); 4] = [
    ("normal", TopicKind::Normal),
    ("retry", TopicKind::Retry),
    ("dead-letter", TopicKind::DeadLetter),
    ("system", TopicKind::System),
];

/// A topic of the list.
struct Row {
    name: String,
    path: String,
    brokers: String,
    queues: u32,
    permission: String,
    has_drift: bool,
}

impl Row {
    fn of(topic: Topic) -> Self {
        let names: Vec<&str> = topic.brokers.iter().map(|one| one.broker.as_str()).collect();
        let mut permissions: Vec<&str> =
            topic.brokers.iter().map(|one| one.permission.as_str()).collect();
        permissions.dedup();
        Self {
            path: query_escaped(&topic.topic),
            brokers: names.join(", "),
            queues: topic.brokers.iter().map(|one| one.write_queues).sum(),
            permission: permissions.join(", "),
            has_drift: !topic.drift.is_empty(),
            name: topic.topic,
        }
    }
}

fn kind_name(kind: TopicKind) -> &'static str {
    KINDS.into_iter().find(|(_, one)| *one == kind).map_or("normal", |(name, _)| name)
}

#[derive(Template)]
#[template(path = "topics.html")]
struct TopicsPage<'a> {
    page: &'a Page,
    q: &'a str,
    kind: &'static str,
    /// Each kind with how many topics there are of it.
    kinds: Vec<(&'static str, usize)>,
    rows: Vec<Row>,
    paging: Paging,
    problems: Vec<Problem>,
}

/// A page of those that are of a kind and have a text in their names.
pub async fn list(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let listed = pages.asking().topics().await.map_err(|error| visitor.failed(&error))?;
    let asked = query.get("kind");
    let (kind, of_kind) = KINDS.into_iter().find(|(name, _)| *name == asked).unwrap_or(KINDS[0]);
    let q = query.get("q");
    let wanted = q.to_lowercase();
    let mut topics = listed.topics;
    topics.retain(|topic| topic.topic.to_lowercase().contains(&wanted));
    let count = |of: TopicKind| topics.iter().filter(|topic| topic.kind() == of).count();
    let kinds = KINDS.iter().map(|(name, of)| (*name, count(*of))).collect();
    topics.retain(|topic| topic.kind() == of_kind);
    let path = format!("kind={kind}&q={}&", query_escaped(q));
    let (topics, paging) = Paging::of(topics, query.number("page"), path);
    let rows = topics.into_iter().map(Row::of).collect();
    let (page, problems) = (&visitor.page, listed.problems);
    Ok(html(&TopicsPage { page, q, kind, kinds, rows, paging, problems }))
}

/// A queue of the topic.
struct Queue {
    status: QueueStatus,
    messages: String,
    last: Option<(String, String)>,
}

/// A group that reads the topic.
struct Reader {
    group: TopicGroup,
    path: String,
    lag: Option<String>,
    tps: String,
}

impl Reader {
    fn of(group: TopicGroup) -> Self {
        Self {
            path: query_escaped(&group.group),
            lag: group.lag.map(format::number),
            tps: format::rate(group.tps),
            group,
        }
    }
}

#[derive(Template)]
#[template(path = "topic.html")]
struct TopicPage<'a> {
    page: &'a Page,
    topic: TopicStatus,
    path: String,
    kind: &'static str,
    is_system: bool,
    messages: String,
    charts: Charts,
    queues: Vec<Queue>,
    readers: Vec<Reader>,
}

/// One topic.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Fields,
) -> Answer {
    let admin = pages.asking();
    let mut topic = admin.topic(&name).await.map_err(|error| visitor.failed(&error))?;
    admin.add_groups(&mut topic).await;
    let queue = |status: QueueStatus| Queue {
        messages: format::number(status.messages()),
        last: status.last_stored_ms.map(format::moment),
        status,
    };
    let queues = std::mem::take(&mut topic.queues).into_iter().map(queue).collect();
    Ok(html(&TopicPage {
        page: &visitor.page,
        path: query_escaped(&name),
        kind: kind_name(topic.kind()),
        is_system: topic.kind() == TopicKind::System,
        messages: format::number(topic.messages),
        charts: Charts::of_topic(&pages, &visitor.page, &query, &name),
        queues,
        readers: std::mem::take(&mut topic.groups).into_iter().map(Reader::of).collect(),
        topic,
    }))
}

/// Asks, then creates.
pub async fn create(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Topics/Create")?;
    let is_sure = fields.get("sure") == "yes";
    let Some(queues) = fields.number::<u32>("queues") else {
        return Err(visitor.invalid("The number of queues is a whole number."));
    };
    let permission = fields.filled("permission").unwrap_or_else(|| "rw".to_owned());
    let request = CreateTopicRequest {
        topic: fields.get("topic").to_owned(),
        queues: Some(queues),
        permission: Some(permission.clone()),
        cluster: fields.filled("cluster"),
        broker: fields.filled("broker"),
        dry_run: !is_sure,
    };
    let page = &visitor.page;
    if !is_sure {
        let told = pages.asking().create_topic(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let planned = page.t1("create: {} queues", queues) + ", " + &permission;
        let confirm = Confirm {
            question: page.t1("Create the topic {}?", &request.topic),
            rows: rows(&told.done, &planned),
            action: "/topics".to_owned(),
            fields: fields.kept(["topic", "queues", "permission", "cluster", "broker"]),
            label: page.t("Create"),
            back: "/topics".to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.create_topic(&asked).await };
    let done = change(&pages, &visitor, "Topics/Create", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    let heading = page.t1("Creating the topic {}", &request.topic);
    let back = format!("/topics/{}", query_escaped(&request.topic));
    Ok(result(page, heading, &done, back))
}

/// Asks for the topic's name, then deletes it.
pub async fn delete(State(pages): State<Pages>, Path(name): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Topics/Delete")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    if is_sure && fields.get("typed") != name {
        return Err(visitor.invalid("What was typed is not the name: nothing was done."));
    }
    let request = DeleteTopicRequest { topic: name.clone(), cluster: None, dry_run: !is_sure };
    if !is_sure {
        let told = pages.asking().delete_topic(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let warning = lost(&pages, page, &name).await;
        let confirm = Confirm {
            question: page.t1("Delete the topic {}?", &name),
            warning: &warning,
            rows: rows(&told.done, page.t("Delete")),
            action: format!("/topics/{}/delete", query_escaped(&name)),
            typed: Some(&name),
            is_danger: true,
            label: page.t("Delete"),
            back: format!("/topics/{}", query_escaped(&name)),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.delete_topic(&asked).await };
    let done = change(&pages, &visitor, "Topics/Delete", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Deleting the topic {}", &name), &done, "/topics".to_owned()))
}

/// What goes with a topic, as far as its brokers tell.
async fn lost(pages: &Pages, page: &Page, name: &str) -> String {
    let all = page.t("Its messages are lost, and groups that consume it get no more.");
    // What no name server knows can be deleted too.
    let admin = pages.asking();
    let Ok(mut topic) = admin.topic(name).await else { return all.to_owned() };
    admin.add_groups(&mut topic).await;
    let messages = page.t1("{} messages are in its queues.", format::number(topic.messages));
    let names: Vec<_> = topic.groups.iter().map(|one| one.group.as_str()).collect();
    let groups = match names.is_empty() {
        true => page.t("No group reads it.").to_owned(),
        false => page.t1("Groups that read it: {}", names.join(", ")),
    };
    let silent: Vec<_> = topic.problems.iter().map(|one| one.reason.as_str()).collect();
    [all, &messages, &groups, &silent.join(" ")].join(" ")
}
