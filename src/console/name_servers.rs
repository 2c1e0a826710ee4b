//! Name servers: what each is and knows, where they differ, their key-value settings and their own, and whether producers
//! may write to a broker.
//!
//! They do not know of one another: a change is made at each. Invariant: one that does not answer is a row that says so.

use askama::Template;
use axum::extract::State;

use super::change::{Confirm, change, result, rows};
use super::visitor::{Fields, Page, Posted, Visitor};
use super::{Answer, Pages, html, may_call};
use crate::proto::v1::{
    DeleteKvRequest, ListKvRequest, ListNameServersRequest, NameServer, NameServerEntry, Problem,
    PutKvRequest, PutNameServerSettingRequest, PutWritePermissionRequest,
};

const PATH: &str = "/name-servers";

/// What name servers have under one key.
struct Entry {
    key: String,
    /// One for each name server, or one without a name if all have the same.
    values: Vec<(String, Option<String>)>,
    differs: bool,
}

impl Entry {
    fn of(entry: NameServerEntry) -> Self {
        let mut values: Vec<_> =
            entry.values.into_iter().map(|one| (one.name_server, one.value)).collect();
        let differs = values.iter().any(|(_, value)| *value != values[0].1);
        if !differs {
            values.truncate(1);
            values.iter_mut().for_each(|(name_server, _)| name_server.clear());
        }
        Self { key: entry.key, values, differs }
    }

    fn all(entries: Vec<NameServerEntry>) -> Vec<Self> {
        entries.into_iter().map(Self::of).collect()
    }
}

#[derive(Template)]
#[template(path = "name_servers.html")]
struct NameServersPage<'a> {
    page: &'a Page,
    name_servers: Vec<NameServer>,
    /// How many of them answer.
    answering: usize,
    differences: Vec<Entry>,
    with_routes: bool,
    namespace: &'a str,
    values: Vec<Entry>,
    settings: Vec<Entry>,
    problems: Vec<Problem>,
    /// Why nothing is known.
    error: Option<String>,
}

/// All of them.
pub async fn show(State(pages): State<Pages>, visitor: Visitor, query: Fields) -> Answer {
    let mut shown = NameServersPage {
        page: &visitor.page,
        name_servers: Vec::new(),
        answering: 0,
        differences: Vec::new(),
        with_routes: query.get("routes") == "yes",
        namespace: query.get("namespace"),
        values: Vec::new(),
        settings: Vec::new(),
        problems: Vec::new(),
        error: None,
    };
    let list = ListNameServersRequest { with_routes: shown.with_routes };
    let kv = ListKvRequest { namespace: shown.namespace.to_owned() };
    let admin = pages.asking();
    let (listed, values, settings) = tokio::join!(
        admin.list_name_servers(&list),
        admin.list_kv(&kv),
        admin.list_name_server_settings(),
    );
    match listed {
        Err(error) => shown.error = Some(error.to_string()),
        Ok(listed) => {
            shown.answering = listed.name_servers.iter().filter(|one| one.error.is_none()).count();
            shown.name_servers = listed.name_servers;
            shown.differences = Entry::all(listed.differences);
            shown.problems = listed.problems;
        }
    }
    // Without any name server the list has said why.
    if let Ok(values) = values {
        shown.values = Entry::all(values.entries);
        shown.problems.extend(values.problems);
    }
    if let Ok(settings) = settings {
        shown.settings = Entry::all(settings.entries);
        shown.problems.extend(settings.problems);
    }
    shown.problems.sort_by(|a, b| a.reason.cmp(&b.reason));
    shown.problems.dedup();
    Ok(html(&shown))
}

