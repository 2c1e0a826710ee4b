//! Every request code: what it is answered (N-030 to N-072). The one map; nothing is answered elsewhere.
//!
//! Not the tables themselves. Invariants: an unknown code gets no answer at all (N-010, S-05); what is written to a
//! file is written on a thread for blocking work; no name longer than [`NAME_BYTES_MAX`], and no address longer than
//! [`ADDRESS_BYTES_MAX`], gets into the route table.

use std::sync::Arc;

use super::NameServer;
use super::kv_config::KvError;
use super::route_table::{
    Bounds, LeftOut, Registered, Registration, RouteTable, TOPIC_BYTES_MAX, TableFull,
};
use crate::metrics::Limit;
use crate::model::{shown, system};
use crate::remoting::bodies::registration::RegisterBody;
use crate::remoting::bodies::route::ClusterInfo;
use crate::remoting::bodies::topics::{parse_version, topic_list, version_value};
use crate::remoting::headers::RegisterBroker;
use crate::remoting::json::{Form, Value};
use crate::remoting::{Command, DecodeError, FieldError, VERSION_4_9_4, request, response};
use crate::task;
use crate::transport::{Connection, Responder};

/// What 4.9.4 ends some remarks with.
const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// The bits of a body's CRC that a registration tells (N-041).
const CRC_MASK: u32 = 0x7FFF_FFFF;
/// Bytes of the name of a cluster or of a group of brokers.
const NAME_BYTES_MAX: usize = 255;
/// Bytes of an address or a broker's filter servers: more than any broker has.
const ADDRESS_BYTES_MAX: usize = 4_096;

/// Why a request is not done; the answer's code and remark.
#[derive(Debug)]
struct Refusal {
    code: i32,
    remark: String,
    /// Whether the answer has fields even so, as that of a class with fields.
    has_fields: bool,
}

impl Refusal {
    fn new(code: i32, remark: impl Into<String>) -> Self {
        Self { code, remark: remark.into(), has_fields: false }
    }

    fn with_empty_fields(self) -> Self {
        Self { has_fields: true, ..self }
    }
}

