//! `rmq-node admin replication resync`: lets a slave of this host begin anew.
//!
//! Not the doing, which is the slave's. Invariant: nothing is asked for before somebody has said yes, because the copy
//! that is set aside is not served any more.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use super::output::{Report, Reported};
use crate::admin::{Admin, AdminError};
use crate::config::{self, Config, ConfigError, Role, Sources};
use crate::transport::Signer;

const NOT_CONFIRMED: &str = "not done: it was not confirmed; --yes does that beforehand";

/// The arguments.
#[derive(Debug, Args)]
pub struct Resync {
    /// The group (`brokerName`) whose slave this host runs.
    group: String,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// The file with this host's settings [default: /etc/rmq-node/rmq-node.toml if there].
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Resync {
    /// This host's settings.
    ///
    /// # Errors
    /// Everything that is wrong with them.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let (config_file, environment) = (self.config.clone(), crate::cli::environment());
        Ok(config::load(&Sources { config_file, environment, ..Sources::default() })?.config)
    }

    /// Asks the user, then the slave.
    ///
    /// # Errors
    /// This host has no such slave, or it does not do it.
    pub async fn run(&self, config: &Config, signer: Signer) -> Reported {
        let slave = self.slave(config)?;
        if !self.yes && !self.is_confirmed() {
            let problems = vec![NOT_CONFIRMED.to_owned()];
            return Ok(Report { problems, has_failed: true, ..Report::default() });
        }
        Admin::new(Vec::new(), signer).resync(&slave).await?;
        let text = format!(
            "{} begins anew: its folder is set aside; `rmq-node admin replication` shows how it copies\n",
            self.group
        );
        Ok(Report { text, ..Report::default() })
    }

    /// The address of this host's slave of the group.
    fn slave(&self, config: &Config) -> Result<String, AdminError> {
        let mut slaves = config.brokers.iter().filter(|broker| broker.role == Role::Slave);
        let Some(slave) = slaves.clone().find(|slave| slave.group == self.group) else {
            let group = &self.group;
            let known: Vec<_> = slaves.by_ref().map(|slave| slave.group.as_str()).collect();
            let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
            let text =
                format!("this host's settings have no slave of \"{group}\"; there is: {known}");
            return Err(AdminError::NotFound(text));
        };
        let host = match config.listen {
            IpAddr::V4(all) if all.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(all) if all.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            one => one,
        };
        Ok(SocketAddr::new(host, slave.port).to_string())
    }

    fn is_confirmed(&self) -> bool {
        eprint!(
            "The slave of {} on this host stops serving, its folder is set aside, and all that its master has is \
             copied again. Go on? [y/N] ",
            self.group
        );
        let mut answer = String::new();
        // Who cannot be asked has not said yes.
        let asked = io::stderr().flush().and_then(|()| io::stdin().read_line(&mut answer));
        asked.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_slave_of_this_host_is_asked() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.toml");
        let text = "advertise = \"192.168.1.1\"\nname_servers = [\"192.168.1.1:9876\"]\n\
                    [[broker]]\ngroup = \"a\"\n\
                    [[broker]]\ngroup = \"b\"\nrole = \"slave\"\nport = 10921\n";
        std::fs::write(&file, text).unwrap();
        let resync = |group: &str| {
            let (group, config) = (group.to_owned(), Some(file.clone()));
            let resync = Resync { group, yes: false, config };
            resync.slave(&resync.config().unwrap())
        };
        assert_eq!(resync("b").unwrap(), "127.0.0.1:10921");
        let refused = resync("a").unwrap_err();
        let text = "this host's settings have no slave of \"a\"; there is: b";
        assert_eq!(refused, AdminError::NotFound(text.to_owned()));
    }
}
