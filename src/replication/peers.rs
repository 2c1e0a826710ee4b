//! What a member asks others: who they are, where the members of the group are, and single records of a log.
//!
//! Not what follows from the answers. Invariants: only the answer "unknown code" makes a peer a plain one of 4.9.4,
//! and never one that was known as ours; whoever is silent is asked again, not judged.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::mpsc;

use super::decide::{Compared, PeerRole, PeerView};
use super::history::{History, Log};
use super::member::Member;
use super::past::log_of;
use crate::acl;
use crate::model::{PhysicalOffset, shown};
use crate::remoting::bodies::extension::{self, Hello};
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::{Command, DecodeError, json, request, response};
use crate::store::ReadError;
use crate::task::{self, Kind};
use crate::transport::CallError;

/// How long a peer has for an answer.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(3);

/// Who a peer is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Peer {
    /// One of ours, in its own words.
    Ours(Box<Hello>),
    /// One of 4.9.4.
    Plain,
}

/// Why a peer is not known, or did not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// It does not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// It answered no.
    #[error("{address} answered {code}: {remark}")]
    Refused {
        /// Who.
        address: String,
        /// Its response code.
        code: i32,
        /// Its words.
        remark: String,
    },
    /// It answered something that cannot be read.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// It belongs elsewhere.
    #[error("{address} is of group {group} of cluster {cluster}")]
    Elsewhere {
        /// Who.
        address: String,
        /// Its group.
        group: String,
        /// Its cluster.
        cluster: String,
    },
    /// It was an rmq-node once, and says now that it is not.
    #[error(
        "{0} was an rmq-node and does not answer as one now: start it again as one, or set this folder aside with \
         `rmq-node admin replication resync`"
    )]
    WasOurs(String),
    /// What it is asked about cannot be read here.
    #[error(transparent)]
    Own(#[from] ReadError),
}

