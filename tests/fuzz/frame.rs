//! Frames of peers: whatever the bytes, no panic; a command that was read is read the same from what we write of it.

#![no_main]

use bytes::{Bytes, BytesMut};
use libfuzzer_sys::fuzz_target;
use rmq_node::remoting::headers::{PullHeader, PullResponse, RegisterBroker, SendHeader};
use rmq_node::remoting::{Command, SerializeType, decode, encode, frame_length};

const FRAME_BYTES_MAX: usize = 1 << 20;

fuzz_target!(|bytes: &[u8]| {
    let _any = frame_length(bytes, FRAME_BYTES_MAX);
    let Ok(command) = decode(Bytes::copy_from_slice(bytes)) else { return };
    let _any = (SendHeader::parse(&command).is_ok(), PullHeader::parse(&command).is_ok());
    let _any = (PullResponse::parse(&command).is_ok(), RegisterBroker::parse(&command).is_ok());
    for serialize_type in [SerializeType::Json, SerializeType::RocketMq] {
        let command = Command { serialize_type, ..command.clone() };
        let first = written(&command);
        let Ok(again) = decode(first.clone()) else { panic!("our own frame is not read: {command:?}") };
        // Lengths that a binary header cannot say are cut, so the second writing is what counts.
        assert_eq!(written(&again), first);
    }
});

fn written(command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    encode(command, &mut out);
    out.freeze()
}
