//! Handing a message to one member of a group (309), as 4.9.4's `queryMsgById -g -d` and dashboards do.
//!
//! Not giving dead letters again (`dead_letters`). Invariants: nothing is stored and no position moves; who gets it is
//! connected to the broker that has the message, which hands it over (B-333).

use super::{Admin, AdminError, address_of};
use crate::proto::v1::{
    ConsumeDirectlyRequest, ConsumeDirectlyResponse, GetMessageRequest, GroupMember,
};

impl ConsumeDirectlyResponse {
    /// Whether the member was content.
    #[must_use]
    pub fn is_success(&self) -> bool {
        matches!(self.result.as_deref(), Some("CR_SUCCESS" | "CR_COMMIT"))
    }
}

impl Admin {
    /// Hands a message to a member of a group, the first if none is named, and waits for what that makes of it; a dry run
    /// tells who could get it.
    ///
    /// # Errors
    /// There is no such message or member, the broker that has the message does not answer, or the member refuses it or
    /// takes longer than 10 s (B-332).
    pub async fn hand_to_member(
        &self,
        request: &ConsumeDirectlyRequest,
    ) -> Result<ConsumeDirectlyResponse, AdminError> {
        let ConsumeDirectlyRequest { id, topic, group, client_id, dry_run } = request;
        let wanted =
            GetMessageRequest { id: id.clone(), topic: topic.clone(), ..Default::default() };
        let (messages, _) = self.messages_of_id(&wanted).await?;
        let message = &messages[0];
        let brokers = self.route(&message.topic).await?.brokers;
        let broker = message.holder(&brokers)?;
        let members = GroupMember::all(&self.members_of(std::iter::once(broker), group).await?);
        let is_wanted =
            |one: &&GroupMember| client_id.as_ref().is_none_or(|id| *id == one.client_id);
        let member = members.iter().find(is_wanted).ok_or_else(|| {
            let who =
                client_id.as_ref().map_or("no member".to_owned(), |id| format!("no \"{id}\""));
            let name = &broker.broker_name;
            AdminError::NotFound(format!("{who} of group \"{group}\" is connected to {name}"))
        })?;
        let client_id = member.client_id.clone();
        if *dry_run {
            return Ok(ConsumeDirectlyResponse { client_id, members, ..Default::default() });
        }
        let address = address_of(broker)?;
        let told = self.consume_directly(address, group, &client_id, &message.offset_id).await?;
        Ok(ConsumeDirectlyResponse {
            client_id,
            result: told.result,
            remark: told.remark,
            spent_ms: told.spent_ms,
            members: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::admin::tests::{MEMBERS, Running};
    use crate::message::{NewMessage, encode};
    use crate::remoting::{Command, response};

    /// Who has a message `U` of a topic `T`.
    fn with_message() -> Running {
        let peer = Running::start();
        let properties = "UNIQ_KEY\u{1}U".to_owned();
        let store_host = peer.address.parse().unwrap();
        let plain = NewMessage::plain("T", 0, "body");
        let record = encode(&NewMessage { properties, store_host, ..plain }).unwrap();
        peer.answer(12, Command::response(0).with_body(record));
        peer.leads_to(&[("a", &peer.address)]);
        peer
    }

    #[tokio::test]
    async fn the_member_that_is_chosen_gets_the_message_and_what_it_made_of_it_is_told_b333() {
        let peer = with_message();
        peer.answer_with(309, |request| {
            let fields = ["consumerGroup", "clientId", "msgId"].map(|key| request.field(key));
            let [Some("g"), Some("c"), Some(id)] = fields else { return Command::response(1) };
            let body = format!(
                r#"{{"autoCommit":true,"consumeResult":"CR_THROW_EXCEPTION","order":false,"remark":"of {}","spentTimeMills":7}}"#,
                id.len()
            );
            Command::response(0).with_body(body.into_bytes())
        });
        let admin = peer.admin();
        let asked = |client: Option<&str>, dry_run| ConsumeDirectlyRequest {
            id: "U".to_owned(),
            topic: Some("T".to_owned()),
            group: "g".to_owned(),
            client_id: client.map(str::to_owned),
            dry_run,
        };
        peer.answer(203, Command::response(response::CONSUMER_NOT_ONLINE));
        let error = admin.hand_to_member(&asked(None, false)).await.unwrap_err();
        assert_eq!(error.to_string(), "no member of group \"g\" is connected to a");
        peer.answer_body(203, MEMBERS);
        let could = admin.hand_to_member(&asked(None, true)).await.unwrap();
        assert_eq!((could.client_id.as_str(), could.members.len()), ("c", 1));
        assert_eq!((could.result.clone(), could.is_success()), (None, false));
        assert!(!peer.asked().contains(&309));
        let error = admin.hand_to_member(&asked(Some("d"), false)).await.unwrap_err();
        assert!(
            matches!(&error, AdminError::NotFound(text) if text.starts_with("no \"d\" of")),
            "{error}"
        );
        let done = admin.hand_to_member(&asked(Some("c"), false)).await.unwrap();
        let told = (done.result.as_deref(), done.remark.as_deref(), done.spent_ms);
        // By the id that tells where it is stored.
        assert_eq!(told, (Some("CR_THROW_EXCEPTION"), Some("of 32"), 7));
        assert!(!done.is_success());
        let good = ConsumeDirectlyResponse { result: Some("CR_SUCCESS".to_owned()), ..done };
        assert!(good.is_success());
    }

    #[tokio::test]
    async fn a_message_whose_broker_is_not_registered_any_more_is_said_to_be_so() {
        let peer = with_message();
        let message = crate::proto::v1::StoredMessage {
            topic: "T".to_owned(),
            store_host: peer.address.clone(),
            ..Default::default()
        };
        let tracks = peer.admin().tracks(&message).await;
        assert!(!matches!(tracks, Err(AdminError::Unreachable(_))), "it is there: {tracks:?}");
        peer.leads_to(&[("b", "127.0.0.1:1")]);
        let error = peer.admin().tracks(&message).await.unwrap_err();
        let expected =
            format!("{}, which has the message, is not registered for its topic", peer.address);
        assert_eq!(error, AdminError::Unreachable(expected));
    }
}
