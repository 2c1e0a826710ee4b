//! Who this broker is, and whether it reaches ports of whoever asks (9003, an extension of ours).
//!
//! Not what the asker makes of it (`doctor`). Invariants, as anyone may ask: only the asking connection's own address
//! is dialled, only at ports that name servers know for it, a few at once, and rarely: a peer that asks too often
//! takes nothing from the others. Nothing is sent to a port that is dialled.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::answers::{Answer, Refusal, send_answer};
use super::{Broker, BrokerOptions};
use crate::clock::Clock;
use crate::remoting::bodies::dial_back::{DialBack, PortState, parse_dial_back_request};
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::{Command, request, response};
use crate::task;
use crate::transport::{Dialled, Responder, dial_all};

/// How long a port has to answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a name server has to say which ports are registered.
const LOOK_UP_TIMEOUT: Duration = Duration::from_secs(2);
/// Of one address, at once and then each time: an operator tries again a few times.
const OF_A_PEER: Rate = Rate { burst: 4, every: Duration::from_secs(5) };
/// Of all together.
const OF_ALL: Rate = Rate { burst: 16, every: Duration::from_secs(1) };

/// How often something may happen.
#[derive(Clone, Copy, Debug)]
struct Rate {
    burst: u32,
    every: Duration,
}

impl Rate {
    /// What `until`, the time up to which the allowance is used up, becomes by one more; `None` if that is too many.
    fn after_one(self, until: Option<Instant>, now: Instant) -> Option<Instant> {
        let next = until.map_or(now, |until| until.max(now)) + self.every;
        (next.saturating_duration_since(now) <= self.every * self.burst).then_some(next)
    }
}

/// Who has asked for ports lately.
#[derive(Debug)]
pub(super) struct DialBacks {
    clock: Clock,
    used: Mutex<Used>,
}

/// Up to when each allowance is used up.
#[derive(Debug, Default)]
struct Used {
    of_all: Option<Instant>,
    /// Those that have some left to wait for: as the allowance of all bounds how many there can be, so is this.
    of_peers: HashMap<IpAddr, Instant>,
}

impl DialBacks {
    pub fn new(clock: &Clock) -> Self {
        Self { clock: clock.clone(), used: Mutex::default() }
    }

    /// Takes one of the peer's and of the common allowance, or none.
    fn take(&self, peer: IpAddr) -> Result<(), Refusal> {
        let now = self.clock.monotonic();
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.of_peers.retain(|_, until| *until > now);
        // The peer's first: what it may not have is not taken from the others.
        let peers = OF_A_PEER.after_one(used.of_peers.get(&peer).copied(), now);
        let (Some(peers), Some(all)) = (peers, OF_ALL.after_one(used.of_all, now)) else {
            let remark = format!(
                "asked too often to dial back: ask again in {} s",
                OF_A_PEER.every.as_secs()
            );
            return Err(Refusal::new(response::SYSTEM_BUSY, remark));
        };
        used.of_peers.insert(peer, peers);
        used.of_all = Some(all);
        Ok(())
    }
}

/// Answers, once the ports have answered or had their time.
pub(super) fn answer(broker: &Arc<Broker>, request: &Command, responder: Responder) {
    let asker = responder.connection().remote().ip();
    let ports = match asked(broker, request, asker) {
        Ok(ports) => ports,
        Err(refusal) => return send_answer(responder, Err(refusal)),
    };
    if ports.is_empty() {
        return send_answer(responder, told(broker, asker, Vec::new()));
    }
    let broker = Arc::clone(broker);
    task::spawn(task::Kind::Ignore, "dial back", async move {
        let states = dial_back(&broker, asker, &ports).await;
        send_answer(responder, told(&broker, asker, states));
    });
}

/// The ports to dial, if the asker may have that now.
fn asked(broker: &Broker, request: &Command, asker: IpAddr) -> Result<Vec<u16>, Refusal> {
    let ports = parse_dial_back_request(&request.body)?;
    if !ports.is_empty() {
        broker.dial_backs.take(asker)?;
    }
    Ok(ports)
}

