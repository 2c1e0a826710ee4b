//! The 57 commands of 4.9.4's `mqadmin` as they are: `rmq-node admin updateTopic -n .. -c .. -t ..`, and as `mqadmin`
//! when this program is called by that name (contract 7).
//!
//! | file | what |
//! | --- | --- |
//! | `table` | the commands with their flags |
//! | `arguments`, `help` | reading flags and printing help as commons-cli does |
//! | `run` | what a command has at hand: the cluster, its flags, its output |
//! | `java` | texts as Java writes them |
//! | `time` | times of this host's zone |
//! | `topics`, `groups`, `clients`, `running`, `offsets` | commands: topics, groups and their consumers |
//! | `messages`, `reading`, `sending` | commands: messages |
//! | `brokers`, `cluster`, `name_servers`, `accounts`, `statistics`, `exports` | commands: the cluster |
//!
//! Not the calls (`crate::admin`). Invariants: names, flags, columns and texts on standard output are 4.9.4's, because
//! scripts read them; what fails is one line on standard error and an exit code, never a stack trace.

mod accounts;
mod arguments;
mod brokers;
mod clients;
mod cluster;
mod exports;
mod groups;
mod help;
mod java;
mod messages;
mod name_servers;
mod offsets;
mod reading;
mod run;
mod running;
mod sending;
mod statistics;
mod table;
mod time;
mod topics;

use std::ffi::OsString;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::ExitCode;

use clap::Parser;

use self::arguments::Arguments;
use self::run::{Done, Failure, Run};
use self::table::OldCommand;
use super::admin::{EXIT_USAGE, print_error};
use super::credentials::CredentialsArgs;
use super::table::safe;
use super::{addresses, print, tell};
use tonic::Status;

use crate::admin::{Admin, AdminError};
use crate::config::{self, Sources};

/// Alone, it asks for the list of all commands; 4.9.4's tool has only no word at all for that.
const HELP: [&str; 3] = ["-h", "--help", "help"];

/// The name by which this program is 4.9.4's tool.
const TOOL: &str = "mqadmin";

/// The words of this process from the old command's name on, if they are one's: behind `rmq-node admin`, or all behind
/// `mqadmin`.
pub(super) fn words() -> Option<Vec<String>> {
    let words: Vec<String> =
        std::env::args_os().map(OsString::into_string).collect::<Result<_, _>>().ok()?;
    old_words(&words).map(<[_]>::to_vec)
}

fn old_words(words: &[String]) -> Option<&[String]> {
    let (program, rest) = words.split_first()?;
    if Path::new(program).file_name()?.to_str()? == TOOL {
        return Some(rest);
    }
    match rest {
        // What the packages install as mqadmin calls.
        [tool, old @ ..] if tool == TOOL => Some(old),
        [admin, old @ ..] if admin == "admin" && table::find(old.first()?).is_some() => Some(old),
        _ => None,
    }
}

/// Runs the command of these words.
///
/// # Errors
/// The result cannot be printed, or this host's settings are wrong and were needed.
pub(super) fn main(words: &[String]) -> anyhow::Result<ExitCode> {
    let asks_for_all = |words: &[String]| matches!(words, [one] if HELP.contains(&one.as_str()));
    let Some((name, given)) = words.split_first().filter(|_| !asks_for_all(words)) else {
        print(&help::list())?;
        return Ok(ExitCode::SUCCESS);
    };
    // `help X` only with nothing behind it, as the tool has it.
    let is_help = name == "help" && given.len() == 1;
    let name = if is_help { &given[0] } else { name };
    let Some(command) = table::find(name) else {
        print(&format!("The sub command {name} not exist.\n"))?;
        let meant = similar(name).map(|meant| format!(", perhaps {meant} is meant"));
        let meant = meant.unwrap_or_default();
        tell(&format!(
            "error: there is no command {}{meant}. `mqadmin` alone lists them.\n",
            safe(name)
        ));
        return Ok(ExitCode::from(EXIT_USAGE));
    };
    if is_help {
        print(&help::usage(command))?;
        return Ok(ExitCode::SUCCESS);
    }
    match start(command, given) {
        Ok(code) => Ok(code),
        Err(Failure::Usage(text)) => {
            print(&help::usage(command))?;
            let text = safe(&text);
            tell(&format!("error: {text}. `{TOOL} {} -h` shows its flags.\n", command.name));
            Ok(ExitCode::from(EXIT_USAGE))
        }
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Ok(ExitCode::SUCCESS)
        }
        Err(Failure::Output(error)) => Err(error.into()),
        Err(Failure::Other(error)) => Err(error),
        Err(Failure::Admin(error)) => Ok(print_error(&Status::from(error))),
    }
}

