//! The words behind a command's name, read as 4.9.4's tool reads them: commons-cli 1.2 with its `PosixParser`.
//!
//! Not clap, because it would refuse what the tool takes: a flag twice (the first counts), `-topic` for `--topic`, a value
//! that begins with `-`, words that belong to nothing. Invariant: what was given stays as it was written but for one pair
//! of quotes around it.

use super::table::{Flag, Kind, OldCommand};
use crate::cli::broker_address;

/// What was given.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Arguments(Vec<(char, String)>);

impl Arguments {
    /// Reads the words.
    ///
    /// # Errors
    /// What is wrong with them, for who wrote them.
    pub(super) fn parse(command: &OldCommand, words: &[String]) -> Result<Self, String> {
        let mut given = Self::default();
        let mut words = flatten(command, words).into_iter().peekable();
        while let Some(word) = words.next() {
            if word == "--" {
                break;
            }
            let Some(name) = word.strip_prefix('-').filter(|name| !name.is_empty()) else {
                continue;
            };
            let flag =
                flag_of(command, &word).ok_or_else(|| format!("there is no flag -{name}"))?;
            let mut value = String::new();
            if flag.has_value() {
                let is_value = |word: &String| flag_of(command, word).is_none();
                let Some(next) = words.next_if(is_value) else {
                    return Err(format!("-{} needs a value ({})", flag.short, flag.about));
                };
                value = next.trim_matches('"').to_owned();
            }
            given.0.push((flag.short, value));
        }
        if !given.has('h') {
            given.check(command)?;
        }
        Ok(given)
    }

    /// Whether all that is needed is there.
    fn check(&self, command: &OldCommand) -> Result<(), String> {
        for flag in command.flags.iter().filter(|flag| flag.kind == Kind::Must) {
            if !self.has(flag.short) {
                return Err(format!("-{} is missing ({})", flag.short, flag.about));
            }
        }
        let either = || command.flags.iter().filter(|flag| flag.kind == Kind::Either);
        let letters: Vec<_> = either().map(|flag| format!("-{}", flag.short)).collect();
        match either().filter(|flag| self.has(flag.short)).count() {
            0 if !letters.is_empty() => {
                return Err(format!("{} is missing", letters.join(" or ")));
            }
            0 | 1 => {}
            _ => return Err(format!("{} exclude each other", letters.join(" and "))),
        }
        let addresses = command.flags.iter().filter(|flag| flag.long == "brokerAddr");
        for address in addresses.filter_map(|flag| self.get(flag.short)) {
            broker_address(address).map_err(|error| {
                format!("-b: {error}; `clusterList` shows the address of each broker")
            })?;
        }
        Ok(())
    }

    /// Whether the flag was given.
    pub(super) fn has(&self, short: char) -> bool {
        self.raw(short).is_some()
    }

    /// A flag's value without blanks around it.
    pub(super) fn get(&self, short: char) -> Option<&str> {
        self.raw(short).map(str::trim)
    }

    /// A flag's value as it was written; of several the first.
    pub(super) fn raw(&self, short: char) -> Option<&str> {
        self.0.iter().find(|(flag, _)| *flag == short).map(|(_, value)| value.as_str())
    }

    /// The value of a flag that was checked to be there.
    pub(super) fn must(&self, short: char) -> &str {
        self.get(short).unwrap_or_default()
    }

    /// Java's `Boolean.parseBoolean` of a value, `default` without one.
    pub(super) fn bool_or(&self, short: char, default: bool) -> bool {
        self.get(short).map_or(default, |value| value.eq_ignore_ascii_case("true"))
    }

    /// A number, `default` without one.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn number_or<N: std::str::FromStr>(
        &self,
        short: char,
        default: N,
    ) -> Result<N, String> {
        let Some(value) = self.get(short) else { return Ok(default) };
        value.parse().map_err(|_| format!("-{short}: \"{value}\" is not a number in its range"))
    }
}

