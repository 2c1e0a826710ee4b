//! Until when a caller waits: the header `grpc-timeout` of a call, as a moment.
//!
//! Not what is left out then (`admin::Admin::until`). Invariant: a header that cannot be read is as none.

use std::time::Duration;

use tokio::time::Instant;
use tonic::Request;

/// When the caller of this request stops waiting, if it said so.
pub(super) fn deadline<T>(request: &Request<T>) -> Option<Instant> {
    let value = request.metadata().get("grpc-timeout")?.to_str().ok()?;
    Instant::now().checked_add(timeout(value)?)
}

/// At most eight digits and a unit.
fn timeout(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if number.len() > 8 || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let number: u64 = number.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_as_grpc_writes_them() {
        let read = [
            ("2H", 7_200_000),
            ("3M", 180_000),
            ("99999999S", 99_999_999_000),
            ("1500m", 1500),
            ("2000u", 2),
            ("3000000n", 3),
            ("0S", 0),
        ];
        for (text, millis) in read {
            assert_eq!(timeout(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "S", "5", "5x", "-5S", "123456789S", "1.5S", "5 S", "5é"] {
            assert_eq!(timeout(text), None, "{text}");
        }
    }
}
