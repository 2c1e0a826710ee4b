//! The HA protocol's few bytes (H-002, H-003): reports of 8 bytes one way, headers of 12 and bodies the other way.
//!
//! No I/O. Invariant: what a peer sends is never held twice, nor more of it than has arrived.

/// Bytes of a report.
pub const REPORT_BYTES: usize = 8;
/// Bytes of a header.
pub const HEADER_BYTES: usize = 12;
/// The largest body that a 4.9.4 slave can take (H-013).
const BODY_BYTES_MAX: u32 = 4 << 20;

/// What a slave says: where its log ends.
pub fn report(end: u64) -> [u8; REPORT_BYTES] {
    end.to_be_bytes()
}

/// What goes before a body; without one it is a heartbeat.
pub fn header(at: u64, size: u32) -> [u8; HEADER_BYTES] {
    let mut out = [0; HEADER_BYTES];
    out[..8].copy_from_slice(&at.to_be_bytes());
    out[8..].copy_from_slice(&size.to_be_bytes());
    out
}

/// Reads reports, however they are cut.
#[derive(Debug, Default)]
pub struct Reports {
    part: Vec<u8>,
}

impl Reports {
    /// Takes bytes; returns the last report that is complete with them (H-006).
    pub fn take(&mut self, bytes: &[u8]) -> Option<i64> {
        self.part.extend_from_slice(bytes);
        let whole = self.part.len() - self.part.len() % REPORT_BYTES;
        let last = self.part[..whole].last_chunk().map(|last| i64::from_be_bytes(*last));
        self.part.drain(..whole);
        last
    }
}

/// Why a master's bytes are not followed any further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The master is elsewhere (H-011).
    #[error("the master goes on at offset {header}, but this log at {here}")]
    Elsewhere {
        /// Where it is.
        header: i64,
        /// What has arrived.
        here: u64,
    },
    /// It is no header.
    #[error("a body of {0} bytes is announced")]
    Size(u32),
}

/// Takes headers out of what a master sends. Reads on where the log ends.
#[derive(Debug)]
pub struct Stream {
    /// The offset of the next byte of the log.
    next: u64,
    /// Nothing of the log is here yet: it may begin anywhere.
    is_empty: bool,
    head: Vec<u8>,
    /// Bytes of the body that are still to come.
    missing: usize,
    /// Whether the master had no more than what it sent last.
    is_short: bool,
}

impl Stream {
    /// A stream that goes on at `end`.
    pub fn new(end: u64) -> Self {
        Self { next: end, is_empty: end == 0, head: Vec::new(), missing: 0, is_short: false }
    }

    /// Takes bytes; bytes of the log are added to `log`.
    ///
    /// # Errors
    /// [`StreamError`]; what came before is in `log`.
    pub fn take(&mut self, mut bytes: &[u8], log: &mut Vec<u8>) -> Result<(), StreamError> {
        while !bytes.is_empty() {
            if self.missing > 0 {
                let (body, rest) = bytes.split_at(self.missing.min(bytes.len()));
                log.extend_from_slice(body);
                self.missing -= body.len();
                self.next += body.len() as u64;
                bytes = rest;
                continue;
            }
            let (head, rest) = bytes.split_at((HEADER_BYTES - self.head.len()).min(bytes.len()));
            self.head.extend_from_slice(head);
            bytes = rest;
            if let Some(head) = self.head.first_chunk::<HEADER_BYTES>() {
                let [a, b, c, d, e, f, g, h, sizes @ ..] = *head;
                self.head.clear();
                let at = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
                self.begin(at, u32::from_be_bytes(sizes))?;
            }
        }
        Ok(())
    }

    fn begin(&mut self, at: i64, size: u32) -> Result<(), StreamError> {
        let elsewhere = StreamError::Elsewhere { header: at, here: self.next };
        let start = u64::try_from(at).map_err(|_| elsewhere.clone())?;
        if start != self.next && !self.is_empty {
            return Err(elsewhere);
        }
        if size > BODY_BYTES_MAX {
            return Err(StreamError::Size(size));
        }
        if size > 0 {
            (self.next, self.is_empty) = (start, false);
        }
        self.missing = usize::try_from(size).unwrap_or(usize::MAX);
        self.is_short = self.missing < super::sender::BATCH_BYTES_MAX;
        Ok(())
    }

    /// The offset of the next byte of the log.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Whether the master had no more than this, at the time: what it sent last was less than it may send at once.
    pub fn is_at_end(&self) -> bool {
        self.is_short && self.missing == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_whole_report_counts_h006() {
        let mut reports = Reports::default();
        let bytes: Vec<u8> = [report(1), report(2), report(300)].concat();
        assert_eq!(reports.take(&bytes[..7]), None);
        assert_eq!(reports.take(&bytes[7..20]), Some(2));
        assert_eq!(reports.take(&bytes[20..]), Some(300));
        assert_eq!(reports.take(&(-1i64).to_be_bytes()), Some(-1));
    }

    #[test]
    fn a_stream_may_be_cut_anywhere_h008() {
        let sent = [&header(70, 3)[..], b"abc", &header(73, 0), &header(73, 2), b"de"].concat();
        for cut in 0..sent.len() {
            let mut stream = Stream::new(70);
            let mut log = Vec::new();
            stream.take(&sent[..cut], &mut log).unwrap();
            stream.take(&sent[cut..], &mut log).unwrap();
            assert_eq!((log.as_slice(), stream.next()), (&b"abcde"[..], 75), "cut at {cut}");
        }
    }

    #[test]
    fn what_does_not_go_on_here_is_refused_heartbeats_too_h011() {
        for (at, size) in [(69, 3), (71, 0), (-1, 0), (i64::MIN, 1)] {
            let mut bytes = header(0, size);
            bytes[..8].copy_from_slice(&i64::to_be_bytes(at));
            let refused = Stream::new(70).take(&bytes, &mut Vec::new());
            assert_eq!(refused, Err(StreamError::Elsewhere { header: at, here: 70 }));
        }
        let large = Stream::new(70).take(&header(70, u32::MAX), &mut Vec::new());
        assert_eq!(large, Err(StreamError::Size(u32::MAX)));
    }

    #[test]
    fn an_empty_log_begins_anywhere_but_then_goes_on_h011() {
        let mut stream = Stream::new(0);
        let mut log = Vec::new();
        stream.take(&header(4096, 0), &mut log).unwrap();
        stream.take(&[&header(4096, 1)[..], b"a"].concat(), &mut log).unwrap();
        assert_eq!(stream.next(), 4097);
        assert!(stream.take(&header(0, 1), &mut log).is_err());
    }
}
