//! What operators do to a cluster, as plain functions: the admin facade, and the gRPC services before it.
//!
//! | file | what |
//! | --- | --- |
//! | `accounts` | accounts on all brokers: list, create, update, delete, white list |
//! | `cluster` | which brokers there are, and how they are: 106, then 28 and 9001 of each |
//! | `brokers/` | brokers one by one: list, show, out of use and back, their settings |
//! | `topics` | topics: list, show, create, delete, repair |
//! | `groups` | consumer groups: list, show, create, update, delete |
//! | `clients` | producers and consumers that are connected: list, show |
//! | `messages`, `browse` | messages: of an id, of a key, as they are stored; of a time, in pages |
//! | `producer` | sending messages as a client does |
//! | `direct` | handing a message to one member of a group |
//! | `tracks` | what became of a message: in each group, and as traces tell |
//! | `dead_letters`, `letters` | dead letters of a group: list, resend; read one after another |
//! | `name_servers` | name servers: what each knows, their values and settings, write permissions |
//! | `offsets` | letting a group go on elsewhere |
//! | `metadata/` | what a cluster is configured to be, as a whole |
//! | `node` | what only the node itself can tell and do |
//! | `upgrade` | whether its host can be stopped now |
//! | `audit` | who changed what through this node |
//! | `alerts/` | what is not as it should be, and who is told |
//! | `calls` | one request each, at one address: what the others and the old commands of mqadmin are made of |
//! | `timers` | messages that wait for a time of their own: list, cancel |
//! | `service/` | the facade as gRPC services, and the socket and the port that they are served on |
//!
//! The facade is a client of the cluster over remoting codes, and of this process only through `NodeControl`, so that it works on Apache's
//! and mixed clusters too. Its words are the messages of `proto/admin/v1`: functions take requests and return answers of
//! the services, so that gRPC, command line and console have one vocabulary. Not here: how results are printed.
//! Invariants: lists are read by bulk codes, never by a call an item; an action on several brokers goes on after one has
//! failed and tells of each; what changes the cluster knows `dry_run`; who asks until a deadline is answered before it.
//!
//! # Another noun or verb
//!
//! 1. `proto/admin/v1/NOUN.proto`: the method, its request and its answer, every field with a comment. An answer that can
//!    be long is a stream of parts; what can be missing from it has `repeated Problem problems`; what changes something at
//!    several places answers with `repeated Done done`.
//! 2. `src/admin/NOUN.rs`: `impl Admin { pub async fn verb(&self, request: &VerbRequest) -> Result<VerbResponse, AdminError> }`.
//! 3. `src/admin/service/NOUN.rs`: the generated trait for `Api`, a line a method: `answer` or `in_parts`; if it changes
//!    something, `change` and its `end`, which write the audit log; a row in `service/roles.rs`. A new service is added in
//!    `service/mod.rs`.
//! 4. `src/cli/admin/NOUN.rs`: the verbs as a clap enum, and what each prints: a `Sheet`, which has all formats. What
//!    destroys something asks first (`Confirmation`).
//! 5. Tests: the facade against a scripted peer (`tests.rs`), the tables in the file of 4, the command in `tests/it/admin.rs`.

mod accounts;
#[cfg(test)]
mod accounts_tests;
pub mod alerts;
mod audit;
mod brokers;
mod browse;
mod calls;
mod clients;
#[cfg(test)]
mod clients_tests;
mod cluster;
mod dead_letters;
#[cfg(test)]
mod dead_letters_tests;
mod direct;
mod groups;
#[cfg(test)]
mod groups_tests;
mod letters;
mod messages;
mod metadata;
mod name_servers;
#[cfg(test)]
mod name_servers_tests;
mod node;
mod offsets;
#[cfg(test)]
mod offsets_tests;
mod producer;
pub mod service;
#[cfg(test)]
mod tests;
mod timers;
mod topics;
mod tracks;
mod upgrade;

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::nearest;
use crate::proto::v1::{Done, Outcome, Problem};
use crate::remoting::bodies::route::BrokerData;
use crate::remoting::{Command, response};
use crate::transport::{CallError, Client, Credentials};

pub use accounts::DENIED;
pub use audit::AuditLog;
pub use browse::{Browse, Browsed, Place};
pub use calls::{
    AccountVersions, ConsumedDirectly, Message, Pull, PullStatus, Pulled, Reset, Sent, Statistics,
    statistics,
};
pub use cluster::{ACCOUNTS_DIFFER, ACCOUNTS_DIFFER_FIX};
pub use letters::DeadLetters;
pub use metadata::MetadataPlan;
pub use node::{NodeControl, OfNode, Own};
pub use producer::{Producer, WritableQueue};
pub use topics::{permission_from_text, permission_text};