/// The command that is meant by a name that is its own, in any case, or nearly so.
pub(super) fn similar(name: &str) -> Option<&'static str> {
    let known: Vec<_> = table::COMMANDS.iter().map(|one| one.name.to_lowercase()).collect();
    let known: Vec<_> = known.iter().map(String::as_str).collect();
    config::nearest(&name.to_lowercase(), &known).and_then(table::find).map(|one| one.name)
}

fn start(command: &'static OldCommand, words: &[String]) -> Result<ExitCode, Failure> {
    let (words, credentials) = credentials(words)?;
    let given = Arguments::parse(command, &words).map_err(Failure::Usage)?;
    if given.has('h') {
        print(&help::usage(command))?;
        return Ok(ExitCode::SUCCESS);
    }
    let (name_servers, tls) = name_servers(&given)?;
    let credentials = credentials.credentials(tls.as_ref(), tools_file().as_deref());
    let credentials = credentials.map_err(|error| AdminError::Invalid(format!("{error:#}")))?;
    let admin = Admin::new(name_servers, credentials);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut run = Run::new(admin, given);
    let done = runtime.block_on(act(command.name, &mut run));
    // What was printed before it failed counts too.
    run.end_line()?;
    run.flush()?;
    done?;
    Ok(run.exit_code())
}

/// Where 4.9.4's tool has its keys, if it has any.
fn tools_file() -> Option<PathBuf> {
    let home = std::env::var_os("ROCKETMQ_HOME")?;
    Some(Path::new(&home).join("conf/tools.yml"))
}

/// `-n`, else `NAMESRV_ADDR` as for the tool, else those of this host's settings, with its TLS.
fn name_servers(given: &Arguments) -> Result<(Vec<String>, Option<config::Tls>), Failure> {
    let environment = || std::env::var("NAMESRV_ADDR").ok().filter(|text| !text.trim().is_empty());
    match given.get('n').map(str::to_owned).or_else(environment) {
        Some(text) => {
            let named = addresses(&text);
            Ok((named.map_err(|error| Failure::Usage(format!("-n: {error}")))?.0, None))
        }
        None => {
            let sources = Sources { environment: super::environment(), ..Sources::default() };
            let config = config::load(&sources).map_err(anyhow::Error::from)?.config;
            Ok((config.name_servers, Some(config.tls)))
        }
    }
}

/// Our own flags for an account and for TLS, which the tool lacks.
const OURS: [&str; 6] =
    ["--credentials", "--access-key", "--secret-key", "--tls-ca", "--tls-certificate", "--tls-key"];

/// Those flags, taken out of the words.
fn credentials(words: &[String]) -> Result<(Vec<String>, CredentialsArgs), Failure> {
    #[derive(Parser)]
    struct Signing {
        #[command(flatten)]
        credentials: CredentialsArgs,
    }
    let is_ours = |word: &str| {
        let name = word.split('=').next().unwrap_or_default();
        OURS.contains(&name)
    };
    let (mut others, mut ours) = (Vec::new(), vec![TOOL.to_owned()]);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if !is_ours(word) {
            others.push(word.clone());
            continue;
        }
        ours.push(word.clone());
        if !word.contains('=') {
            ours.extend(words.next().cloned());
        }
    }
    let signing = Signing::try_parse_from(ours);
    let first_line =
        |error: clap::Error| error.to_string().lines().next().unwrap_or_default().to_owned();
    let signing = signing.map_err(|error| Failure::Usage(first_line(error)))?;
    Ok((others, signing.credentials))
}

