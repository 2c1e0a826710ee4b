//! The loop of the demo: starts the pair, plays the story, brings every host back, counts.
//!
//! Not the clients. Invariants: only the loop starts and ends processes; it never waits for a call, so that keys
//! and signals always count; what is dropped with it takes processes, folder and screen along.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::board::{Board, Event, State};
use super::cluster::{Cluster, PAUSE, QUEUES, TOPIC};
use super::pair::Pair;
use super::screen::{Look, Screen};
use super::script::{Script, Step};
use super::{DemoError, Ended, Options, consumer, producer, watch};
use crate::admin::Admin;
use crate::clock::Clock;
use crate::proto::v1::CreateTopicRequest;
use crate::task;

/// How often the loop looks around.
const TICK: Duration = Duration::from_millis(50);
/// How long a host may take until clients can use it.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a host may take to stop in order.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the consumer may be without news while it is waited for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);
/// Missing numbers that are named.
const MISSING_SHOWN: usize = 10;

/// What the loop is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// End a host at once.
    Kill(usize),
    /// Stop a host in order.
    Stop(usize),
    /// Start a host.
    Start(usize),
    /// Kill or stop a host that is up, or start it.
    Toggle(usize),
    /// Stop in order instead of killing, or the other way round.
    Switch,
    /// Stop the load, count and end; the second time, end at once.
    Finish,
    /// End at once.
    Abort,
}

/// Ctrl-C is a finish, what else ends processes an abort.
fn listen_for_signals(orders: &UnboundedSender<Order>) -> io::Result<()> {
    for (kind, order) in [
        (SignalKind::interrupt(), Order::Finish),
        (SignalKind::terminate(), Order::Abort),
        (SignalKind::hangup(), Order::Abort),
    ] {
        let (mut signal, orders) = (signal(kind)?, orders.clone());
        task::spawn(task::Kind::Ignore, "demo signals", async move {
            while signal.recv().await.is_some() && orders.send(order).is_ok() {}
        });
    }
    Ok(())
}

/// How it is shown.
enum Show {
    /// Events line by line; how many were printed.
    Lines(usize),
    Screen(Screen),
}

/// The loop and what only it may touch; the screen goes first, so that errors are read.
pub struct Stage<'a> {
    show: Show,
    options: &'a Options,
    pair: Pair,
    cluster: Arc<Cluster>,
    orders: UnboundedReceiver<Order>,
    orders_in: UnboundedSender<Order>,
    /// Whether keys stop in order.
    gently: bool,
    /// What is going on instead of the story.
    phase: Option<&'static str>,
    /// Whether the end was asked for.
    is_finishing: bool,
}

impl<'a> Stage<'a> {
    /// Makes the pair's files, and takes the terminal if keys are to be pressed.
    ///
    /// # Errors
    /// [`Pair::create`]'s, or the terminal is none.
    pub fn new(options: &'a Options) -> Result<Self, DemoError> {
        let pair = Pair::create(options)?;
        let (orders_in, orders) = unbounded_channel();
        listen_for_signals(&orders_in)?;
        let show = match options.script {
            Some(_) => Show::Lines(0),
            None => Show::Screen(Screen::enter(orders_in.clone())?),
        };
        let cluster = Cluster::new(Board::new(pair.configs()), Clock::system());
        Ok(Self {
            show,
            options,
            pair,
            cluster,
            orders,
            orders_in,
            gently: false,
            phase: Some("starting"),
            is_finishing: false,
        })
    }

