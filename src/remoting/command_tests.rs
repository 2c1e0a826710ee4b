//! Tests of frames and both header encodings: golden vectors, real clients' shapes, round trips.

use proptest::prelude::*;

use super::*;
use crate::remoting::ExtFields;

fn frame(header: &str, body: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i32(i32::try_from(4 + header.len() + body.len()).unwrap());
    out.put_i32(i32::try_from(header.len()).unwrap());
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(body);
    out.freeze()
}

fn from_hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pair = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(pair).collect()
}

fn encoded(command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    encode(command, &mut out);
    out.freeze()
}

fn header_of(frame: &[u8]) -> &str {
    let length = u32::from_be_bytes([0, frame[5], frame[6], frame[7]]);
    str::from_utf8(&frame[8..8 + usize::try_from(length).unwrap()]).unwrap()
}

#[test]
fn v01_a_java_request_for_a_route_is_read() {
    let header = concat!(
        r#"{"code":105,"language":"JAVA","version":401,"opaque":7,"flag":0,"#,
        r#""extFields":{"topic":"TBW102"}}"#
    );
    let bytes = frame(header, b"");
    assert_eq!((bytes[3], bytes[7]), (0x63, 0x5f));
    assert_eq!(
        frame_length(&bytes, 100),
        Err(DecodeError("the frame has 103 bytes, over the limit of 100".into(),))
    );
    assert_eq!(frame_length(&bytes, 103), Ok(Some(103)));
    let command = decode(bytes).unwrap();
    assert_eq!((command.code, command.version, command.opaque, command.flag), (105, 401, 7, 0));
    assert_eq!(command.field("topic"), Some("TBW102"));
    assert!(command.body.is_empty() && !command.is_response() && !command.is_oneway());
}

