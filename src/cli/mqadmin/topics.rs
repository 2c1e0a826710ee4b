//! Topics: M-010 to M-018.

use std::collections::{BTreeMap, BTreeSet};

use super::java::{front, topic_config};
use super::reading::queue_count;
use super::run::{Done, Failure, Run};
use crate::admin::AdminError;
use crate::model::{
    DLQ_PREFIX, MessageQueue, Permission, RETRY_PREFIX, TopicConfig, TopicName, system,
};
use crate::remoting::bodies::route::{ClusterInfo, TopicRoute};
use crate::remoting::json::{Form, Value};
use crate::remoting::response;

/// Queues of a topic that are not given.
const DEFAULT_QUEUES: u32 = 8;

/// `updateTopic` (M-010).
pub(super) async fn update(run: &mut Run) -> Done {
    let given = &run.given;
    let is_order = given.bool_or('o', false);
    let flag = |letter, bit| if given.bool_or(letter, false) { bit } else { 0 };
    let config = TopicConfig {
        read_queues: given.number_or('r', DEFAULT_QUEUES)?,
        write_queues: given.number_or('w', DEFAULT_QUEUES)?,
        permission: Permission(given.number_or('p', Permission::READ_WRITE.0)?),
        sys_flag: flag('u', 1) | flag('s', 2),
        order: is_order,
        ..TopicConfig::new(TopicName::new(given.must('t')), DEFAULT_QUEUES)
    };
    let topic = config.name.as_str();
    if let Some(address) = given.get('b').map(str::to_owned) {
        run.admin.put_topic(&address, &config).await?;
        if is_order {
            let info = run.admin.cluster_info().await?;
            let broker = info
                .brokers
                .iter()
                .find(|group| group.addresses.values().any(|one| *one == address));
            let broker = broker
                .ok_or_else(|| AdminError::NotFound(format!("no name server knows {address}")))?;
            let order = format!("{}:{}", broker.broker_name, config.write_queues);
            merge_order(run, topic, &broker.broker_name, &order).await?;
            run.print(format_args!(
                "set broker orderConf. isOrder={is_order}, orderConf=[{order}]"
            ))?;
        }
        run.line(format_args!("create topic to {address} success."))?;
        return run.print(format_args!("{}", topic_config(&config)));
    }
    let cluster = given.must('c').to_owned();
    let masters = run.masters(&cluster).await?;
    for address in &masters {
        let done = run.admin.put_topic(address, &config).await;
        run.part(done, format_args!("create topic to {address} success."))?;
    }
    if !masters.is_empty() && !run.is_done() {
        return Ok(());
    }
    if is_order {
        let info = run.admin.cluster_info().await?;
        let names = info.clusters.get(&cluster).into_iter().flatten();
        let order: Vec<_> = names.map(|name| format!("{name}:{}", config.write_queues)).collect();
        let order = order.join(";");
        put_order(run, topic, &order).await?;
        run.print(format_args!("set cluster orderConf. isOrder={is_order}, orderConf=[{order}]"))?;
    }
    run.print(format_args!("{}", topic_config(&config)))
}

/// Puts one broker's part of a topic's order in the place of that which is there.
async fn merge_order(run: &mut Run, topic: &str, broker: &str, part: &str) -> Done {
    let old = match run.admin.kv(system::ORDER_NAMESPACE, topic).await {
        Err(error) if error.is_refused(response::QUERY_NOT_FOUND) => String::new(),
        answered => answered?,
    };
    let name = |part: &str| part.split(':').next().unwrap_or_default().to_owned();
    let parts = old.split(';').filter(|part| !part.is_empty());
    let mut parts: BTreeMap<String, String> =
        parts.map(|part| (name(part), part.to_owned())).collect();
    parts.insert(broker.to_owned(), part.to_owned());
    let order: Vec<_> = parts.into_values().collect();
    put_order(run, topic, &order.join(";")).await
}

async fn put_order(run: &mut Run, topic: &str, order: &str) -> Done {
    for name_server in run.admin.name_servers() {
        run.admin.put_kv(name_server, system::ORDER_NAMESPACE, topic, order).await?;
    }
    Ok(())
}

