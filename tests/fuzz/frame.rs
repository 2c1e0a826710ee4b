//! Frames of peers, with both encodings of a header: whatever the bytes, no panic; a command that was read is read the
//! same from what we write of it, and so is each header.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use rmq_node::acl::needs::{self, Need};
use rmq_node::acl::signature::Key;
use rmq_node::remoting::headers::{
    PullHeader, PullResponse, RegisterBroker, SendHeader, SendResponse, create_topic,
    read_create_topic,
};
use rmq_node::remoting::{
    Command, ExtFields, FieldError, SerializeType, decode, encode, frame_length,
};

const FRAME_BYTES_MAX: usize = 1 << 20;

pub fn run(bytes: &[u8]) {
    if let Ok(Some(length)) = frame_length(bytes, FRAME_BYTES_MAX) {
        assert!((8..=FRAME_BYTES_MAX).contains(&length));
    }
    let Ok(command) = decode(Bytes::copy_from_slice(bytes)) else { return };
    headers(&command);
    let known = needs::at_name_server(command.code);
    for need in known.into_iter().chain([needs::at_broker(command.code)]) {
        if let Need::Parts(parts) = need {
            let _any = needs::resources(parts, &command).is_ok();
        }
    }
    let _any = Key::new("12345678").has_signed(&command);
    for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
        let command = Command { serialize_type, ..command.clone() };
        let first = written(&command);
        let again = reread(&first);
        let second = written(&again);
        // A binary header has no empty values, and cuts what is longer than it can say.
        match serialize_type {
            SerializeType::Json => assert_eq!(second, first),
            SerializeType::RocketMq => assert_eq!(written(&reread(&second)), second),
        }
        let was: Vec<_> = command.fields.iter().flat_map(ExtFields::iter).collect();
        for (key, value) in again.fields.iter().flat_map(ExtFields::iter) {
            let is_of = |was: &(&str, &str)| was.0.starts_with(key) && was.1.starts_with(value);
            assert!(was.iter().any(is_of), "{key}={value}");
        }
    }
}

/// What each header says is read the same from a request or an answer that is made of it.
fn headers(command: &Command) {
    if let Ok(header) = SendHeader::parse(command) {
        same(&header, SendHeader::parse(&header.to_request(command.code)));
    }
    if let Ok(header) = PullHeader::parse(command) {
        same(&header, PullHeader::parse(&header.to_request()));
    }
    if let Ok(header) = RegisterBroker::parse(command) {
        same(&header, RegisterBroker::parse(&header.to_request()));
    }
    if let Ok(topic) = read_create_topic(command) {
        same(&topic, read_create_topic(&create_topic(&topic, "TBW102")));
    }
    if let Ok(header) = SendResponse::parse(command) {
        let mut answer = Command::response(0);
        header.write(&mut answer);
        same(&header, SendResponse::parse(&answer));
    }
    if let Ok(header) = PullResponse::parse(command) {
        for encoding in [SerializeType::Json, SerializeType::RocketMq] {
            let mut answer = Command::response(0);
            header.write(&mut answer, encoding);
            same(&header, PullResponse::parse(&answer));
        }
    }
}

fn same<T: Debug + PartialEq>(header: &T, again: Result<T, FieldError>) {
    assert_eq!(again.as_ref().ok(), Some(header), "{again:?}");
}

fn reread(frame: &Bytes) -> Command {
    decode(frame.clone())
        .unwrap_or_else(|error| panic!("our own frame is not read: {error}: {frame:?}"))
}

fn written(command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    encode(command, &mut out);
    out.freeze()
}
