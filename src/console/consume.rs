//! Handing a message to one member of a group that is chosen from those that are connected, and what it made of it.
//!
//! Not delivering dead letters again (`dead_letters`), which any member gets. Invariant: who gets it was shown before.

use askama::Template;
use axum::extract::{Path, State};

use super::change::change;
use super::visitor::{Fields, Page, Posted, Visitor, query_escaped};
use super::{Answer, Pages, html, may_call};
use crate::model::version_text;
use crate::proto::v1::{ConsumeDirectlyRequest, ConsumeDirectlyResponse, GroupMember};

/// As the admin API names it.
const METHOD: &str = "Messages/ConsumeDirectly";

#[derive(Template)]
#[template(path = "consume.html")]
struct ConsumePage<'a> {
    page: &'a Page,
    id: &'a str,
    group: &'a str,
    /// Of the message.
    path: String,
    /// Who could get it: each with its address, language and version.
    members: Vec<(String, String)>,
    /// What one made of it; none if nobody has got it yet.
    told: Option<ConsumeDirectlyResponse>,
}

fn request(place: (String, String), fields: &Fields, dry_run: bool) -> ConsumeDirectlyRequest {
    let (topic, id) = place;
    let group = fields.get("group").to_owned();
    let client_id = fields.filled("client");
    ConsumeDirectlyRequest { id, topic: Some(topic), group, client_id, dry_run }
}

fn member(one: GroupMember) -> (String, String) {
    let about = format!("{}, {} {}", one.address, one.language, version_text(one.version));
    (one.client_id, about)
}

/// Shows who could get it.
pub async fn ask(
    State(pages): State<Pages>,
    visitor: Visitor,
    Path((topic, id)): Path<(String, String)>,
    query: Fields,
) -> Answer {
    may_call(&visitor, METHOD)?;
    let path = format!("{}/{}", query_escaped(&topic), query_escaped(&id));
    let request = request((topic, id), &query, true);
    let could = pages.asking().hand_to_member(&request).await;
    let could = could.map_err(|error| visitor.failed(&error))?;
    Ok(html(&ConsumePage {
        page: &visitor.page,
        id: &request.id,
        group: &request.group,
        path,
        members: could.members.into_iter().map(member).collect(),
        told: None,
    }))
}

/// Hands it over, and shows what became of it.
pub async fn consume(
    State(pages): State<Pages>,
    Path((topic, id)): Path<(String, String)>,
    form: Posted,
) -> Answer {
    let Posted { visitor, fields } = form;
    may_call(&visitor, METHOD)?;
    let path = format!("{}/{}", query_escaped(&topic), query_escaped(&id));
    let request = request((topic, id), &fields, false);
    let (admin, asked) = (pages.admin.clone(), request.clone());
    let work = async move { admin.hand_to_member(&asked).await };
    let told = change(&pages, &visitor, METHOD, &request, work).await;
    let told = told.map_err(|error| visitor.failed(&error))?;
    Ok(html(&ConsumePage {
        page: &visitor.page,
        id: &request.id,
        group: &request.group,
        path,
        members: Vec::new(),
        told: Some(told),
    }))
}