/// The name and the help of each command, for the manual.
pub(super) fn helps() -> impl Iterator<Item = (&'static str, String)> {
    table::COMMANDS.iter().map(|command| (command.name, help::usage(command)))
}

/// The program as clap has it, for completions and the manual.
pub(super) fn program() -> clap::Command {
    clap::Command::new(TOOL)
        .about("The commands of RocketMQ 4.9.4's mqadmin: names in any case, flags and output as they are there")
        .after_help(
            "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 nobody answers, 4 no such thing, 5 not allowed, 6 done in part.",
        )
        .disable_help_subcommand(true)
        .disable_help_flag(true)
}

/// The program with its commands, for completions.
pub(super) fn command() -> clap::Command {
    let flag = |flag: &table::Flag| {
        let arg = clap::Arg::new(flag.long).short(flag.short).help(flag.about);
        // Some long names have blanks: nobody can write those.
        let arg = if flag.long.contains(' ') { arg } else { arg.long(flag.long) };
        match flag.has_value() {
            true => arg.value_name("arg"),
            false => arg.action(clap::ArgAction::SetTrue),
        }
    };
    let old = |command: &OldCommand| {
        let flags = command.all_flags().map(flag);
        clap::Command::new(command.name).about(command.about).disable_help_flag(true).args(flags)
    };
    program().subcommands(table::COMMANDS.iter().map(old))
}

/// The command of a name.
fn act<'a>(name: &str, run: &'a mut Run) -> Pin<Box<dyn Future<Output = Done> + 'a>> {
    match name {
        "updateTopic" => Box::pin(topics::update(run)),
        "deleteTopic" => Box::pin(topics::delete(run)),
        "updateSubGroup" => Box::pin(groups::update(run)),
        "deleteSubGroup" => Box::pin(groups::delete(run)),
        "updateBrokerConfig" => Box::pin(brokers::update_config(run)),
        "updateTopicPerm" => Box::pin(topics::update_permission(run)),
        "topicRoute" => Box::pin(topics::route(run)),
        "topicStatus" => Box::pin(topics::status(run)),
        "topicClusterList" => Box::pin(topics::clusters(run)),
        "brokerStatus" => Box::pin(brokers::status(run)),
        "brokerConsumeStats" => Box::pin(groups::broker_stats(run)),
        "producerConnection" => Box::pin(clients::producers(run)),
        "consumerConnection" => Box::pin(clients::consumers(run)),
        "consumerProgress" => Box::pin(groups::progress(run)),
        "producer" => Box::pin(clients::all_producers(run)),
        "clusterList" => Box::pin(cluster::list(run)),
        "topicList" => Box::pin(topics::list(run)),
        "updateKvConfig" => Box::pin(name_servers::update_kv(run)),
        "deleteKvConfig" => Box::pin(name_servers::delete_kv(run)),
        "wipeWritePerm" => Box::pin(name_servers::wipe_permission(run)),
        "addWritePerm" => Box::pin(name_servers::add_permission(run)),
        "updateOrderConf" => Box::pin(topics::order(run)),
        "cleanExpiredCQ" => Box::pin(brokers::clean_queues(run)),
        "deleteExpiredCommitLog" => Box::pin(brokers::delete_expired_log(run)),
        "cleanUnusedTopic" => Box::pin(brokers::clean_unused_topics(run)),
        "allocateMQ" => Box::pin(topics::allocate(run)),
        "getNamesrvConfig" => Box::pin(name_servers::config(run)),
        "updateNamesrvConfig" => Box::pin(name_servers::update_config(run)),
        "cloneGroupOffset" => Box::pin(offsets::clone(run)),
        "resetOffsetByTime" => Box::pin(offsets::reset(run)),
        "skipAccumulatedMessage" => Box::pin(offsets::skip(run)),
        "updateAclConfig" => Box::pin(accounts::update(run)),
        "deleteAclConfig" => Box::pin(accounts::delete(run)),
        "clusterAclConfigVersion" => Box::pin(accounts::versions(run)),
        "updateGlobalWhiteAddr" => Box::pin(accounts::set_white_addresses(run)),
        "getAclConfig" => Box::pin(accounts::list(run)),
        "queryMsgById" => Box::pin(messages::by_id(run)),
        "queryMsgByKey" => Box::pin(messages::by_key(run)),
        "queryMsgByUniqueKey" => Box::pin(messages::by_unique_key(run)),
        "queryMsgByOffset" => Box::pin(messages::by_offset(run)),
        "queryMsgTraceById" => Box::pin(messages::trace(run)),
        "printMsg" => Box::pin(reading::print(run)),
        "printMsgByQueue" => Box::pin(reading::print_queue(run)),
        "consumeMessage" => Box::pin(reading::consume(run)),
        "queryCq" => Box::pin(reading::entries(run)),
        "sendMessage" => Box::pin(sending::send(run)),
        "sendMsgStatus" => Box::pin(sending::status(run)),
        "checkMsgSendRT" => Box::pin(sending::check_time(run)),
        "clusterRT" => Box::pin(sending::cluster_times(run)),
        "consumerStatus" => Box::pin(running::status(run)),
        "startMonitoring" => Box::pin(statistics::monitor(run)),
        "statsAll" => Box::pin(statistics::all(run)),
        "exportMetadata" => Box::pin(exports::metadata(run)),
        "exportConfigs" => Box::pin(exports::configs(run)),
        "exportMetrics" => Box::pin(exports::metrics(run)),
        "getBrokerConfig" => Box::pin(brokers::config(run)),
        "getConsumerConfig" => Box::pin(groups::config(run)),
        _ => unreachable!("{name} is in the table of commands"),
    }
}

