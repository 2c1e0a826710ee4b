//! The terminal while the screen is shown: keys come at once, and it is as it was afterwards.
//!
//! Not what is drawn (`screen`). Plain ANSI and termios: what is needed is less than a library's interface.
//! Invariant: whatever ends the screen, a panic too, restores the terminal; only SIGKILL cannot.

use std::io::{self, IsTerminal, Read, Write};
use std::sync::Mutex;

use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use terminal_size::{Height, Width, terminal_size};
use tokio::sync::mpsc::UnboundedSender;

use super::stage::Order;
use crate::task;

/// Another screen, cleared, without a cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l\x1b[2J";
/// The cursor and the first screen again.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";
const CTRL_C: u8 = 3;
const ESCAPE: u8 = 0x1b;
/// What a terminal of unknown size is taken for.
const USUAL_SIZE: (usize, usize) = (80, 24);

/// A terminal that shows a screen.
#[derive(Debug)]
pub struct Terminal {
    before: Termios,
}

/// Whether somebody can see a screen and press keys.
#[must_use]
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Terminal {
    /// Takes the terminal; keys become orders.
    ///
    /// # Errors
    /// It is none.
    pub fn enter(orders: UnboundedSender<Order>) -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        // Ctrl-C is a key like others, so that no signal ends us before the terminal is as it was.
        raw.local_flags -=
            LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG | LocalFlags::IEXTEN;
        raw.input_flags -= InputFlags::IXON;
        tcsetattr(io::stdin(), SetArg::TCSANOW, &raw)?;
        let terminal = Self { before };
        // A release build ends at a panic without dropping anything.
        let saved = Mutex::new(terminal.before.clone());
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if let Ok(before) = saved.lock() {
                leave(&before);
            }
            told(panic);
        }));
        terminal.write(ENTER)?;
        task::spawn_thread("demo keys", move || read_keys(&orders))?;
        Ok(terminal)
    }

    /// Writes at once.
    ///
    /// # Errors
    /// The terminal is gone.
    pub fn write(&self, text: &str) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        leave(&self.before);
    }
}

/// Columns and rows.
#[must_use]
pub fn size() -> (usize, usize) {
    terminal_size()
        .map_or(USUAL_SIZE, |(Width(columns), Height(rows))| (columns.into(), rows.into()))
}

fn leave(before: &Termios) {
    let mut out = io::stdout();
    // Nobody sees it if the terminal is gone.
    let _ = out.write_all(LEAVE.as_bytes()).and_then(|()| out.flush());
    let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
}

/// Ends with the process, or when the terminal is gone.
fn read_keys(orders: &UnboundedSender<Order>) {
    let mut keys = [0; 64];
    loop {
        let count = match io::stdin().lock().read(&mut keys) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        if !orders_of(&keys[..count]).into_iter().all(|order| orders.send(order).is_ok()) {
            return;
        }
    }
    // Nobody can press a key any more; who listens no longer has ended already.
    let _ = orders.send(Order::Abort);
}

/// What pressed keys mean; what follows an escape is one of the keys without a letter.
fn orders_of(keys: &[u8]) -> Vec<Order> {
    let letters = keys.iter().take_while(|key| **key != ESCAPE);
    let orders = letters.filter_map(|key| match key {
        b'1' => Some(Order::Toggle(0)),
        b'2' => Some(Order::Toggle(1)),
        b's' => Some(Order::Switch),
        b'q' | &CTRL_C => Some(Order::Finish),
        _ => None,
    });
    orders.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_orders_and_arrows_are_none() {
        let expected = [Order::Toggle(1), Order::Switch, Order::Toggle(0), Order::Finish];
        assert_eq!(orders_of(b"2xs1q"), expected);
        assert_eq!(orders_of(b"\x03"), [Order::Finish]);
        assert_eq!(orders_of(b"\x1b[1~"), [], "Home");
    }
}
