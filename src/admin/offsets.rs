//! Letting a group go on elsewhere: 208 and 202 for where it is and may be, 29 for a time, then 222 if members are
//! connected, else 15 for each queue.
//!
//! Invariants: members that are connected write their own positions over ours, so that with them positions are never set
//! but by them; nothing is changed before everything is known.

use super::{
    Admin, AdminError, Became, Reset, all, dry_run, failed, from_each, master_of, outcome,
};
use crate::model::MessageQueue;
use crate::proto::v1::{QueueReset, ResetOffsetsRequest, ResetOffsetsResponse, ResetTarget};
use crate::remoting::Language;
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::bodies::topic_stats::TopicOffset;

/// Where 222 puts a group behind the last message.
const LATEST: i64 = -1;

impl Admin {
    /// Lets a group go on elsewhere in a topic.
    ///
    /// # Errors
    /// Nothing was changed: nobody answers, there is no such topic or group, the target makes no sense, or members are
    /// connected that cannot be told.
    pub async fn reset_group(
        &self,
        request: &ResetOffsetsRequest,
    ) -> Result<ResetOffsetsResponse, AdminError> {
        if request.target() == ResetTarget::Unspecified {
            return Err(AdminError::Invalid(
                "it is not said where the group is to go on".to_owned(),
            ));
        }
        let brokers = self.route(&request.topic).await?.brokers;
        let members = self.members_of(brokers.iter(), &request.group).await?;
        let has_members = !members.connections.is_empty();
        if has_members && told_as(request).is_none() {
            let text = format!(
                "{} members of \"{}\" are connected, and can only be told to go to earliest, latest or a time: stop them, or \
                 choose one of these",
                members.connections.len(),
                request.group
            );
            return Err(AdminError::Conflict(text));
        }
        let is_cpp = members.connections.iter().any(|one| one.language == Language::CPP);
        let plans = all(brokers.iter().map(|group| self.plan(group, request))).await;
        let (planned, problems) = from_each(&brokers, plans, "queues")?;
        // Brokers show 0 for no position, of a group that is not there too.
        let mut before = planned.iter().flat_map(|(_, queues)| queues).map(|queue| queue.before);
        if !has_members && before.all(|before| before.unwrap_or(0) == 0) {
            self.must_be_known(&request.group, &self.broker_groups(None).await?).await?;
        }
        let mut answer =
            ResetOffsetsResponse { members_told: has_members, problems, queues: Vec::new() };
        for (group, mut queues) in planned {
            match (request.dry_run, has_members) {
                (true, _) => queues.iter_mut().for_each(|queue| became(queue, dry_run())),
                (false, true) => self.tell_members(group, request, is_cpp, &mut queues).await,
                (false, false) => self.set_positions(group, request, &mut queues).await,
            }
            answer.queues.append(&mut queues);
        }
        answer.queues.sort_unstable_by(|a, b| (&a.broker, a.queue).cmp(&(&b.broker, b.queue)));
        Ok(answer)
    }

    /// Where the group is in each queue of a broker, and where it is to go.
    async fn plan(
        &self,
        group: &BrokerData,
        request: &ResetOffsetsRequest,
    ) -> Result<Vec<QueueReset>, AdminError> {
        let address = master_of(group)?;
        let (name, topic) = (&request.group, &request.topic);
        let stats = self.consume_stats(address, name, Some(topic)).await?;
        let offsets = self.topic_offsets(address, topic).await?;
        let mut queues = Vec::new();
        for one in offsets {
            let position = stats.queues.iter().find(|position| position.queue == one.queue);
            let before = position.map(|position| position.consumer_offset);
            let wanted = self.wanted(address, request, &one, before).await?;
            queues.push(QueueReset {
                broker: group.broker_name.clone(),
                queue: one.queue.queue_id,
                before,
                after: wanted.clamp(one.min_offset, one.max_offset.max(one.min_offset)),
                min_offset: one.min_offset,
                max_offset: one.max_offset,
                ..QueueReset::default()
            });
        }
        Ok(queues)
    }

    async fn wanted(
        &self,
        address: &str,
        request: &ResetOffsetsRequest,
        queue: &TopicOffset,
        before: Option<i64>,
    ) -> Result<i64, AdminError> {
        Ok(match request.target() {
            ResetTarget::Unspecified | ResetTarget::Earliest => queue.min_offset,
            ResetTarget::Latest => queue.max_offset,
            ResetTarget::Offset => request.value,
            ResetTarget::Shift => before.unwrap_or(queue.min_offset).saturating_add(request.value),
            ResetTarget::Time => {
                let (topic, number) = (&request.topic, queue.queue.queue_id);
                self.search_offset(address, topic, number, request.value).await?
            }
        })
    }

    /// Has the members go there; they say where that is.
    async fn tell_members(
        &self,
        group: &BrokerData,
        request: &ResetOffsetsRequest,
        is_cpp: bool,
        queues: &mut [QueueReset],
    ) {
        let (Some(address), Some(timestamp)) = (group.master(), told_as(request)) else { return };
        let (topic, name) = (request.topic.as_str(), request.group.as_str());
        let reset = Reset { topic, group: name, timestamp, is_forced: true, is_cpp };
        let told = self.reset_offsets(address, reset).await;
        for queue in queues {
            match &told {
                Err(error) => became(queue, failed(error)),
                Ok(offsets) => {
                    let its = |(at, _): &&(MessageQueue, i64)| {
                        at.queue_id == queue.queue && at.broker_name == queue.broker
                    };
                    if let Some((_, offset)) = offsets.iter().find(its) {
                        queue.after = *offset;
                    }
                    became(queue, outcome(Ok(())));
                }
            }
        }
    }

    async fn set_positions(
        &self,
        group: &BrokerData,
        request: &ResetOffsetsRequest,
        queues: &mut [QueueReset],
    ) {
        let Some(address) = group.master() else { return };
        for queue in queues {
            // Also where it is there already: brokers show 0 for no position (208), with which a group would begin elsewhere.
            let at = MessageQueue {
                topic: request.topic.clone(),
                broker_name: queue.broker.clone(),
                queue_id: queue.queue,
            };
            let set = self.set_offset(address, &request.group, &at, queue.after).await;
            became(queue, outcome(set));
        }
    }
}

fn became(queue: &mut QueueReset, (outcome, reason): Became) {
    (queue.outcome, queue.reason) = (outcome, reason);
}

/// The time by which 222 says it, if it can.
fn told_as(request: &ResetOffsetsRequest) -> Option<i64> {
    match request.target() {
        ResetTarget::Earliest => Some(0),
        ResetTarget::Latest => Some(LATEST),
        ResetTarget::Time => Some(request.value),
        ResetTarget::Unspecified | ResetTarget::Shift | ResetTarget::Offset => None,
    }
}
