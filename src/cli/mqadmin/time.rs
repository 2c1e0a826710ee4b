//! Times as 4.9.4's tools write and read them: in this host's time zone.
//!
//! Not which zone that is (`clock`). Invariant: a moment that is beyond all dates is written in seconds.

use tz::UtcDateTime;

use crate::clock::Zone;

/// A moment, taken apart.
struct Parts {
    date: String,
    time: String,
    ms: i64,
}

impl Zone {
    fn parts(&self, ms: i64) -> Parts {
        let (seconds, rest) = (ms.div_euclid(1000), ms.rem_euclid(1000));
        let moment = UtcDateTime::from_timespec(seconds.saturating_add(self.offset_s(seconds)), 0);
        let Ok(moment) = moment else {
            return Parts { date: seconds.to_string(), time: String::new(), ms: rest };
        };
        Parts {
            date: format!("{:04}-{:02}-{:02}", moment.year(), moment.month(), moment.month_day()),
            time: format!("{:02}:{:02}:{:02}", moment.hour(), moment.minute(), moment.second()),
            ms: rest,
        }
    }

    /// `2022-04-15 05:20:00`.
    pub(super) fn seconds(&self, ms: i64) -> String {
        let Parts { date, time, .. } = self.parts(ms);
        format!("{date} {time}")
    }

    /// `2022-04-15 05:20:00,123`.
    pub(super) fn millis(&self, ms: i64) -> String {
        let Parts { date, time, ms } = self.parts(ms);
        format!("{date} {time},{ms:03}")
    }

    /// A moment of a flag in milliseconds since 1970: milliseconds, or `2022-04-15#05:20:00:123`.
    pub(super) fn parse(&self, text: &str) -> Option<i64> {
        if let Ok(ms) = text.parse() {
            return Some(ms);
        }
        let (date, time) = text.split_once('#')?;
        let mut date = date.splitn(3, '-');
        let mut time = time.splitn(4, ':');
        let (year, month, day) =
            (date.next()?.parse().ok()?, date.next()?.parse().ok()?, date.next()?.parse().ok()?);
        let mut next = || time.next()?.parse::<u16>().ok();
        let (hour, minute, second, ms) = (next()?, next()?, next()?, next()?);
        let byte = |number: u16| u8::try_from(number).ok();
        let moment =
            UtcDateTime::new(year, month, day, byte(hour)?, byte(minute)?, byte(second)?, 0)
                .ok()?;
        let seconds = moment.unix_time();
        // The offset of a moment that is near is the moment's own, but for the hour in which it changes.
        let offset = self.offset_s(seconds - self.offset_s(seconds));
        Some((seconds - offset) * 1000 + i64::from(ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_in_the_zone_and_read_back() {
        let berlin = Zone::named("CET-1CEST,M3.5.0,M10.5.0/3");
        let utc = Zone::default();
        let (summer, winter) = (1_650_000_000_123, 1_640_995_200_000);
        assert_eq!(utc.millis(summer), "2022-04-15 05:20:00,123");
        assert_eq!(berlin.millis(summer), "2022-04-15 07:20:00,123");
        assert_eq!(berlin.seconds(winter), "2022-01-01 01:00:00");
        for zone in [&utc, &berlin] {
            for ms in [summer, winter, 0, -1] {
                let text = zone.millis(ms).replace(' ', "#").replace(',', ":");
                assert_eq!(zone.parse(&text), Some(ms));
            }
        }
        assert_eq!(utc.parse("1650000000123"), Some(summer));
        for bad in ["", "now", "2022-04-15", "2022-04-15#05:20:00", "2022-13-15#05:20:00:000"] {
            assert_eq!(utc.parse(bad), None, "{bad}");
        }
    }
}
