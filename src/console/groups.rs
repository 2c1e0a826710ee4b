//! Consumer groups: which there are and how far, one queue by queue, and letting one go on elsewhere.
//!
//! Invariant: what is not known is shown as unknown, never as a number.

use askama::Template;
use axum::extract::{Path, State};

use super::change::change;
use super::chart::Charts;
use super::group_change::SettingRow;
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Failed, Pages, Paging, format, html, may_call};
use crate::model::{RETRY_PREFIX, version_text};
use crate::proto::v1::{
    Group, GroupMember, GroupQueue, GroupSettings, GroupStatus, ListGroupsRequest, Outcome,
    Problem, QueueReset, ResetOffsetsRequest, ResetTarget,
};

/// A group of the list.
struct Row {
    group: Group,
    path: String,
    lag: String,
    tps: String,
    behind: Option<String>,
    consume_type: Option<&'static str>,
}

/// 4.9.4's words for it are the wrong way round to most.
fn consume_type(told: Option<&String>) -> Option<&'static str> {
    Some(if told? == "CONSUME_ACTIVELY" { "pull" } else { "push" })
}

#[derive(Template)]
#[template(path = "groups.html")]
struct GroupsPage<'a> {
    page: &'a Page,
    q: &'a str,
    order: &'static str,
    with_system: bool,
    rows: Vec<Row>,
    paging: Paging,
    problems: Vec<Problem>,
    /// What a form for a new group begins with.
    settings: Vec<SettingRow>,
}

/// A page of those that have a text in their names; the furthest behind first, if that is asked for.
pub async fn list(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let request = ListGroupsRequest { with_members: false };
    let listed = pages.asking().groups(&request).await.map_err(|error| visitor.failed(&error))?;
    let (q, with_system) = (query.get("q"), query.get("system") == "yes");
    let wanted = q.to_lowercase();
    let mut groups = listed.groups;
    groups.retain(|group| {
        (with_system || !group.is_system) && group.group.to_lowercase().contains(&wanted)
    });
    let order = if query.get("order") == "lag" { "lag" } else { "name" };
    if order == "lag" {
        groups.sort_by_key(|group| std::cmp::Reverse(group.lag));
    }
    let system = if with_system { "system=yes&" } else { "" };
    let path = format!("order={order}&{system}q={}&", query_escaped(q));
    let (mut groups, paging) = Paging::of(groups, query.number("page"), path);
    pages.asking().count_members(&mut groups).await;
    let row = |group: Group| Row {
        path: query_escaped(&group.group),
        lag: format::number(group.lag),
        tps: format::rate(group.tps),
        behind: group.behind_ms.map(format::duration),
        consume_type: consume_type(group.consume_type.as_ref()),
        group,
    };
    let rows = groups.into_iter().map(row).collect();
    let (page, problems, settings) = (&visitor.page, listed.problems, SettingRow::usual());
    Ok(html(&GroupsPage { page, q, order, with_system, rows, paging, problems, settings }))
}

/// A queue of the group.
struct Queue {
    queue: GroupQueue,
    lag: String,
    last: Option<(String, String)>,
}

/// The queues of one topic.
struct OfTopic {
    name: String,
    path: String,
    lag: String,
    queues: Vec<Queue>,
}

#[derive(Template)]
#[template(path = "group.html")]
struct GroupPage<'a> {
    page: &'a Page,
    group: GroupStatus,
    path: String,
    lag: String,
    tps: String,
    charts: Charts,
    consume_type: Option<&'static str>,
    members: Vec<Member>,
    topics: Vec<OfTopic>,
    /// What its members subscribe to without a position of the group.
    unread: Vec<String>,
    settings: Vec<SettingRow>,
    /// Brokers where it gets nothing.
    closed_on: Vec<String>,
}

/// A member, and the version of its library.
struct Member {
    member: GroupMember,
    version: String,
}

/// One group.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(name): Path<String>,
    query: Fields,
) -> Answer {
    let mut group = pages.asking().group(&name).await.map_err(|error| visitor.failed(&error))?;
    let mut topics: Vec<(i64, OfTopic)> = Vec::new();
    for queue in std::mem::take(&mut group.queues) {
        let is_new = topics.last().is_none_or(|(_, last)| last.name != queue.topic);
        if is_new {
            let (name, path) = (queue.topic.clone(), query_escaped(&queue.topic));
            topics.push((0, OfTopic { name, path, lag: String::new(), queues: Vec::new() }));
        }
        let Some((lag, topic)) = topics.last_mut() else { continue };
        *lag = lag.saturating_add(queue.lag);
        topic.queues.push(Queue {
            lag: format::number(queue.lag),
            last: queue.last_stored_ms.map(format::moment),
            queue,
        });
    }
    let is_unread = |name: &String| {
        !topics.iter().any(|(_, topic)| topic.name == *name) && !name.starts_with(RETRY_PREFIX)
    };
    let subscribed = group.subscriptions.iter().map(|one| one.topic.clone());
    let unread = subscribed.filter(is_unread).collect();
    let is_closed = |settings: Option<GroupSettings>| {
        settings.is_some_and(|settings| settings.consume_enabled == Some(false))
    };
    let closed_on = group.settings.iter().filter(|one| is_closed(one.settings));
    let closed_on = closed_on.map(|one| one.broker.clone()).collect();
    let member = |member: GroupMember| Member { version: version_text(member.version), member };
    let with_lag = |(lag, topic): (i64, OfTopic)| OfTopic { lag: format::number(lag), ..topic };
    Ok(html(&GroupPage {
        page: &visitor.page,
        path: query_escaped(&name),
        lag: format::number(group.lag),
        tps: format::rate(group.tps),
        charts: Charts::of_group(&pages, &visitor.page, &query, &name),
        consume_type: consume_type(group.consume_type.as_ref()),
        members: std::mem::take(&mut group.members).into_iter().map(member).collect(),
        settings: SettingRow::all(&group.settings),
        unread,
        closed_on,
        topics: topics.into_iter().map(with_lag).collect(),
        group,
    }))
}

