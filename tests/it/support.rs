//! Nodes of the built binary for tests: each on a loopback address and in a folder of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// The built binary, without settings of the machine it runs on.
pub fn rmq_node(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rmq-node"));
    command.args(arguments).env_clear().stdin(Stdio::null());
    command
}

/// A loopback address on which a node's default ports are free now.
pub fn free_address() -> Ipv4Addr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        // Processes that run at the same time begin at different addresses.
        let number = std::process::id().wrapping_mul(64) + NEXT.fetch_add(1, Ordering::Relaxed);
        // Odd, so that no address is 127.0.0.0.
        let [_, a, b, c] = (number << 1 | 1).to_be_bytes();
        let address = Ipv4Addr::new(127, a, b, c);
        let is_free = |port: u16| TcpListener::bind((address, port)).is_ok();
        if address != Ipv4Addr::LOCALHOST
            && [8080, 9876, 9877, 10909, 10911, 10912].into_iter().all(is_free)
        {
            return address;
        }
    }
}

/// A running node; killed if the test ends before it.
pub struct Node {
    child: Child,
    /// Reads what it logs: it would wait for who does not.
    log: JoinHandle<String>,
    /// What it printed until it was up.
    pub banner: String,
}

impl Node {
    /// Starts a standalone node and waits until it says that it is up.
    pub fn start(address: Ipv4Addr, data_dir: &Path) -> Self {
        let data_dir = data_dir.to_str().unwrap();
        Self::spawn(&mut rmq_node(&[
            "run",
            "--listen",
            &address.to_string(),
            "--data-dir",
            data_dir,
        ]))
    }

    /// Starts what `command` says.
    pub fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut errors = child.stderr.take().unwrap();
        let log = std::thread::spawn(move || {
            let mut log = String::new();
            errors.read_to_string(&mut log).unwrap();
            log
        });
        let mut banner = String::new();
        while !banner.contains("Ctrl-C") {
            if lines.read_line(&mut banner).unwrap() == 0 {
                panic!("the node ended: {}", log.join().unwrap());
            }
        }
        Self { child, log, banner }
    }

    /// How its roles were when it was up, as a line.
    pub fn status_line(&self) -> &str {
        let first = self.banner.lines().next().unwrap();
        first.split_once(" is up: ").unwrap().1
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Waits for the end: how it ended, and the log.
    pub fn wait(mut self) -> (ExitStatus, String) {
        let log = std::mem::replace(&mut self.log, std::thread::spawn(String::new));
        let status = self.child.wait().unwrap();
        (status, log.join().unwrap())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