/// How long one call may take (`mqadmin`'s own).
const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Things that one peer is asked for at the same time.
const AT_ONCE: usize = 64;
/// Of an answer without a remark.
const NO_REASON: &str = "no reason given";

/// Why an action was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AdminError {
    /// Nobody answers there.
    #[error("{0}")]
    Unreachable(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// What was asked for makes no sense; nothing was called.
    #[error("{0}")]
    Invalid(String),
    /// The cluster is in a state in which it cannot be done.
    #[error("{0}")]
    Conflict(String),
    /// A name server or broker said no.
    #[error("{address} refused: {remark} (code {code} {})", response::name(*code))]
    Refused {
        /// Who.
        address: String,
        /// Its response code.
        code: i32,
        /// Its own words.
        remark: String,
    },
    /// A name server or broker answered something that 4.9 does not.
    #[error("{address} answered what cannot be read: {reason}")]
    Answer {
        /// Who.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl AdminError {
    fn unreadable(address: &str, error: &impl ToString) -> Self {
        Self::Answer { address: address.to_owned(), reason: error.to_string() }
    }

    fn refused(address: &str, answer: Command) -> Self {
        let remark = answer.remark.unwrap_or_else(|| NO_REASON.to_owned());
        Self::Refused { address: address.to_owned(), code: answer.code, remark }
    }

    /// Whether it was refused with this code.
    #[must_use]
    pub fn is_refused(&self, refused: i32) -> bool {
        matches!(self, Self::Refused { code, .. } if *code == refused)
    }
}

impl From<CallError> for AdminError {
    fn from(error: CallError) -> Self {
        Self::Unreachable(error.to_string())
    }
}

/// One cluster, or several that share name servers.
#[derive(Clone, Debug)]
pub struct Admin {
    client: Client,
    /// Each as `host:port`.
    name_servers: Vec<String>,
    /// When whoever asked stops waiting.
    deadline: Option<Instant>,
}

impl Admin {
    /// Connects to nobody yet.
    #[must_use]
    pub fn new(name_servers: Vec<String>, credentials: Credentials) -> Self {
        let client = Client::with(None, credentials);
        Self { client, name_servers, deadline: None }
    }

    /// The same for somebody who waits until `deadline`: what is known by then is told before it, and what is missing.
    #[must_use]
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// Returns when nobody waits any more.
    pub async fn ended(&self) {
        match self.deadline {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
    }

    /// What `address` answers, whatever its code.
    async fn ask(
        &self,
        address: &str,
        request: Command,
        timeout: Duration,
    ) -> Result<Command, AdminError> {
        let asking = self.client.call(address, request, timeout);
        let Some(deadline) = self.deadline else { return Ok(asking.await?) };
        // Who does not answer takes half of what is left: the rest is for those who are asked next, and for telling.
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = tokio::time::timeout(left / 2, asking).await;
        Ok(answer.map_err(|_| CallError::Timeout(address.to_owned()))??)
    }

    /// A successful answer, or why there is none.
    async fn call(&self, address: &str, request: Command) -> Result<Command, AdminError> {
        self.call_within(address, request, CALL_TIMEOUT).await
    }

    /// The same, waiting for `timeout` at most.
    async fn call_within(
        &self,
        address: &str,
        request: Command,
        timeout: Duration,
    ) -> Result<Command, AdminError> {
        let answer = self.ask(address, request, timeout).await?;
        if answer.code == response::SUCCESS {
            return Ok(answer);
        }
        Err(AdminError::refused(address, answer))
    }

    /// The same of the first name server that can be reached, with its address: they all know the same.
    async fn call_name_server(&self, request: &Command) -> Result<(&str, Command), AdminError> {
        let mut reasons = Vec::new();
        for address in &self.name_servers {
            match self.call(address, request.clone()).await {
                Err(AdminError::Unreachable(reason)) => reasons.push(reason),
                Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => {
                    return Err(no_name_server(address));
                }
                answered => return answered.map(|answer| (address.as_str(), answer)),
            }
        }
        Err(AdminError::Unreachable(format!("no name server answers: {}", reasons.join("; "))))
    }
}

/// The known name that is probably meant, to stand behind one that is not there.
fn perhaps<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.filter(|one| *one != name).collect();
    // Of very short names each is nearly the other.
    let meant = nearest(name, &known).filter(|_| name.len() > 2);
    meant.map(|meant| format!(", perhaps \"{meant}\" is meant")).unwrap_or_default()
}

/// Who does not know what every name server of 4.9 answers is something else.
fn no_name_server(address: &str) -> AdminError {
    let text = format!(
        "{address} is no name server, it may be a broker's port: name a name server with -n, whose port is usually 9876"
    );
    AdminError::Invalid(text)
}

impl Outcome {
    /// As in JSON.
    #[must_use]
    pub fn as_word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Done => "done",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::DryRun => "dry-run",
        }
    }
}

