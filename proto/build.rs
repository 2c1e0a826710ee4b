//! Compiles the protocol of the admin plane (`proto/admin/v1`), and tells the crate which commit and target it is built
//! from.
//!
//! Each message is also made to be written as JSON, with the names of its enums in it (`src/proto.rs` says how).
//! Invariant: nothing but Rust is needed, no `protoc`.

use std::error::Error;
use std::path::Path;
use std::process::Command;

use protox::prost::Message;
use protox::prost_reflect::prost_types::field_descriptor_proto::Type;
use protox::prost_reflect::prost_types::{FieldDescriptorProto, FileDescriptorSet};

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/build.rs");
    compile_protocol()?;
    tell_commit();
    Ok(())
}

fn compile_protocol() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto/admin");
    let mut files = Vec::new();
    for entry in std::fs::read_dir("proto/admin/v1")? {
        files.push(entry?.path());
    }
    files.sort();
    let mut protocol = protox::compile(&files, ["proto"])?;
    let mut code = tonic_prost_build::configure()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .enum_attribute(".", "#[serde(rename_all = \"kebab-case\")]")
        // The same JSON each time.
        .btree_map(".");
    for (path, field) in fields(&protocol) {
        if let Some(attribute) = json_attribute(field) {
            code = code.field_attribute(path, attribute);
        }
    }
    code.compile_fds(protocol.clone())?;
    // Reflection answers without comments.
    protocol.file.iter_mut().for_each(|file| file.source_code_info = None);
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets it")?;
    std::fs::write(Path::new(&out).join("admin.binpb"), protocol.encode_to_vec())?;
    Ok(())
}

/// Every field with its full name.
fn fields(protocol: &FileDescriptorSet) -> Vec<(String, &FieldDescriptorProto)> {
    let of_file = protocol
        .file
        .iter()
        .flat_map(|file| file.message_type.iter().map(move |message| (file.package(), message)));
    let of_message = of_file.flat_map(|(package, message)| {
        let name = move |field: &FieldDescriptorProto| {
            format!("{package}.{}.{}", message.name(), field.name())
        };
        message.field.iter().map(move |field| (name(field), field))
    });
    of_message.collect()
}

/// How the JSON of a field is not as serde makes it by itself.
fn json_attribute(field: &FieldDescriptorProto) -> Option<String> {
    let with =
        |function: String| Some(format!("#[serde(serialize_with = \"crate::proto::{function}\")]"));
    let name = field.type_name().rsplit('.').next().unwrap_or_default();
    match field.r#type() {
        Type::Enum => with(format!("enum_name::<{name}, _>")),
        Type::Bytes => with("base64".to_owned()),
        _ => None,
    }
}

fn tell_commit() {
    let git = |arguments: &[&str]| {
        let output = Command::new("git").args(arguments).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // The log of HEAD changes with every commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"]);
    if let Some(log) = log.filter(|path| Path::new(path).exists()) {
        println!("cargo:rerun-if-changed={log}");
    }
    // A source archive has no repository of its own, and must not name one around it.
    let commit = git(&["rev-parse", "--short=12", "HEAD"]).filter(|_| Path::new(".git").exists());
    println!("cargo:rustc-env=BUILD_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
    println!("cargo:rustc-env=BUILD_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