fn told(broker: &Broker, asker: IpAddr, ports: Vec<(u16, PortState)>) -> Answer {
    let options = &broker.options;
    let body = DialBack {
        group: options.group.clone(),
        broker_id: options.id.0.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ha_address: options.ha_address.to_string(),
        time_ms: broker.clock.now_ms(),
        seen_as: asker,
        ports,
    };
    Ok(Command::response(response::SUCCESS).with_body(body.to_bytes()))
}

async fn dial_back(broker: &Broker, asker: IpAddr, ports: &[u16]) -> Vec<(u16, PortState)> {
    let known = registered_ports(&broker.options, asker).await;
    let dialled: Vec<u16> = ports.iter().copied().filter(|port| known.contains(port)).collect();
    let address = |port: &u16| SocketAddr::new(asker, *port).to_string();
    let addresses: Vec<String> = dialled.iter().map(address).collect();
    let verdicts = dial_all(&addresses, DIAL_TIMEOUT).await;
    let verdicts: HashMap<u16, Dialled> = dialled.into_iter().zip(verdicts).collect();
    let state = |port: &u16| match verdicts.get(port) {
        None => PortState::NotRegistered,
        Some(Dialled::Reachable) => PortState::Reachable,
        Some(Dialled::Refused) => PortState::Refused,
        Some(Dialled::Timeout) => PortState::Timeout,
        Some(Dialled::Failed(_)) => PortState::Unreachable,
    };
    ports.iter().map(|port| (*port, state(port))).collect()
}

