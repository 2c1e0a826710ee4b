//! Creating groups, changing their settings, and deleting them.
//!
//! Not how they are (`groups`), nor where they go on. Invariants: settings have 4.9.4's names, in forms too; what a form
//! leaves empty stays as each broker has it; what each broker would have is shown before it is done.

use std::str::FromStr;

use axum::extract::{Path, State};

use super::change::{Confirm, Row, change, result, rows};
use super::visitor::{Fields, Posted, Visitor, query_escaped};
use super::{Answer, Failed, Pages, format, may_call};
use crate::model::{GroupName, SubscriptionGroupConfig};
use crate::proto::v1::{
    CreateGroupRequest, DeleteGroupRequest, Done, GroupOnBroker, GroupSettings, UpdateGroupRequest,
};

/// One of the settings of a group.
#[derive(Clone, Copy)]
pub struct Setting {
    /// As 4.9.4 names it.
    pub name: &'static str,
    /// In words.
    pub text: &'static str,
    /// Whether it is yes or no.
    pub is_switch: bool,
    value: fn(&GroupSettings) -> Option<String>,
}

/// All of them.
const SETTINGS: [Setting; 7] = [
    Setting {
        name: "consumeEnable",
        text: "Gets messages",
        is_switch: true,
        value: |all| all.consume_enabled.map(switch),
    },
    Setting {
        name: "consumeBroadcastEnable",
        text: "May broadcast: each member gets everything",
        is_switch: true,
        value: |all| all.broadcast_enabled.map(switch),
    },
    Setting {
        name: "retryMaxTimes",
        text: "Retries before a message is a dead letter",
        is_switch: false,
        value: |all| all.retry_max_times.map(|number| number.to_string()),
    },
    Setting {
        name: "retryQueueNums",
        text: "Queues of the topic of retries",
        is_switch: false,
        value: |all| all.retry_queues.map(|number| number.to_string()),
    },
    Setting {
        name: "brokerId",
        text: "Pulls from the broker of this number",
        is_switch: false,
        value: |all| all.broker_id.map(|number| number.to_string()),
    },
    Setting {
        name: "whichBrokerWhenConsumeSlowly",
        text: "The same when it is far behind",
        is_switch: false,
        value: |all| all.slow_broker_id.map(|number| number.to_string()),
    },
    Setting {
        name: "notifyConsumerIdsChangedEnable",
        text: "Members are told that others came or went",
        is_switch: true,
        value: |all| all.notify_members.map(switch),
    },
];

fn switch(is_on: bool) -> String {
    if is_on { "yes" } else { "no" }.to_owned()
}

/// A setting with what each broker has.
pub struct SettingRow {
    /// Which.
    pub setting: Setting,
    /// In the order of the brokers.
    pub values: Vec<String>,
}

impl SettingRow {
    /// All settings.
    pub fn all(brokers: &[GroupOnBroker]) -> Vec<Self> {
        let of = |setting: Setting| {
            let value = |one: &GroupOnBroker| (setting.value)(&one.settings.unwrap_or_default());
            let values = brokers.iter().map(|one| value(one).unwrap_or_default()).collect();
            Self { setting, values }
        };
        SETTINGS.into_iter().map(of).collect()
    }

    /// 4.9.4's defaults.
    pub fn usual() -> Vec<Self> {
        let settings = Some(usual());
        Self::all(&[GroupOnBroker { settings, ..GroupOnBroker::default() }])
    }

    /// What all brokers have; empty if they differ.
    pub fn common(&self) -> &str {
        let first = self.values.first().map_or("", String::as_str);
        if self.values.iter().all(|value| value == first) { first } else { "" }
    }
}

fn usual() -> GroupSettings {
    GroupSettings::of(&SubscriptionGroupConfig::new(GroupName::new("")))
}

/// What the settings that are asked for change, as `retryMaxTimes: 16 → 3`.
fn differences(before: &GroupSettings, asked: &GroupSettings) -> String {
    let difference = |setting: &Setting| {
        let (before, after) =
            ((setting.value)(before).unwrap_or_default(), (setting.value)(asked)?);
        (before != after).then(|| format!("{}: {before} → {after}", setting.name))
    };
    SETTINGS.iter().filter_map(difference).collect::<Vec<_>>().join(", ")
}