#[test]
fn v02_a_json_answer_is_written_as_java_does() {
    let answer = Command { opaque: 7, ..Command::response(0) };
    assert_eq!(
        header_of(&encoded(&answer)),
        r#"{"code":0,"flag":1,"language":"JAVA","opaque":7,"serializeTypeCurrentRPC":"JSON","version":401}"#
    );
    let full = Command { opaque: -1, ..Command::response(17) }
        .with_remark("no \"T\"\nsee")
        .with_field("n", 5)
        .with_field("b", true)
        .with_body(&b"xyz"[..]);
    let bytes = encoded(&full);
    assert_eq!(
        header_of(&bytes),
        concat!(
            r#"{"code":17,"extFields":{"n":"5","b":"true"},"flag":1,"language":"JAVA","opaque":-1,"#,
            r#""remark":"no \"T\"\nsee","serializeTypeCurrentRPC":"JSON","version":401}"#
        )
    );
    assert!(bytes.ends_with(b"}xyz"));
    let empty = encoded(&Command::response(0).with_empty_fields());
    assert!(header_of(&empty).starts_with(r#"{"code":0,"extFields":{},"flag":1"#), "R-014");
}

#[test]
fn v05_v06_binary_request_and_answer() {
    let request = from_hex(
        "00000033 0100002f 0065 00 0191 00000009 00000000 00000000 0000001a \
         0009 6e616d657370616365 00000001 61 0003 6b6579 00000001 62",
    );
    let command = decode(request.clone()).unwrap();
    assert_eq!((command.code, command.opaque, command.version), (101, 9, 401));
    assert_eq!(command.field("namespace"), Some("a"));
    assert_eq!(command.field("key"), Some("b"));
    assert_eq!(encoded(&command), request);
    let answer = Command {
        opaque: 9,
        serialize_type: SerializeType::RocketMq,
        ..Command::response(22).with_remark("No config item, Namespace: a Key: b")
    };
    assert_eq!(
        encoded(&answer),
        from_hex(
            "0000003c 01000038 0016 00 0191 00000009 00000001 00000023 \
             4e6f20636f6e666967206974656d2c204e616d6573706163653a2061204b65793a2062 00000000"
        )
    );
}

#[test]
fn v07_v08_binary_send_and_its_answer() {
    let golden = include_str!("../../tests/golden/remoting.txt");
    let vector = |name: &str| {
        let line = golden.lines().find(|line| line.starts_with(name)).unwrap();
        from_hex(line.split_once(' ').unwrap().1)
    };
    let send = decode(vector("V-07")).unwrap();
    assert_eq!((send.code, send.field("b"), &send.body[..]), (310, Some("Golden"), &b"hello"[..]));
    assert_eq!(
        send.field("i"),
        Some("TAGS\u{1}a\u{2}KEYS\u{1}k1 k2\u{2}UNIQ_KEY\u{1}U1\u{2}WAIT\u{1}true\u{2}x\u{1}y")
    );
    assert_eq!(encoded(&send), vector("V-07"));
    let answer = Command {
        opaque: 11,
        serialize_type: SerializeType::RocketMq,
        ..Command::response(0)
            .with_field("msgId", "7F00000100002A9F00000000000E7344")
            .with_field("queueId", 0)
            .with_field("queueOffset", 0)
            .with_field("TRACE_ON", true)
            .with_field("MSG_REGION", "DefaultRegion")
    };
    assert_eq!(encoded(&answer), vector("V-08"));
    assert_eq!(decode(vector("V-08")).unwrap(), answer);
}

#[test]
fn the_java_clients_shape_is_read() {
    let command = decode(frame(
        concat!(
            r#"{"code":310,"extFields":{"a":"P","b":"T","c":"TBW102","d":"4","e":"2","f":"0","#,
            r#""g":"1650000000000","h":"0","i":"KEYS\u0001k\u0002WAIT\u0001true","j":"0","#,
            r#""k":"false","m":"false"},"flag":0,"language":"JAVA","opaque":11,"#,
            r#""serializeTypeCurrentRPC":"JSON","version":401}"#
        ),
        b"hello",
    ))
    .unwrap();
    assert_eq!(command.field("i"), Some("KEYS\u{1}k\u{2}WAIT\u{1}true"));
    assert_eq!(command.required_i64("g"), Ok(1_650_000_000_000));
    assert_eq!(command.required_i32("e"), Ok(2));
    assert!(!command.flag_bool("k"));
    assert_eq!(&command.body[..], b"hello");
}

#[test]
fn the_cpp_clients_shape_is_read() {
    let command = decode(frame(
        concat!(
            r#"{"code":10,"language":"CPP","version":63,"opaque":3,"flag":0,"remark":"","#,
            r#""extFields":{"AccessKey":"","OnsChannel":"","Signature":"","batch":"0","#,
            r#""bornTimestamp":"1650000000000","queueId":0,"sysFlag":-1,"unitMode":"0","#,
            "\"topic\":\"T\"}}\n"
        ),
        b"b",
    ))
    .unwrap();
    assert_eq!(command.language, Language::CPP);
    assert_eq!(command.remark, None, "an empty remark is none");
    assert_eq!(command.required_i32("queueId"), Ok(0));
    assert_eq!(command.required_i32("sysFlag"), Ok(-1));
    assert!(!command.flag_bool("unitMode") && !command.flag_bool("batch"));
    assert_eq!(command.field("AccessKey"), Some(""));
}

#[test]
fn the_node_clients_shape_is_read_with_numbers_by_their_source_text() {
    let command = decode(frame(
        concat!(
            r#"{"code":310,"language":"JAVA","opaque":1,"flag":0,"version":121,"extFields":{"#,
            r#""a":"P","d":4,"e":1,"g":1650000000000123456,"k":false,"m":true,"l":null,"#,
            r#""x":1.50,"y":{"z":[1]}}}"#
        ),
        b"",
    ))
    .unwrap();
    assert_eq!(command.field("g"), Some("1650000000000123456"));
    assert_eq!((command.field("k"), command.flag_bool("m")), (Some("false"), true));
    assert_eq!((command.field("l"), command.field("x")), (None, Some("1.50")));
    assert_eq!(command.field("y"), Some(r#"{"z":[1]}"#));
}

#[test]
fn the_go_clients_shape_is_read() {
    let header = concat!(
        r#"{"code":34,"language":"GO","version":317,"opaque":0,"flag":0,"remark":"","#,
        r#""extFields":{},"more":{"a":["}",{}],'b':"\""}}"#
    );
    let command = decode(frame(header, b"{}")).unwrap();
    assert_eq!((command.language.name(), command.version), ("GO", 317));
    assert_eq!(command.fields, Some(ExtFields::default()));
}

#[test]
fn only_what_is_there_matters_in_a_json_header() {
    let read = |header: &str| decode(frame(header, b""));
    assert_eq!(read("{}").unwrap(), Command::default());
    assert_eq!(read(r#"{"extFields":null,"code":null}"#).unwrap(), Command::default());
    assert_eq!(read(r#" { code : "12" , language:9,,} "#).unwrap().language.name(), "GO");
    assert_eq!(read(r#"{"language":"KLINGON"}"#).unwrap().language, Language::OTHER);
    assert_eq!(read(r#"{"extFields":{"a":1,"a":"2"}}"#).unwrap().field("a"), Some("2"));
    for bad in [
        "",
        "x",
        "{",
        "[]",
        "{}x",
        r#"{"code":}"#,
        r#"{"code":1.5}"#,
        r#"{"code":99999999999}"#,
        r#"{"code":{}}"#,
        r#"{"extFields":[]}"#,
        r#"{"extFields":"x"}"#,
        r#"{"extFields":{"a"}}"#,
        r#"{"a":"#,
        r#"{"remark":"x}"#,
    ] {
        assert!(read(bad).is_err(), "{bad}");
    }
    let mut not_utf8 = frame(r#"{"remark":"x"}"#, b"").to_vec();
    not_utf8[19] = 0xff;
    assert!(decode(Bytes::from(not_utf8)).unwrap_err().0.contains("UTF-8"));
    let many: String = (0..2000).map(|n| format!("\"{n}\":0,")).collect();
    assert!(read(&format!("{{\"extFields\":{{{many}}}}}")).is_err());
}

#[test]
fn lengths_that_do_not_fit_are_refused() {
    assert_eq!(frame_length(&[0, 0, 0], 100), Ok(None));
    for word in [-1i32, 0, 3, i32::MIN, i32::MAX] {
        assert!(frame_length(&word.to_be_bytes(), 1 << 24).is_err(), "{word}");
    }
    assert_eq!(frame_length(&[0, 0, 0, 4], 8), Ok(Some(8)));
    for bad in ["", "00000004", "0000000400000001", "0000000402000000", "0000000401000000"] {
        assert!(decode(from_hex(bad)).is_err(), "{bad}");
    }
    let binary = "00000033 0100002f 0065 00 0191 00000009 00000000 00000000 0000001a \
                  0009 6e616d657370616365 00000001 61 0003 6b6579 0000000f 62";
    assert!(decode(from_hex(binary)).is_err(), "R-023");
    let negative = "00000033 0100002f 0065 00 0191 00000009 00000000 ffffffff 0000001a \
                    0009 6e616d657370616365 00000001 61 0003 6b6579 00000001 62";
    assert!(decode(from_hex(negative)).is_err(), "R-023");
}

#[test]
fn negative_codes_survive_the_binary_form() {
    let command = Command { serialize_type: SerializeType::RocketMq, ..Command::response(-1) };
    assert_eq!(decode(encoded(&command)).unwrap(), command, "R-026");
}

#[test]
fn a_header_too_long_to_tell_becomes_an_error_without_the_body() {
    let remark = "\u{1}".repeat(3 << 20);
    let long = Command { opaque: 5, ..Command::response(0) }.with_remark(remark.clone());
    let frame = encoded(&long.with_body("what would be read as the next frame"));
    assert_eq!(frame_length(&frame, 1 << 24), Ok(Some(frame.len())));
    let command = decode(frame).unwrap();
    assert_eq!((command.code, command.opaque, command.is_response()), (1, 5, true));
    assert!(command.body.is_empty());
    let request = Command::request(326).with_field("properties", remark).with_body("body");
    let mut out = BytesMut::from("before");
    assert!(!encode(&request, &mut out));
    assert_eq!(out, "before", "nobody would know what to make of the rest of a request");
}

#[test]
fn missing_mandatory_fields_are_named() {
    let error = Command::request(11).required_i64("queueOffset").unwrap_err();
    assert_eq!(error.to_string(), "the mandatory field `queueOffset` is missing");
}

prop_compose! {
    fn any_command(binary: bool)(
        code in if binary { -32768..32768i32 } else { i32::MIN..i32::MAX },
        language in 0..13u8,
        version in 0..32768i32,
        opaque in any::<i32>(),
        flag in any::<i32>(),
        remark in proptest::option::of("\\PC+|[\\x00-\\x20\"\\\\\u{7f}-\u{a0}\u{2028}]+"),
        fields in proptest::option::of(proptest::collection::vec(
            ("[a-zA-Z\"\\\\]{1,9}", "\\PC+|[\\x00-\\x20\"\\\\\u{7f}-\u{a0}\u{2028}]+"), 1..20)),
        body in proptest::collection::vec(any::<u8>(), 0..64),
    ) -> Command {
        let serialize_type =
            if binary { SerializeType::RocketMq } else { SerializeType::Json };
        let fields = fields.map(|fields| fields.into_iter().collect());
        let language = Language(language);
        let body = body.into();
        Command { code, language, version, opaque, flag, remark, fields, body, serialize_type }
    }
}

proptest! {
    #[test]
    fn json_headers_round_trip(command in any_command(false)) {
        let bytes = encoded(&command);
        prop_assert_eq!(frame_length(&bytes, bytes.len()), Ok(Some(bytes.len())));
        let back = decode(bytes.clone()).unwrap();
        prop_assert_eq!(&back, &command);
        prop_assert_eq!(encoded(&back), bytes);
        let json: serde_json::Value = serde_json::from_str(header_of(&encoded(&command))).unwrap();
        prop_assert_eq!(json["code"].as_i64(), Some(i64::from(command.code)));
    }

    #[test]
    fn binary_headers_round_trip(command in any_command(true)) {
        let bytes = encoded(&command);
        let back = decode(bytes.clone()).unwrap();
        prop_assert_eq!(&back, &command);
        prop_assert_eq!(encoded(&back), bytes);
    }

    #[test]
    fn arbitrary_frames_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), kind in 0..2u8) {
        let _ = frame_length(&bytes, 1 << 24);
        let _ = decode(Bytes::from(bytes.clone()));
        let header_bytes = u8::try_from(bytes.len()).unwrap();
        let mut framed = vec![0, 0, 0, header_bytes, kind, 0, 0, header_bytes];
        framed.extend_from_slice(&bytes);
        let _ = decode(Bytes::from(framed));
    }

    #[test]
    fn arbitrary_json_like_headers_never_panic(text in "[{}\\[\\]:,\"'\\\\a-u0-9 é\u{2028}-]{0,60}") {
        let _ = decode(frame(&text, b""));
        let _ = decode(frame(&format!("{{\"extFields\":{{{text}"), b""));
    }
}
