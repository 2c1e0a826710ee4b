//! The live screen: the picture of the pair, what flows, and what happened.
//!
//! Not the terminal's modes (`terminal`). Invariants: a frame is made of the board alone, and no line of it is
//! wider nor are there more than the terminal has.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::board::{Board, Broker, Host, State, Traffic};
use super::stage::Order;
use super::terminal::{self, Terminal};
use crate::node::has_colours;

/// How often the screen is drawn.
const PERIOD: Duration = Duration::from_millis(200);
/// Frames that a rate is the mean of.
const SAMPLES: usize = 10;
/// Columns of a host's box, its borders included.
const BOX: usize = 31;
/// Columns between the boxes.
const GAP: usize = 14;

/// How a part of a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Plain,
    Bold,
    Dim,
    Good,
    Bad,
}

impl Style {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Bold => "\x1b[1m",
            Self::Dim => "\x1b[2m",
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[1;31m",
        }
    }
}

/// One line in parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Line(Vec<(Style, String)>);

impl Line {
    fn plain(text: impl Into<String>) -> Self {
        Self(vec![(Style::Plain, text.into())])
    }

    fn with(mut self, style: Style, text: impl Into<String>) -> Self {
        self.0.push((style, text.into()));
        self
    }

    /// The line with what a terminal obeys, cut to its columns.
    fn render(&self, columns: usize, colour: bool) -> String {
        let (mut text, mut left) = (String::new(), columns);
        for (style, part) in &self.0 {
            let part: String = part.chars().take(left).collect();
            left -= part.chars().count();
            let code = if colour { style.code() } else { "" };
            let end = if code.is_empty() { "" } else { "\x1b[0m" };
            text.extend([code, &part, end]);
        }
        text
    }
}

/// Messages of one group, in all or a second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Flow {
    sent: u64,
    received: u64,
}

/// By group.
type Flows = BTreeMap<String, Flow>;

/// What a frame shows besides the board.
#[derive(Clone, Debug)]
pub struct Look<'a> {
    /// The mode's name.
    pub mode: &'a str,
    /// Time since the demo began.
    pub passed: Duration,
    /// Whether the keys stop in order.
    pub gently: bool,
    /// What is going on instead of the story; no key counts then.
    pub phase: Option<&'a str>,
}

/// A terminal with what the frames before this one showed.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal,
    /// What had flowed by which time.
    samples: VecDeque<(Duration, Flows)>,
    size: (usize, usize),
    colour: bool,
}

impl Screen {
    /// Takes the terminal; keys become orders.
    ///
    /// # Errors
    /// It is none.
    pub fn enter(orders: UnboundedSender<Order>) -> io::Result<Self> {
        let colour = has_colours(&io::stdout());
        let terminal = Terminal::enter(orders)?;
        Ok(Self { terminal, samples: VecDeque::new(), size: terminal::size(), colour })
    }

    /// Draws, if it is time.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn draw(&mut self, board: &Board, look: &Look<'_>) -> io::Result<()> {
        if self.samples.back().is_some_and(|(at, _)| look.passed < *at + PERIOD) {
            return Ok(());
        }
        let flow = |one: &Traffic| Flow { sent: one.sent, received: one.received };
        let flows = board.traffic.iter().map(|(group, one)| (group.clone(), flow(one)));
        self.samples.push_back((look.passed, flows.collect()));
        if self.samples.len() > SAMPLES {
            self.samples.pop_front();
        }
        let size = terminal::size();
        // What another width left is cleared; otherwise lines are overwritten, which does not flicker.
        let mut text = if size == self.size { "\x1b[H" } else { "\x1b[2J\x1b[H" }.to_owned();
        self.size = size;
        let lines = frame(board, look, &self.rates(), size.1);
        let lines = lines.iter().map(|line| line.render(size.0, self.colour) + "\x1b[K");
        text += &lines.collect::<Vec<_>>().join("\r\n");
        text += "\x1b[J";
        self.terminal.write(&text)
    }

    fn rates(&self) -> Flows {
        let (Some((begin, first)), Some((end, last))) = (self.samples.front(), self.samples.back())
        else {
            return Flows::new();
        };
        let ms = u64::try_from((*end - *begin).as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = |before: u64, after: u64| after.saturating_sub(before) * 1000 / ms;
        let of = |(group, flow): (&String, &Flow)| {
            let before = first.get(group).copied().unwrap_or_default();
            let (sent, received) =
                (rate(before.sent, flow.sent), rate(before.received, flow.received));
            (group.clone(), Flow { sent, received })
        };
        last.iter().map(of).collect()
    }
}

