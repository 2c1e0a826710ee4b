//! Requests as clients, tools and other brokers send them, over a connection: to a broker, to one with accounts as a user
//! and as an admin, and to a name server, each with all that runs beside requests; and what a slave says to the broker's HA
//! port. Whatever it is, no panic, and the next one is answered.
//!
//! The first byte says who is asked; then frames follow one another, or a slave's bytes. What one input left behind is there for the next one,
//! up to [`INPUTS_MAX`] of them: the one target that is not a function of its input alone.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rmq_node::acl::signature::Key;
use rmq_node::acl::{Acl, AclOptions};
use rmq_node::broker::{Broker, BrokerOptions, BrokerService, TransactionOptions};
use rmq_node::clock::Clock;
use rmq_node::config::AutoCreate;
use rmq_node::metrics::Metrics;
use rmq_node::model::BrokerId;
use rmq_node::nameserver::{NameServer, NameServerOptions, NameServerService};
use rmq_node::remoting::{Command, decode, frame_length, request};
use rmq_node::replication::{Member, Past, Sender};
use rmq_node::store::{StartTopics, Store, StoreOptions};
use rmq_node::transport::{CallError, Client, Credentials, Limits, Server, Service, Signer, Tls};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{self, Runtime};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// Inputs of one set of servers, so that what they keep stays small.
const INPUTS_MAX: u32 = 5000;
/// A request that is answered later, or never, is not waited for any longer.
const ANSWER_MAX: Duration = Duration::from_millis(20);
/// How long the request after them may take, on a machine that does other things too.
const PATIENCE: Duration = Duration::from_secs(20);
const FRAME_BYTES_MAX: usize = 1 << 20;
const ACCOUNTS: &str = "accounts:
- {accessKey: admin-account, secretKey: admin-secret, admin: true}
- {accessKey: user-account, secretKey: user-secret, defaultTopicPerm: PUB|SUB, defaultGroupPerm: SUB, topicPerms: [D=DENY]}
";

static SERVERS: Mutex<Option<Servers>> = Mutex::new(None);

pub fn run(bytes: &[u8]) {
    let Some((which, mut rest)) = bytes.split_first() else { return };
    let mut held = SERVERS.lock().unwrap_or_else(PoisonError::into_inner);
    if held.as_ref().is_some_and(|servers| servers.inputs >= INPUTS_MAX)
        && let Some(servers) = held.take()
    {
        servers.stop();
    }
    let servers = held.get_or_insert_with(Servers::start);
    servers.inputs += 1;
    // One more than there are is the slave.
    let Some(Asker { client, address, last }) =
        servers.who.get(usize::from(*which) % (servers.who.len() + 1))
    else {
        return servers.runtime.block_on(copy(&servers.ha_address, rest));
    };
    while let Ok(Some(length)) = frame_length(rest, FRAME_BYTES_MAX) {
        let (frame, behind) = rest.split_at(length.min(rest.len()));
        rest = behind;
        if let Ok(command) = decode(Bytes::copy_from_slice(frame)) {
            servers.runtime.block_on(ask(client, address, command));
        }
    }
    let last = client.call(address, Command::request(*last), PATIENCE);
    if let Err(error) = servers.runtime.block_on(last) {
        panic!("nobody is there any more: {error}");
    }
}

async fn ask(client: &Client, address: &str, command: Command) {
    if command.is_oneway() {
        let _sent = client.send_oneway(address, command).await;
        return;
    }
    match client.call(address, Command { flag: 0, ..command }, ANSWER_MAX).await {
        Ok(_) | Err(CallError::Timeout(_)) => {}
        Err(error) => panic!("the connection is gone: {error}"),
    }
}

/// Says what a slave says, once to somebody who does not look at the answer.
async fn copy(ha_address: &str, bytes: &[u8]) {
    let mut slave = TcpStream::connect(ha_address).await.expect("the HA port is open");
    // It may be told to go before it has said all.
    let _sent = slave.write_all(bytes).await;
    let _silent = timeout(ANSWER_MAX / 10, slave.read_to_end(&mut Vec::new())).await;
    // One that has all is told so: eight bytes of offset, and no more bytes.
    let mut next = TcpStream::connect(ha_address).await.expect("the HA port is open");
    next.write_all(&0_u64.to_be_bytes()).await.expect("somebody reads");
    let answer = timeout(PATIENCE, next.read_exact(&mut [0; 12])).await;
    answer.expect("no answer").expect("a slave is sent the log");
}

/// Who asks whom, and what everybody there is answered.
struct Asker {
    client: Client,
    address: String,
    last: i32,
}

/// What is asked, in one thread but for blocking work.
struct Servers {
    runtime: Runtime,
    stop: CancellationToken,
    brokers: Vec<Arc<Broker>>,
    stores: Vec<Arc<Store>>,
    who: Vec<Asker>,
    /// Of the broker without accounts.
    ha_address: String,
    inputs: u32,
    _dir: TempDir,
}

