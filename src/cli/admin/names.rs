//! Names of the cluster for completions: topics, groups, brokers and clusters.
//!
//! Asked of the cluster that the words before the cursor name, over the same door as commands. Invariant: whoever presses a
//! key does not wait long for it, and is told nothing if there is nobody to answer.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Command, CommandFactory, Parser};
use clap_complete::{ArgValueCandidates, CompletionCandidate};
use tonic::Status;

use super::door::{Door, Way};
use super::whole;
use crate::cli::complete::words;
use crate::cli::credentials::CredentialsArgs;
use crate::cli::{Addresses, addresses};
use crate::proto::v1::cluster_client::ClusterClient;
use crate::proto::v1::groups_client::GroupsClient;
use crate::proto::v1::topics_client::TopicsClient;
use crate::proto::v1::{
    Broker, GetClusterRequest, ListGroupsRequest, ListTopicsRequest, TopicKind,
};

/// How long the cluster may take.
const DEADLINE: Duration = Duration::from_millis(700);

/// Where the cluster is, and what is shown to it; each flag has a value.
#[derive(Parser)]
struct Given {
    #[arg(short, long, value_parser = addresses)]
    name_server: Option<Addresses>,
    #[arg(long)]
    socket: Option<PathBuf>,
    #[command(flatten)]
    credentials: CredentialsArgs,
}

/// The commands with whatever names stand for their arguments: by the argument's own name, of every noun and verb.
pub fn with_names(command: Command, noun: &str) -> Command {
    let verb = command.get_name().to_owned();
    let command =
        command.mut_args(|argument| match names_of(noun, &verb, argument.get_id().as_str()) {
            Some(names) => argument.add(names),
            None => argument,
        });
    let is_noun = noun.is_empty();
    command.mut_subcommands(|below| {
        let noun = if is_noun { below.get_name().to_owned() } else { noun.to_owned() };
        with_names(below, &noun)
    })
}

fn names_of(noun: &str, verb: &str, argument: &str) -> Option<ArgValueCandidates> {
    match (noun, verb, argument) {
        // What is not there yet has no name.
        (_, "create", "name") => None,
        ("topics", _, "name") | (_, _, "topic") => Some(topics()),
        ("replication", _, "group") | ("brokers", _, "group") | (_, _, "broker") => Some(brokers()),
        ("groups", _, "name") | (_, _, "group") => Some(groups()),
        (_, _, "cluster") => Some(clusters()),
        _ => None,
    }
}

/// Topics that are not the system's own.
fn topics() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |door| {
            let parts = TopicsClient::new(door).list(ListTopicsRequest {}).await?.into_inner();
            let topics = whole(parts, |part| &mut part.topics).await?.topics;
            let own = topics.into_iter().filter(|topic| topic.kind() != TopicKind::System);
            Ok(own.map(|topic| topic.topic).collect())
        })
    })
}

/// Consumer groups that are not the system's own.
fn groups() -> ArgValueCandidates {
    ArgValueCandidates::new(|| {
        names(async |door| {
            let request = ListGroupsRequest::default();
            let parts = GroupsClient::new(door).list(request).await?.into_inner();
            let groups = whole(parts, |part| &mut part.groups).await?.groups;
            Ok(groups.into_iter().filter(|one| !one.is_system).map(|one| one.group).collect())
        })
    })
}

/// Broker groups (`brokerName`).
fn brokers() -> ArgValueCandidates {
    ArgValueCandidates::new(|| members(|member| member.group))
}

/// Clusters.
fn clusters() -> ArgValueCandidates {
    ArgValueCandidates::new(|| members(|member| member.cluster))
}

fn members(name: fn(Broker) -> String) -> Vec<CompletionCandidate> {
    names(async |door| {
        let state = ClusterClient::new(door).get(GetClusterRequest {}).await?.into_inner();
        Ok(state.brokers.into_iter().map(name).collect())
    })
}

fn names(ask: impl AsyncFnOnce(Door) -> Result<Vec<String>, Status>) -> Vec<CompletionCandidate> {
    let Some(given) = given(words()) else { return Vec::new() };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return Vec::new() };
    let Given { name_server, socket, credentials } = given;
    let way = Way { name_servers: name_server, socket, credentials };
    let told = async {
        let (door, _) = way.open().await.ok()?.ok()?;
        ask(door).await.ok()
    };
    let told = runtime.block_on(async { tokio::time::timeout(DEADLINE, told).await });
    // A name that is looked up still keeps nobody waiting.
    runtime.shutdown_background();
    let mut names = told.ok().flatten().unwrap_or_default();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(CompletionCandidate::new).collect()
}

/// What the words say of the cluster; the rest of them may be unfinished.
fn given(words: Vec<OsString>) -> Option<Given> {
    let command = Given::command();
    let arguments = || command.get_arguments();
    let longs = arguments().filter_map(|one| Some(format!("--{}", one.get_long()?)));
    let shorts = arguments().filter_map(|one| Some(format!("-{}", one.get_short()?)));
    let (longs, shorts): (Vec<_>, Vec<_>) = (longs.collect(), shorts.collect());
    let mut own = vec![OsString::new()];
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let behind = |flag: &String| text.strip_prefix(flag.as_str());
        if longs.contains(&text) || shorts.contains(&text) {
            own.push(word);
            own.push(words.next()?);
        } else if longs.iter().filter_map(behind).any(|rest| rest.starts_with('='))
            || shorts.iter().any(|flag| behind(flag).is_some())
        {
            own.push(word);
        }
    }
    Given::try_parse_from(own).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cluster_is_the_one_that_the_words_name() {
        let given = |words: &str| given(words.split(' ').map(OsString::from).collect());
        let servers = |words: &str| given(words).unwrap().name_server.map(|one| one.0);
        let wanted = Some(vec!["h:1".to_owned()]);
        for words in [
            "admin -n h:1 topics show --all T",
            "admin topics show -nh:1 --que",
            "admin topics --name-server=h:1 show",
            "admin topics create T --queues x --name-server h:1",
        ] {
            assert_eq!(servers(words), wanted, "{words}");
        }
        assert_eq!(servers("admin topics show"), None);
        assert!(given("admin -n").is_none() && given("admin -n nowhere topics").is_none());
        let socket = given("admin --socket /s topics").unwrap().socket;
        assert_eq!(socket, Some(PathBuf::from("/s")));
    }
}