/// The fields that a form of settings has.
fn kept(fields: &Fields, more: &[&'static str]) -> Vec<(&'static str, String)> {
    fields.kept(SETTINGS.iter().map(|setting| setting.name).chain(more.iter().copied()))
}

fn number<T: FromStr>(visitor: &Visitor, fields: &Fields, name: &str) -> Result<Option<T>, Failed> {
    fields.number_if_any(name).map_err(|_| visitor.invalid("This needs a whole number."))
}

/// What a form asks for.
fn read(visitor: &Visitor, fields: &Fields) -> Result<GroupSettings, Failed> {
    let is_on = |name: &str| match fields.get(name) {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    Ok(GroupSettings {
        consume_enabled: is_on("consumeEnable"),
        broadcast_enabled: is_on("consumeBroadcastEnable"),
        retry_queues: number(visitor, fields, "retryQueueNums")?,
        retry_max_times: number(visitor, fields, "retryMaxTimes")?,
        broker_id: number(visitor, fields, "brokerId")?,
        slow_broker_id: number(visitor, fields, "whichBrokerWhenConsumeSlowly")?,
        notify_members: is_on("notifyConsumerIdsChangedEnable"),
    })
}

/// What is done, with what each broker has and would have.
fn with_differences(
    done: &[Done],
    before: impl Fn(&str) -> GroupSettings,
    asked: &GroupSettings,
) -> Vec<Row> {
    let mut shown = rows(done, "");
    for (row, done) in shown.iter_mut().zip(done).filter(|(row, _)| row.reason.is_empty()) {
        row.reason = differences(&before(&done.at), asked);
    }
    shown
}

/// Asks, then creates.
pub async fn create(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Groups/Create")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let settings = read(&visitor, &fields)?;
    let request = CreateGroupRequest {
        group: fields.get("group").to_owned(),
        settings: Some(settings),
        cluster: fields.filled("cluster"),
        broker: fields.filled("broker"),
        dry_run: !is_sure,
    };
    if !is_sure {
        let told = pages.asking().create_group(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let confirm = Confirm {
            question: page.t1("Create the group {}?", &request.group),
            rows: with_differences(&told.done, |_| usual(), &settings),
            action: "/groups".to_owned(),
            fields: kept(&fields, &["group", "cluster", "broker"]),
            label: page.t("Create"),
            back: "/groups".to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.create_group(&asked).await };
    let done = change(&pages, &visitor, "Groups/Create", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    let back = format!("/groups/{}", query_escaped(&request.group));
    Ok(result(page, page.t1("Creating the group {}", &request.group), &done, back))
}

/// Asks, then changes settings.
pub async fn update(State(pages): State<Pages>, Path(group): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Groups/Update")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let settings = read(&visitor, &fields)?;
    let request = UpdateGroupRequest {
        group: group.clone(),
        settings: Some(settings),
        cluster: None,
        broker: fields.filled("broker"),
        dry_run: !is_sure,
    };
    let back = format!("/groups/{}", query_escaped(&group));
    if !is_sure {
        let admin = pages.asking();
        let told = admin.update_group(&request).await.map_err(|error| visitor.failed(&error))?;
        let before = admin.group(&group).await.map_err(|error| visitor.failed(&error))?.settings;
        let before = |broker: &str| {
            let its = before.iter().find(|one| one.broker == broker);
            its.and_then(|one| one.settings).unwrap_or_default()
        };
        let closes = settings.consume_enabled == Some(false);
        let warning = page.t("Its members get nothing from then on: what is sent waits.");
        let confirm = Confirm {
            question: page.t1("Change the settings of the group {}?", &group),
            warning: if closes { warning } else { "" },
            rows: with_differences(&told.done, before, &settings),
            action: format!("{back}/settings"),
            fields: kept(&fields, &["broker"]),
            is_danger: closes,
            label: page.t("Change"),
            back,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.update_group(&asked).await };
    let done = change(&pages, &visitor, "Groups/Update", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Changing the settings of the group {}", &group), &done, back))
}

/// Says who is a member and what waits, asks for the group's name, then deletes it.
pub async fn delete(State(pages): State<Pages>, Path(group): Path<String>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "Groups/Delete")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    if is_sure && fields.get("typed") != group {
        return Err(visitor.invalid("What was typed is not the name: nothing was done."));
    }
    let request = DeleteGroupRequest { group: group.clone(), cluster: None, dry_run: !is_sure };
    let path = format!("/groups/{}", query_escaped(&group));
    if !is_sure {
        let admin = pages.asking();
        let told = admin.delete_group(&request).await.map_err(|error| visitor.failed(&error))?;
        let lag = admin.group(&group).await.map_err(|error| visitor.failed(&error))?.lag;
        let no_member = page.t("No consumer is connected.");
        let waiting = page.t1("{} messages wait for it.", format::number(lag));
        let lost = page.t("Its positions are lost, and so are its retries and dead letters.");
        let warning = format!("{no_member} {waiting} {lost}");
        let confirm = Confirm {
            question: page.t1("Delete the group {}?", &group),
            warning: &warning,
            rows: rows(&told.done, page.t("Delete")),
            action: format!("{path}/delete"),
            typed: Some(&group),
            is_danger: true,
            label: page.t("Delete"),
            back: path,
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.delete_group(&asked).await };
    let done = change(&pages, &visitor, "Groups/Delete", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Deleting the group {}", &group), &done, "/groups".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(broker: &str, settings: GroupSettings) -> GroupOnBroker {
        let (broker, settings) = (broker.to_owned(), Some(settings));
        GroupOnBroker { broker, settings, ..GroupOnBroker::default() }
    }

    #[test]
    fn every_setting_has_a_row_and_what_differs_is_left_empty() {
        let other = GroupSettings { retry_max_times: Some(3), ..usual() };
        let all = SettingRow::all(&[on("a", usual()), on("b", other)]);
        let row = |name: &str| all.iter().find(|row| row.setting.name == name).unwrap();
        assert_eq!(row("retryMaxTimes").values, ["16", "3"]);
        assert_eq!((row("retryMaxTimes").common(), row("consumeEnable").common()), ("", "yes"));
        assert!(all.iter().all(|row| row.values.iter().all(|value| !value.is_empty())));
    }

    #[test]
    fn a_change_is_told_by_what_it_changes() {
        let asked = GroupSettings {
            consume_enabled: Some(false),
            retry_max_times: Some(16),
            retry_queues: Some(2),
            ..GroupSettings::default()
        };
        assert_eq!(differences(&usual(), &asked), "consumeEnable: yes → no, retryQueueNums: 1 → 2");
        assert_eq!(differences(&usual(), &usual()), "");
    }
}
