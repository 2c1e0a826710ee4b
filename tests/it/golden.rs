//! The frames captured from 4.9.4 (`tests/golden/captured.txt`) against our codec: each is read, and written again byte for byte.
//! What our servers answer to the captured requests is the interop suite's part.

use bytes::{Bytes, BytesMut};
use rmq_node::remoting::{SerializeType, decode, encode};

const CAPTURED: &str = include_str!("../golden/captured.txt");

/// One line of the file.
struct Captured {
    name: &'static str,
    kind: &'static str,
    frame: Bytes,
}

fn captured() -> Vec<Captured> {
    let lines = CAPTURED.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let mut words = line.split(' ');
            let mut word = || words.next().expect("name, kind, frame");
            let (name, kind, digits) = (word(), word(), word());
            Captured { name, kind, frame: bytes_of(digits) }
        })
        .collect()
}

fn bytes_of(digits: &str) -> Bytes {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}

#[test]
fn every_frame_4_9_4_sent_is_written_again_byte_for_byte() {
    let mut compared = 0;
    for line in captured().iter().filter(|line| line.kind != "request") {
        let command =
            decode(line.frame.clone()).unwrap_or_else(|error| panic!("{}: {error}", line.name));
        let mut again = BytesMut::new();
        encode(&command, &mut again);
        assert_eq!(
            String::from_utf8_lossy(&again),
            String::from_utf8_lossy(&line.frame),
            "{} {}",
            line.name,
            line.kind
        );
        assert_eq!(again, line.frame, "{} {}", line.name, line.kind);
        compared += 1;
    }
    assert!(compared >= 60, "only {compared} captured answers were found");
}

#[test]
fn answers_keep_the_opaque_and_encoding_of_their_request() {
    let lines = captured();
    for request in lines.iter().filter(|line| line.kind == "request") {
        let asked = decode(request.frame.clone()).expect(request.name);
        let answer = lines.iter().find(|line| line.name == request.name && line.kind == "answer");
        let answered = decode(answer.expect(request.name).frame.clone()).expect(request.name);
        assert!(answered.is_response() && !asked.is_response(), "{}", request.name);
        assert_eq!(answered.opaque, asked.opaque, "{}", request.name);
        assert_eq!(answered.version, 401, "{}", request.name);
        if request.name.ends_with("-binary") {
            assert_eq!(answered.serialize_type, SerializeType::RocketMq, "{}", request.name);
        }
    }
}