    /// The order of everything.
    ///
    /// # Errors
    /// It ended before the count, and why.
    pub async fn play(mut self) -> Result<Ended, DemoError> {
        // 1. Both hosts run, and clients can use them.
        self.open().await?;
        // 2. Messages flow.
        let (produce, consume) = (CancellationToken::new(), CancellationToken::new());
        let (cluster, rate) = (&self.cluster, self.options.rate);
        let consumer = consumer::run(Arc::clone(cluster), consume.clone());
        let consumer = task::spawn(task::Kind::Ignore, "demo consumer", consumer);
        let producer = producer::run(Arc::clone(cluster), rate, produce.clone());
        let producer = task::spawn(task::Kind::Ignore, "demo producer", producer);
        cluster.note(format!("producer sends {rate} messages a second"));
        // 3. The story, until its end or Ctrl-C.
        self.phase = None;
        if let Some(script) = self.options.script.clone() {
            let script = play(script, Arc::clone(cluster), self.orders_in.clone());
            task::spawn(task::Kind::Ignore, "demo script", script);
        }
        while !self.is_finishing {
            self.pass().await?;
        }
        // 4. No more messages; every host is back, and the consumer has read all queues to their ends.
        self.phase = Some("ending: every host comes back, then all is counted");
        produce.cancel();
        self.until_ended(&producer).await?;
        self.cluster.note("producer has stopped; the consumer reads the rest");
        self.bring_back().await?;
        self.drain().await?;
        consume.cancel();
        self.until_ended(&consumer).await?;
        // 5. The hosts stop in order.
        self.close().await?;
        Ok(self.summary())
    }

    async fn open(&mut self) -> Result<(), DemoError> {
        let folder = match self.pair.kept() {
            Some(folder) => folder.display().to_string(),
            None => "a temporary folder".to_owned(),
        };
        let mode = self.options.mode.name();
        self.cluster.note(format!("two hosts on this machine, mode {mode}, data in {folder}"));
        for host in 0..2 {
            self.start(host)?;
        }
        let watch = watch::run(Arc::clone(&self.cluster));
        task::spawn(task::Kind::Ignore, "demo watch", watch);
        self.wait_for_start("registered", |board| board.is_known(0) && board.is_known(1)).await?;
        let topic = CreateTopicRequest {
            topic: TOPIC.to_owned(),
            queues: Some(QUEUES),
            ..CreateTopicRequest::default()
        };
        let admin = Admin::new(self.cluster.name_servers().to_vec(), Default::default());
        let created = admin.create_topic(&topic).await;
        created.map_err(|error| DemoError(format!("the topic cannot be created: {error}")))?;
        self.cluster.board().has_topic = true;
        self.cluster.note(format!("topic {TOPIC} created, {QUEUES} queues on each master"));
        let is_up = |board: &Board| board.hosts.iter().all(|host| host.state == State::Up);
        self.wait_for_start("up", is_up).await
    }

    async fn wait_for_start(
        &mut self,
        what: &str,
        is_so: impl Fn(&Board) -> bool,
    ) -> Result<(), DemoError> {
        let limit = self.cluster.passed() + START_TIMEOUT;
        while !is_so(&self.cluster.board()) {
            self.pass().await?;
            if self.is_finishing {
                return Err(DemoError("ended before it began".to_owned()));
            }
            if self.cluster.passed() > limit {
                let logs = [self.pair.log_end(0), self.pair.log_end(1)].join("\n");
                let seconds = START_TIMEOUT.as_secs();
                let text =
                    format!("the hosts are not {what} after {seconds} s; what they say:\n{logs}");
                return Err(DemoError(text));
            }
        }
        Ok(())
    }

    /// One turn of the loop.
    async fn pass(&mut self) -> Result<(), DemoError> {
        let order = tokio::time::timeout(TICK, self.orders.recv()).await;
        if let Ok(Some(order)) = order {
            self.obey(order)?;
        }
        for host in 0..2 {
            if let Some(status) = self.pair.ended(host)? {
                self.ended(host, status)?;
            }
        }
        self.show()
    }

