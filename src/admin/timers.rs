//! Messages that wait for a time of their own: listed (9008) and cancelled (9007) at brokers, which only nodes of ours
//! know how.
//!
//! Invariant: every master is asked, because an id does not tell where its message is.

use super::topics::outcome;
use serde::Serialize;

use super::{Admin, AdminError, Outcome, WhereDone, all};
use crate::remoting::bodies::extension::{self, CancelTimer, ListTimers, TimersPart};
use crate::remoting::{Command, request, response};

/// Messages that one broker is asked for at once.
const PART_MAX: usize = 1000;

/// A message that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Waiting {
    /// When it is due, in milliseconds since 1970.
    pub due_ms: i64,
    /// The topic that it is for.
    pub topic: String,
    /// The id that its producer was told.
    pub id: String,
}

/// What waits at one master.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WaitingOnBroker {
    /// Its group.
    pub broker: String,
    /// How many wait there in all.
    pub count: u64,
    /// The first of them that are due from the time on that was asked for.
    pub messages: Vec<Waiting>,
    /// Whether there are more of these than are shown.
    pub has_more: bool,
}

impl Admin {
    /// What waits at each master that lets messages wait, of what is due from `from_ms` on at most `count_max` each; and
    /// a sentence for each master that did not say.
    ///
    /// # Errors
    /// No name server answers.
    pub async fn timers(
        &self,
        from_ms: i64,
        count_max: usize,
    ) -> Result<(Vec<WaitingOnBroker>, Vec<String>), AdminError> {
        let groups = self.broker_groups(None).await?;
        let asked = groups.iter().map(|group| async {
            let name = group.broker_name.clone();
            let Some(master) = group.master() else {
                return Err(format!("{name}: its master is not registered"));
            };
            match self.timers_of(name, master, from_ms, count_max).await {
                // A 4.9.4 broker lets nothing wait for a time.
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => Ok(None),
                found => found.map(Some).map_err(|error| error.to_string()),
            }
        });
        let (mut found, mut problems) = (Vec::new(), Vec::new());
        for one in all(asked).await {
            match one {
                Ok(one) => found.extend(one),
                Err(problem) => problems.push(problem),
            }
        }
        Ok((found, problems))
    }

    async fn timers_of(
        &self,
        broker: String,
        master: &str,
        from_ms: i64,
        count_max: usize,
    ) -> Result<WaitingOnBroker, AdminError> {
        let mut found = WaitingOnBroker { broker, ..WaitingOnBroker::default() };
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
            found.messages.extend(rows.map(|row| Waiting {
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
    pub async fn cancel_timer(&self, id: &str) -> Result<Vec<WhereDone>, AdminError> {
        let groups = self.broker_groups(None).await?;
        let ask = async |group, master: String| {
            let body = extension::to_bytes(&CancelTimer { id: id.to_owned() });
            let request = Command::request(request::EXTENSION_CANCEL_TIMER).with_body(body);
            let answer = self.call(&master, request).await;
            // A 4.9.4 broker lets nothing wait for a time.
            let is_elsewhere = answer.as_ref().is_err_and(|error| {
                error.is_refused(response::QUERY_NOT_FOUND)
                    || error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED)
            });
            let done = WhereDone { at: group, address: Some(master), outcome: outcome(answer) };
            (!is_elsewhere).then_some(done)
        };
        let asked = groups.iter().map(|group| async {
            let Some(master) = group.master() else {
                let outcome = Outcome::Failed("its master is not registered".to_owned());
                return Some(WhereDone { at: group.broker_name.clone(), address: None, outcome });
            };
            ask(group.broker_name.clone(), master.to_owned()).await
        });
        let done: Vec<_> = all(asked).await.into_iter().flatten().collect();
        if done.is_empty() {
            let text = format!("no message of the id \"{id}\" waits for its time");
            return Err(AdminError::NotFound(text));
        }
        Ok(done)
    }
}