/// Asks, then sets a key-value setting, or takes it away.
pub async fn set_value(State(pages): State<Pages>, form: Posted) -> Answer {
    if form.fields.get("action") == "remove" {
        return remove_value(pages, form).await;
    }
    let Posted { visitor, fields } = form;
    may_call(&visitor, "NameServers/PutKv")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = PutKvRequest {
        namespace: fields.get("namespace").to_owned(),
        key: fields.get("key").to_owned(),
        value: fields.get("value").to_owned(),
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().put_kv_everywhere(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let confirm = Confirm {
            question: page.t1("Set the value of {} at each name server?", &request.key),
            rows: rows(&told.done, &page.t1("set to: {}", &request.value)),
            action: format!("{PATH}/values"),
            fields: fields.kept(["namespace", "key", "value"]),
            label: page.t("Set"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.put_kv_everywhere(&asked).await };
    let done = change(&pages, &visitor, "NameServers/PutKv", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Setting the value of {}", &request.key), &done, PATH.to_owned()))
}

async fn remove_value(pages: Pages, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "NameServers/DeleteKv")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = DeleteKvRequest {
        namespace: fields.get("namespace").to_owned(),
        key: fields.get("key").to_owned(),
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().delete_kv_everywhere(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let confirm = Confirm {
            question: page.t1("Take the value of {} away from each name server?", &request.key),
            warning: page.t("Of a topic in order: its producers and consumers see other queues."),
            rows: rows(&told.done, page.t("Remove")),
            action: format!("{PATH}/values"),
            fields: fields.kept(["namespace", "key", "action"]),
            label: page.t("Remove"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.delete_kv_everywhere(&asked).await };
    let done = change(&pages, &visitor, "NameServers/DeleteKv", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Taking the value of {} away", &request.key), &done, PATH.to_owned()))
}

/// Asks, then changes a setting of each name server.
pub async fn set_setting(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "NameServers/PutSetting")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let request = PutNameServerSettingRequest {
        key: fields.get("key").to_owned(),
        value: fields.get("value").to_owned(),
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().put_name_server_setting(&request).await;
        let confirm = Confirm {
            question: page.t1("Change the setting {} of each name server?", &request.key),
            rows: rows(&told.done, &page.t1("set to: {}", &request.value)),
            action: format!("{PATH}/settings"),
            fields: fields.kept(["key", "value"]),
            label: page.t("Set"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { Ok(admin.put_name_server_setting(&asked).await) };
    let done = change(&pages, &visitor, "NameServers/PutSetting", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Changing the setting {}", &request.key), &done, PATH.to_owned()))
}

/// Asks, then has each name server tell producers whether they may write to a broker.
pub async fn set_writing(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, "NameServers/PutWritePermission")?;
    let (page, is_sure) = (&visitor.page, fields.get("sure") == "yes");
    let may_write = fields.get("may") == "yes";
    let request = PutWritePermissionRequest {
        broker: fields.get("broker").to_owned(),
        may_write,
        dry_run: !is_sure,
    };
    let (admin, asked) = (pages.admin.clone(), request.clone());
    if !is_sure {
        let told = pages.asking().put_write_permission(&request).await;
        let told = told.map_err(|error| visitor.failed(&error))?;
        let broker = &request.broker;
        let (question, planned) = if may_write {
            (page.t1("Let producers write to {} again?", broker), page.t("producers may write"))
        } else {
            (
                page.t1("Keep producers from writing to {}?", broker),
                page.t("producers may not write"),
            )
        };
        let confirm = Confirm {
            question,
            warning: page.t("It holds until the broker registers with something changed."),
            rows: rows(&told.done, planned),
            action: format!("{PATH}/writing"),
            fields: fields.kept(["broker", "may"]),
            label: page.t("Change"),
            back: PATH.to_owned(),
            ..Confirm::on(page)
        };
        return Ok(confirm.response());
    }
    let work = async move { admin.put_write_permission(&asked).await };
    let done = change(&pages, &visitor, "NameServers/PutWritePermission", &request, work).await;
    let done = done.map_err(|error| visitor.failed(&error))?.done;
    Ok(result(page, page.t1("Write permission of {}", &request.broker), &done, PATH.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::NameServerValue;

    #[test]
    fn what_all_have_is_shown_once_and_what_differs_with_who_has_it() {
        let entry = |values: &[Option<&str>]| {
            let value = |(at, value): (usize, &Option<&str>)| NameServerValue {
                name_server: format!("n{at}"),
                value: value.map(str::to_owned),
            };
            let values = values.iter().enumerate().map(value).collect();
            Entry::of(NameServerEntry { key: "k".to_owned(), values })
        };
        let same = entry(&[Some("1"), Some("1")]);
        assert_eq!(
            (same.values, same.differs),
            (vec![(String::new(), Some("1".to_owned()))], false)
        );
        let other = entry(&[Some("1"), None]);
        assert_eq!(
            (other.values.len(), other.values[1].0.as_str(), other.differs),
            (2, "n1", true)
        );
        assert!(!entry(&[]).differs);
    }
}