/// The flag that a word with its hyphens names.
fn flag_of<'a>(command: &'a OldCommand, word: &str) -> Option<&'a Flag> {
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    command.all_flags().find(|flag| flag.long == name || is_short(flag, name))
}

fn is_short(flag: &Flag, name: &str) -> bool {
    let mut letters = name.chars();
    letters.next() == Some(flag.short) && letters.next().is_none()
}

/// The words with `--long=value` and `-xVALUE` taken apart.
fn flatten(command: &OldCommand, words: &[String]) -> Vec<String> {
    let mut flat = Vec::new();
    for word in words {
        if word.len() > 2 && word.starts_with("--") {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if flag_of(command, name).is_some() => (name, Some(value)),
                _ => (word.as_str(), None),
            };
            flat.push(name.to_owned());
            flat.extend(value.map(str::to_owned));
        } else if word.starts_with('-')
            && word.chars().count() > 2
            && flag_of(command, word).is_none()
        {
            burst(command, word, &mut flat);
        } else {
            flat.push(word.clone());
        }
    }
    flat
}

/// Takes `-abVALUE` apart, up to the first letter that is no flag: from there on the word stays whole, as 4.9.4's does.
fn burst(command: &OldCommand, word: &str, flat: &mut Vec<String>) {
    for (at, letter) in word.char_indices().skip(1) {
        let short = format!("-{letter}");
        let Some(flag) = flag_of(command, &short) else {
            flat.push(if at == 1 { word.to_owned() } else { word[at..].to_owned() });
            return;
        };
        flat.push(short);
        let rest = &word[at + letter.len_utf8()..];
        if flag.has_value() && !rest.is_empty() {
            flat.push(rest.to_owned());
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::table;
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        let (name, words) = line.split_once(' ').unwrap_or((line, ""));
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        Arguments::parse(table::find(name).unwrap(), &words)
    }

    fn topic(line: &str) -> String {
        parse(line).unwrap().must('t').to_owned()
    }

    #[test]
    fn a_flag_is_written_in_any_of_the_tools_ways() {
        for line in [
            "topicRoute -t T",
            "topicRoute -tT",
            "topicRoute --topic T",
            "topicRoute --topic=T",
            "topicRoute -topic T",
            "topicRoute -lt T",
            "topicRoute -ltT",
            "topicRoute word -t \"T\" other",
            "topicRoute -t T -t U",
            "TOPICROUTE -n a:1;b:2 -t T -- -x",
        ] {
            assert_eq!(topic(line), "T", "{line}");
        }
        assert!(parse("topicRoute -lt T").unwrap().has('l'));
        // What begins with a hyphen and is no flag is a value.
        assert_eq!(parse("resetOffsetByTime -g G -t T -s -1").unwrap().must('s'), "-1");
        assert_eq!(parse("resetOffsetByTime -g G -t T -s -123").unwrap().must('s'), "-123");
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (line, error) in [
            ("topicRoute", "-t is missing (topic name)"),
            ("topicRoute -t", "-t needs a value (topic name)"),
            ("topicRoute -t -l", "-t needs a value (topic name)"),
            ("topicRoute -t T -x", "there is no flag -x"),
            ("topicRoute --nothing T", "there is no flag --nothing"),
            ("updateTopic -t T", "-b or -c is missing"),
            ("updateTopic -t T -b a -c C", "-b and -c exclude each other"),
        ] {
            assert_eq!(parse(line), Err(error.to_owned()), "{line}");
        }
        assert!(parse("topicRoute -h").unwrap().has('h'));
    }

    #[test]
    fn values_are_javas() {
        let given = parse("updateTopic -c C -t T -r 4 -w x -o TRUE -u yes").unwrap();
        assert_eq!(given.number_or('r', 8u32), Ok(4));
        assert_eq!(given.number_or('p', 6u32), Ok(6));
        assert!(given.number_or('w', 8u32).unwrap_err().contains("-w: \"x\""));
        assert!(given.bool_or('o', false) && !given.bool_or('u', true) && given.bool_or('s', true));
    }
}
