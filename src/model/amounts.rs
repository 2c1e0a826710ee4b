//! Amounts and dates as people read them: the one way in which this program shows and reckons them.

/// A number of bytes with a unit, as 4.9.4 writes it: `512 B`, `1.5 KiB`.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub fn human_bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut unit = 1024;
    for prefix in ["K", "M", "G", "T", "P"] {
        if bytes / 1024 < unit {
            return format!("{:.1} {prefix}iB", bytes as f64 / unit as f64);
        }
        unit *= 1024;
    }
    format!("{:.1} EiB", bytes as f64 / unit as f64)
}

/// A number of seconds with its two largest units: `7 s`, `3 min 5 s`, `2 h 1 min`, `5 d 0 h`.
#[must_use]
pub fn human_seconds(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {} s", seconds % 60),
        3600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A moment in milliseconds since 1970, in UTC, as 4.9.4 writes it: `2022-04-15#05:20:00:000`.
#[must_use]
pub fn human_time(ms: i64) -> String {
    const DAY_MS: i64 = 86_400_000;
    let (days, ms) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = date(days);
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}#{hours:02}:{minutes:02}:{seconds:02}:{ms:03}")
}

/// Days of 400 years, after which dates come again.
const ERA_DAYS: i64 = 146_097;
/// Days from the 1st of March of the year 0 to 1970: eras and years begin with a March, so that leap days come last.
const ERA_TO_1970_DAYS: i64 = 719_468;

/// Year, month and day, from days since 1970.
#[must_use]
pub fn date(days: i64) -> (i64, i64, i64) {
    let days = days + ERA_TO_1970_DAYS;
    let (era, of_era) = (days.div_euclid(ERA_DAYS), days.rem_euclid(ERA_DAYS));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next_year, month, day)
}

/// The inverse of [`date`]; of a day that is none, another one.
#[must_use]
pub fn days(year: i64, month: i64, day: i64) -> i64 {
    let (month, year) = if month > 2 { (month - 3, year) } else { (month + 9, year - 1) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - ERA_TO_1970_DAYS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_bytes_are_written_as_494_does() {
        let gib = 1 << 30;
        let texts = [0, 1023, 1024, 1536, 252 * gib, u64::MAX].map(human_bytes);
        assert_eq!(texts, ["0 B", "1023 B", "1.0 KiB", "1.5 KiB", "252.0 GiB", "16.0 EiB"]);
    }

    #[test]
    fn times_are_written_with_two_units() {
        let texts = [0, 59, 60, 3599, 3600, 90_000, 86_400 * 500].map(human_seconds);
        let expected =
            ["0 s", "59 s", "1 min 0 s", "59 min 59 s", "1 h 0 min", "1 d 1 h", "500 d 0 h"];
        assert_eq!(texts, expected);
    }

    #[test]
    fn moments_are_written_as_494_does() {
        let texts = [0, -1, 951_782_399_999, 951_782_400_000, 1_735_689_599_000].map(human_time);
        let expected = [
            "1970-01-01#00:00:00:000",
            "1969-12-31#23:59:59:999",
            "2000-02-28#23:59:59:999",
            "2000-02-29#00:00:00:000",
            "2024-12-31#23:59:59:000",
        ];
        assert_eq!(texts, expected);
    }
}
