//! The shipped file that documents every setting, and what can be looked up in it.
//!
//! Not the defaults as a layer (`layers`). Invariant: the file is what is compiled in, word for word.

use super::documented;

/// The shipped file, with its defaults commented out.
pub const REFERENCE: &str = include_str!("../../conf/rmq-node.toml");

/// The settings that replace a key of 4.9.4, as the file tells: those whose comments have it in brackets.
pub fn successors(key_of_4_9_4: &str) -> Option<String> {
    // Theirs are in camelCase; anything else in brackets is no key.
    key_of_4_9_4.find(|c: char| c.is_ascii_uppercase())?;
    let replaces =
        |theirs: &str| theirs.split([' ', ',', ':', ')', '.']).any(|word| word == key_of_4_9_4);
    let settings = documented::settings().into_iter();
    let found = settings.filter(|one| one.of_4_9_4.as_deref().is_some_and(replaces));
    let told = found.map(|one| {
        let place = if one.table.is_empty() { "" } else { " in " };
        format!("`{}`{place}{}", one.key, one.table)
    });
    let told: Vec<_> = told.collect();
    (!told.is_empty()).then(|| told.join(" or "))
}
