//! Connected clients: M-040 to M-042.

use super::groups;
use super::run::{Done, Run};
use crate::admin::AdminError;
use crate::model::version_name as version;
use crate::remoting::response;

/// `consumerConnection` (M-040).
pub(super) async fn consumers(run: &mut Run) -> Done {
    let group = run.given.must('g').to_owned();
    let found = match run.given.get('b') {
        Some(address) => run.admin.consumers(address, &group).await?,
        None => groups::consumers(run, &group).await?,
    };
    if found.connections.is_empty() {
        return Err(
            AdminError::NotFound(format!("no consumer of group \"{group}\" is connected")).into()
        );
    }
    run.line(format_args!(
        "{:<36} {:<22} {:<10} {}",
        "#ClientId", "#ClientAddr", "#Language", "#Version"
    ))?;
    for client in found.connections {
        let (id, address, language) = (client.client_id, client.address, client.language.name());
        run.line(format_args!(
            "{id:<36} {address:<22} {language:<10} {}",
            version(client.version)
        ))?;
    }
    run.line(format_args!("\nBelow is subscription:\n{:<20} {}", "#Topic", "#SubExpression"))?;
    for one in found.subscriptions {
        run.line(format_args!("{:<20} {}", one.topic, one.expression))?;
    }
    let (kind, model, from) =
        (found.mode.consume_type, found.mode.message_model, found.mode.consume_from_where);
    run.line(format_args!("\nConsumeType: {}\nMessageModel: {}", kind.as_str(), model.as_str()))?;
    run.line(format_args!("ConsumeFromWhere: {}", from.as_str()))
}

/// `producerConnection` (M-041).
pub(super) async fn producers(run: &mut Run) -> Done {
    let (group, topic) = (run.given.must('g').to_owned(), run.given.must('t').to_owned());
    let route = run.admin.route(&topic).await?;
    let mut last = AdminError::NotFound(format!("no producer of group \"{group}\" is connected"));
    // Clients tell all brokers of their topics: 4.9.4 asks any of them.
    for address in route.brokers.iter().filter_map(|broker| broker.address()) {
        let found = match run.admin.producers(address, &group).await {
            Ok(found) if found.is_empty() => continue,
            Ok(found) => found,
            // 4.9.4 says so of a group that it does not know (B-317).
            Err(error) if error.is_refused(response::SYSTEM_ERROR) => continue,
            Err(error) => {
                last = error;
                continue;
            }
        };
        for (number, client) in (1..).zip(found) {
            let (id, address, language) =
                (client.client_id, client.address, client.language.name());
            run.line(format_args!(
                "{number:04}  {id:<32} {address:<22} {language:<8} {}",
                version(client.version)
            ))?;
        }
        return Ok(());
    }
    Err(last.into())
}

/// `producer` (M-042).
pub(super) async fn all_producers(run: &mut Run) -> Done {
    let groups = run.admin.all_producers(run.given.must('b')).await?;
    for (group, producers) in groups {
        if producers.is_empty() {
            run.line(format_args!("producer group ({group}) instances are empty"))?;
        }
        for one in producers {
            let client = one.connection;
            run.line(format_args!(
                "producer group ({group}) instance : clientId={},remoteIP=/{}, language={}, version={}, lastUpdateTimestamp={}",
                client.client_id,
                client.address,
                client.language.name(),
                client.version,
                one.last_update_timestamp
            ))?;
        }
    }
    Ok(())
}