/// All lines, the last event above the keys.
fn frame(board: &Board, look: &Look<'_>, rates: &Flows, rows: usize) -> Vec<Line> {
    let mut lines = vec![title(look), Line::default()];
    lines.extend(picture(board));
    lines.push(Line::default());
    lines.extend(traffic(board, rates));
    lines.push(Line::default());
    lines.push(count(board));
    lines.push(Line::default());
    let room = rows.saturating_sub(lines.len() + 2);
    let events = &board.events[board.events.len().saturating_sub(room)..];
    for event in events {
        let at = format!("{:8.2} s", event.at.as_secs_f64());
        lines.push(
            Line::default().with(Style::Dim, at).with(Style::Plain, format!("  {}", event.text)),
        );
    }
    lines.resize(rows.saturating_sub(1), Line::default());
    lines.push(keys(board, look));
    lines
}

fn title(look: &Look<'_>) -> Line {
    let seconds = look.passed.as_secs();
    let time = format!("{:02}:{:02}", seconds / 60, seconds % 60);
    Line::plain(" ")
        .with(Style::Bold, "rmq-node demo")
        .with(Style::Plain, format!("   two hosts on this machine, mode {}   {time}", look.mode))
}

/// Both hosts with their roles, and an arrow from each master to its slave.
fn picture(board: &Board) -> Vec<Line> {
    let pair = |one: (Style, String), gap: String, other: (Style, String)| {
        let line = Line::plain(" ").with(one.0, one.1);
        line.with(Style::Plain, format!("{gap:^GAP$}")).with(other.0, other.1)
    };
    let [one, other] = &board.hosts;
    let head = |host: &Host, number: usize| {
        let text = format!("host {number}  {}  ", host.address);
        let (style, state) = match host.state {
            State::Up => (Style::Good, "up"),
            State::Starting => (Style::Bold, "starting"),
            State::Stopping => (Style::Bold, "stopping"),
            State::Down => (Style::Bad, "DOWN"),
        };
        let space = BOX.saturating_sub(text.len() + state.len());
        (text, style, format!("{state}{}", " ".repeat(space)))
    };
    let (heads, border) = ([head(one, 1), head(other, 2)], format!("+{}+", "-".repeat(BOX - 2)));
    let [(text, style, state), (other_text, other_style, other_state)] = heads;
    let first = Line::plain(format!(" {text}")).with(style, state);
    let first = first.with(Style::Plain, format!("{}{other_text}", " ".repeat(GAP)));
    let mut lines = vec![first.with(other_style, other_state)];
    let style = |host: &Host| if host.state == State::Down { Style::Dim } else { Style::Plain };
    let row = |host: &Host, left: &str, right: &str| {
        let space = (BOX - 4).saturating_sub(left.len());
        (style(host), format!("| {left}{right:>space$} |"))
    };
    let edge = |host: &Host| (style(host), border.clone());
    lines.push(pair(edge(one), String::new(), edge(other)));
    let server = |host: &Host| {
        let known = host
            .view
            .as_ref()
            .map(|view| view.iter().map(|one| one.addresses.len()).sum::<usize>());
        let knows = known.map_or("-".to_owned(), |known| format!("knows {known}"));
        row(host, "name server", &format!("{knows}  :{}", port(&host.name_server)))
    };
    lines.push(pair(server(one), String::new(), server(other)));
    for group in board.traffic.keys() {
        let of = |host: &Host| {
            let broker = host.brokers.iter().find(|broker| broker.group == *group);
            let role = |broker: &Broker| if broker.id == 0 { "master" } else { "slave" };
            let left = broker.map(|broker| format!("{group} {}", role(broker))).unwrap_or_default();
            let right = broker.map(|broker| format!(":{}", port(&broker.address)));
            row(host, &left, &right.unwrap_or_default())
        };
        let is_right = one.brokers.iter().any(|broker| broker.group == *group && broker.id == 0);
        lines.push(pair(of(one), arrow(board.replication_lag(group), is_right), of(other)));
    }
    lines.push(pair(edge(one), String::new(), edge(other)));
    lines
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').map_or(address, |(_, port)| port)
}

/// From master to slave, with how far it is behind.
fn arrow(lag: Option<u64>, is_right: bool) -> String {
    let text = lag.map_or("x".to_owned(), bytes);
    if is_right { format!("-- {text} ->") } else { format!("<- {text} --") }
}

fn bytes(count: u64) -> String {
    match count {
        0..=9_999 => format!("{count} B"),
        10_000..=9_999_999 => format!("{} KB", count / 1000),
        _ => format!("{} MB", count / 1_000_000),
    }
}

/// What flows through each group.
fn traffic(board: &Board, rates: &Flows) -> Vec<Line> {
    let head = format!(
        " {:<10}{:>8}{:>12}   {:<22}{:>10}{:>13}",
        "", "sent/s", "received/s", "consumer reads from", "its lag", "slave's lag"
    );
    let mut lines = vec![Line::default().with(Style::Dim, head)];
    for (group, one) in &board.traffic {
        let Flow { sent, received } = rates.get(group).copied().unwrap_or_default();
        let brokers = board.hosts.iter().flat_map(|host| &host.brokers);
        let is_slave =
            brokers.into_iter().any(|broker| broker.address == one.source && broker.id != 0);
        let (style, role) = if is_slave { (Style::Bad, "slave") } else { (Style::Plain, "master") };
        let from = match one.source.as_str() {
            "" => "-".to_owned(),
            source => format!("{role} on {}", board.place(source)),
        };
        let slave_lag = board.replication_lag(group).map_or("-".to_owned(), bytes);
        let text = format!(" {group:<10}{sent:>8}{received:>12}   ");
        let line = Line::plain(text).with(style, format!("{from:<22}"));
        lines.push(line.with(Style::Plain, format!("{:>10}{slave_lag:>13}", one.lag())));
    }
    lines
}

