//! Every request code: which file answers it, or why it is refused. The one map; nothing is answered elsewhere.
//!
//! Not what the answers say, nor how they are sent (`answers`).

use std::sync::Arc;

use super::answers::{at_once, blocking, not_supported, send_answer};
use super::{
    Broker, accounts, broker_config, client_calls, client_lists, extension, groups, heartbeats,
    metadata_sync, offsets, order_locks, progress, pull, query, queue_entries, reply, runtime_info,
    send, send_back, start_step, statistics, subscriptions, topic_stats, topics, transactions,
    upkeep,
};
use crate::remoting::{Command, request};
use crate::transport::Responder;

/// Refused for good: filter servers ran classes of clients beside the broker, and nothing here runs what a client sends.
const REFUSED: [i32; 1] = [request::REGISTER_FILTER_SERVER];

/// Answers a request, now or later.
pub(super) fn answer(broker: &Arc<Broker>, request: Command, responder: Responder) {
    match start_step::refusal(broker, request.code) {
        Some(refusal) => send_answer(responder, Err(refusal)),
        None if extension::CODES.contains(&request.code) => {
            extension::answer(broker, request, responder);
        }
        None => answer_served(broker, request, responder),
    }
}

/// Answers a request about a stored message that was looked for and not found, as if it had not arrived since. Blocks.
pub(super) fn answer_unfound(broker: &Arc<Broker>, request: Command, responder: Responder) {
    if let Some(refusal) = start_step::refusal(broker, request.code) {
        return send_answer(responder, Err(refusal));
    }
    let answer = match request.code {
        request::END_TRANSACTION => {
            return transactions::end_unfound(broker, &request, responder);
        }
        request::CONSUMER_SEND_MSG_BACK => send_back::answer_with(broker, &request, |_| Ok(None)),
        request::CONSUME_MESSAGE_DIRECTLY => {
            client_calls::with_message(broker, request, |_| Ok(None))
        }
        request::VIEW_MESSAGE_BY_ID => query::found_at(&request, |_| Ok(None)),
        // Of no other code it is looked for; none is answered whose permissions were not checked.
        _ => return not_supported(&request, responder),
    };
    send_answer(responder, answer);
}

/// Answers a request of a broker that serves, or one that is answered before too.
fn answer_served(broker: &Arc<Broker>, request: Command, responder: Responder) {
    match request.code {
        request::PULL_MESSAGE => pull::answer(broker, request, responder),
        request::QUERY_MESSAGE => query::by_key(broker, request, responder),
        request::VIEW_MESSAGE_BY_ID => query::by_offset(broker, request, responder),
        request::QUERY_CONSUMER_OFFSET => offsets::query(broker, request, responder),
        request::UPDATE_CONSUMER_OFFSET => {
            send_answer(responder, offsets::update(broker, &request));
        }
        request::SEARCH_OFFSET_BY_TIMESTAMP => {
            blocking(broker, request, responder, offsets::search);
        }
        request::GET_MAX_OFFSET => send_answer(responder, offsets::max(broker, &request)),
        request::GET_MIN_OFFSET => offsets::min(broker, request, responder),
        request::GET_EARLIEST_MSG_STORETIME => {
            blocking(broker, request, responder, offsets::earliest_store_time);
        }
        request::LOCK_BATCH_MQ => send_answer(responder, order_locks::lock(broker, &request)),
        request::UNLOCK_BATCH_MQ => send_answer(responder, order_locks::unlock(broker, &request)),
        request::SEND_MESSAGE | request::SEND_MESSAGE_V2 | request::SEND_BATCH_MESSAGE => {
            send::answer(broker, &request, responder);
        }
        request::SEND_REPLY_MESSAGE | request::SEND_REPLY_MESSAGE_V2 => {
            reply::answer(broker, &request, responder);
        }
        request::CONSUMER_SEND_MSG_BACK => blocking(broker, request, responder, send_back::answer),
        request::UPDATE_AND_CREATE_TOPIC => blocking(broker, request, responder, topics::update),
        request::GET_ALL_TOPIC_CONFIG => blocking(broker, request, responder, topics::list),
        request::DELETE_TOPIC_IN_BROKER => blocking(broker, request, responder, topics::delete),
        request::GET_TOPIC_STATS_INFO => blocking(broker, request, responder, topic_stats::answer),
        request::VIEW_BROKER_STATS_DATA => {
            send_answer(responder, statistics::view(broker, &request))
        }
        request::GET_ALL_CONSUMER_OFFSET => {
            blocking(broker, request, responder, metadata_sync::consumer_offsets);
        }
        request::GET_ALL_DELAY_OFFSET => {
            at_once(broker, &request, responder, metadata_sync::delay_offsets);
        }
        request::END_TRANSACTION => transactions::end(broker, request, responder),
        request::RESUME_CHECK_HALF_MESSAGE => {
            blocking(broker, request, responder, transactions::resume);
        }
        request::HEART_BEAT => at_once(broker, &request, responder, heartbeats::heartbeat),
        request::CHECK_CLIENT_CONFIG => {
            at_once(broker, &request, responder, subscriptions::check);
        }
        request::UNREGISTER_CLIENT => at_once(broker, &request, responder, heartbeats::unregister),
        request::GET_CONSUMER_LIST_BY_GROUP => {
            at_once(broker, &request, responder, client_lists::consumers_ids);
        }
        request::GET_CONSUMER_CONNECTION_LIST => {
            at_once(broker, &request, responder, client_lists::consumers);
        }
        request::GET_PRODUCER_CONNECTION_LIST => {
            at_once(broker, &request, responder, client_lists::producers);
        }
        request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => {
            blocking(broker, request, responder, groups::update);
        }
        request::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => {
            at_once(broker, &request, responder, groups::list);
        }
        request::DELETE_SUBSCRIPTIONGROUP => blocking(broker, request, responder, groups::delete),
        request::GET_BROKER_RUNTIME_INFO => {
            blocking(broker, request, responder, runtime_info::answer);
        }
        _ => answer_tools(broker, request, responder),
    }
}

