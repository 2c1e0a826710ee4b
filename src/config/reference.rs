//! The shipped file that documents every setting, and what can be looked up in it.
//!
//! Not the defaults as a layer (`layers`). Invariant: the file is what is compiled in, word for word.

/// The shipped file, with its defaults commented out.
pub const REFERENCE: &str = include_str!("../../conf/rmq-node.toml");

/// The settings that replace a key of 4.9.4, as the file tells: those whose comments have it in brackets.
pub fn successors(key_of_4_9_4: &str) -> Option<String> {
    // Theirs are in camelCase; anything else in brackets is no key.
    key_of_4_9_4.find(|c: char| c.is_ascii_uppercase())?;
    let (mut table, mut is_told, mut found) = ("", false, Vec::new());
    for line in REFERENCE.lines() {
        let text = line.trim_start_matches(['#', ' ']);
        let setting = text.split_once(" = ").filter(|(key, _)| !key.contains(' '));
        if text.starts_with('[') {
            table = text;
        } else if let Some((key, _)) = setting {
            if std::mem::take(&mut is_told) {
                let place = if table.is_empty() { String::new() } else { format!(" in {table}") };
                found.push(format!("`{key}`{place}"));
            }
        } else if let Some((_, words)) = text.rsplit_once('(') {
            let mut words = words.split([' ', ',', ':', ')', '.']);
            is_told |= words.any(|word| word == key_of_4_9_4);
        }
    }
    (!found.is_empty()).then(|| found.join(" or "))
}
