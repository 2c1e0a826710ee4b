//! What a client knows of the cluster: the route of the demo's topic, asked of the name servers as 4.x clients do.
//!
//! Not sending and pulling. Invariants: one name server is asked until it fails, then the next one; what was
//! known stays until somebody tells otherwise.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::board::Board;
use crate::clock::Clock;
use crate::model::Permission;
use crate::remoting::bodies::route::{BrokerData, TopicRoute};
use crate::remoting::{Command, request, response};
use crate::transport::{CallError, Client};

/// The demo's topic.
pub const TOPIC: &str = "DemoTopic";
/// Its queues on each broker.
pub const QUEUES: u32 = 4;
/// A client's `sendMsgTimeout`.
pub const TIMEOUT: Duration = Duration::from_secs(3);
/// The pause of whoever has found nobody.
pub const PAUSE: Duration = Duration::from_millis(100);

/// What all tasks of the demo share.
#[derive(Debug)]
pub struct Cluster {
    /// Connections to all processes.
    pub client: Client,
    clock: Clock,
    started: Instant,
    board: Mutex<Board>,
    name_servers: Vec<String>,
    /// The name server to ask, and what it said.
    known: Mutex<(usize, TopicRoute)>,
}

/// A queue that messages can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WriteQueue {
    /// Its group.
    pub group: String,
    /// The master's address.
    pub address: String,
    /// Its number.
    pub id: i32,
}

impl Cluster {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(board: Board, clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            client: Client::new(None),
            started: clock.monotonic(),
            clock,
            name_servers: board.hosts.iter().map(|host| host.name_server.clone()).collect(),
            board: Mutex::new(board),
            known: Mutex::default(),
        })
    }

    /// Time since the demo began.
    #[must_use]
    pub fn passed(&self) -> Duration {
        self.clock.monotonic() - self.started
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        self.clock.now_ms()
    }

    /// What everybody knows.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes an event of this moment.
    pub fn note(&self, text: impl Into<String>) {
        let at = self.passed();
        self.board().note(at, text);
    }

    /// The same, once for each text.
    pub fn note_once(&self, text: &str) {
        let at = self.passed();
        self.board().note_once(at, text);
    }

    fn known(&self) -> MutexGuard<'_, (usize, TopicRoute)> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All name servers.
    #[must_use]
    pub fn name_servers(&self) -> &[String] {
        &self.name_servers
    }

    /// A call that may take as long as a client lets it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, address: &str, request: Command) -> Result<Command, CallError> {
        self.client.call(address, request, TIMEOUT).await
    }

    /// Asks for the route again, and tells what is different.
    pub async fn refresh(&self) {
        let first = self.known().0;
        for at in 0..self.name_servers.len() {
            let at = (first + at) % self.name_servers.len();
            let request =
                Command::request(request::GET_ROUTEINFO_BY_TOPIC).with_field("topic", TOPIC);
            let Ok(answer) = self.call(&self.name_servers[at], request).await else { continue };
            if answer.code == response::SUCCESS
                && let Ok(route) = TopicRoute::parse(&answer.body)
            {
                self.learn(at, route);
                return;
            }
        }
    }

    fn learn(&self, name_server: usize, route: TopicRoute) {
        let old = std::mem::replace(&mut *self.known(), (name_server, route.clone())).1;
        if old.brokers.is_empty() {
            return;
        }
        let groups: Vec<String> = self.board().traffic.keys().cloned().collect();
        for group in groups {
            let [before, after] = [&old, &route].map(|route| addresses_text(find(route, &group)));
            if before != after {
                let place = self.board().place(&self.name_servers[name_server]);
                self.note(format!("route of {group}: {after} (name server of {place})"));
            }
        }
    }

    /// Every queue of every master.
    #[must_use]
    pub fn write_queues(&self) -> Vec<WriteQueue> {
        write_queues(&self.known().1)
    }

    /// Where to read a group: where its last answer said, else from any of it, the master first.
    #[must_use]
    pub fn reader(&self, group: &str, suggested: i64) -> Option<String> {
        let known = self.known();
        let broker = find(&known.1, group)?;
        let address = broker.addresses.get(&suggested).map(String::as_str);
        address.or(broker.address()).map(str::to_owned)
    }

    /// The addresses of all brokers.
    #[must_use]
    pub fn brokers(&self) -> Vec<String> {
        let known = self.known();
        let each = known.1.brokers.iter().flat_map(|broker| broker.addresses.values());
        each.cloned().collect()
    }
}

