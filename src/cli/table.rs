//! Plain tables for a terminal: columns as wide as their widest cell, numbers to the right.
//!
//! Not a layout: no borders, no wrapping, so that lines can be cut and searched. Invariant: what a peer
//! named cannot move the cursor: control characters are shown escaped.

use crate::model::{date, days};

/// Columns between two cells.
const GAP: &str = "  ";

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// The table as lines; `columns` are its heads.
#[must_use]
pub fn table(columns: &[(&str, Align)], rows: &[Vec<String>]) -> String {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned()).collect();
    let shown = |row: &Vec<String>| row.iter().map(|cell| safe(cell)).collect();
    let rows: Vec<Vec<String>> = std::iter::once(heads).chain(rows.iter().map(shown)).collect();
    let cells_at = |at: usize| rows.iter().filter_map(move |row| row.get(at));
    let widths: Vec<usize> = (0..columns.len())
        .map(|at| cells_at(at).map(|cell| width(cell)).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let padded = row.iter().zip(columns).zip(&widths).map(|((cell, (_, align)), column)| {
            let space = " ".repeat(column - width(cell));
            match align {
                Align::Left => format!("{cell}{space}"),
                Align::Right => format!("{space}{cell}"),
            }
        });
        let line = padded.collect::<Vec<_>>().join(GAP);
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A peer's text without what a terminal would obey.
#[must_use]
pub fn safe(text: &str) -> String {
    let shown =
        |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Columns that a text takes in a terminal: two for each character of East Asia and each emoji, none for marks
/// that combine.
fn width(text: &str) -> usize {
    let columns = |c: char| match u32::from(c) {
        0x0300..=0x036f | 0x200b..=0x200f | 0xfe00..=0xfe0f => 0,
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        _ => 1,
    };
    text.chars().map(columns).sum()
}

/// Milliseconds since 1970 as `2026-11-25 01:26:19`, in UTC.
#[must_use]
pub fn utc(ms: i64) -> String {
    const DAY_S: i64 = 86_400;
    let seconds = ms.div_euclid(1000);
    let (days, of_day) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// A time in UTC as `2026-11-25T01:26:19`, or with a space or a `Z`, in milliseconds since 1970.
#[must_use]
pub fn time_ms(text: &str) -> Option<i64> {
    let (day, time) = text.strip_suffix('Z').unwrap_or(text).split_once(['T', ' '])?;
    let numbers = |text: &str, separator| {
        let numbers = text.split(separator).map(|part| part.parse::<i64>().ok());
        numbers.collect::<Option<Vec<_>>>()
    };
    let (day, time) = (numbers(day, '-')?, numbers(time, ':')?);
    let (&[year, month, day], &[hour, minute, second]) = (&day[..], &time[..]) else { return None };
    let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
    if !is_time || !(1970..=9999).contains(&year) || !(1..=12).contains(&month) {
        return None;
    }
    let days = days(year, month, day);
    if date(days) != (year, month, day) {
        return None;
    }
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_fit_their_widest_cell() {
        let rows =
            [vec!["订单".to_owned(), "7".to_owned()], vec!["a".to_owned(), "1234".to_owned()]];
        let text = table(&[("TOPIC", Align::Left), ("N", Align::Right)], &rows);
        assert_eq!(text, "TOPIC     N\n订单      7\na      1234\n");
    }

    #[test]
    fn no_cell_moves_the_cursor() {
        let text = table(&[("T", Align::Left)], &[vec!["a\u{1b}[2J\n".to_owned()]]);
        assert_eq!(text, "T\na\\u{1b}[2J\\n\n");
    }

    #[test]
    fn times_are_dates() {
        assert_eq!(utc(0), "1970-01-01 00:00:00");
        assert_eq!(utc(951_868_799_999), "2000-02-29 23:59:59");
        assert_eq!(utc(951_868_800_000), "2000-03-01 00:00:00");
        assert_eq!(utc(4_107_542_400_000), "2100-03-01 00:00:00");
        assert_eq!(utc(-1), "1969-12-31 23:59:59");
        for ms in (0..253_402_300_800_000).step_by(86_400_000 * 7 + 1_000) {
            assert_eq!(time_ms(&utc(ms)), Some(ms));
        }
        assert_eq!(time_ms("2000-02-29T23:59:59Z"), Some(951_868_799_000));
        for text in ["", "2000-02-30 00:00:00", "2001-02-29 00:00:00", "2000-01-01 24:00:00", "x"] {
            assert_eq!(time_ms(text), None, "{text}");
        }
    }
}