/// `deleteTopic` (M-011).
pub(super) async fn delete(run: &mut Run) -> Done {
    let (topic, cluster) = (run.given.must('t').to_owned(), run.given.must('c').to_owned());
    delete_topic(run, &cluster, &topic).await
}

/// Deletes a topic at all masters, whose slaves follow: 4.9.4's tool asks slaves too, which refuse, and then ends (S-45).
pub(super) async fn delete_topic(run: &mut Run, cluster: &str, topic: &str) -> Done {
    for address in run.masters(cluster).await? {
        run.admin.delete_topic_at(&address, topic).await?;
    }
    run.line(format_args!("delete topic [{topic}] from cluster [{cluster}] success."))?;
    for name_server in run.admin.name_servers() {
        run.admin.forget_topic(name_server, topic, cluster).await?;
    }
    run.line(format_args!("delete topic [{topic}] from NameServer success."))
}

/// `updateTopicPerm` (M-012).
pub(super) async fn update_permission(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let permission: u32 = run.given.number_or('p', 0)?;
    let route = run.admin.route(&topic).await?;
    let first = route.queues.first().ok_or_else(|| no_queues(&topic))?;
    let config = |queues: &crate::remoting::bodies::route::QueueData| TopicConfig {
        read_queues: queues.read_queues,
        write_queues: queues.write_queues,
        sys_flag: queues.sys_flag,
        permission: Permission(permission),
        ..TopicConfig::new(TopicName::new(&topic), 0)
    };
    if let Some(address) = run.given.get('b').map(str::to_owned) {
        let Some(group) = route.brokers.iter().find(|group| group.master() == Some(&address))
        else {
            run.line(format_args!(
                "updateTopicPerm error broker not exit or broker is not master!."
            ))?;
            let text = format!("{address} is no master that has topic \"{topic}\"");
            return Err(AdminError::NotFound(text).into());
        };
        let queues = route.queues.iter().find(|queues| queues.broker_name == group.broker_name);
        let queues = queues.ok_or_else(|| no_queues(&topic))?;
        let old = queues.permission.0;
        if old == permission {
            return run.line(format_args!("new perm equals to the old one!"));
        }
        let config = config(queues);
        run.admin.put_topic(&address, &config).await?;
        run.line(format_args!(
            "update topic perm from {old} to {permission} in {address} success."
        ))?;
        return run.line(format_args!("{}.", topic_config(&config)));
    }
    let Some(cluster) = run.given.get('c').map(str::to_owned) else {
        return Err(Failure::Usage("-b or -c is missing".to_owned()));
    };
    let old = first.permission.0;
    for address in run.masters(&cluster).await? {
        // 4.9.4 gives all brokers the queues of the first; each keeps its own here.
        let group = route.brokers.iter().find(|group| group.master() == Some(&address));
        let own = group
            .and_then(|group| route.queues.iter().find(|one| one.broker_name == group.broker_name));
        let done = run.admin.put_topic(&address, &config(own.unwrap_or(first))).await;
        run.part(
            done,
            format_args!("update topic perm from {old} to {permission} in {address} success."),
        )?;
    }
    Ok(())
}

fn no_queues(topic: &str) -> AdminError {
    AdminError::NotFound(format!("topic \"{topic}\" has no queues"))
}

/// `topicRoute` (M-013).
pub(super) async fn route(run: &mut Run) -> Done {
    let mut route = run.admin.route(run.given.must('t')).await?;
    if !run.given.has('l') {
        let text = route.to_bytes(Form::Pretty);
        return run.line(format_args!("{}", String::from_utf8_lossy(&text)));
    }
    let head =
        ["#ClusterName", "#BrokerName", "#BrokerAddrs", "#ReadQueue", "#WriteQueue", "#Perm"];
    route_row(run, head.map(str::to_owned))?;
    let queues: BTreeMap<_, _> =
        route.queues.iter().map(|one| (one.broker_name.as_str(), one)).collect();
    let (mut read, mut write) = (0u64, 0u64);
    route.brokers.sort_unstable_by(|a, b| a.broker_name.cmp(&b.broker_name));
    for group in &route.brokers {
        let Some(own) = queues.get(group.broker_name.as_str()) else { continue };
        read += u64::from(own.read_queues);
        write += u64::from(own.write_queues);
        let addresses = group.addresses.iter().map(|(id, address)| format!("{id}={address}"));
        let addresses = format!("{{{}}}", addresses.collect::<Vec<_>>().join(", "));
        let numbers =
            [own.read_queues, own.write_queues, own.permission.0].map(|number| number.to_string());
        let [read, write, permission] = numbers;
        let (cluster, name) = (group.cluster.clone(), group.broker_name.clone());
        route_row(run, [cluster, name, addresses, read, write, permission])?;
    }
    run.line(format_args!("{}", "-".repeat(158)))?;
    let (brokers, read, write) = (queues.len().to_string(), read.to_string(), write.to_string());
    route_row(run, ["Total:".to_owned(), brokers, String::new(), read, write, String::new()])
}