/// What name servers know of a host: each broker's port, its VIP port two below, its HA port one above, and the name
/// servers themselves.
async fn registered_ports(options: &BrokerOptions, host: IpAddr) -> BTreeSet<u16> {
    let client = options.client(None);
    let mut ports = BTreeSet::new();
    for name_server in &options.name_servers {
        if let Ok(found) = tokio::net::lookup_host(name_server).await {
            ports.extend(found.filter(|at| at.ip() == host).map(|at| at.port()));
        }
        let request = Command::request(request::GET_BROKER_CLUSTER_INFO);
        let Ok(answer) = client.call(name_server, request, LOOK_UP_TIMEOUT).await else { continue };
        // One that answers something else knows nothing that we could use.
        let Ok(info) = ClusterInfo::parse(&answer.body) else { continue };
        let addresses = info.brokers.iter().flat_map(|broker| broker.addresses.values());
        let addresses = addresses.filter_map(|address| address.parse::<SocketAddr>().ok());
        for port in addresses.filter(|at| at.ip() == host).map(|at| at.port()) {
            ports.extend(
                [Some(port), port.checked_sub(2), port.checked_add(1)].into_iter().flatten(),
            );
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::broker::tests_support::TestBroker;
    use crate::remoting::bodies::dial_back::dial_back_request;
    use crate::remoting::bodies::route::BrokerData;
    use crate::transport::{Limits, Server, Service};

    fn ask(ports: &[u16]) -> Command {
        Command::request(request::EXTENSION_DIAL_BACK).with_body(dial_back_request(ports))
    }

    /// A name server that knows one broker.
    struct Fake(String);

    impl Service for Fake {
        fn on_request(&self, _: Command, responder: Responder) {
            let broker = BrokerData {
                addresses: [(0, self.0.clone())].into(),
                broker_name: "broker-b".to_owned(),
                cluster: "C".to_owned(),
            };
            let info = ClusterInfo { brokers: vec![broker], ..ClusterInfo::default() };
            responder.send(Command::response(0).with_body(info.to_bytes()));
        }
    }

    /// A name server that knows a broker at `address`, and where it is.
    fn name_server_of(address: String) -> SocketAddr {
        let server = Server::bind("127.0.0.1:0".parse().unwrap(), Arc::new(Limits::default()));
        let server = server.unwrap();
        let at = server.local_addr();
        let served = server.serve(Arc::new(Fake(address)), Default::default());
        task::spawn(task::Kind::Ignore, "name server", served);
        at
    }

    #[tokio::test]
    async fn it_says_who_it_is_without_dialling() {
        let world = TestBroker::new();
        for _ in 0..100 {
            let answer = world.call(Command::request(request::EXTENSION_DIAL_BACK)).await;
            let told = DialBack::parse(&answer.body).unwrap();
            assert_eq!((told.group.as_str(), told.broker_id), ("broker-a", 0));
            assert_eq!(told.ha_address, "127.0.0.1:10912");
            assert_eq!(told.seen_as.to_string(), "127.0.0.1");
            assert!(told.time_ms <= world.clock.now_ms() && told.ports.is_empty());
        }
    }

    #[tokio::test]
    async fn only_registered_ports_of_the_asker_are_dialled() {
        let listen = || async { TcpListener::bind("127.0.0.1:0").await.unwrap() };
        let (open, secret) = (listen().await, listen().await);
        let port = open.local_addr().unwrap().port();
        let secret_port = secret.local_addr().unwrap().port();
        let name_server = name_server_of(format!("127.0.0.1:{}", port - 1));
        let world = TestBroker::slave(vec![name_server.to_string()]);
        // The broker's HA port is open; its VIP port is whoever's it is.
        let asked = [port, port - 1, secret_port, name_server.port()];
        let answer = world.call(ask(&asked)).await;
        let told = DialBack::parse(&answer.body).unwrap();
        let states: Vec<PortState> = told.ports.iter().map(|(_, state)| *state).collect();
        assert_eq!(states[0], PortState::Reachable);
        assert_ne!(states[1], PortState::NotRegistered);
        assert_eq!(states[2..], [PortState::NotRegistered, PortState::Reachable]);
        let came = tokio::time::timeout(Duration::from_millis(50), secret.accept()).await;
        assert!(came.is_err(), "nobody may have come");
        // What is registered for another host is not the asker's.
        let elsewhere = name_server_of(format!("127.0.0.9:{}", port - 1));
        let options = BrokerOptions {
            name_servers: vec![elsewhere.to_string()],
            ..world.broker.options.clone()
        };
        let known = registered_ports(&options, "127.0.0.1".parse().unwrap()).await;
        assert_eq!(known, [elsewhere.port()].into());
    }

    #[tokio::test]
    async fn an_address_too_many_ports_and_garbage_are_refused_or_not_heard() {
        let world = TestBroker::new();
        let (code, remark) = world.refused(ask(&[1; 9])).await;
        assert_eq!(code, response::SYSTEM_ERROR);
        assert!(remark.contains("9 ports are named, at most 8 may"), "{remark}");
        let body = &b"{\"ports\":[22],\"address\":\"192.0.2.1\",\"seenAs\":\"192.0.2.1\"}"[..];
        let answer =
            world.call(Command::request(request::EXTENSION_DIAL_BACK).with_body(body)).await;
        let told = DialBack::parse(&answer.body).unwrap();
        assert_eq!(told.seen_as.to_string(), "127.0.0.1");
        assert_eq!(told.ports, [(22, PortState::NotRegistered)]);
        let (code, _) =
            world.refused(Command::request(request::EXTENSION_DIAL_BACK).with_body("[")).await;
        assert_eq!(code, response::SYSTEM_ERROR);
    }

    #[tokio::test]
    async fn a_flood_is_refused_and_what_passes_comes_back() {
        let world = TestBroker::new();
        for _ in 0..OF_A_PEER.burst {
            assert_eq!(world.call(ask(&[1])).await.code, response::SUCCESS);
        }
        for _ in 0..10 {
            let (code, remark) = world.refused(ask(&[1])).await;
            assert_eq!(code, response::SYSTEM_BUSY, "{remark}");
        }
        assert_eq!(world.call(ask(&[])).await.code, response::SUCCESS, "nothing is dialled");
        world.clock.advance(OF_A_PEER.every);
        assert_eq!(world.call(ask(&[1])).await.code, response::SUCCESS);
        assert_eq!(world.call(ask(&[1])).await.code, response::SYSTEM_BUSY);
    }

    #[test]
    fn one_peer_takes_nothing_from_the_others_and_all_together_are_bounded() {
        let clock = Clock::system();
        let books = DialBacks::new(&clock);
        let peer = |number: u8| IpAddr::from([10, 0, 0, number]);
        let granted = |number| (0..100).filter(|_| books.take(peer(number)).is_ok()).count();
        assert_eq!([1, 2, 3, 4, 5].map(granted), [4, 4, 4, 4, 0]);
        clock.advance(Duration::from_secs(60));
        assert_eq!(granted(6), 4);
        assert_eq!(
            books.used.lock().unwrap().of_peers.len(),
            1,
            "who has its allowance back is forgotten"
        );
    }
}
