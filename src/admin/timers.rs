//! Messages that wait for a time of their own: listed (9008) and cancelled (9007) at brokers, which only nodes of ours
//! know how.
//!
//! Invariant: every master is asked, because an id does not tell where its message is.

use super::{Admin, AdminError, all, done, dry_run, failed, outcome, problem};
use crate::proto::v1::{
    CancelTimerRequest, CancelTimerResponse, ListTimersRequest, ListTimersResponse, TimersOnBroker,
    WaitingMessage,
};
use crate::remoting::bodies::extension::{self, CancelTimer, ListTimers, TimersPart};
use crate::remoting::{Command, request, response};

/// Messages that one broker is asked for at once.
const PART_MAX: usize = 1000;
/// Messages of a broker that are listed if nothing is asked for.
const LISTED: u32 = 100;

impl Admin {
    /// What waits at each master that lets messages wait. A master that does not say is told of in the listing.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn timers(
        &self,
        request: &ListTimersRequest,
    ) -> Result<ListTimersResponse, AdminError> {
        let count_max = usize::try_from(request.limit.unwrap_or(LISTED)).unwrap_or(usize::MAX);
        let groups = self.broker_groups(None).await?;
        let asked = groups.iter().map(async |group| {
            let name = group.broker_name.clone();
            let Some(master) = group.master() else {
                return Err(problem(group, format!("{name}: its master is not registered")));
            };
            match self.timers_of(name, master, request.from_ms, count_max).await {
                // A 4.9.4 broker lets nothing wait for a time.
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => Ok(None),
                found => found.map(Some).map_err(|error| problem(group, error.to_string())),
            }
        });
        let mut answer = ListTimersResponse::default();
        for one in all(asked).await {
            match one {
                Ok(one) => answer.brokers.extend(one),
                Err(problem) => answer.problems.push(problem),
            }
        }
        Ok(answer)
    }

    async fn timers_of(
        &self,
        broker: String,
        master: &str,
        from_ms: i64,
        count_max: usize,
    ) -> Result<TimersOnBroker, AdminError> {
        let mut found = TimersOnBroker { broker, ..TimersOnBroker::default() };
        let mut next = Some((from_ms, 0));
        while let Some((from_ms, from_offset)) = next.filter(|_| found.messages.len() < count_max) {
            let counts = found.messages.is_empty();
            let count_max = PART_MAX.min(count_max - found.messages.len());
            let asked = ListTimers { from_ms, from_offset, count_max, counts };
            let request = Command::request(request::EXTENSION_LIST_TIMERS);
            let answer = self.call(master, request.with_body(extension::to_bytes(&asked))).await?;
            let part: TimersPart = extension::parse(&answer.body)
                .map_err(|error| AdminError::unreadable(master, &error))?;
            let rows = part.rows.into_iter();
            found.messages.extend(rows.map(|row| WaitingMessage {
                due_ms: row.due_ms,
                topic: row.topic,
                id: row.id,
            }));
            found.count = part.count.unwrap_or(found.count);
            // It goes on, whatever a broker says.
            next = part.next.filter(|next| *next > (from_ms, from_offset));
        }
        found.has_more = next.is_some();
        Ok(found)
    }

    /// Cancels the messages with this id, as its producer was told it, that wait for a time of their own.
    ///
    /// # Errors
    /// Nobody answers, or no master has such a message.
    pub async fn cancel_timer(
        &self,
        CancelTimerRequest { id, dry_run: is_dry }: &CancelTimerRequest,
    ) -> Result<CancelTimerResponse, AdminError> {
        let groups = self.broker_groups(None).await?;
        let ask = async |group: &str, master: &str| {
            let body = extension::to_bytes(&CancelTimer { id: id.clone(), dry_run: *is_dry });
            let request = Command::request(request::EXTENSION_CANCEL_TIMER).with_body(body);
            let answer = self.call(master, request).await;
            // A 4.9.4 broker lets nothing wait for a time.
            let is_elsewhere = answer.as_ref().is_err_and(|error| {
                error.is_refused(response::QUERY_NOT_FOUND)
                    || error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED)
            });
            let became = if *is_dry && answer.is_ok() { dry_run() } else { outcome(answer) };
            (!is_elsewhere).then(|| done(group, Some(master), became))
        };
        let asked = groups.iter().map(|group| async {
            match group.master() {
                Some(master) => ask(&group.broker_name, master).await,
                None => {
                    Some(done(&group.broker_name, None, failed(&"its master is not registered")))
                }
            }
        });
        let done: Vec<_> = all(asked).await.into_iter().flatten().collect();
        if done.is_empty() {
            let text = format!("no message of the id \"{id}\" waits for its time");
            return Err(AdminError::NotFound(text));
        }
        Ok(CancelTimerResponse { done })
    }
}
