//! 4.9.4's keys as tools ask a running broker for them, and want them changed (25, 26).
//!
//! Not what is in force (the broker knows). Invariant: every key has the fate that `import_keys` gives it.

use super::import_keys::{Fate, all, fate, is_name_servers, is_tls};

/// The keys of brokers that have one value here, with that value.
pub fn fixed_properties() -> impl Iterator<Item = (&'static str, &'static str)> {
    let of_brokers = all().filter(|(key, _)| !is_name_servers(key) && !is_tls(key));
    of_brokers.filter_map(|(key, fate)| match fate {
        Fate::Fixed(value, _) => Some((*key, *value)),
        Fate::Taken(_) | Fate::NotNeeded(_) => None,
    })
}

/// Why a key cannot be changed while a broker runs, said of one that cannot.
#[must_use]
pub fn why_not_now(key: &str) -> String {
    match fate(key) {
        None => format!("4.9.4 has no key `{key}`"),
        Some(Fate::NotNeeded(why)) => format!("`{key}` changes nothing here: {why}"),
        Some(Fate::Fixed(value, why)) => format!("`{key}` is always `{value}` here: {why}"),
        Some(Fate::Taken(_)) => {
            format!("`{key}` is read at the start only: change the settings, and restart the node")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_key_has_its_reason() {
        let reasons = ["x", "sendMessageThreadPoolNums", "longPollingEnable", "maxMessageSize"];
        let [unknown, needless, fixed, taken] = reasons.map(why_not_now);
        assert_eq!(unknown, "4.9.4 has no key `x`");
        assert!(needless.starts_with("`sendMessageThreadPoolNums` changes nothing here: "));
        assert!(fixed.starts_with("`longPollingEnable` is always `true` here: "));
        assert!(taken.ends_with("change the settings, and restart the node"));
    }
}