fn find<'a>(route: &'a TopicRoute, group: &str) -> Option<&'a BrokerData> {
    route.brokers.iter().find(|broker| broker.broker_name == group)
}

fn write_queues(route: &TopicRoute) -> Vec<WriteQueue> {
    let mut queues = Vec::new();
    for data in route.queues.iter().filter(|data| data.permission.contains(Permission::WRITE)) {
        let Some(address) = find(route, &data.broker_name).and_then(BrokerData::master) else {
            continue;
        };
        // No message of a broker makes more of them than it was asked for.
        let count = i32::try_from(data.write_queues.min(QUEUES)).unwrap_or(0);
        queues.extend((0..count).map(|id| WriteQueue {
            group: data.broker_name.clone(),
            address: address.to_owned(),
            id,
        }));
    }
    queues
}

/// `master 127.0.0.1:10911, slave 127.0.0.2:10921`.
fn addresses_text(broker: Option<&BrokerData>) -> String {
    let role = |id: i64| if id == 0 { "master" } else { "slave" };
    let each = broker.into_iter().flat_map(|broker| &broker.addresses);
    let each: Vec<String> = each.map(|(id, address)| format!("{} {address}", role(*id))).collect();
    match each.as_slice() {
        [] => "nobody".to_owned(),
        [one] => format!("only {one}"),
        all => all.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::board::tests::board;

    const BOTH: &str = r#"{"brokerDatas":[
        {"brokerAddrs":{0:"127.0.0.1:10911",1:"127.0.0.2:10921"},"brokerName":"broker-a","cluster":"c"}],
        "queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":2,"topicSynFlag":0,"writeQueueNums":2}]}"#;

    fn cluster(texts: &[&str]) -> Arc<Cluster> {
        let cluster = Cluster::new(board(), Clock::system());
        for text in texts {
            cluster.learn(1, TopicRoute::parse(text.as_bytes()).unwrap());
        }
        cluster
    }

    #[test]
    fn masters_are_written_and_whoever_is_there_is_read() {
        let both = cluster(&[BOTH]);
        assert_eq!(both.write_queues().len(), 2);
        assert_eq!(both.write_queues()[1].address, "127.0.0.1:10911");
        assert_eq!(both.reader("broker-a", 0).as_deref(), Some("127.0.0.1:10911"));
        assert_eq!(both.reader("broker-a", 1).as_deref(), Some("127.0.0.2:10921"));
        assert_eq!(both.reader("broker-b", 0), None);
        assert_eq!(both.brokers().len(), 2);
        let slave = cluster(&[&BOTH.replace(r#"0:"127.0.0.1:10911","#, "")]);
        assert!(slave.write_queues().is_empty());
        assert_eq!(slave.reader("broker-a", 0).as_deref(), Some("127.0.0.2:10921"));
    }

    #[test]
    fn a_route_that_changes_is_told() {
        let alone = BOTH.replace(r#"0:"127.0.0.1:10911","#, "");
        let cluster = cluster(&[BOTH, BOTH, &alone, "{}", BOTH]);
        let events: Vec<String> =
            cluster.board().events.iter().map(|event| event.text.clone()).collect();
        let expected = [
            "route of broker-a: only slave 127.0.0.2:10921 (name server of host 2)",
            "route of broker-a: nobody (name server of host 2)",
        ];
        assert_eq!(events, expected);
    }
}
