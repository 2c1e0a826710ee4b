//! Every value with where it came from, as a file that could be read again.

use super::Loaded;

impl Loaded {
    /// TOML, each value followed by its origin.
    #[must_use]
    pub fn listing(&self) -> String {
        // Top-level settings first: below a table's head they would belong to it.
        let (top, mut tables): (Vec<_>, Vec<_>) =
            self.origins.iter().partition(|(path, _)| !path.contains('.'));
        // As texts, `broker[10]` comes before `broker[1].`.
        tables.sort_by_key(|&(path, _)| place(path));
        let mut text = String::new();
        let mut head = "";
        for (path, found) in top.into_iter().chain(tables) {
            let (table, key) = path.rsplit_once('.').unwrap_or(("", path));
            if table != head {
                head = table;
                text.push_str(&match table.split_once('[') {
                    Some((list, _)) => format!("\n[[{list}]]\n"),
                    None => format!("\n[{table}]\n"),
                });
            }
            let setting = format!("{key} = {}", found.value);
            text.push_str(&format!("{setting:<40} # {}\n", found.origin));
        }
        text + &self.kept.comments()
    }
}

/// A list with the number of its entry, or a path that has none.
fn place(path: &str) -> (&str, usize) {
    let (list, rest) = path.split_once('[').unwrap_or((path, ""));
    (list, rest.split_once(']').and_then(|(number, _)| number.parse().ok()).unwrap_or(0))
}
