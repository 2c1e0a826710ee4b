//! The admin plane's protocol stays what was released: nothing is removed, renumbered or given another type.
//!
//! `proto/released.txt` has a line for each method, field and enum value of the last release. New ones may be added here;
//! a release writes the file anew: `RMQ_NODE_RELEASE=1 cargo test --test it protocol`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};
use rmq_node::proto::DESCRIPTORS;

/// One line for everything that a peer may have been built with.
fn lines() -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for file in FileDescriptorSet::decode(DESCRIPTORS).unwrap().file {
        let package = file.package().to_owned();
        for message in &file.message_type {
            let is_map = |one: &DescriptorProto| {
                one.options.as_ref().is_some_and(|options| options.map_entry())
            };
            let is_flat = message.enum_type.is_empty() && message.nested_type.iter().all(is_map);
            assert!(is_flat, "{} has types of its own", message.name());
            let name = format!("{package}.{}", message.name());
            lines.extend(message.field.iter().map(|field| format!("{name} {}", line(field))));
        }
        for values in &file.enum_type {
            let name = values.name();
            let value = |value: &prost_types::EnumValueDescriptorProto| {
                format!("{package}.{name} {} = {}", value.name(), value.number())
            };
            lines.extend(values.value.iter().map(value));
        }
        for service in &file.service {
            let stream = |is_stream: bool| if is_stream { "stream " } else { "" };
            lines.extend(service.method.iter().map(|method| {
                format!(
                    "{package}.{}/{} {}{} -> {}{}",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type()
                )
            }));
        }
    }
    lines
}

fn line(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        simple => simple.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    format!("{label}{kind} {} = {}", field.name(), field.number())
}

#[test]
fn what_was_released_is_still_there() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/released.txt");
    let now = lines();
    if std::env::var_os("RMQ_NODE_RELEASE").is_some() {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        fs::write(&path, text).unwrap();
    }
    let released = fs::read_to_string(&path).unwrap();
    let gone: Vec<_> = released.lines().filter(|line| !now.contains(*line)).collect();
    assert!(gone.is_empty(), "programs rely on what was released: {gone:#?}");
    assert!(released.lines().count() > 50, "the file lacks lines");
}

#[test]
fn the_document_lists_every_service() {
    let mut served = BTreeSet::from(
        ["grpc.health.v1.Health", "grpc.reflection.v1.ServerReflection"].map(str::to_owned),
    );
    for file in FileDescriptorSet::decode(DESCRIPTORS).unwrap().file {
        let name = |service| format!("{}.{service}", file.package());
        served.extend(file.service.iter().map(|service| name(service.name())));
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/README.md");
    let text = fs::read_to_string(path).unwrap();
    // What grpcurl prints, by name.
    let (_, list) = text.split_once("admin.sock list\n").unwrap();
    let list: Vec<_> = list.lines().take_while(|line| !line.starts_with('$')).collect();
    assert_eq!(list, Vec::from_iter(&served));
}

#[test]
fn every_message_field_value_and_method_is_described() {
    // What stands above each in its file; descriptors that reflection answers with have no comments.
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/admin/v1");
    let mut count = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let mut before = "";
        for line in text.lines().map(str::trim) {
            let is_declared =
                ["message ", "enum ", "service ", "rpc "].iter().any(|word| line.starts_with(word))
                    || (line.contains(" = ") && line.ends_with(';') && !line.starts_with("syntax"));
            if is_declared && !line.starts_with("//") {
                assert!(before.starts_with("// "), "{}: {line}", path.display());
                count += 1;
            }
            before = line;
        }
    }
    assert!(count > 200, "{count} are too few: the files are written otherwise");
}