impl Servers {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (brokers, stores) = (Vec::new(), Vec::new());
        let stop = CancellationToken::new();
        let mut servers = Self {
            runtime,
            stop,
            brokers,
            stores,
            who: Vec::new(),
            ha_address: String::new(),
            inputs: 0,
            _dir: dir,
        };
        let dir = servers._dir.path().to_owned();
        let plain = servers.broker(&dir.join("plain"), None);
        servers.asks(Client::new(None), &plain, request::GET_BROKER_RUNTIME_INFO);
        let guarded = servers.broker(&dir.join("guarded"), Some(accounts(&dir)));
        for who in ["user", "admin"] {
            let key = Key::new(&format!("{who}-secret"));
            let sign = move |request: &mut Command| key.sign(&format!("{who}-account"), request);
            let credentials = Credentials { signer: Signer::new(sign), tls: Tls::default() };
            let client = Client::with(None, credentials);
            servers.asks(client, &guarded, request::GET_BROKER_RUNTIME_INFO);
        }
        let kv_config_file = dir.join("kvConfig.json");
        let limits = Arc::<Limits>::default();
        let options = NameServerOptions {
            kv_config_file,
            port: 9876,
            acl: None,
            limits: Arc::clone(&limits),
        };
        let name_server = NameServer::open(options, &Clock::system()).expect("a name server");
        name_server.start(servers.runtime.handle(), &servers.stop);
        let address = servers.serve(Arc::new(NameServerService(name_server)), limits);
        servers.asks(Client::new(None), &address, request::GET_BROKER_CLUSTER_INFO);
        servers
    }

    fn asks(&mut self, client: Client, address: &str, last: i32) {
        self.who.push(Asker { client, address: address.to_owned(), last });
    }

    /// A broker on a port.
    fn broker(&mut self, dir: &Path, acl: Option<Arc<Acl>>) -> String {
        let options = BrokerOptions {
            cluster: "C".to_owned(),
            group: "broker-a".to_owned(),
            id: BrokerId(0),
            address: "127.9.9.9:10911".parse().expect("an address"),
            ha_address: "127.9.9.9:10912".parse().expect("an address"),
            name_servers: Vec::new(),
            auto_create: AutoCreate::default(),
            reads_from_slaves: false,
            transactions: TransactionOptions::default(),
            acl,
            credentials: Credentials::default(),
            limits: Arc::default(),
            overrides: Arc::default(),
        };
        let limits = Arc::clone(&options.limits);
        let store_options = StoreOptions {
            segment_bytes: 1 << 20,
            allocate_ahead_bytes: 64 << 10,
            ..StoreOptions::new(dir)
        };
        let clock = Clock::system();
        let start_topics = StartTopics::new(&options.cluster, &options.group);
        let store = Store::open(store_options, &start_topics, &clock, &|_, _| {}).expect("a store");
        let past = Past::open(dir, store.log_range().1.0).expect("a past");
        let member = Member::new(Broker::member_options(&options), Arc::clone(&store), past);
        let ha_port = self.runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let ha_address = ha_port.local_addr().expect("an address").to_string();
        let sender = Sender::new(Arc::clone(&member));
        self.runtime.spawn(sender.serve(ha_port, self.stop.clone()));
        if self.ha_address.is_empty() {
            self.ha_address = ha_address;
        }
        let broker = Broker::new(options, member, &clock, Arc::new(Metrics::default()));
        let handle = self.runtime.handle();
        broker.start(handle, handle, &self.stop);
        let address = self.serve(Arc::new(BrokerService(Arc::clone(&broker))), limits);
        self.brokers.push(broker);
        self.stores.push(store);
        address
    }

    fn serve(&self, service: Arc<dyn Service>, limits: Arc<Limits>) -> String {
        let _entered = self.runtime.enter();
        let any = "127.0.0.1:0".parse().expect("an address");
        let server = Server::bind(any, limits).expect("a port");
        let address = server.local_addr().to_string();
        self.runtime.spawn(server.serve(service, self.stop.clone()));
        address
    }

    fn stop(self) {
        self.stop.cancel();
        for (broker, store) in self.brokers.iter().zip(&self.stores) {
            broker.finish();
            assert!(store.stop(), "the store is not whole");
        }
        self.runtime.shutdown_timeout(PATIENCE);
    }
}

fn accounts(dir: &Path) -> Arc<Acl> {
    let file = dir.join("plain_acl.yml");
    fs::write(&file, ACCOUNTS).expect("a file");
    let options =
        AclOptions { folder: dir.join("etc"), file, node_account: "admin-account".to_owned() };
    Acl::open(&options, &Clock::system(), &Arc::default()).expect("accounts")
}