fn route_row(run: &mut Run, cells: [String; 6]) -> Done {
    let [cluster, broker, addresses, read, write, permission] = cells;
    run.line(format_args!(
        "{cluster:<45} {broker:<32} {addresses:<50} {read:<10} {write:<11} {permission:<5}"
    ))
}

/// `topicStatus` (M-014).
pub(super) async fn status(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let mut offsets = Vec::new();
    for group in run.admin.route(&topic).await?.brokers {
        let Some(address) = group.address() else { continue };
        match run.admin.topic_offsets(address, &topic).await {
            Ok(found) => offsets.extend(found),
            Err(error) => run.failed(&error)?,
        }
    }
    if offsets.is_empty() {
        return Err(
            AdminError::NotFound(format!("no broker has queues of topic \"{topic}\"")).into()
        );
    }
    run.did();
    offsets.sort_unstable_by(|a, b| by_queue(&a.queue).cmp(&by_queue(&b.queue)));
    run.line(format_args!(
        "{:<32}  {:<4}  {:<20}  {:<20}    {}",
        "#Broker Name", "#QID", "#Min Offset", "#Max Offset", "#Last Updated"
    ))?;
    for one in offsets {
        let time = one.last_update_timestamp;
        let time = if time > 0 { run.zone.millis(time) } else { String::new() };
        run.line(format_args!(
            "{:<32}  {:<4}  {:<20}  {:<20}    {time}",
            front(&one.queue.broker_name, 32),
            one.queue.queue_id,
            one.min_offset,
            one.max_offset
        ))?;
    }
    Ok(())
}

/// The order of `MessageQueue`s.
pub(super) fn by_queue(queue: &MessageQueue) -> (&str, &str, i32) {
    (&queue.topic, &queue.broker_name, queue.queue_id)
}

/// `topicClusterList` (M-015).
pub(super) async fn clusters(run: &mut Run) -> Done {
    let info = run.admin.cluster_info().await?;
    let route = run.admin.route(run.given.must('t')).await?;
    for cluster in clusters_of(&route, &info) {
        run.line(format_args!("{cluster}"))?;
    }
    Ok(())
}

/// The clusters of the first broker of a route, as 4.9.4 looks for them.
fn clusters_of<'a>(route: &TopicRoute, info: &'a ClusterInfo) -> Vec<&'a str> {
    let Some(first) = route.brokers.first() else { return Vec::new() };
    let has_it = |names: &BTreeSet<String>| names.contains(&first.broker_name);
    info.clusters
        .iter()
        .filter(|(_, names)| has_it(names))
        .map(|(cluster, _)| cluster.as_str())
        .collect()
}

