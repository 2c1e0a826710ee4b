//! Addresses that need no signature: one pattern of a white list.
//!
//! Not which list it stands in. Invariants: a pattern that cannot be read is an error and never matches by accident;
//! stricter than 4.9.4 in one thing: after a range only `*` may follow, because 4.9.4 does not look at what follows
//! and lets in more than is written.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::RangeInclusive;

/// The numbers of an IPv4 address.
const V4_PARTS: usize = 4;
/// The groups of an IPv6 address.
const V6_PARTS: usize = 8;

/// One pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// An empty text: nobody.
    Nobody,
    /// Everybody.
    Everybody,
    /// These addresses.
    Addresses(Vec<IpAddr>),
    /// Addresses that begin so and go on within the range.
    Range {
        /// Whether it is about IPv6.
        is_v6: bool,
        /// The first parts.
        head: Vec<u16>,
        /// The next one; whatever follows it.
        range: RangeInclusive<u16>,
    },
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// It is none: the sentence says why.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        match text {
            "" => return Ok(Self::Nobody),
            "*" | "*.*.*.*" | "*:*:*:*:*:*:*:*" => return Ok(Self::Everybody),
            _ => {}
        }
        if let Some((head, list)) = text.strip_suffix('}').and_then(|text| text.split_once('{')) {
            if !head.ends_with(['.', ':']) {
                return Err(format!("`{text}`: braces stand for the last part of an address"));
            }
            let all = list.split(',').map(|part| address(&format!("{head}{}", part.trim())));
            return all.collect::<Result<_, _>>().map(Self::Addresses);
        }
        if text.contains(',') {
            let all = text.split(',').map(|one| address(one.trim()));
            return all.collect::<Result<_, _>>().map(Self::Addresses);
        }
        if text.contains(['*', '-']) {
            return range(text).ok_or_else(|| {
                format!(
                    "`{text}`: a range is written as 10.1.*.*, 10.1.1-9.* or 10.1.2.1-9, an IPv6 one as \
                     2001:db8::1-9 or 2001:db8::1:*"
                )
            });
        }
        Ok(Self::Addresses(vec![address(text)?]))
    }

    /// Whether an address fits.
    #[must_use]
    pub fn matches(&self, address: IpAddr) -> bool {
        match self {
            Self::Nobody => false,
            Self::Everybody => true,
            Self::Addresses(all) => all.contains(&address),
            Self::Range { is_v6, head, range } => {
                let parts = parts(address);
                address.is_ipv6() == *is_v6
                    && parts.starts_with(head)
                    && parts.get(head.len()).is_some_and(|part| range.contains(part))
            }
        }
    }
}

fn address(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("`{text}` is not an IP address"))
}

fn parts(address: IpAddr) -> Vec<u16> {
    match address {
        IpAddr::V4(address) => address.octets().map(u16::from).to_vec(),
        IpAddr::V6(address) => address.segments().to_vec(),
    }
}

fn range(text: &str) -> Option<Pattern> {
    if text.contains(':') { range_v6(text) } else { range_v4(text) }
}

fn range_v4(text: &str) -> Option<Pattern> {
    let parts: Vec<&str> = text.split('.').map(str::trim).collect();
    let at = parts.iter().position(|part| part.contains(['*', '-']))?;
    // The first part is a number, as in 4.9.4.
    if parts.len() != V4_PARTS || at == 0 || parts[at + 1..].iter().any(|part| *part != "*") {
        return None;
    }
    let number = |text: &str| text.parse::<u8>().ok().map(u16::from);
    let head = parts[..at].iter().map(|part| number(part)).collect::<Option<Vec<_>>>()?;
    let range = range_of(parts[at], u8::MAX.into(), number)?;
    Some(Pattern::Range { is_v6: false, head, range })
}

/// `::` stands for as many zeros as are missing; without it the range may stand anywhere, and the rest is free.
fn range_v6(text: &str) -> Option<Pattern> {
    let (head, last) = text.rsplit_once(':')?;
    let (head, part, free) = match head.rsplit_once(':') {
        Some((head, part)) if last == "*" && part.contains('-') => (head, part, 1),
        _ => (head, last, 0),
    };
    let hex = |text: &str| {
        let is_group = (1..=4).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
        is_group.then(|| u16::from_str_radix(text, 16).ok()).flatten()
    };
    let range = range_of(part, u16::MAX, hex)?;
    let missing = vec!["0"; 1 + free].join(":");
    let whole = |text: String| text.parse::<Ipv6Addr>().ok().map(|whole| whole.segments());
    let head = if head.ends_with(':') || head.contains("::") {
        // A colon at the end is the first of two that were parted; either way a whole address begins with the head.
        whole(format!("{head}:{missing}"))?[..V6_PARTS - 1 - free].to_vec()
    } else {
        head.split(':').map(hex).collect::<Option<Vec<_>>>()?
    };
    let fits = head.len() + 1 + free <= V6_PARTS;
    fits.then_some(Pattern::Range { is_v6: true, head, range })
}

