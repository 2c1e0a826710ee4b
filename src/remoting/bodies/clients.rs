//! Who is connected, as tools and clients are told (38, 203, 204, 328; B-240, B-316 to B-318).
//!
//! Not the tables behind it (the broker's). Invariant: what a client said in its heartbeat comes back as it said it,
//! with 4.9.4's defaults for what it left out.

use bytes::Bytes;

use super::heartbeat::{ConsumeMode, SubscriptionData};
use crate::model::GroupName;
use crate::remoting::json::{self, Form, Value};
use crate::remoting::{DecodeError, Language};

/// One connection of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientConnection {
    /// Its id.
    pub client_id: String,
    /// Where it connected from, `ip:port`.
    pub address: String,
    /// Its language.
    pub language: Language,
    /// Its version ordinal.
    pub version: i32,
}

/// A connection of a producer as 328 shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// The connection.
    pub connection: ClientConnection,
    /// When its last heartbeat came, in milliseconds since 1970.
    pub last_update_timestamp: i64,
}

/// The answer to 203, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerConnections {
    /// Who is connected.
    pub connections: Vec<ClientConnection>,
    /// How they consume.
    pub mode: ConsumeMode,
    /// What they subscribe: topic and expression.
    pub subscriptions: Vec<Subscribed>,
}

/// A subscription as tools show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Subscribed {
    /// The topic.
    pub topic: String,
    /// The expression (`subString`).
    pub expression: String,
    /// The tags of it (`tagsSet`).
    pub tags: Vec<String>,
}

/// Reads the answer to 203.
///
/// # Errors
/// It is none.
pub fn parse_consumer_connections(body: &[u8]) -> Result<ConsumerConnections, DecodeError> {
    let value = json::parse(body)?;
    let subscribed = |(_, one): &(Value<'_>, Value<'_>)| Subscribed {
        topic: one.text("topic").unwrap_or_default().to_owned(),
        expression: one.text("subString").unwrap_or_default().to_owned(),
        tags: one.texts("tagsSet"),
    };
    Ok(ConsumerConnections {
        connections: read_connections(&value)?,
        mode: ConsumeMode::read(&value),
        subscriptions: value.get("subscriptionTable").entries().iter().map(subscribed).collect(),
    })
}

/// Reads the answer to 204.
///
/// # Errors
/// It is none.
pub fn parse_producer_connections(body: &[u8]) -> Result<Vec<ClientConnection>, DecodeError> {
    read_connections(&json::parse(body)?)
}

/// Reads the answer to 328.
///
/// # Errors
/// It is none.
pub fn parse_all_producers(body: &[u8]) -> Result<Vec<(String, Vec<Producer>)>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the producers")?;
    let producer = |one: &Value<'_>| {
        let address = one.text("remoteIP").unwrap_or_default();
        Ok(Producer {
            connection: read_connection(one, address.trim_start_matches('/'))?,
            last_update_timestamp: one.number_or("lastUpdateTimestamp", 0)?,
        })
    };
    let group = |(group, producers): &(Value<'_>, Value<'_>)| {
        let producers = producers.items().iter().map(producer).collect::<Result<_, _>>()?;
        Ok((group.as_str().unwrap_or_default().to_owned(), producers))
    };
    value.get("data").entries().iter().map(group).collect()
}

fn read_connections(value: &Value<'_>) -> Result<Vec<ClientConnection>, DecodeError> {
    value.expect_object("the connections")?;
    let read = |one: &Value<'_>| read_connection(one, one.text("clientAddr").unwrap_or_default());
    value.get("connectionSet").items().iter().map(read).collect()
}

fn read_connection(value: &Value<'_>, address: &str) -> Result<ClientConnection, DecodeError> {
    Ok(ClientConnection {
        client_id: value.text("clientId").unwrap_or_default().to_owned(),
        address: address.to_owned(),
        language: Language::parse(value.text("language").unwrap_or_default()),
        version: value.number_or("version", 0)?,
    })
}

/// The answer to 38.
#[must_use]
pub fn consumer_ids(ids: &[String]) -> Bytes {
    let ids = Value::array(ids.iter().map(String::as_str));
    Value::object([("consumerIdList", ids)]).to_bytes(Form::Dialect)
}

