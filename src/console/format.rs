//! Numbers, sizes and times as pages show them, and times as forms send them.
//!
//! Invariant: times are UTC here; a browser with JavaScript shows them in its own zone.

use crate::model::{date, days, human_seconds};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// With a thin space between thousands.
pub fn number(number: impl Into<i128>) -> String {
    let number: i128 = number.into();
    let digits = number.unsigned_abs().to_string();
    let mut text = if number < 0 { "-".to_owned() } else { String::new() };
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// As `1.5 MiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let (mut whole, mut rest, mut unit) = (bytes, 0, 0);
    for (at, _) in units.iter().enumerate() {
        rest = (whole % 1024) * 10 / 1024;
        whole /= 1024;
        unit = at;
        if whole < 1024 {
            break;
        }
    }
    if whole >= 100 {
        format!("{whole} {}", units[unit])
    } else {
        format!("{whole}.{rest} {}", units[unit])
    }
}

/// A rate a second.
pub fn rate(per_s: f64) -> String {
    // The sum of none is -0.
    let per_s = per_s + 0.0;
    if per_s >= 100.0 { format!("{per_s:.0}") } else { format!("{per_s:.1}") }
}

/// A time that has passed or is to come, as `2 h 5 min`.
pub fn duration(ms: i64) -> String {
    human_seconds(ms.unsigned_abs() / 1000)
}

/// As `2026-11-29T10:08:17.250Z`, which `<time>` takes.
pub fn iso(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (s, fraction) = (rest / 1000, rest % 1000);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{fraction:03}Z",
        s / 3600,
        s / 60 % 60,
        s % 60
    )
}

/// As `2026-11-29 10:08:17`, for people.
pub fn time(ms: i64) -> String {
    iso(ms)[..19].replace('T', " ")
}

/// Both: for `<time>`, and for people.
pub fn moment(ms: i64) -> (String, String) {
    (iso(ms), time(ms))
}

/// As an input of the kind `datetime-local` wants it.
pub fn input(ms: i64) -> String {
    iso(ms)[..19].to_owned()
}

/// Reads what such an input sends, `2026-11-29T10:08` with or without seconds.
pub fn from_input(text: &str) -> Option<i64> {
    let (date, time) = text.trim().trim_end_matches('Z').split_once(['T', ' '])?;
    let numbers = |text: &str, mark: char| -> Option<Vec<i64>> {
        text.split(mark).map(|part| part.parse().ok()).collect()
    };
    let whole = time.split('.').next().unwrap_or_default();
    let (date, time) = (numbers(date, '-')?, numbers(whole, ':')?);
    let (&[year, month, day], &[hour, minute, ref second @ ..]) = (&date[..], &time[..]) else {
        return None;
    };
    let second = second.first().copied().unwrap_or(0);
    let is_right = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..60).contains(&second);
    is_right.then(|| days(year, month, day) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_short() {
        assert_eq!(number(1_234_567_i64), "1\u{202f}234\u{202f}567");
        assert_eq!(number(-123_i64), "-123");
        let none: f64 = std::iter::empty::<f64>().sum();
        assert_eq!([none, 2.5, 123.4].map(rate), ["0.0", "2.5", "123"]);
        assert_eq!(
            [0, 1023, 1024, 1536, 200 << 20, 5 << 40].map(bytes),
            ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "200 MiB", "5.0 TiB"]
        );
        assert_eq!(
            [5_000, 65_000, 7_500_000, 90_000_000].map(duration),
            ["5 s", "1 min 5 s", "2 h 5 min", "1 d 1 h"]
        );
    }

    #[test]
    fn times_are_read_as_they_are_shown() {
        assert_eq!(time(0), "1970-01-01 00:00:00");
        assert_eq!(iso(1_795_946_897_250), "2026-11-29T10:08:17.250Z");
        for ms in [0, 951_782_400_000, 1_709_164_800_000, 1_795_946_897_000] {
            assert_eq!(from_input(&input(ms)), Some(ms), "{ms}");
        }
        assert_eq!(from_input("2026-11-29T10:08"), Some(1_795_946_880_000));
        for wrong in ["", "today", "2026-13-01T00:00", "2026-01-01", "2026-01-01T25:00"] {
            assert_eq!(from_input(wrong), None, "{wrong}");
        }
    }
}
