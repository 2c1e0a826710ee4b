//! Java properties text, as requests 318 and 319 carry it (N-070, N-071), and the few settings that may be changed so.
//!
//! Not a configuration file format of ours. Invariants: nothing that names a path, a port or a size can
//! be changed over the network (4.9.4 allowed all of it); either every line of a change is taken or none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The key of the one setting that tools may change (N-054).
const ORDER_MESSAGE_ENABLE: &str = "orderMessageEnable";

/// 4.9.4's keys (N-005) that exist for readers only, with the values that describe this server.
const FIXED: [(&str, &str); 17] = [
    ("clusterTest", "false"),
    ("configStorePath", ""),
    ("productEnvName", "center"),
    ("rocketmqHome", ""),
    ("serverAsyncSemaphoreValue", "64"),
    ("serverCallbackExecutorThreads", "0"),
    ("serverChannelMaxIdleTimeSeconds", "120"),
    ("serverOnewaySemaphoreValue", "256"),
    ("serverPooledByteBufAllocatorEnable", "true"),
    ("serverSelectorThreads", "3"),
    ("serverSocketBacklog", "1024"),
    ("serverSocketRcvBufSize", "0"),
    ("serverSocketSndBufSize", "0"),
    ("serverWorkerThreads", "8"),
    ("useEpollNativeSelector", "false"),
    ("writeBufferHighWaterMark", "0"),
    ("writeBufferLowWaterMark", "0"),
];

/// Settings that tools may change while the server runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LiveSettings {
    /// Whether routes carry the ordered-topic configuration (N-054).
    pub order_message_enable: bool,
}

impl LiveSettings {
    /// The settings after a change (N-070): unknown keys do nothing, as in 4.9.4.
    ///
    /// # Errors
    /// A key of 4.9.4 that may not be changed here, or a value that is none; says which keys may.
    pub(super) fn changed_by(self, text: &str) -> Result<Self, String> {
        let mut changed = self;
        for (key, value) in parse(text) {
            if key == ORDER_MESSAGE_ENABLE {
                changed.order_message_enable = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    _ => {
                        return Err(format!(
                            "{ORDER_MESSAGE_ENABLE}={value} is neither true nor false"
                        ));
                    }
                };
            } else if key == "listenPort"
                || key == "kvConfigPath"
                || FIXED.iter().any(|(fixed, _)| *fixed == key)
            {
                return Err(format!(
                    "{key} cannot be changed by request 318; only {ORDER_MESSAGE_ENABLE} can"
                ));
            }
        }
        Ok(changed)
    }

    /// The settings as they are kept in their file.
    pub(super) fn to_text(self) -> String {
        format!("{ORDER_MESSAGE_ENABLE}={}\n", self.order_message_enable)
    }

    /// All of 4.9.4's keys with this server's values, one a line (N-071).
    pub(super) fn describe(self, listen_port: u16) -> String {
        let mut text = String::new();
        for (key, value) in FIXED {
            writeln!(text, "{key}={value}").expect("writing to a string cannot fail");
        }
        writeln!(text, "kvConfigPath=nameserver/kvConfig.json\nlistenPort={listen_port}")
            .expect("writing to a string cannot fail");
        text + &self.to_text()
    }
}

/// Reads Java properties text: comments, `=`, `:` or blank between key and value, escapes, continued lines.
pub(super) fn parse(text: &str) -> BTreeMap<String, String> {
    logical_lines(text).iter().map(|line| split(line)).collect()
}

/// Lines without comments and blank ones; a line that ends in an odd number of backslashes goes on.
fn logical_lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut continues = false;
    for line in text.split(['\n', '\r']) {
        let line = line.trim_start_matches([' ', '\t', '\x0c']);
        if !continues && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let backslashes = line.bytes().rev().take_while(|byte| *byte == b'\\').count();
        let goes_on = backslashes % 2 == 1;
        let part = if goes_on { &line[..line.len() - 1] } else { line };
        match lines.last_mut() {
            Some(last) if continues => last.push_str(part),
            _ => lines.push(part.to_owned()),
        }
        continues = goes_on;
    }
    lines
}

/// Key and value of one logical line, unescaped.
fn split(line: &str) -> (String, String) {
    let mut key = String::new();
    let mut characters = line.chars().peekable();
    while let Some(&character) = characters.peek() {
        if matches!(character, '=' | ':' | ' ' | '\t' | '\x0c') {
            break;
        }
        characters.next();
        key.extend(unescape(character, &mut characters));
    }
    let mut separators = 0;
    while let Some(&character) = characters.peek() {
        match character {
            ' ' | '\t' | '\x0c' => {}
            '=' | ':' if separators == 0 => separators = 1,
            _ => break,
        }
        characters.next();
    }
    let mut value = String::new();
    while let Some(character) = characters.next() {
        value.extend(unescape(character, &mut characters));
    }
    (key, value)
}

/// The character meant by `character` and, after a backslash, what follows it.
fn unescape(character: char, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    if character != '\\' {
        return Some(character);
    }
    match rest.next()? {
        't' => Some('\t'),
        'n' => Some('\n'),
        'r' => Some('\r'),
        'f' => Some('\x0c'),
        'u' => {
            let digits: String = rest.by_ref().take(4).collect();
            u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32)
        }
        other => Some(other),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text).into_iter().collect()
    }

    #[test]
    fn properties_text_is_read_as_java_reads_it() {
        let text = "# comment\n! also\n\n a = 1\nb:2\r\nc 3\nd\ne=x\\\n   y\nf\\:g=\\u0041\\tz\n";
        let expected =
            [("a", "1"), ("b", "2"), ("c", "3"), ("d", ""), ("e", "xy"), ("f:g", "A\tz")];
        let expected: Vec<_> =
            expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(pairs(text), expected);
    }

    #[test]
    fn only_order_message_enable_changes_n070() {
        let settings = LiveSettings::default();
        let changed = settings.changed_by("orderMessageEnable=true\nwhatever=1\n").unwrap();
        assert!(changed.order_message_enable);
        for refused in ["configStorePath=/x", "kvConfigPath=/x", "rocketmqHome=/x", "listenPort=1"]
        {
            let error = settings.changed_by(refused).unwrap_err();
            assert!(error.ends_with("only orderMessageEnable can"), "{error}");
        }
        let both = "orderMessageEnable=true\nlistenPort=1\n";
        assert!(settings.changed_by(both).is_err());
        assert!(settings.changed_by("orderMessageEnable=yes").is_err());
    }

    #[test]
    fn twenty_keys_are_shown_n071() {
        let text = LiveSettings { order_message_enable: true }.describe(9876);
        assert_eq!(text.lines().count(), 20);
        assert_eq!(pairs(&text).len(), 20);
        assert_eq!(parse(&text)["listenPort"], "9876");
        assert_eq!(parse(&text)["orderMessageEnable"], "true");
    }

    #[test]
    fn kept_settings_are_read_back() {
        let settings = LiveSettings { order_message_enable: true };
        assert_eq!(LiveSettings::default().changed_by(&settings.to_text()), Ok(settings));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\\\ =:#!a-u0-9\n\r\t]{0,60}") {
            let _ = parse(&text);
        }
    }
}