/// The answer to 203.
#[must_use]
pub fn consumer_connections(
    connections: &[ClientConnection],
    mode: ConsumeMode,
    subscriptions: &[SubscriptionData],
) -> Bytes {
    let table = subscriptions.iter().map(|one| (one.topic.as_str(), subscription_value(one)));
    let body = Value::object([
        ("connectionSet", connection_set(connections)),
        ("consumeFromWhere", mode.consume_from_where.as_str().into()),
        ("consumeType", mode.consume_type.as_str().into()),
        ("messageModel", mode.message_model.as_str().into()),
        ("subscriptionTable", Value::map(table)),
    ]);
    body.to_bytes(Form::Dialect)
}

/// The answer to 204.
#[must_use]
pub fn producer_connections(connections: &[ClientConnection]) -> Bytes {
    Value::object([("connectionSet", connection_set(connections))]).to_bytes(Form::Dialect)
}

/// The answer to 328.
#[must_use]
pub fn all_producers(groups: &[(GroupName, Vec<Producer>)]) -> Bytes {
    let groups = groups.iter().map(|(group, producers)| {
        let producers = producers.iter().map(producer_value);
        (group.as_str(), Value::array(producers))
    });
    Value::object([("data", Value::map(groups))]).to_bytes(Form::Dialect)
}

fn producer_value(producer: &Producer) -> Value<'_> {
    let connection = &producer.connection;
    Value::object([
        ("clientId", connection.client_id.as_str().into()),
        ("language", connection.language.name().into()),
        ("lastUpdateTimestamp", producer.last_update_timestamp.into()),
        // As Java shows a socket's address.
        ("remoteIP", format!("/{}", connection.address).into()),
        ("version", connection.version.into()),
    ])
}

fn connection_set(connections: &[ClientConnection]) -> Value<'_> {
    let connections = connections.iter().map(|one| {
        Value::object([
            ("clientAddr", one.address.as_str().into()),
            ("clientId", one.client_id.as_str().into()),
            ("language", one.language.name().into()),
            ("version", one.version.into()),
        ])
    });
    Value::array(connections)
}

/// A subscription as 203 and 321 show it.
pub(super) fn subscription_value(subscription: &SubscriptionData) -> Value<'_> {
    Value::object([
        ("classFilterMode", subscription.class_filter_mode.into()),
        ("codeSet", Value::array(subscription.codes.iter().copied())),
        ("expressionType", subscription.expression_type.as_str().into()),
        ("subString", subscription.expression.as_str().into()),
        ("subVersion", subscription.version.into()),
        ("tagsSet", Value::array(subscription.tags.iter().map(String::as_str))),
        ("topic", subscription.topic.as_str().into()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> ClientConnection {
        ClientConnection {
            client_id: "c".into(),
            address: "10.0.0.1:7".into(),
            language: Language::JAVA,
            version: 401,
        }
    }

    #[test]
    fn answers_are_494s_byte_for_byte() {
        assert_eq!(
            &consumer_ids(&["a".into(), "b".into()])[..],
            br#"{"consumerIdList":["a","b"]}"#
        );
        assert_eq!(&producer_connections(&[])[..], br#"{"connectionSet":[]}"#);
        let producer = Producer { connection: connection(), last_update_timestamp: 9 };
        assert_eq!(
            &all_producers(&[(GroupName::new("G"), vec![producer])])[..],
            br#"{"data":{"G":[{"clientId":"c","language":"JAVA","lastUpdateTimestamp":9,"remoteIP":"/10.0.0.1:7","version":401}]}}"#
        );
        let subscription = SubscriptionData {
            topic: "T".into(),
            expression: "a".into(),
            expression_type: "TAG".into(),
            tags: vec!["a".into()],
            codes: vec![97],
            class_filter_mode: false,
            version: 5,
        };
        let body = consumer_connections(&[connection()], ConsumeMode::default(), &[subscription]);
        assert_eq!(
            std::str::from_utf8(&body).unwrap(),
            r#"{"connectionSet":[{"clientAddr":"10.0.0.1:7","clientId":"c","language":"JAVA","version":401}],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","subscriptionTable":{"T":{"classFilterMode":false,"codeSet":[97],"expressionType":"TAG","subString":"a","subVersion":5,"tagsSet":["a"],"topic":"T"}}}"#
        );
    }
}
