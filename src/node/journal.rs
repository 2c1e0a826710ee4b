//! Events for the systemd journal: readable as `journalctl` shows them, and each field by itself for those who search.
//!
//! Not which events there are (`logging`). Invariants: `MESSAGE` has the text and every field, as a line on standard error
//! has them; a field `name_server` is there as `F_NAME_SERVER` too; nobody is held up or told when the journal is away.

use std::fmt::{self, Debug, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// Where the journal takes events in its own protocol.
pub const SOCKET: &str = "/run/systemd/journal/socket";
/// More of one value is left out: an entry has to fit a datagram.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// Sends each event to the journal.
#[derive(Debug)]
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// For the journal that listens at `path`.
    ///
    /// # Errors
    /// The system has no socket left.
    pub fn new(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path: path.to_owned() })
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut entry = Entry::default();
        event.record(&mut entry);
        let metadata = event.metadata();
        let priority = match *metadata.level() {
            Level::ERROR => "3",
            Level::WARN => "4",
            Level::INFO => "6",
            Level::DEBUG | Level::TRACE => "7",
        };
        entry.put("MESSAGE", &format!("{}{}", entry.text, entry.shown));
        entry.put("PRIORITY", priority);
        entry.put("TARGET", metadata.target());
        if let (Some(file), Some(line)) = (metadata.file(), metadata.line()) {
            entry.put("CODE_FILE", file);
            entry.put("CODE_LINE", &line.to_string());
        }
        // By its path each time: a journal that is started again has another socket there. There is nobody to tell.
        let _ = self.socket.send_to(&entry.bytes, &self.path);
    }
}

/// What an event says, as it is collected.
#[derive(Default)]
struct Entry {
    text: String,
    /// All other fields, as they follow the text.
    shown: String,
    /// The fields in the journal's form.
    bytes: Vec<u8>,
}

impl Entry {
    /// Adds a value that may hold anything, line ends too.
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(VALUE_BYTES_MAX)];
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(b'\n');
    }

    fn note(&mut self, field: &Field, value: fmt::Arguments<'_>, shown: fmt::Arguments<'_>) {
        if field.name() == "message" {
            self.text = value.to_string();
            return;
        }
        // Writing into a string does not fail.
        let _ = write!(self.shown, " {}={shown}", field.name());
        let name: String = field
            .name()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' })
            .collect();
        self.put(&format!("F_{name}"), &value.to_string());
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.note(field, format_args!("{value}"), format_args!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.note(field, format_args!("{value:?}"), format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    /// What the journal is sent for what `tell` tells.
    fn sent(tell: impl FnOnce()) -> BTreeMap<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let subscriber = tracing_subscriber::registry().with(Journal::new(&path).unwrap());
        tracing::subscriber::with_default(subscriber, tell);
        let mut buffer = vec![0; 1 << 20];
        let count = journal.recv(&mut buffer).unwrap();
        let mut rest = &buffer[..count];
        let mut fields = BTreeMap::new();
        while !rest.is_empty() {
            let name_end = rest.iter().position(|byte| *byte == b'\n').unwrap();
            let (name, value) = (&rest[..name_end], &rest[name_end + 9..]);
            let length = u64::from_le_bytes(rest[name_end + 1..name_end + 9].try_into().unwrap());
            let (value, after) = value.split_at(usize::try_from(length).unwrap());
            assert_eq!(after[0], b'\n');
            let [name, value] = [name, value].map(|one| String::from_utf8(one.to_vec()).unwrap());
            fields.insert(name, value);
            rest = &after[1..];
        }
        fields
    }

    #[test]
    fn an_entry_is_readable_and_has_each_field() {
        let error = io::Error::from(io::ErrorKind::ConnectionRefused);
        let fields = sent(|| {
            tracing::warn!(name_server = "192.168.1.162:9876", %error, tries = 3, "not registered");
        });
        assert_eq!(
            fields["MESSAGE"],
            "not registered name_server=\"192.168.1.162:9876\" error=connection refused tries=3"
        );
        assert_eq!(fields["PRIORITY"], "4");
        assert_eq!(fields["F_NAME_SERVER"], "192.168.1.162:9876");
        assert_eq!(fields["F_TRIES"], "3");
        assert!(fields["CODE_FILE"].ends_with("journal.rs"), "{fields:?}");
    }

    #[test]
    fn lines_and_long_values_do_not_break_an_entry() {
        let long = "ä".repeat(VALUE_BYTES_MAX);
        let fields = sent(|| tracing::error!(backtrace = "one\ntwo\nMESSAGE=false", long, "a bug"));
        assert_eq!(fields["F_BACKTRACE"], "one\ntwo\nMESSAGE=false");
        assert!(fields["MESSAGE"].starts_with("a bug backtrace=\"one\\ntwo"), "{fields:?}");
        assert_eq!(fields["F_LONG"].len(), VALUE_BYTES_MAX);
    }

    #[test]
    fn a_journal_that_is_away_is_nobodys_concern() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::new(&dir.path().join("socket")).unwrap();
        let subscriber = tracing_subscriber::registry().with(journal);
        tracing::subscriber::with_default(subscriber, || tracing::info!("serving"));
    }
}