    fn obey(&mut self, order: Order) -> Result<(), DemoError> {
        let state = |host: usize| self.cluster.board().hosts[host].state;
        let runs = |host: usize| matches!(state(host), State::Starting | State::Up);
        match order {
            Order::Abort => return Err(DemoError("told to end before the count".to_owned())),
            Order::Finish if self.is_finishing => {
                return Err(DemoError("told twice to end: nothing was counted".to_owned()));
            }
            Order::Finish => self.is_finishing = true,
            // While it starts and ends, all hosts are needed.
            _ if self.phase.is_some() => {}
            Order::Switch => self.gently = !self.gently,
            Order::Toggle(host) => {
                let order = match state(host) {
                    State::Down => Order::Start(host),
                    // It was told already.
                    State::Stopping => Order::Kill(host),
                    _ if self.gently => Order::Stop(host),
                    _ => Order::Kill(host),
                };
                self.obey(order)?;
            }
            Order::Kill(host) if state(host) != State::Down => {
                self.pair.kill(host);
                self.set(host, State::Down);
                self.cluster.note(format!("host {} killed (kill -9)", host + 1));
            }
            Order::Stop(host) if runs(host) => {
                self.pair.terminate(host);
                self.set(host, State::Stopping);
                self.cluster.note(format!("host {} told to stop (SIGTERM)", host + 1));
            }
            Order::Start(host) if state(host) == State::Down => self.start(host)?,
            Order::Kill(_) | Order::Stop(_) | Order::Start(_) => {}
        }
        Ok(())
    }

    fn set(&self, host: usize, state: State) {
        self.cluster.board().hosts[host].state = state;
    }

    fn start(&mut self, host: usize) -> Result<(), DemoError> {
        self.pair.start(host)?;
        self.set(host, State::Starting);
        let (address, pid) = (self.options.hosts[host], self.pair.pid(host).unwrap_or_default());
        self.cluster.note(format!("host {} started at {address} (process {pid})", host + 1));
        Ok(())
    }

    /// A host's process ended without a kill of ours.
    fn ended(&mut self, host: usize, status: ExitStatus) -> Result<(), DemoError> {
        let was = self.cluster.board().hosts[host].state;
        self.set(host, State::Down);
        let number = host + 1;
        let text = match (was, status.signal(), status.success()) {
            (State::Stopping, _, true) => format!("host {number} has stopped in order"),
            (_, _, true) => format!("host {number} was stopped by somebody else"),
            (_, Some(signal), _) => format!("host {number} was ended by signal {signal}"),
            _ => {
                let log = self.pair.log_end(host);
                let text = format!("host {number} ended by itself, {status}; what it said:\n{log}");
                return Err(DemoError(text));
            }
        };
        self.cluster.note(text);
        Ok(())
    }

    async fn until_ended(&mut self, task: &JoinHandle<()>) -> Result<(), DemoError> {
        while !task.is_finished() {
            self.pass().await?;
        }
        Ok(())
    }

    /// What was acknowledged by a host that is down lies on its disk.
    async fn bring_back(&mut self) -> Result<(), DemoError> {
        let limit = self.cluster.passed() + START_TIMEOUT;
        loop {
            let states = self.cluster.board().hosts.each_ref().map(|host| host.state);
            for (host, state) in states.into_iter().enumerate() {
                if state == State::Down {
                    self.start(host)?;
                }
            }
            if states == [State::Up; 2] {
                return Ok(());
            }
            if self.cluster.passed() > limit {
                let away = (0..2).filter(|host| states[*host] != State::Up);
                for host in away {
                    let text =
                        format!("host {} does not come back: it is counted without", host + 1);
                    self.cluster.note(text);
                }
                return Ok(());
            }
            self.pass().await?;
        }
    }

    /// Until the consumer is at the end of every queue, and all queues were read once more.
    async fn drain(&mut self) -> Result<(), DemoError> {
        let cluster = Arc::clone(&self.cluster);
        let draining = task::spawn(task::Kind::Ignore, "demo drain", async move {
            drain(&cluster).await;
        });
        self.until_ended(&draining).await
    }

