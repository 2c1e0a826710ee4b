//! Cancelling messages that wait for a time of their own: 9007 at brokers, which only nodes of ours know.
//!
//! Invariant: every master is asked, because an id does not tell where its message is.

use super::{Admin, AdminError, all, done, failed, outcome};
use crate::proto::v1::CancelTimerResponse;
use crate::remoting::bodies::extension::{self, CancelTimer};
use crate::remoting::{Command, request, response};

impl Admin {
    /// Cancels the messages with this id, as its producer was told it, that wait for a time of their own.
    ///
    /// # Errors
    /// Nobody answers, or no master has such a message.
    pub async fn cancel_timer(&self, id: &str) -> Result<CancelTimerResponse, AdminError> {
        let groups = self.broker_groups(None).await?;
        let ask = async |group: &str, master: &str| {
            let body = extension::to_bytes(&CancelTimer { id: id.to_owned() });
            let request = Command::request(request::EXTENSION_CANCEL_TIMER).with_body(body);
            let answer = self.call(master, request).await;
            // A 4.9.4 broker lets nothing wait for a time.
            let is_elsewhere = answer.as_ref().is_err_and(|error| {
                error.is_refused(response::QUERY_NOT_FOUND)
                    || error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED)
            });
            (!is_elsewhere).then(|| done(group, Some(master), outcome(answer)))
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