impl Member {
    /// Asks a broker port who is there; `ha_local_port` is that of a connection to its HA port, or 0.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn greet(
        self: &Arc<Self>,
        address: &str,
        ha_local_port: u16,
    ) -> Result<Peer, PeerError> {
        let hello = self.hello(ha_local_port);
        let request = Command::request(request::EXTENSION_HELLO);
        let request = request.with_body(extension::to_bytes(&hello));
        let answer = self.client.call(address, request, CALL_TIMEOUT).await?;
        match answer.code {
            response::SUCCESS => {}
            response::REQUEST_CODE_NOT_SUPPORTED if self.past.is_ours(address) => {
                return Err(PeerError::WasOurs(address.to_owned()));
            }
            response::REQUEST_CODE_NOT_SUPPORTED => return Ok(Peer::Plain),
            _ => return Err(refused(address, answer)),
        }
        let theirs: Hello = extension::parse(&answer.body)?;
        if (&theirs.group, &theirs.cluster) != (&self.options.group, &self.options.cluster) {
            let address = address.to_owned();
            let (group, cluster) = (shown(&theirs.group), shown(&theirs.cluster));
            return Err(PeerError::Elsewhere { address, group, cluster });
        }
        if !self.past.is_ours(address) {
            let (member, address) = (Arc::clone(self), address.to_owned());
            let noting = task::spawn_blocking("note a peer", move || member.note_ours(&address));
            // It fails only if it panics, which is reported.
            let _ = noting.await;
        }
        Ok(Peer::Ours(Box::new(theirs)))
    }

    /// The members of the group that the name servers know, by number; this one too, if it is registered. Of several
    /// that say something else about a number, the one named first counts; who says nothing within `patience`, at most
    /// [`CALL_TIMEOUT`], is not waited for.
    pub async fn members(self: &Arc<Self>, patience: Duration) -> BTreeMap<i64, String> {
        let (answers, mut came) = mpsc::channel(self.options.name_servers.len().max(1));
        for (at, name_server) in self.options.name_servers.iter().enumerate() {
            let (member, name_server) = (Arc::clone(self), name_server.clone());
            let answers = answers.clone();
            task::spawn(Kind::Ignore, "members", async move {
                let asking = tokio::time::timeout(patience, member.members_by(&name_server));
                let Ok(found) = asking.await else { return };
                // There is room for each.
                let _ = answers.send((at, name_server, found)).await;
            });
        }
        drop(answers);
        let mut all = Vec::new();
        while let Some(answer) = came.recv().await {
            all.push(answer);
        }
        all.sort_by_key(|(at, ..)| *at);
        let mut members = BTreeMap::new();
        for (_, name_server, found) in all {
            match found {
                Ok(found) => {
                    for (id, address) in found {
                        members.entry(id).or_insert(address);
                    }
                }
                Err(error) => tracing::debug!(name_server, %error, "it does not name the members"),
            }
        }
        members
    }

    /// The members of the group that one name server knows.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn members_by(&self, name_server: &str) -> Result<BTreeMap<i64, String>, PeerError> {
        let body =
            self.ask(name_server, Command::request(request::GET_BROKER_CLUSTER_INFO)).await?;
        let brokers = ClusterInfo::parse(&body)?.brokers.into_iter();
        let mut of_group = brokers.filter(|broker| broker.broker_name == self.options.group);
        Ok(of_group.next().map(|broker| broker.addresses).unwrap_or_default())
    }

    /// A record of a peer's log; `None` if it has none there.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn record_of(
        &self,
        address: &str,
        at: PhysicalOffset,
    ) -> Result<Option<Bytes>, PeerError> {
        let request = Command::request(request::VIEW_MESSAGE_BY_ID).with_field("offset", at);
        let answer = self.client.call(address, request, CALL_TIMEOUT).await?;
        match answer.code {
            response::SUCCESS => Ok(Some(answer.body)),
            // What one of ours says that cannot read its log now, which says nothing of what is there. Peers that were
            // built from another version know it by this text.
            response::SYSTEM_ERROR if answer.remark == Some(ReadError::Unavailable.to_string()) => {
                Err(refused(address, answer))
            }
            // B-214: there is none; 4.9.4 has other texts, too, for what lies in the middle of a record.
            response::SYSTEM_ERROR => Ok(None),
            _ => Err(refused(address, answer)),
        }
    }

    /// Where a peer's log begins and ends.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn log_range_of(&self, address: &str) -> Result<(u64, u64), PeerError> {
        let body = self.ask(address, Command::request(request::GET_BROKER_RUNTIME_INFO)).await?;
        let info = json::parse(&body)?;
        let table = info.get("table");
        let number = |key: &str| {
            let missing = || DecodeError(format!("JSON: `{key}` is missing"));
            table.number::<u64>(key)?.ok_or_else(missing)
        };
        Ok((number("commitLogMinOffset")?, number("commitLogMaxOffset")?))
    }

    /// What a broker says of itself, or what can be found out about one of 4.9.4, which is taken for a `plain_role`.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn view_of(
        self: &Arc<Self>,
        address: &str,
        ha_local_port: u16,
        plain_role: PeerRole,
    ) -> Result<(PeerView, Peer), PeerError> {
        let peer = self.greet(address, ha_local_port).await?;
        let view = match &peer {
            Peer::Ours(hello) => view(hello)?,
            Peer::Plain => {
                let (start, end) = self.log_range_of(address).await?;
                PeerView {
                    node: None,
                    role: plain_role,
                    segment_bytes: self.store.options().segment_bytes,
                    log: Log { history: History::default(), start, end },
                }
            }
        };
        Ok((view, peer))
    }

    /// Compares the last whole record of this log below `end` with what a peer has there.
    ///
    /// # Errors
    /// [`PeerError`]: the peer did not say, or this log's own record cannot be read.
    pub async fn compare(&self, address: &str, end: u64) -> Result<Compared, PeerError> {
        let store = Arc::clone(&self.store);
        let looking = task::spawn_blocking("last record", move || {
            store.last_record_below(PhysicalOffset(end))
        });
        // It fails only if it panics, which is reported.
        let own = looking.await.unwrap_or(Err(ReadError::Unavailable))?;
        let Some((at, own)) = own else { return Ok(Compared::Different) };
        let theirs = self.record_of(address, at).await?;
        let is_equal = theirs.is_some_and(|theirs| theirs == own);
        Ok(if is_equal { Compared::Equal } else { Compared::Different })
    }

    /// A successful answer's body.
    ///
    /// # Errors
    /// [`PeerError`].
    pub async fn ask(&self, address: &str, request: Command) -> Result<Bytes, PeerError> {
        let answer = self.client.call(address, request, CALL_TIMEOUT).await?;
        if answer.code == response::SUCCESS {
            Ok(answer.body)
        } else {
            Err(refused(address, answer))
        }
    }
}

/// What one of ours says of itself, checked.
fn view(hello: &Hello) -> Result<PeerView, DecodeError> {
    let role = match hello.role.as_str() {
        "master" => PeerRole::Master,
        "starting" => PeerRole::Starting,
        "slave" => PeerRole::Slave,
        _ => PeerRole::Down,
    };
    let node = hello.node.parse().map_err(DecodeError)?;
    let log = log_of(hello).map_err(DecodeError)?;
    Ok(PeerView { node: Some(node), role, segment_bytes: hello.segment_bytes, log })
}

fn refused(address: &str, answer: Command) -> PeerError {
    let remark = acl::advised(shown(&answer.remark.unwrap_or_default()));
    PeerError::Refused { address: address.to_owned(), code: answer.code, remark }
}
