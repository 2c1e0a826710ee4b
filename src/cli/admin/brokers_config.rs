//! `rmq-node admin brokers config`: a broker's settings, and changing them while it runs.

use clap::{Args, Subcommand};

use super::door::Door;
use super::output::{Output, Report, Reported, what_was_done};
use super::sheet::{Sheet, words};
use crate::proto::v1::brokers_client::BrokersClient;
use crate::proto::v1::{
    BrokerConfig, BrokerSetting, GetBrokerConfigRequest, ResetBrokerConfigRequest,
    SetBrokerConfigRequest,
};

/// The verbs.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigAction {
    /// Print all settings, or one.
    Get {
        /// 4.9.4's key, such as `fileReservedTime` [default: all].
        key: Option<String>,
        #[command(flatten)]
        broker: OfBroker,
    },
    /// Change a setting at once, and for good: an rmq-node keeps it in its data directory, not in its file.
    Set {
        /// 4.9.4's key; those of a node of ours that change: autoCreateSubscriptionGroup, autoCreateTopicEnable,
        /// brokerPermission, deleteWhen, diskMaxUsedSpaceRatio, fileReservedTime, rejectTransactionMessage,
        /// slaveReadEnable, traceOn.
        key: String,
        /// What it shall be.
        value: String,
        #[command(flatten)]
        broker: OfBroker,
        /// Show what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Make a setting again what the settings of the broker's node say.
    Reset {
        /// 4.9.4's key.
        key: String,
        #[command(flatten)]
        broker: OfBroker,
        /// Show what would be done, and do nothing.
        #[arg(long)]
        dry_run: bool,
    },
}

/// The broker whose settings they are.
#[derive(Args, Clone, Debug, Default)]
pub struct OfBroker {
    /// Its group (`brokerName`) [default: the master of this host, else the only broker].
    #[arg(long, value_name = "GROUP")]
    broker: Option<String>,
    /// Its number in the group (`brokerId`); 0 is the master.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(i64).range(0..))]
    id: i64,
}

impl ConfigAction {
    /// Whether it only looks.
    pub fn only_reads(&self) -> bool {
        matches!(self, Self::Get { .. })
    }
}

/// Does what the verb says; prints all without one.
///
/// # Errors
/// As the service's.
pub async fn run(action: Option<ConfigAction>, door: Door, output: Output) -> Reported {
    let mut brokers = BrokersClient::new(door);
    let all = ConfigAction::Get { key: None, broker: OfBroker::default() };
    Ok(match action.unwrap_or(all) {
        ConfigAction::Get { key, broker: OfBroker { broker, id } } => {
            let request = GetBrokerConfigRequest { broker, id: Some(id), key };
            got(&brokers.get_config(request).await?.into_inner(), output)
        }
        ConfigAction::Set { key, value, broker: OfBroker { broker, id }, dry_run } => {
            let (what, to) = (key.clone(), value.clone());
            let request = SetBrokerConfigRequest { broker, id: Some(id), key, value, dry_run };
            let answer = brokers.set_config(request).await?.into_inner();
            let changed = changed(answer.before.as_deref(), &to);
            what_was_done(&Vec::from_iter(answer.done), &what, &changed, output)
        }
        ConfigAction::Reset { key, broker: OfBroker { broker, id }, dry_run } => {
            let what = key.clone();
            let request = ResetBrokerConfigRequest { broker, id: Some(id), key, dry_run };
            let answer = brokers.reset_config(request).await?.into_inner();
            let changed = changed(answer.before.as_deref(), answer.after.as_deref().unwrap_or("-"));
            what_was_done(&Vec::from_iter(answer.done), &what, &changed, output)
        }
    })
}

fn changed(before: Option<&str>, after: &str) -> String {
    format!("changed from {} to {after}", before.unwrap_or("nothing"))
}

fn got(config: &BrokerConfig, output: Output) -> Report {
    let row = |setting: &BrokerSetting| {
        let instead_of = setting.instead_of.clone().unwrap_or_default();
        vec![setting.key.clone(), setting.value.clone(), instead_of]
    };
    let is_changed = config.settings.iter().any(|setting| setting.instead_of.is_some());
    let instead_of = words("SETTINGS SAY");
    let columns =
        vec![words("KEY"), words("VALUE"), if is_changed { instead_of } else { instead_of.wide() }];
    let sheet = Sheet::new(columns, config.settings.iter().map(row).collect());
    Report::new(sheet.render(config, output), Vec::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_has_what_the_settings_say() {
        let setting = |key: &str, instead_of: Option<&str>| BrokerSetting {
            key: key.to_owned(),
            value: "48".to_owned(),
            instead_of: instead_of.map(str::to_owned),
        };
        let settings = vec![setting("a", None), setting("fileReservedTime", Some("72"))];
        let expected = "\
KEY               VALUE  SETTINGS SAY
a                 48
fileReservedTime  48     72
";
        assert_eq!(got(&BrokerConfig { settings }, Output::Table).text, expected);
        let settings = vec![setting("a", None)];
        assert_eq!(got(&BrokerConfig { settings }, Output::Table).text, "KEY  VALUE\na    48\n");
        assert_eq!(changed(None, "1"), "changed from nothing to 1");
    }
}
