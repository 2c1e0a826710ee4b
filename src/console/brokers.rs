//! One broker: how it is, all that it tells (28), its settings (26), changing one, and taking it out of use and back; of one
//! that is gone, where it was.
//!
//! Not the table of all (`overview`). Invariant: texts of brokers are shown as they tell them, under 4.9.4's names.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, State};

use super::change::{Confirm, Row, change, result, rows};
use super::overview::was;
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, drawing, format, html, may_call};
use crate::admin::AdminError;
use crate::proto::v1::{
    Broker, BrokerSetting, BrokerStatus, Done, DrainBrokerRequest, GetBrokerConfigRequest,
    GetBrokerRequest, ResetBrokerConfigRequest, ResumeBrokerRequest, SetBrokerConfigRequest,
};

/// What a broker tells under a name.
struct Told {
    name: String,
    value: String,
    /// If it is a time.
    time: Option<(String, String)>,
}

impl Told {
    fn of((name, value): (String, String)) -> Self {
        let is_time = name.to_lowercase().ends_with("timestamp");
        let ms = value.parse::<i64>().ok().filter(|ms| is_time && *ms > 0);
        Self { time: ms.map(format::moment), name, value }
    }
}

#[derive(Template)]
#[template(path = "broker.html")]
struct BrokerPage<'a> {
    page: &'a Page,
    broker: Broker,
    status: BrokerStatus,
    path: String,
    health: &'static str,
    /// Whether producers are kept away from it.
    is_closed: bool,
    /// Where and when it was, if it is gone.
    was: Option<(String, (String, String))>,
    started: Option<(String, String)>,
    q: &'a str,
    told: Vec<Told>,
    settings: Vec<BrokerSetting>,
    /// What is to be changed, and what it is now.
    key: &'a str,
    value: String,
    /// What it did not tell.
    problems: Vec<String>,
}

fn path_of(broker: &str, id: i64) -> String {
    format!("/cluster/{}/{id}", query_escaped(broker))
}

/// One that was registered within a day and is nowhere now.
fn gone(pages: &Pages, group: &str, id: i64) -> Option<Broker> {
    let mut brokers = Vec::new();
    pages.add_gone(&mut brokers);
    brokers.into_iter().find(|one| one.group == group && one.id == id)
}

/// All of one broker that has a text in it.
pub async fn show(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path((group, id)): Path<(String, i64)>,
    query: Fields,
) -> Answer {
    let admin = pages.asking();
    let request = GetBrokerRequest { broker: Some(group.clone()), id: Some(id) };
    let mut status = match admin.broker(&request).await {
        Err(error @ AdminError::NotFound(_)) => {
            let broker = gone(&pages, &group, id).ok_or_else(|| visitor.failed(&error))?;
            BrokerStatus { broker: Some(broker), ..BrokerStatus::default() }
        }
        status => status.map_err(|error| visitor.failed(&error))?,
    };
    let broker = status.broker.take().unwrap_or_default();
    let (mut told, mut settings, mut problems) = (BTreeMap::new(), Vec::new(), Vec::new());
    if let Some(address) = &broker.address {
        let (id, broker) = (Some(id), Some(group.clone()));
        let request = GetBrokerConfigRequest { broker, id, key: None };
        let asked = tokio::join!(admin.runtime_info(address), admin.broker_config(&request));
        match asked.0 {
            Ok(texts) => told = texts,
            Err(error) => problems.push(error.to_string()),
        }
        match asked.1 {
            Ok(config) => settings = config.settings,
            Err(error) => problems.push(error.to_string()),
        }
    }
    let (q, key) = (query.get("q"), query.get("key"));
    let wanted = q.to_lowercase();
    let is_wanted =
        |texts: [&str; 2]| texts.iter().any(|text| text.to_lowercase().contains(&wanted));
    let value = settings.iter().find(|one| one.key == key).map(|one| one.value.clone());
    settings.retain(|one| is_wanted([&one.key, &one.value]));
    let told = told.into_iter().filter(|(name, value)| is_wanted([name, value])).map(Told::of);
    Ok(html(&BrokerPage {
        page: &visitor.page,
        path: path_of(&group, id),
        health: drawing::health(&broker),
        is_closed: drawing::is_closed(&broker),
        was: was(&broker),
        started: broker.started_ms.map(format::moment),
        broker,
        status,
        q,
        told: told.collect(),
        settings,
        key,
        value: value.unwrap_or_default(),
        problems,
    }))
}

/// What would be done, with what is there and what will be.
fn with_values(done: Option<Done>, before: Option<&str>, after: &str) -> Vec<Row> {
    rows(done.as_slice(), &format!("{} → {after}", before.unwrap_or("?")))
}

