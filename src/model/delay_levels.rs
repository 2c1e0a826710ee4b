//! The delay levels of a broker: the list that an operator writes, and what it means (B-270).
//!
//! Not which messages wait, nor where (the broker and its store know). Invariant: there is a level at least.

use std::fmt;

/// The delays of the delay levels, level 1 first (4.x `messageDelayLevel`, B-270).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelayLevels {
    /// As it was written, with one blank between two levels.
    text: String,
    delays_ms: Vec<i64>,
}

/// Why a text is no list of delay levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelayLevelError {
    /// It has none.
    #[error("there is no delay level: write delays with blanks between them, such as `1s 5m 2h`")]
    Empty,
    /// This word of it is not a delay.
    #[error("`{0}` is not a delay: write a number and a unit of s, m, h or d, such as `10s`")]
    NotADelay(String),
}

impl Default for DelayLevels {
    /// 4.9.4's 18 levels.
    fn default() -> Self {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h".to_owned();
        let seconds: [i64; 18] =
            [1, 5, 10, 30, 60, 120, 180, 240, 300, 360, 420, 480, 540, 600, 1200, 1800, 3600, 7200];
        Self { text, delays_ms: seconds.iter().map(|seconds| seconds * 1000).collect() }
    }
}

impl fmt::Display for DelayLevels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl DelayLevels {
    /// Reads a list such as `1s 5s 10s`.
    ///
    /// # Errors
    /// [`DelayLevelError`]: there is no word in it, or one that is not a delay.
    pub fn parse(text: &str) -> Result<Self, DelayLevelError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        if words.is_empty() {
            return Err(DelayLevelError::Empty);
        }
        let delay = |word: &&str| {
            delay_ms(word).ok_or_else(|| DelayLevelError::NotADelay((*word).to_owned()))
        };
        let delays_ms = words.iter().map(delay).collect::<Result<_, _>>()?;
        Ok(Self { text: words.join(" "), delays_ms })
    }

    /// How many levels there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.delays_ms.len()
    }

    /// The delay of a level, counted from 1, in milliseconds.
    #[must_use]
    pub fn level_ms(&self, level: usize) -> Option<i64> {
        level.checked_sub(1).and_then(|index| self.delays_ms.get(index)).copied()
    }

    /// The delay that a `DELAY` property asks for, in milliseconds, at most that of the last level; `None` if it asks
    /// for none (level 0 or less, not a number).
    #[must_use]
    pub fn asked_ms(&self, property: &str) -> Option<i64> {
        let level = property.parse::<i32>().ok().filter(|level| *level > 0)?;
        self.level_ms(usize::try_from(level).unwrap_or(usize::MAX).min(self.count()))
    }
}

/// What a word such as `10s` means, in milliseconds.
fn delay_ms(word: &str) -> Option<i64> {
    let (number, unit_ms) = match word.char_indices().last()? {
        (at, 's') => (&word[..at], 1000),
        (at, 'm') => (&word[..at], 60_000),
        (at, 'h') => (&word[..at], 3_600_000),
        (at, 'd') => (&word[..at], 86_400_000),
        _ => return None,
    };
    number.parse::<u32>().ok().map(|number| i64::from(number) * unit_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_shown_and_refused_b270() {
        let text = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";
        assert_eq!(DelayLevels::parse(text), Ok(DelayLevels::default()));
        let levels = DelayLevels::parse("  0s 1d\t2h ").unwrap();
        assert_eq!((levels.to_string().as_str(), levels.count()), ("0s 1d 2h", 3));
        let delays_ms = [0, 1, 2, 3, 4].map(|level| levels.level_ms(level));
        assert_eq!(delays_ms, [None, Some(0), Some(86_400_000), Some(7_200_000), None]);
        for (bad, word) in
            [("1", "1"), ("s", "s"), ("1s 1x", "1x"), ("1s -5s", "-5s"), ("1s,5s", "1s,5s")]
        {
            let expected = Err(DelayLevelError::NotADelay(word.to_owned()));
            assert_eq!(DelayLevels::parse(bad), expected, "{bad}");
        }
        assert_eq!(DelayLevels::parse(" "), Err(DelayLevelError::Empty));
    }

    #[test]
    fn who_asks_for_more_than_the_last_level_gets_that_b270() {
        let levels = DelayLevels::parse("1s 1m").unwrap();
        for (asked, expected) in [("1", Some(1000)), ("2", Some(60_000)), ("99", Some(60_000))] {
            assert_eq!(levels.asked_ms(asked), expected, "{asked}");
        }
        for none in ["0", "-1", "x", ""] {
            assert_eq!(levels.asked_ms(none), None, "{none}");
        }
    }
}