fn range_of(
    text: &str,
    max: u16,
    number: impl Fn(&str) -> Option<u16>,
) -> Option<RangeInclusive<u16>> {
    if text == "*" {
        return Some(0..=max);
    }
    let (start, end) = text.split_once('-')?;
    let (start, end) = (number(start)?, number(end)?);
    (start <= end).then_some(start..=end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, address: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(address.parse().unwrap())
    }

    #[test]
    fn each_pattern_lets_in_what_it_says_a050() {
        let cases: &[(&str, &[&str], &[&str])] = &[
            ("", &[], &["127.0.0.1", "::1"]),
            ("  ", &[], &["127.0.0.1"]),
            ("*", &["10.1.2.3", "::1"], &[]),
            ("*.*.*.*", &["10.1.2.3", "::1"], &[]),
            ("*:*:*:*:*:*:*:*", &["10.1.2.3", "::1"], &[]),
            ("10.1.2.3", &["10.1.2.3"], &["10.1.2.30", "10.1.2.4"]),
            ("10.1.2.*", &["10.1.2.0", "10.1.2.255"], &["10.1.20.1", "10.1.3.1", "::1"]),
            ("10.1.*.*", &["10.1.0.0", "10.1.255.9"], &["10.2.0.1", "1.10.1.1"]),
            ("10.*.*.*", &["10.0.0.1"], &["110.0.0.1"]),
            ("10.1.2.1-9", &["10.1.2.1", "10.1.2.9"], &["10.1.2.0", "10.1.2.10", "10.1.3.5"]),
            ("10.1.1-9.*", &["10.1.1.0", "10.1.9.255"], &["10.1.0.1", "10.1.10.1"]),
            ("10.0-0.*.*", &["10.0.3.4"], &["10.1.0.0"]),
            ("10.1.2.{1,2,30}", &["10.1.2.1", "10.1.2.30"], &["10.1.2.3"]),
            ("10.1.2.{1, 2}", &["10.1.2.2"], &["10.1.2.3"]),
            ("10.1.2.3,::1", &["10.1.2.3", "::1"], &["10.1.2.4"]),
            ("2001:db8::1", &["2001:DB8:0:0::1"], &["2001:db8::2"]),
            ("2001:db8::{1,2}", &["2001:db8::2"], &["2001:db8::3"]),
            (
                "2001:db8::1-1f",
                &["2001:db8::1", "2001:db8::1f"],
                &["2001:db8::20", "2001:db8:1::1"],
            ),
            ("2::ac5:78:1-200:*", &["2::ac5:78:1:9", "2::ac5:78:200:0"], &["2::ac5:78:201:0"]),
            ("2001:db8:*", &["2001:db8::", "2001:db8:ffff::1"], &["2001:db9::", "10.1.2.3"]),
            ("1:2:3:4:5:6:7:*", &["1:2:3:4:5:6:7:8"], &["1:2:3:4:5:6:8:8"]),
            ("fe80::*", &["fe80::1", "fe80::ffff"], &["fe80::1:1"]),
            ("::1-2", &["::1", "::2"], &["::3", "1::1"]),
        ];
        for (pattern, inside, outside) in cases {
            for address in *inside {
                assert!(matches(pattern, address), "{pattern} and {address}");
            }
            for address in *outside {
                assert!(!matches(pattern, address), "{pattern} and {address}");
            }
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused_a051() {
        for text in [
            "localhost",
            "10.1.2",
            "10.1.2.256",
            "*.1.2.3",
            "10.*.2.3",
            "10.1.2-3.4",
            "10.1.9-1.*",
            "10.1.-9.*",
            "10.1.1-256.*",
            "10.1.2.3-",
            "10.1.*",
            "10.1.2.*.*",
            "10.1.2.3{1,2}",
            "10.1.2.{1,300}",
            "10.1.2.{}",
            "10.1.2.3,",
            "10.1.2.3,*",
            "2001:db8::*:1",
            "2001:db8::1-fffff",
            "1:2:3:4:5:6:7:8:*",
            "1:2:3:4:5:6:7:8:1-9:*",
            "1::2::3-4",
            "-",
            ":*",
            "*:1",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