#[cfg(test)]
mod tests {
    use clap::Args as _;

    use super::*;

    #[test]
    fn old_names_are_known_behind_admin_and_as_mqadmin() {
        let words = |line: &str| -> Vec<String> { line.split(' ').map(str::to_owned).collect() };
        let old = |line: &str| old_words(&words(line)).map(|words| words.join(" "));
        assert_eq!(old("rmq-node admin updatetopic -t T"), Some("updatetopic -t T".to_owned()));
        assert_eq!(old("rmq-node admin QueryMsgTraceById"), Some("QueryMsgTraceById".to_owned()));
        assert_eq!(old("/usr/lib/rmq-node/mqadmin nothing"), Some("nothing".to_owned()));
        assert_eq!(old("mqadmin").as_deref(), Some(""));
        assert_eq!(old("rmq-node mqadmin help topicList"), Some("help topicList".to_owned()));
        for line in
            ["rmq-node", "rmq-node admin", "rmq-node admin topics", "rmq-node run topicList"]
        {
            assert_eq!(old(line), None, "{line}");
        }
    }

    #[test]
    fn what_is_nearly_a_command_is_told() {
        assert_eq!(similar("TopicsList"), Some("topicList"));
        assert_eq!(similar("xyz"), None);
    }

    #[test]
    fn our_keys_are_no_flags_of_the_tool() {
        let words: Vec<String> =
            ["-t", "T", "--access-key", "a", "--secret-key=s"].map(str::to_owned).to_vec();
        let (others, credentials) = credentials(&words).unwrap();
        assert_eq!(others, ["-t", "T"]);
        assert!(credentials.credentials(None, None).is_ok());
        let flags = CredentialsArgs::augment_args(clap::Command::new(TOOL));
        let mut flags: Vec<_> = flags.get_arguments().filter_map(clap::Arg::get_long).collect();
        flags.retain(|flag| !OURS.iter().any(|ours| ours.strip_prefix("--") == Some(*flag)));
        assert!(flags.is_empty(), "{flags:?}");
    }
}