/// Asks, then changes a setting, or makes it what the settings of the node say.
pub async fn set(
    State(pages): State<Pages>,
    Path((group, id)): Path<(String, i64)>,
    form: Posted,
) -> Answer {
    if form.fields.get("action") == "reset" {
        return reset(pages, &group, id, form).await;
    }
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Brokers/SetConfig")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = SetBrokerConfigRequest {
        broker: Some(group.clone()),
        id: Some(id),
        key: fields.get("key").to_owned(),
        value: fields.get("value").to_owned(),
        dry_run: !is_sure,
    };
    let back = path_of(&group, id);
    if !is_sure {
        let told = pages.asking().set_broker_config(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let unknown = page.t("The broker tells no setting of this name.");
        let known = page.t("It is in force at once, and kept when the broker starts again.");
        let confirm = Confirm {
            question: page.t1("Change the setting {} of this broker?", &request.key),
            warning: if told.before.is_none() { unknown } else { known },
            rows: with_values(told.done, told.before.as_deref(), &request.value),
            action: format!("{back}/config"),
            fields: fields.kept(["key", "value"]),
            label: page.t("Change"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.set_broker_config(&asked).await };
    let done = change(&pages, &visitor, "Brokers/SetConfig", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Changing the setting {}", &request.key), done.as_slice(), back))
}

async fn reset(pages: Pages, group: &str, id: i64, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Brokers/ResetConfig")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = ResetBrokerConfigRequest {
        broker: Some(group.to_owned()),
        id: Some(id),
        key: fields.get("key").to_owned(),
        dry_run: !is_sure,
    };
    let back = path_of(group, id);
    if !is_sure {
        let told = pages.asking().reset_broker_config(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let after = told.after.unwrap_or_default();
        let confirm = Confirm {
            question: page
                .t1("Make the setting {} what the settings of the node say?", &request.key),
            rows: with_values(told.done, told.before.as_deref(), &after),
            action: format!("{back}/config"),
            fields: fields.kept(["key", "action"]),
            label: page.t("Change"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.reset_broker_config(&asked).await };
    let done = change(&pages, &visitor, "Brokers/ResetConfig", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Changing the setting {}", &request.key), done.as_slice(), back))
}

/// Asks, with the topics that nobody else takes, then takes a master out of use.
pub async fn drain(
    State(pages): State<Pages>,
    Path((group, id)): Path<(String, i64)>,
    form: Posted,
) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Brokers/Drain")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    // Who is sure has read which these are.
    let request = DrainBrokerRequest {
        broker: Some(group.clone()),
        accept_only_here: is_sure,
        dry_run: !is_sure,
    };
    let back = path_of(&group, id);
    if !is_sure {
        let told = pages.asking().drain(&request).await.map_err(|error| visitor.failed(&error))?;
        let warning = if told.only_here.is_empty() {
            page.t("Producers go to other masters; consumers read on.").to_owned()
        } else {
            let topics = told.only_here.join(", ");
            page.t1("Nobody could send to these topics then: {}", topics)
        };
        let confirm = Confirm {
            question: page.t1("Take {} out of use for producers?", &group),
            warning: &warning,
            rows: rows(told.done.as_slice(), page.t("Take it out of use")),
            action: format!("{back}/drain"),
            is_danger: !told.only_here.is_empty(),
            label: page.t("Take it out of use"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.drain(&asked).await };
    let done = change(&pages, &visitor, "Brokers/Drain", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Taking {} out of use", &group), done.as_slice(), back))
}

/// Asks, then puts a master to use again.
pub async fn resume(
    State(pages): State<Pages>,
    Path((group, id)): Path<(String, i64)>,
    form: Posted,
) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Brokers/Resume")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = ResumeBrokerRequest { broker: Some(group.clone()), dry_run: !is_sure };
    let back = path_of(&group, id);
    if !is_sure {
        let told = pages.asking().resume(&request).await.map_err(|error| visitor.failed(&error))?;
        let confirm = Confirm {
            question: page.t1("Let producers send to {} again?", &group),
            rows: rows(told.done.as_slice(), page.t("Put it to use again")),
            action: format!("{back}/resume"),
            label: page.t("Put it to use again"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.resume(&asked).await };
    let done = change(&pages, &visitor, "Brokers/Resume", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?;
    Ok(result(page, page.t1("Putting {} to use again", &group), done.done.as_slice(), back))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_other_numbers() {
        let of = |name: &str, value: &str| {
            Told::of((name.to_owned(), value.to_owned())).time.map(|(_, time)| time)
        };
        let time = Some("2026-11-29 10:08:17".to_owned());
        assert_eq!(of("bootTimestamp", "1795946897250"), time);
        assert_eq!(of("earliestMessageTimeStamp", "1795946897250"), time);
        for (name, value) in [
            ("earliestMessageTimeStamp", "-1"),
            ("bootTimestamp", "soon"),
            ("commitLogMaxOffset", "1795946897250"),
        ] {
            assert_eq!(of(name, value), None, "{name}");
        }
    }
}