/// What became of a change, and why not if it failed: the last two fields of [`Done`].
type Became = (i32, Option<String>);

fn outcome<T>(called: Result<T, AdminError>) -> Became {
    match called {
        Ok(_) => (Outcome::Done.into(), None),
        Err(error) => failed(&error),
    }
}

fn failed(reason: &impl ToString) -> Became {
    (Outcome::Failed.into(), Some(reason.to_string()))
}

fn unchanged() -> Became {
    (Outcome::Unchanged.into(), None)
}

fn dry_run() -> Became {
    (Outcome::DryRun.into(), None)
}

fn done(at: &str, address: Option<&str>, (outcome, reason): Became) -> Done {
    Done { at: at.to_owned(), address: address.map(str::to_owned), outcome, reason }
}

/// What the broker that is asked for its group did not say.
fn problem(group: &BrokerData, reason: String) -> Problem {
    Problem { at: group.broker_name.clone(), address: group.address().map(str::to_owned), reason }
}

/// Where the group can be asked.
///
/// # Errors
/// Neither its master nor a slave is registered.
fn address_of(group: &BrokerData) -> Result<&str, AdminError> {
    group.address().ok_or_else(|| {
        AdminError::Unreachable(format!("no broker of {} is registered", group.broker_name))
    })
}

/// Where the group can be changed.
///
/// # Errors
/// Its master is not registered.
fn master_of(group: &BrokerData) -> Result<&str, AdminError> {
    group.master().ok_or_else(|| {
        AdminError::Unreachable(format!("the master of {} is not registered", group.broker_name))
    })
}

/// That what is told of a group is what its slave knows, if it is: it may not have the newest.
fn of_slave(group: &BrokerData, what: &str) -> Option<Problem> {
    let name = &group.broker_name;
    let slave = group.address().filter(|_| group.master().is_none())?;
    let reason = format!(
        "{what} of {name} are as its slave at {slave} has them: the master of {name} is not registered"
    );
    Some(problem(group, reason))
}

/// As [`from_each`], with a problem for each group for which a slave answers.
///
/// # Errors
/// As there.
fn from_each_or_slave<'a, T>(
    groups: &'a [BrokerData],
    answers: Vec<Result<T, AdminError>>,
    what: &str,
) -> Result<FromEach<'a, T>, AdminError> {
    let (told, mut problems) = from_each(groups, answers, what)?;
    problems.extend(told.iter().filter_map(|(group, _)| of_slave(group, what)));
    Ok((told, problems))
}

/// A value from each broker that answered, with its group, and a problem for each other.
type FromEach<'a, T> = (Vec<(&'a BrokerData, T)>, Vec<Problem>);

/// What the brokers of these groups answered, and what is missing without the others: `what`.
///
/// # Errors
/// Brokers were asked, and none of them answered.
fn from_each<'a, T>(
    groups: &'a [BrokerData],
    answers: Vec<Result<T, AdminError>>,
    what: &str,
) -> Result<FromEach<'a, T>, AdminError> {
    let (mut told, mut problems, mut last_error) = (Vec::new(), Vec::new(), None);
    for (group, answer) in groups.iter().zip(answers) {
        match answer {
            Ok(value) => told.push((group, value)),
            Err(error) => {
                let reason = format!("{what} of {} are missing: {error}", group.broker_name);
                problems.push(problem(group, reason));
                last_error = Some(error);
            }
        }
    }
    match last_error {
        Some(error) if told.is_empty() => Err(error),
        _ => Ok((told, problems)),
    }
}

/// Asks something of each item, some at a time, until it fails; the values come in their order.
async fn try_all<'a, T, R, E, F: Future<Output = Result<R, E>>>(
    items: &'a [T],
    ask: impl Fn(&'a T) -> F,
) -> Result<Vec<R>, E> {
    let mut values = Vec::with_capacity(items.len());
    for some in items.chunks(AT_ONCE) {
        for value in all(some.iter().map(&ask)).await {
            values.push(value?);
        }
    }
    Ok(values)
}

/// Runs futures side by side; the values come in their order.
async fn all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    poll_fn(|context| {
        for (future, value) in &mut running {
            if value.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(context)
            {
                *value = Some(done);
            }
        }
        if running.iter().all(|(_, value)| value.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    running.into_iter().filter_map(|(_, value)| value).collect()
}