/// Where a group can be let go on.
const TARGETS: [(&str, ResetTarget); 5] = [
    ("time", ResetTarget::Time),
    ("earliest", ResetTarget::Earliest),
    ("latest", ResetTarget::Latest),
    ("shift", ResetTarget::Shift),
    ("offset", ResetTarget::Offset),
];

/// A queue of a reset.
struct Reset {
    queue: QueueReset,
    /// How many messages are got again, or left out.
    again: String,
    left_out: String,
    outcome: &'static str,
}

impl Reset {
    fn of(queue: QueueReset) -> Self {
        let change = queue.before.map_or(0, |before| queue.after.saturating_sub(before));
        let shown = |count: i64| if count > 0 { format::number(count) } else { String::new() };
        Self {
            again: shown(change.saturating_neg()),
            left_out: shown(change),
            outcome: queue.outcome().as_word(),
            queue,
        }
    }
}

#[derive(Template)]
#[template(path = "reset.html")]
struct ResetPage<'a> {
    page: &'a Page,
    group: &'a str,
    path: String,
    topic: &'a str,
    target: &'a str,
    time: String,
    value: &'a str,
    /// What would be done or was done; none before somebody asked for it.
    queues: Vec<Reset>,
    members_told: bool,
    is_done: bool,
    problems: Vec<Problem>,
}

/// Asks where to, shows what that means, queue by queue, and asks for the group's name.
pub async fn show_reset(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path(group): Path<String>,
    query: Fields,
) -> Answer {
    may_call(&visitor, "Offsets/Reset")?;
    let now = pages.clock.now_ms();
    let time = query.filled("time").unwrap_or_else(|| format::input(now - 3_600_000));
    let mut shown = ResetPage {
        page: &visitor.page,
        group: &group,
        path: query_escaped(&group),
        topic: query.get("topic"),
        target: query.get("target"),
        time,
        value: query.get("value"),
        queues: Vec::new(),
        members_told: false,
        is_done: false,
        problems: Vec::new(),
    };
    if !shown.target.is_empty() {
        let request = request(&visitor, &group, &query, true)?;
        let told = pages.asking().reset_group(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        shown.queues = told.queues.into_iter().map(Reset::of).collect();
        (shown.members_told, shown.problems) = (told.members_told, told.problems);
    }
    Ok(html(&shown))
}

/// What a form or a query asks for.
fn request(
    visitor: &Visitor,
    group: &str,
    fields: &Fields,
    dry_run: bool,
) -> Result<ResetOffsetsRequest, Failed> {
    let asked = fields.get("target");
    let Some((_, target)) = TARGETS.into_iter().find(|(name, _)| *name == asked) else {
        return Err(visitor.invalid("It is not said where the group is to go on."));
    };
    let value = match target {
        ResetTarget::Time => {
            let time = format::from_input(fields.get("time"));
            time.ok_or_else(|| visitor.invalid("A time is written as 2026-11-29T10:08, in UTC."))?
        }
        ResetTarget::Shift | ResetTarget::Offset => {
            let value = fields.number("value");
            value.ok_or_else(|| visitor.invalid("This needs a whole number."))?
        }
        _ => 0,
    };
    Ok(ResetOffsetsRequest {
        group: group.to_owned(),
        topic: fields.get("topic").to_owned(),
        target: target.into(),
        value,
        dry_run,
    })
}

/// Lets the group go on there.
pub async fn reset(State(pages): State<Pages>, Path(group): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Offsets/Reset")?;
    if fields.get("typed") != group {
        return Err(visitor.invalid("What was typed is not the name: nothing was done."));
    }
    let request = request(&visitor, &group, &fields, false)?;
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.reset_group(&asked).await };
    let done = change(&pages, &visitor, "Offsets/Reset", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?;
    Ok(html(&ResetPage {
        page: &visitor.page,
        path: query_escaped(&group),
        group: &group,
        topic: fields.get("topic"),
        target: fields.get("target"),
        time: fields.get("time").to_owned(),
        value: fields.get("value"),
        queues: done.queues.into_iter().map(Reset::of).collect(),
        members_told: done.members_told,
        is_done: true,
        problems: done.problems,
    }))
}

impl ResetPage<'_> {
    /// Whether something was not done.
    fn has_failed(&self) -> bool {
        self.queues.iter().any(|one| one.queue.outcome() == Outcome::Failed)
    }
}