/// `topicList` (M-016).
pub(super) async fn list(run: &mut Run) -> Done {
    if !run.given.has('c') {
        let mut topics = run.admin.topic_names().await?;
        topics.sort();
        for topic in topics {
            run.line(format_args!("{topic}"))?;
        }
        return Ok(());
    }
    let info = run.admin.cluster_info().await?;
    run.line(format_args!("{:<20}  {:<48}  {:<48}", "#Cluster Name", "#Topic", "#Consumer Group"))?;
    let mut topics = run.admin.topic_names().await?;
    topics.sort();
    topics.retain(|topic| !topic.starts_with(RETRY_PREFIX) && !topic.starts_with(DLQ_PREFIX));
    for topic in topics {
        // What cannot be learned of one topic is left blank, as 4.9.4 does, and told of.
        let (mut cluster, mut groups) = ("", Vec::new());
        match run.admin.route(&topic).await {
            Ok(route) => {
                cluster = clusters_of(&route, &info).first().copied().unwrap_or_default();
                if let Some(address) = route.brokers.first().and_then(|group| group.address()) {
                    match run.admin.groups_of_topic(address, &topic).await {
                        Ok(found) => groups = found,
                        Err(error) => run.failed(&error)?,
                    }
                }
            }
            Err(error) => run.failed(&error)?,
        }
        run.did();
        groups.sort();
        if groups.is_empty() {
            groups.push(String::new());
        }
        for group in groups {
            let (cluster, topic, group) =
                (front(cluster, 20), front(&topic, 64), front(&group, 64));
            run.line(format_args!("{cluster:<20}  {topic:<64}  {group:<64}"))?;
        }
    }
    Ok(())
}

/// `allocateMQ` (M-017).
pub(super) async fn allocate(run: &mut Run) -> Done {
    let topic = run.given.must('t').to_owned();
    let route = run.admin.route(&topic).await?;
    let readable = route.queues.iter().filter(|one| one.permission.contains(Permission::READ));
    let queues: Vec<_> = readable
        .flat_map(|one| (0..queue_count(one.read_queues)).map(|id| (one.broker_name.as_str(), id)))
        .collect();
    let clients: Vec<&str> = run.given.must('i').split(',').collect();
    let result = clients.iter().map(|client| {
        let own = averagely(&queues, &clients, client);
        let own = own.iter().map(|(broker, id)| {
            Value::object([
                ("brokerName", (*broker).into()),
                ("queueId", (*id).into()),
                ("topic", (&topic).into()),
            ])
        });
        (*client, Value::array(own))
    });
    let text = Value::object([("result", Value::map(result))]).to_bytes(Form::Dialect);
    run.line(format_args!("{}", String::from_utf8_lossy(&text)))
}

/// The queues of one client as `AllocateMessageQueueAveragely` gives them out.
fn averagely<'a, T>(queues: &'a [T], clients: &[&str], client: &str) -> &'a [T] {
    let Some(at) = clients.iter().position(|one| *one == client) else { return &[] };
    let (count, rest) = (queues.len() / clients.len(), queues.len() % clients.len());
    let start = at * count + at.min(rest);
    &queues[start..start + count + usize::from(at < rest)]
}

/// `updateOrderConf` (M-018).
pub(super) async fn order(run: &mut Run) -> Done {
    let (topic, method) = (run.given.must('t').to_owned(), run.given.must('m').to_owned());
    match method.as_str() {
        "get" => {
            let order = run.admin.kv(system::ORDER_NAMESPACE, &topic).await?;
            run.print(format_args!("get orderConf success. topic=[{topic}], orderConf=[{order}] "))
        }
        "put" => {
            let order = run.given.get('v').unwrap_or_default().to_owned();
            if order.is_empty() {
                return Err(Failure::Usage("please set orderConf with option -v".to_owned()));
            }
            put_order(run, &topic, &order).await?;
            run.print(format_args!(
                "update orderConf success. topic=[{topic}], orderConf=[{order}]"
            ))
        }
        "delete" => {
            for name_server in run.admin.name_servers() {
                run.admin.delete_kv(name_server, system::ORDER_NAMESPACE, &topic).await?;
            }
            run.print(format_args!("delete orderConf success. topic=[{topic}]"))
        }
        _ => Err(Failure::Usage(format!("-m: \"{method}\" is none of put, get, delete"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queues_are_given_out_as_4_9_4_does_m017() {
        let queues = [0, 1, 2, 3, 4];
        let clients = ["a", "b", "c"];
        let all = clients.map(|client| averagely(&queues, &clients, client).to_vec());
        assert_eq!(all, [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(averagely(&queues[..1], &clients, "b"), &[] as &[i32]);
        assert_eq!(averagely(&queues[..1], &clients, "x"), &[] as &[i32]);
    }
}
