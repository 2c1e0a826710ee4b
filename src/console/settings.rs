//! This node, and who may use its console.
//!
//! Not the node's own settings file, which is its operator's.

use askama::Template;
use axum::extract::State;

use super::accounts::Role;
use super::change::{Confirm, change};
use super::visitor::{Fields, Page, Posted, Visitor};
use super::{Answer, Pages, html};
use crate::admin::AdminError;
use crate::proto::v1::NodeStatus;
use crate::task;

#[derive(Template)]
#[template(path = "settings.html")]
struct SettingsPage<'a> {
    page: &'a Page,
    node: NodeStatus,
    users: Vec<(String, Role)>,
    /// A user and the password that was made for it.
    made: Option<(String, String)>,
    /// What a reload has changed.
    reloaded: Option<Vec<String>>,
}

fn page<'a>(pages: &Pages, visitor: &'a Visitor) -> SettingsPage<'a> {
    SettingsPage {
        page: &visitor.page,
        node: pages.of_node.control.status(),
        users: pages.accounts.users(),
        made: None,
        reloaded: None,
    }
}

/// How the node is, and its users.
pub async fn show(State(pages): State<Pages>, visitor: Visitor) -> Answer {
    Ok(html(&page(&pages, &visitor)))
}

/// Makes a user, gives one another role and password, or takes one away.
pub async fn set_user(State(pages): State<Pages>, form: Posted) -> Answer {
    let Posted { visitor, fields } = form;
    visitor.needs(Role::Admin)?;
    let (name, is_removed) = (fields.get("user").to_owned(), fields.get("action") == "remove");
    if fields.get("sure") != "yes" {
        return Ok(ask(&visitor, &fields, &name, is_removed).response());
    }
    let role = Role::named(fields.get("role"));
    let accounts = pages.accounts.clone();
    let (what, arguments) = match (is_removed, role) {
        (true, _) => ("Console/RemoveUser", serde_json::json!({ "user": name })),
        (false, Some(role)) => {
            ("Console/SetUser", serde_json::json!({ "user": name, "role": role.name() }))
        }
        (false, None) => return Err(visitor.invalid("There is no such role.")),
    };
    let user = name.clone();
    let (told, password) = tokio::sync::oneshot::channel();
    let work = async move {
        let done = match role {
            Some(role) if !is_removed => accounts.set_user(&user, role).await.map(Some),
            _ => accounts.remove_user(&user).await.map(|()| None),
        };
        let made = done.map_err(|refusal| AdminError::Conflict(refusal.to_string()))?;
        // Not in the audit log.
        let _ = told.send(made);
        Ok(())
    };
    let done = change(&pages, &visitor, what, &arguments, work).await;
    done.map_err(|error| visitor.failed(&error))?;
    let made = password.await.ok().flatten().map(|password| (name, password));
    Ok(html(&SettingsPage { made, ..page(&pages, &visitor) }))
}

fn ask<'a>(visitor: &'a Visitor, fields: &Fields, name: &str, is_removed: bool) -> Confirm<'a> {
    let page = &visitor.page;
    let (question, label) = if is_removed {
        (page.t1("Remove the user {}?", name), page.t("Remove"))
    } else {
        (page.t1("Give the user {} this role and a new password?", name), page.t("Set"))
    };
    Confirm {
        question,
        warning: page.t("Its sessions end."),
        action: "/settings/users".to_owned(),
        fields: fields.kept(["user", "role", "action"]),
        label,
        back: "/settings".to_owned(),
        ..Confirm::on(page)
    }
}

/// Has the node read its settings again.
pub async fn reload(State(pages): State<Pages>, form: Posted) -> Answer {
    let visitor = form.visitor;
    visitor.needs(Role::Admin)?;
    let control = pages.of_node.control.clone();
    let work = async move {
        let reloading = task::spawn_blocking("reload", move || control.reload());
        reloading.await.map_err(|error| AdminError::Conflict(error.to_string()))?
    };
    match change(&pages, &visitor, "Node/Reload", &serde_json::json!({}), work).await {
        Ok(changed) => {
            Ok(html(&SettingsPage { reloaded: Some(changed), ..page(&pages, &visitor) }))
        }
        Err(error) => Err(visitor.failed(&error)),
    }
}