fn count(board: &Board) -> Line {
    let count = board.ledger.count();
    let mut text = format!(" acknowledged {}", count.acknowledged);
    let missing = count.missing();
    write!(text, "   received {}   not yet received {missing}", count.received)
        .expect("a string takes all");
    write!(text, "   duplicates {}", count.duplicates).expect("a string takes all");
    Line::default().with(Style::Bold, text)
}

fn keys(board: &Board, look: &Look<'_>) -> Line {
    if let Some(phase) = look.phase {
        return Line::plain(" ")
            .with(Style::Bold, phase)
            .with(Style::Plain, "   Ctrl-C end at once");
    }
    let verb = if look.gently { "stop" } else { "kill -9" };
    let mut line = Line::plain(" ");
    for (at, host) in board.hosts.iter().enumerate() {
        let verb = if host.state == State::Down { "start" } else { verb };
        let number = (at + 1).to_string();
        line = line.with(Style::Bold, number.clone());
        line = line.with(Style::Plain, format!(" {verb} host {number}   "));
    }
    let other = if look.gently { "kill instead" } else { "stop instead" };
    let line = line.with(Style::Bold, "s").with(Style::Plain, format!(" {other}   "));
    line.with(Style::Bold, "q").with(Style::Plain, " quit and count")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::board::tests::board;

    const LOOK: Look<'_> =
        Look { mode: "2m-2s-async", passed: Duration::from_secs(62), gently: false, phase: None };

    fn text(board: &Board, look: &Look<'_>, size: (usize, usize)) -> Vec<String> {
        let frame = frame(board, look, &Flows::new(), size.1);
        frame.iter().map(|line| line.render(size.0, false).trim_end().to_owned()).collect()
    }

    #[test]
    fn the_pair_is_shown_with_what_flows_and_what_happened() {
        let mut board = board();
        board.hosts[0].state = State::Up;
        for host in &mut board.hosts {
            for broker in &mut host.brokers {
                broker.log_end = Some(if broker.id == 0 { 500 } else { 120 });
            }
        }
        board.hosts[1].brokers[0].log_end = None;
        board.reads(Duration::ZERO, "broker-a", 0, "127.0.0.1:10911");
        board.note(Duration::from_millis(1234), "host 2 killed (kill -9)");
        let expected = " rmq-node demo   two hosts on this machine, mode 2m-2s-async   01:02

 host 1  127.0.0.1  up                        host 2  127.0.0.2  DOWN
 +-----------------------------+              +-----------------------------+
 | name server        -  :9876 |              | name server        -  :9876 |
 | broker-a master      :10911 | -- 380 B ->  | broker-a slave       :10921 |
 | broker-b slave       :10921 |   <- x --    | broker-b master      :10911 |
 +-----------------------------+              +-----------------------------+

             sent/s  received/s   consumer reads from      its lag  slave's lag
 broker-a         0           0   master on host 1               0        380 B
 broker-b         0           0   -                              0            -

 acknowledged 0   received 0   not yet received 0   duplicates 0

    1.23 s  host 2 killed (kill -9)




 1 kill -9 host 1   2 start host 2   s stop instead   q quit and count";
        assert_eq!(text(&board, &LOOK, (80, 21)).join("\n"), expected);
        let gently = Look { gently: true, ..LOOK };
        let keys = " 1 stop host 1   2 start host 2   s kill instead   q quit and count";
        assert_eq!(text(&board, &gently, (80, 21))[20], keys);
        let ending = Look { phase: Some("counting"), ..LOOK };
        assert_eq!(text(&board, &ending, (80, 21))[20], " counting   Ctrl-C end at once");
    }

    #[test]
    fn a_frame_fits_any_terminal() {
        let mut board = board();
        for number in 0..50 {
            board.note(Duration::ZERO, format!("{number} {}", "x".repeat(300)));
        }
        for size in [(80, 24), (120, 40), (10, 3), (1, 1), (0, 0)] {
            let lines = text(&board, &LOOK, size);
            assert_eq!(lines.len(), size.1.max(1), "{size:?}");
            assert!(lines.iter().all(|line| line.chars().count() <= size.0), "{size:?}");
        }
        let lines = text(&board, &LOOK, (80, 24));
        assert!(lines[21].contains("49 xxx"), "the last event is the lowest: {lines:?}");
        assert_eq!(lines[22], "", "the keys stand apart");
    }
}
