//! The settings of requests 318 and 319 as Java properties text (N-070, N-071), and the few that may be changed so.
//!
//! Not how the text is read (`config::properties`). Invariants: nothing that names a path, a port or a size can
//! be changed over the network (4.9.4 allowed all of it); either every line of a change is taken or none.

use std::fmt::Write as _;

use crate::config::properties;

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
    /// A text that Java cannot read, a key of 4.9.4 that may not be changed here, or a value that is none; says
    /// which keys may.
    pub(super) fn changed_by(self, text: &str) -> Result<Self, String> {
        if properties::has_broken_escape(text) {
            return Err("string2Properties error".to_owned());
        }
        let mut changed = self;
        for (key, value) in properties::parse(text) {
            if key == ORDER_MESSAGE_ENABLE {
                // In any case of letters (K-003).
                changed.order_message_enable =
                    value.to_ascii_lowercase().parse().map_err(|_| {
                        format!("{ORDER_MESSAGE_ENABLE}={value} is neither true nor false")
                    })?;
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

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(settings.changed_by("orderMessageEnable=TRUE").unwrap().order_message_enable);
        assert_eq!(settings.changed_by("x=\\u12").unwrap_err(), "string2Properties error");
    }

    #[test]
    fn twenty_keys_are_shown_n071() {
        let text = LiveSettings { order_message_enable: true }.describe(9876);
        assert_eq!(text.lines().count(), 20);
        let read = properties::parse(&text);
        assert_eq!(read.len(), 20);
        assert_eq!(read["listenPort"], "9876");
        assert_eq!(read["orderMessageEnable"], "true");
    }

    #[test]
    fn kept_settings_are_read_back() {
        let settings = LiveSettings { order_message_enable: true };
        assert_eq!(LiveSettings::default().changed_by(&settings.to_text()), Ok(settings));
    }
}