impl From<FieldError> for Refusal {
    /// S-09: 4.9.4's remark does not name the field.
    fn from(error: FieldError) -> Self {
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

impl From<KvError> for Refusal {
    fn from(error: KvError) -> Self {
        tracing::error!(%error, "the KV configuration was not changed");
        Self::new(response::SYSTEM_ERROR, error.to_string())
    }
}

type Answer = Result<Command, Refusal>;

/// Answers a request, now or when the disk has it.
pub(super) fn answer(name_server: &Arc<NameServer>, request: &Command, responder: Responder) {
    let answer = match request.code {
        request::REGISTER_BROKER => register(name_server, request, responder.connection()),
        request::UNREGISTER_BROKER => unregister(name_server, request),
        request::QUERY_DATA_VERSION => query_data_version(name_server, request),
        request::GET_ROUTEINFO_BY_TOPIC => route(name_server, request),
        request::GET_BROKER_CLUSTER_INFO => Ok(cluster_info(name_server)),
        request::WIPE_WRITE_PERM_OF_BROKER => wipe(name_server, request, true, "wipeTopicCount"),
        request::ADD_WRITE_PERM_OF_BROKER => wipe(name_server, request, false, "addTopicCount"),
        request::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => {
            Ok(topics(name_server, RouteTable::topic_names))
        }
        request::GET_TOPICS_BY_CLUSTER => topics_of_cluster(name_server, request),
        request::GET_UNIT_TOPIC_LIST => Ok(topics(name_server, RouteTable::unit_topics)),
        request::GET_HAS_UNIT_SUB_TOPIC_LIST => {
            Ok(topics(name_server, RouteTable::unit_sub_topics))
        }
        request::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => {
            Ok(topics(name_server, RouteTable::unit_sub_topics_without_unit))
        }
        request::GET_SYSTEM_TOPIC_LIST_FROM_NS => Ok(system_topics(name_server)),
        request::DELETE_TOPIC_IN_NAMESRV => delete_topic(name_server, request),
        request::GET_KV_CONFIG => kv_value(name_server, request),
        request::GET_KVLIST_BY_NAMESPACE => kv_namespace(name_server, request),
        request::GET_NAMESRV_CONFIG => {
            let text = name_server.settings.live().describe(name_server.port);
            Ok(Command::response(response::SUCCESS).with_body(text))
        }
        request::PUT_KV_CONFIG => return blocking(name_server, request, responder, put_kv),
        request::DELETE_KV_CONFIG => return blocking(name_server, request, responder, delete_kv),
        request::UPDATE_NAMESRV_CONFIG => {
            return blocking(name_server, request, responder, update_settings);
        }
        code => return tracing::debug!(code, "a request that name servers do not know"),
    };
    send(responder, answer);
}

fn send(responder: Responder, answer: Answer) {
    match answer {
        Ok(answer) => responder.send(answer),
        Err(Refusal { code, remark, has_fields }) => {
            let (peer, shown) = (responder.connection().remote(), shown(&remark));
            let (name, request_code) = (request::name(responder.code()), responder.code());
            tracing::info!(%peer, request = name, request_code, code, remark = shown, "request refused");
            let refusal = Command::response(code).with_remark(remark);
            responder.send(if has_fields { refusal.with_empty_fields() } else { refusal });
        }
    }
}

/// Answers from a thread that may wait for the disk.
fn blocking(
    name_server: &Arc<NameServer>,
    request: &Command,
    mut responder: Responder,
    work: fn(&NameServer, &Command) -> Answer,
) {
    let (name_server, request) = (Arc::clone(name_server), request.clone());
    responder.goes_to_thread();
    task::spawn_blocking("request", move || send(responder, work(&name_server, &request)));
}

fn success() -> Command {
    Command::response(response::SUCCESS)
}

/// 103 (N-040 to N-051).
fn register(name_server: &NameServer, request: &Command, connection: &Connection) -> Answer {
    let header = RegisterBroker::parse(request)?;
    // CRC 0 is not checked (N-040).
    if header.body_crc32 != 0
        && u32::try_from(header.body_crc32) != Ok(crc32fast::hash(&request.body) & CRC_MASK)
    {
        let refusal = Refusal::new(response::SYSTEM_ERROR, "crc32 not match");
        return Err(refusal.with_empty_fields());
    }
    let registration = registration_of(&header, request, connection)?;
    name_server.connections().insert(connection.id(), connection.clone());
    let numbers = name_server.limits.numbers();
    let registered = {
        let mut routes = name_server.routes();
        let (brokers, topics) = (numbers.registered_brokers_max, numbers.registered_topics_max);
        routes.bounds = Bounds { brokers, topics };
        routes.register(registration, name_server.now_ms())
    };
    let registered = registered.map_err(|TableFull| {
        let limit = name_server.limits.reached(Limit::RegisteredBrokers);
        let advice = "unregister brokers that are not used";
        Refusal::new(response::SYSTEM_ERROR, format!("{limit}; {advice}"))
    })?;
    tell_registered(name_server, &header, &registered);
    let mut answer = success();
    if let Some((master, ha_address)) = registered.master {
        if let Some(ha_address) = ha_address {
            answer.set_field("haServerAddr", ha_address);
        }
        answer.set_field("masterAddr", master);
    }
    Ok(match name_server.kv_config.namespace(system::ORDER_NAMESPACE) {
        Some(table) => answer.with_empty_fields().with_body(kv_table(&table)),
        None => answer.with_empty_fields(),
    })
}

/// Tells what is news of a registration, and counts topics that are left out.
fn tell_registered(name_server: &NameServer, header: &RegisterBroker, registered: &Registered) {
    let (group, address) = (shown(&header.broker_name), shown(&header.broker_addr));
    let (id, topics_changed) = (header.broker_id, registered.topics_changed);
    if registered.is_new {
        tracing::info!(group, address, id, topics_changed, "a broker registered");
    }
    if let Some(replaced) = &registered.replaced {
        let replaced = shown(replaced);
        tracing::warn!(group, address, id, replaced, "a broker took the place of another");
    }
    let LeftOut { surplus, too_long } = registered.left_out;
    if surplus > 0 {
        name_server.limits.count(Limit::RegisteredTopics);
    }
    // Of each broker once, not with each of its registrations.
    if registered.is_more_left_out && surplus > 0 {
        let limit = name_server.limits.text(Limit::RegisteredTopics);
        tracing::warn!(group, address, surplus, "topics of a broker are left out: {limit}");
    }
    if registered.is_more_left_out && too_long > 0 {
        let bytes = TOPIC_BYTES_MAX;
        tracing::warn!(
            group,
            address,
            too_long,
            "topics with names of over {bytes} bytes are left out"
        );
    }
}

/// What 103 says, if the table may hold it.
fn registration_of(
    header: &RegisterBroker,
    request: &Command,
    connection: &Connection,
) -> Result<Registration, Refusal> {
    let body = if header.compressed {
        RegisterBody::parse_compressed(&request.body)?
    } else {
        RegisterBody::parse(&request.body, request.version)?
    };
    let RegisterBroker { broker_name, broker_addr, cluster_name, ha_server_addr, .. } = header;
    check_length("brokerName", broker_name.len(), NAME_BYTES_MAX)?;
    check_length("brokerAddr", broker_addr.len(), ADDRESS_BYTES_MAX)?;
    check_length("clusterName", cluster_name.len(), NAME_BYTES_MAX)?;
    check_length("haServerAddr", ha_server_addr.len(), ADDRESS_BYTES_MAX)?;
    // Each costs more than its text: an empty one counts too.
    let servers = body.filter_servers.iter().flatten();
    let bytes = servers.map(|server| server.len() + 1).sum();
    check_length("filterServerList", bytes, ADDRESS_BYTES_MAX)?;
    Ok(Registration {
        cluster: cluster_name.clone(),
        broker_name: broker_name.clone(),
        broker_id: header.broker_id,
        address: broker_addr.clone(),
        ha_address: Some(ha_server_addr.clone()),
        version: body.version,
        topics: body.topics,
        filter_servers: body.filter_servers,
        connection: connection.id(),
    })
}

fn check_length(what: &str, bytes: usize, max: usize) -> Result<(), Refusal> {
    if bytes <= max {
        return Ok(());
    }
    let remark = format!("{what} has {bytes} bytes, over the limit of {max}");
    Err(Refusal::new(response::SYSTEM_ERROR, remark))
}

/// 104 (N-060).
fn unregister(name_server: &NameServer, request: &Command) -> Answer {
    let group = request.required_str("brokerName")?;
    let address = request.required_str("brokerAddr")?;
    request.required_str("clusterName")?;
    let id = request.required_i64("brokerId")?;
    if name_server.routes().unregister(group, id, address).is_some() {
        let (group, address) = (shown(group), shown(address));
        tracing::info!(group, address, id, "a broker unregistered");
    }
    Ok(success())
}

/// 322 (N-072).
fn query_data_version(name_server: &NameServer, request: &Command) -> Answer {
    let address = request.required_str("brokerAddr")?;
    for field in ["brokerName", "clusterName"] {
        request.required_str(field)?;
    }
    request.required_i64("brokerId")?;
    let theirs = parse_version(&request.body)?;
    let mut routes = name_server.routes();
    let changed = routes.check_version(address, theirs, name_server.now_ms());
    let ours = routes.version_of(address);
    drop(routes);
    let answer = success().with_field("changed", changed);
    Ok(match ours {
        Some(version) => answer.with_body(version_value(version).to_bytes(Form::Dialect)),
        None => answer,
    })
}

/// 105 (N-052 to N-057).
fn route(name_server: &NameServer, request: &Command) -> Answer {
    let topic = request.required_str("topic")?;
    let found = name_server.routes().route(topic);
    let Some(mut route) = found else {
        let remark = format!("No topic route info in name server for the topic: {topic}{FAQ}");
        return Err(Refusal::new(response::TOPIC_NOT_EXIST, remark));
    };
    if name_server.settings.live().order_message_enable {
        route.order_topic_conf = name_server.kv_config.get(system::ORDER_NAMESPACE, topic);
    }
    let is_standard =
        request.version >= VERSION_4_9_4 || request.flag_bool("acceptStandardJsonOnly");
    let form = if is_standard { Form::Standard } else { Form::Dialect };
    Ok(success().with_body(route.to_bytes(form)))
}

/// 106 (N-061).
fn cluster_info(name_server: &NameServer) -> Command {
    let routes = name_server.routes();
    let info = ClusterInfo { brokers: routes.brokers(), clusters: routes.clusters().clone() };
    drop(routes);
    success().with_body(info.to_bytes())
}

/// 205 and 327 (N-062 to N-064).
fn wipe(name_server: &NameServer, request: &Command, wiped: bool, count_field: &str) -> Answer {
    let group = request.required_str("brokerName")?;
    let count = name_server.routes().set_wiped(group, wiped);
    let group = shown(group);
    tracing::info!(group, wiped, topics = count, "write permission");
    Ok(success().with_field(count_field, count))
}

/// 206 and 311 to 313 (N-065, N-069).
fn topics(name_server: &NameServer, names: fn(&RouteTable) -> Vec<String>) -> Command {
    let names = names(&name_server.routes());
    success().with_body(topic_list(None, &names))
}

/// 224 (N-067).
fn topics_of_cluster(name_server: &NameServer, request: &Command) -> Answer {
    let cluster = request.required_str("cluster")?;
    let names = name_server.routes().topics_of_cluster(cluster);
    Ok(success().with_body(topic_list(None, &names)))
}

/// 304 (N-068).
fn system_topics(name_server: &NameServer) -> Command {
    let (names, address) = name_server.routes().system_topics();
    success().with_body(topic_list(address.as_deref(), &names))
}

/// 216 (N-066).
fn delete_topic(name_server: &NameServer, request: &Command) -> Answer {
    let topic = request.required_str("topic")?;
    let cluster = request.field("clusterName").filter(|cluster| !cluster.is_empty());
    name_server.routes().delete_topic(topic, cluster);
    Ok(success())
}

/// 100 (N-030).
fn put_kv(name_server: &NameServer, request: &Command) -> Answer {
    let (Some(namespace), Some(key)) = (request.field("namespace"), request.field("key")) else {
        return Err(Refusal::new(response::SYSTEM_ERROR, "namespace or key is null"));
    };
    let max = name_server.limits.numbers().kv_config_bytes_max;
    match name_server.kv_config.put(namespace, key, request.field("value"), max) {
        Ok(()) => Ok(success()),
        Err(full @ KvError::Full) => {
            let limit = name_server.limits.reached(Limit::KvConfigBytes);
            Err(Refusal::new(response::SYSTEM_ERROR, format!("{full}: {limit}")))
        }
        Err(error) => Err(error.into()),
    }
}

/// 101 (N-032).
fn kv_value(name_server: &NameServer, request: &Command) -> Answer {
    let (namespace, key) = (request.required_str("namespace")?, request.required_str("key")?);
    match name_server.kv_config.get(namespace, key) {
        Some(value) => Ok(success().with_field("value", value)),
        None => {
            let remark = format!("No config item, Namespace: {namespace} Key: {key}");
            Err(Refusal::new(response::QUERY_NOT_FOUND, remark).with_empty_fields())
        }
    }
}

/// 102 (N-033).
fn delete_kv(name_server: &NameServer, request: &Command) -> Answer {
    let (namespace, key) = (request.required_str("namespace")?, request.required_str("key")?);
    name_server.kv_config.delete(namespace, key)?;
    Ok(success())
}

/// 219 (N-034).
fn kv_namespace(name_server: &NameServer, request: &Command) -> Answer {
    let namespace = request.required_str("namespace")?;
    match name_server.kv_config.namespace(namespace) {
        Some(table) => Ok(success().with_body(kv_table(&table))),
        None => {
            let remark = format!("No config item, Namespace: {namespace}");
            Err(Refusal::new(response::QUERY_NOT_FOUND, remark))
        }
    }
}

/// A `KVTable`.
fn kv_table(table: &std::collections::BTreeMap<String, String>) -> bytes::Bytes {
    let rows = table.iter().map(|(key, value)| (key.as_str(), Value::from(value.as_str())));
    Value::object([("table", Value::map(rows))]).to_bytes(Form::Dialect)
}

/// 318 (N-070).
fn update_settings(name_server: &NameServer, request: &Command) -> Answer {
    let Ok(text) = std::str::from_utf8(&request.body) else {
        return Err(Refusal::new(response::SYSTEM_ERROR, "string2Properties error"));
    };
    let updated = name_server.settings.update(text);
    updated.map_err(|why| Refusal::new(response::SYSTEM_ERROR, why))?;
    Ok(success())
}