    async fn close(&mut self) -> Result<(), DemoError> {
        for host in 0..2 {
            if self.pair.pid(host).is_some() {
                self.pair.terminate(host);
                self.set(host, State::Stopping);
            }
        }
        let limit = self.cluster.passed() + STOP_TIMEOUT;
        while (0..2).any(|host| self.pair.pid(host).is_some()) {
            self.pass().await?;
            if self.cluster.passed() > limit {
                self.cluster.note("a host does not stop: it is killed");
                break;
            }
        }
        self.show()
    }

    fn show(&mut self) -> Result<(), DemoError> {
        let board = self.cluster.board();
        let printed = match &mut self.show {
            Show::Lines(printed) => printed,
            Show::Screen(screen) => {
                let look = Look {
                    mode: self.options.mode.name(),
                    passed: self.cluster.passed(),
                    gently: self.gently,
                    phase: self.phase,
                };
                return Ok(screen.draw(&board, &look)?);
            }
        };
        let new: Vec<Event> = board.events[*printed..].to_vec();
        drop(board);
        *printed += new.len();
        let mut text = String::new();
        for event in new {
            let seconds = event.at.as_secs_f64();
            writeln!(text, "{seconds:7.2} s  {}", event.text).expect("a string takes all");
        }
        io::stdout().write_all(text.as_bytes())?;
        Ok(())
    }

    fn summary(&self) -> Ended {
        let commands = || [0, 1].map(|host| self.pair.command_line(host));
        let ledger = &self.cluster.board().ledger;
        Ended {
            count: ledger.count(),
            missing: ledger.missing(MISSING_SHOWN),
            kept: self.pair.kept().map(|folder| (folder.to_owned(), commands())),
        }
    }
}

/// Gives the orders of a script, each when the one before it is done.
async fn play(script: Script, cluster: Arc<Cluster>, orders: UnboundedSender<Order>) {
    let until = async |host: usize, state: State| {
        let waiting = async {
            while cluster.board().hosts[host].state != state {
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::time::timeout(START_TIMEOUT, waiting).await.is_ok()
    };
    for step in script.0 {
        let (order, host, state) = match step {
            Step::Wait(time) => {
                tokio::time::sleep(time).await;
                continue;
            }
            Step::Kill(host) => (Order::Kill(host), host, State::Down),
            Step::Stop(host) => (Order::Stop(host), host, State::Down),
            Step::Start(host) => (Order::Start(host), host, State::Up),
        };
        if orders.send(order).is_err() || !until(host, state).await {
            break;
        }
    }
    // Nobody listens if the end has come already.
    let _ = orders.send(Order::Finish);
}

/// Waits until the consumer is at the end of every queue, then looks through all queues once more.
async fn drain(cluster: &Cluster) {
    let masters: Vec<(String, String)> = {
        let board = cluster.board();
        let brokers = board.hosts.iter().flat_map(|host| &host.brokers);
        let masters = brokers.filter(|broker| broker.id == 0);
        masters.map(|broker| (broker.group.clone(), broker.address.clone())).collect()
    };
    let (mut last, mut news) = (0, cluster.passed());
    for (group, master) in &masters {
        loop {
            let ends = watch::ends(cluster, master).await;
            let received = {
                let board = cluster.board();
                let is_at = |(id, end): (&i32, &i64)| board.position(group, *id) >= *end;
                if ends.is_some_and(|ends| ends.iter().all(is_at)) {
                    break;
                }
                board.traffic.values().map(|traffic| traffic.received).sum::<u64>()
            };
            if received != last {
                (last, news) = (received, cluster.passed());
            }
            if cluster.passed() - news > DRAIN_TIMEOUT {
                let text =
                    format!("consumer does not come to the end of {group}: it is counted so");
                cluster.note(text);
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    for (group, master) in &masters {
        for id in 0..i32::try_from(QUEUES).unwrap_or(0) {
            if !consumer::look_through(cluster, master, id).await {
                cluster.note(format!("{group} cannot be read once more: queue {id}"));
            }
        }
    }
}
