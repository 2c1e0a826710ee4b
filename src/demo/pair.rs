//! Both hosts: their files, their processes, and the folder that they live in.
//!
//! Not when they are started or killed. Invariants: nothing is made before every port was found free; a
//! process never outlives this one, however this one ends; the folder is removed with the last, unless it
//! is to be kept.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{DemoError, Options};
use crate::config::init::Plan;
use crate::config::{Config, check_text};
use crate::node::port_holder;

const CLUSTER: &str = "Demo";
/// Added to what `config init` makes: four stores are to fit into any temporary folder.
const SMALL: &str = "\n# Small files: this is a demo.\n[store]\nsegment_bytes = 16777216\n";
const FILE: &str = "rmq-node.toml";
const LOG: &str = "log";
const LOG_LINES_SHOWN: usize = 12;
const FOLDERS_MAX: u32 = 1000;

/// One host.
#[derive(Debug)]
struct Host {
    config: Config,
    dir: PathBuf,
    child: Option<Child>,
}

/// Two hosts, each the master of one group and the slave of the other's.
#[derive(Debug)]
pub struct Pair {
    program: PathBuf,
    hosts: [Host; 2],
    folder: PathBuf,
    keep: bool,
}

impl Pair {
    /// Makes the folder and the files.
    ///
    /// # Errors
    /// A port is taken (and by whom), or the folder cannot be made or has something in it.
    pub fn create(options: &Options) -> Result<Self, DemoError> {
        let hosts = options.hosts.map(IpAddr::V4).to_vec();
        let plan = Plan { cluster: CLUSTER.to_owned(), hosts, mode: options.mode };
        let texts = plan.files().map_err(|error| DemoError(error.to_string()))?;
        let texts: Vec<String> = texts.into_iter().map(|text| text + SMALL).collect();
        let config = |text: &str| {
            let loaded = check_text(FILE, text).map_err(|error| DemoError(error.to_string()))?;
            Ok::<_, DemoError>(loaded.config)
        };
        let configs = [config(&texts[0])?, config(&texts[1])?];
        for config in &configs {
            check_ports(config)?;
        }
        let folder = match &options.data_dir {
            Some(dir) => empty_folder(dir)?,
            None => temporary_folder()?,
        };
        let hosts = configs.map(|config| {
            let dir = folder.join(config.advertise.to_string());
            Host { config, dir, child: None }
        });
        let keep = options.keep || options.data_dir.is_some();
        // From here on the folder goes with the pair.
        let pair = Self { program: std::env::current_exe()?, hosts, folder, keep };
        for (host, text) in pair.hosts.iter().zip(&texts) {
            fs::create_dir(&host.dir)?;
            fs::write(host.dir.join(FILE), text)?;
        }
        Ok(pair)
    }

    /// Where everything is, if it stays there.
    #[must_use]
    pub fn kept(&self) -> Option<&Path> {
        self.keep.then_some(self.folder.as_path())
    }

    /// The settings of each host.
    #[must_use]
    pub fn configs(&self) -> [&Config; 2] {
        [&self.hosts[0].config, &self.hosts[1].config]
    }

    /// How a host is started by hand.
    #[must_use]
    pub fn command_line(&self, host: usize) -> String {
        let dir = self.hosts[host].dir.display();
        format!("{} run --config {dir}/{FILE} --data-dir {dir}/data", self.program.display())
    }

    /// Starts a host that is down. Its parent is this thread, which must last as long as the process.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn start(&mut self, host: usize) -> io::Result<()> {
        let Host { dir, child, .. } = &mut self.hosts[host];
        let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG))?;
        let mut command = Command::new(&self.program);
        command.args(["run", "--ends-with", &std::process::id().to_string(), "--config"]);
        command.arg(dir.join(FILE)).arg("--data-dir").arg(dir.join("data"));
        // Settings of the machine are not the demo's; Ctrl-C is for the demo alone, which has a group of its own.
        command.env_clear().process_group(0);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        *child = Some(command.spawn()?);
        Ok(())
    }

    /// Ends a host at once; returns when it is gone.
    pub fn kill(&mut self, host: usize) {
        if let Some(mut child) = self.hosts[host].child.take() {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Tells a host to stop; [`Self::ended`] says when it has.
    pub fn terminate(&self, host: usize) {
        let pid = self.hosts[host].child.as_ref().and_then(|child| i32::try_from(child.id()).ok());
        if let Some(pid) = pid {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }

    /// The number of a host's process.
    #[must_use]
    pub fn pid(&self, host: usize) -> Option<u32> {
        self.hosts[host].child.as_ref().map(Child::id)
    }

    /// How a host ended, told once.
    ///
    /// # Errors
    /// The system does not say.
    pub fn ended(&mut self, host: usize) -> io::Result<Option<ExitStatus>> {
        let child = &mut self.hosts[host].child;
        let status = child.as_mut().map(Child::try_wait).transpose()?.flatten();
        if status.is_some() {
            *child = None;
        }
        Ok(status)
    }

    /// The last lines that a host told.
    #[must_use]
    pub fn log_end(&self, host: usize) -> String {
        let log = fs::read_to_string(self.hosts[host].dir.join(LOG)).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for host in 0..self.hosts.len() {
            self.kill(host);
        }
        if !self.keep
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            // Whether or not somebody can read it.
            let _ = writeln!(io::stderr(), "{} is left: {error}", self.folder.display());
        }
    }
}

/// Every port of a host is free.
fn check_ports(config: &Config) -> Result<(), DemoError> {
    let name_server = config.name_server.iter().map(|server| server.port);
    let brokers = config.brokers.iter().flat_map(|one| [one.port - 2, one.port, one.port + 1]);
    for port in name_server.chain(brokers) {
        let address = SocketAddr::new(config.listen, port);
        let Err(error) = TcpListener::bind(address) else { continue };
        if error.kind() != io::ErrorKind::AddrInUse {
            return Err(DemoError(format!("cannot bind {address}: {error}")));
        }
        let holder = port_holder(address).unwrap_or_else(|| "another process".to_owned());
        let text = format!(
            "{address} is needed, and {holder} has it: stop that, or choose other addresses, such as \
             --hosts 127.0.1.1,127.0.1.2"
        );
        return Err(DemoError(text));
    }
    Ok(())
}

/// A folder that is there and empty, or is made now.
fn empty_folder(dir: &Path) -> Result<PathBuf, DemoError> {
    let failed = |error| DemoError(format!("{}: {error}", dir.display()));
    fs::create_dir_all(dir).map_err(failed)?;
    if fs::read_dir(dir).map_err(failed)?.next().is_some() {
        let text = format!("{} is not empty: name a new folder", dir.display());
        return Err(DemoError(text));
    }
    // The hosts are told it, wherever they run.
    fs::canonicalize(dir).map_err(failed)
}

fn temporary_folder() -> Result<PathBuf, DemoError> {
    let parent = std::env::temp_dir();
    for number in 0..FOLDERS_MAX {
        let name = format!("rmq-node-demo-{}-{number}", std::process::id());
        let dir = parent.join(name);
        match DirBuilder::new().mode(0o700).create(&dir) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(DemoError(format!("{}: {error}", dir.display()))),
            Ok(()) => return Ok(dir),
        }
    }
    Err(DemoError(format!("{} has no room for a folder of the demo", parent.display())))
}