/// Answers what only tools ask.
fn answer_tools(broker: &Arc<Broker>, request: Command, responder: Responder) {
    match request.code {
        request::GET_ALL_PRODUCER_INFO => {
            blocking(broker, request, responder, client_lists::every_producer);
        }
        request::GET_CONSUME_STATS => blocking(broker, request, responder, progress::of_group),
        request::GET_BROKER_CONSUME_STATS => blocking(broker, request, responder, progress::of_all),
        request::QUERY_CONSUME_TIME_SPAN => blocking(broker, request, responder, progress::spans),
        request::QUERY_TOPIC_CONSUME_BY_WHO => {
            blocking(broker, request, responder, progress::readers);
        }
        request::QUERY_CORRECTION_OFFSET => {
            blocking(broker, request, responder, progress::correction);
        }
        request::CLONE_GROUP_OFFSET => {
            blocking(broker, request, responder, groups::clone_positions);
        }
        request::INVOKE_BROKER_TO_RESET_OFFSET => {
            blocking(broker, request, responder, client_calls::reset_offsets);
        }
        request::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => {
            client_calls::statuses(broker, &request, responder);
        }
        request::GET_CONSUMER_RUNNING_INFO => client_calls::call(broker, request, responder),
        request::CONSUME_MESSAGE_DIRECTLY => {
            client_calls::consume_directly(broker, request, responder);
        }
        request::QUERY_CONSUME_QUEUE => blocking(broker, request, responder, queue_entries::answer),
        request::GET_TOPIC_CONFIG => at_once(broker, &request, responder, topics::show),
        request::GET_SUBSCRIPTIONGROUP_CONFIG => {
            at_once(broker, &request, responder, groups::show);
        }
        request::GET_BROKER_CONFIG => at_once(broker, &request, responder, broker_config::show),
        request::UPDATE_BROKER_CONFIG => {
            blocking(broker, request, responder, broker_config::update);
        }
        request::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => {
            at_once(broker, &request, responder, topics::list_system);
        }
        request::DELETE_EXPIRED_COMMITLOG => {
            at_once(broker, &request, responder, upkeep::delete_expired_log);
        }
        request::CLEAN_EXPIRED_CONSUMEQUEUE | request::CLEAN_UNUSED_TOPIC => {
            at_once(broker, &request, responder, upkeep::nothing_left);
        }
        request::UPDATE_AND_CREATE_ACL_CONFIG => {
            blocking(broker, request, responder, accounts::update);
        }
        request::DELETE_ACL_CONFIG => blocking(broker, request, responder, accounts::delete),
        request::GET_BROKER_CLUSTER_ACL_INFO => {
            blocking(broker, request, responder, accounts::versions);
        }
        request::UPDATE_GLOBAL_WHITE_ADDRS_CONFIG => {
            blocking(broker, request, responder, accounts::set_white_addresses);
        }
        request::GET_BROKER_CLUSTER_ACL_CONFIG => {
            blocking(broker, request, responder, accounts::all);
        }
        code => {
            if REFUSED.contains(&code) {
                let (name, by) = (request::name(code), responder.connection().remote());
                tracing::info!(code, name, %by, "a request that this broker does not answer");
            }
            not_supported(&request, responder);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests_support::TestBroker;
    use super::*;

    #[tokio::test]
    async fn what_is_not_built_and_what_is_unknown_is_refused_alike_r040() {
        let broker = TestBroker::new();
        for code in REFUSED.into_iter().chain([0, -1, 999]) {
            let remark = format!(" request type {code} not supported");
            assert_eq!(broker.refused(Command::request(code)).await, (3, remark));
        }
    }
}
