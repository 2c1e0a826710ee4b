//! The code keeps its own rules: module graph, file length, headers, banned words.
//!
//! [`GRAPH`] *is* the architecture; to change it is a decision, and the commit says why. What a
//! compiler can see (unsafe, casts, long functions) is clippy's part, in `Cargo.toml` and `clippy.toml`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Every module with the modules it may use, lowest level first: a row may name only rows above it.
const GRAPH: &[(&str, &str)] = &[
    ("clock", ""),
    ("files", ""),
    ("metrics", ""),
    ("model", ""),
    ("systemd", ""),
    ("proto", ""),
    ("task", "clock metrics"),
    ("config", "files model metrics"),
    ("message", "model"),
    ("remoting", "model"),
    ("kv", "clock task metrics"),
    ("filter", "message model"),
    ("transport", "remoting config clock task metrics model"),
    ("acl", "remoting config model clock task metrics"),
    ("store", "kv message model config files clock task metrics"),
    ("nameserver", "acl remoting transport config model clock task metrics"),
    ("replication", "store acl remoting transport message config model files clock task metrics"),
    ("admin", "proto kv remoting transport message acl config model files clock task metrics"),
    ("bench", "remoting transport message acl config model clock task metrics"),
    (
        "broker",
        "replication store kv filter acl transport remoting message config model files clock task metrics",
    ),
    ("console", "proto admin kv message config model clock task metrics"),
    (
        "node",
        "console broker admin replication nameserver store acl transport filter kv remoting message \
         config task proto systemd model files metrics clock",
    ),
    ("demo", "node admin transport remoting message config proto model clock task"),
    (
        "cli",
        "demo node admin bench config message remoting transport acl proto model clock task metrics",
    ),
    ("main", "cli"),
];

const FILE_LINES_MAX: usize = 800;

/// Words that stand nowhere, and what to write instead.
const BANNED: &[(&str, &str)] = &[
    ("dbg!(", "an event of `tracing`"),
    ("FIXME", "the repaired code"),
    ("TODO", "the code, or an issue"),
    ("#[allow(", "`#[expect(lint, reason = \"...\")]`"),
    ("#![allow(", "`#[expect(lint, reason = \"...\")]` where it is needed"),
];

/// Words that stand only in tests, and what to write elsewhere; `todo!` is clippy's.
const BANNED_OUTSIDE_TESTS: &[(&str, &str)] = &[(".unwrap()", "`expect(\"why it holds\")` or `?`")];

/// One source file; `path` is below `src`.
struct Source {
    path: String,
    text: String,
    /// Declared under `#[cfg(test)]` by its parent.
    is_test: bool,
}

impl Source {
    fn module(&self) -> &str {
        let first = self.path.split('/').next().unwrap_or_default();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The lines before the unit tests, numbered from 1, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let is_tests = |pair: &[&str]| pair[0] == "#[cfg(test)]" && pair[1].ends_with('{');
        let end = lines.windows(2).position(is_tests).unwrap_or(lines.len());
        let end = if self.is_test { 0 } else { end };
        let numbered = lines.into_iter().take(end).enumerate();
        numbered.map(|(at, line)| (at + 1, line.split("//").next().unwrap_or_default()))
    }
}

/// The first words of the paths behind each `crate::` of a line, groups in braces too.
fn used_modules(line: &str) -> Vec<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        // `$crate::` and `rmq_crate::` would be something else, and are not written here.
        let rest = &line[at + "crate::".len()..];
        let name = |text: &'_ str| text.trim_start().find(|c| !is_name(c)).unwrap_or(text.len());
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let parts = group.split(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0 && c == ','
            });
            found.extend(parts.map(|part| {
                let part = part.trim_start();
                &part[..name(part)]
            }));
        } else {
            found.push(&rest[..name(rest)]);
        }
    }
    found
}

fn broken_edges(source: &Source) -> Vec<String> {
    let module = source.module();
    if module == "lib" {
        return Vec::new();
    }
    let Some((_, allowed)) = GRAPH.iter().find(|(name, _)| *name == module) else {
        return vec![format!("{}:1: module {module} is not in the graph", source.path)];
    };
    let may_use = |name: &str| name == module || allowed.split(' ').any(|one| one == name);
    let is_module = |name: &str| GRAPH.iter().any(|(one, _)| *one == name);
    let mut broken = Vec::new();
    for (line, text) in source.code() {
        let forbidden = |name: &&str| is_module(name) && !may_use(name);
        for name in used_modules(text).into_iter().filter(forbidden) {
            broken.push(format!("{}:{line}: {module} must not use {name}", source.path));
        }
    }
    broken
}

fn broken_form(source: &Source) -> Vec<String> {
    let mut broken = Vec::new();
    let path = &source.path;
    if !source.text.starts_with("//! ") {
        broken.push(format!(
            "{path}:1: begin with `//!`: what the file is, what it is not, its invariants"
        ));
    }
    let lines = source.text.lines().count();
    if lines > FILE_LINES_MAX {
        broken.push(format!("{path}:{lines}: more than {FILE_LINES_MAX} lines, split it"));
    }
    for (at, line) in source.text.lines().enumerate() {
        for (word, instead) in BANNED.iter().filter(|(word, _)| line.contains(word)) {
            broken.push(format!("{path}:{}: {word} is banned, write {instead}", at + 1));
        }
    }
    for (at, line) in source.code() {
        for (word, instead) in BANNED_OUTSIDE_TESTS.iter().filter(|(word, _)| line.contains(word)) {
            broken.push(format!("{path}:{at}: {word} is banned outside tests, write {instead}"));
        }
    }
    broken
}

/// Top folders with more files than this tell what is in which.
const FILES_WITHOUT_TABLE: usize = 4;

/// Files of the folder of a `mod.rs` that its table does not name, and names in it that are no files.
fn broken_table(source: &Source, sources: &[Source]) -> Vec<String> {
    let Some(folder) = source.path.strip_suffix("mod.rs") else { return Vec::new() };
    let beside = sources.iter().filter(|one| !one.is_test && one.path != source.path);
    let files: BTreeSet<&str> = beside
        .filter_map(|one| one.path.strip_prefix(folder))
        .filter_map(|path| path.split(['/', '.']).next())
        .collect();
    let head = source.text.lines().take_while(|line| line.starts_with("//!"));
    let cells = head.filter_map(|line| line.strip_prefix("//! | ")?.split(" | ").next());
    let cells: Vec<&str> = cells.collect();
    if !cells.contains(&"file") {
        let is_large = folder.matches('/').count() == 1 && files.len() > FILES_WITHOUT_TABLE;
        let broken = is_large.then(|| format!("{}:1: has no table of its files", source.path));
        return broken.into_iter().collect();
    }
    let names = cells.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let names: BTreeSet<&str> = names.map(|name| name.trim_end_matches('/')).collect();
    let is_folder = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(folder).join(name).is_dir()
    };
    let missing = files.difference(&names).map(|name| format!("does not name `{name}`"));
    let gone = names.difference(&files).filter(|name| !is_folder(name));
    let gone = gone.map(|name| format!("names `{name}`, which is no file"));
    missing.chain(gone).map(|what| format!("{}:1: its table {what}", source.path)).collect()
}

/// Rows that name a row below them or none at all.
fn broken_graph(graph: &[(&str, &str)]) -> Vec<String> {
    let mut above = BTreeSet::new();
    let mut broken = Vec::new();
    for (module, uses) in graph {
        for name in uses.split_whitespace().filter(|name| !above.contains(name)) {
            broken.push(format!("{module} may use {name}, which is not above it"));
        }
        above.insert(*module);
    }
    broken
}

/// All files below `folder` that end in `.rs`, with paths relative to it.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut pending = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = pending.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                pending.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                found.push(Source { path, text, is_test: false });
            }
        }
    }
    let tests: BTreeSet<String> = found.iter().flat_map(test_files).collect();
    for source in &mut found {
        source.is_test = tests.iter().any(|test| {
            let rest = source.path.strip_prefix(test.trim_end_matches(".rs"));
            rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// The modules that `source` declares under `#[cfg(test)]`, by `#[path]` too, as files.
fn test_files(source: &Source) -> Vec<String> {
    let beside = source.path.rsplit_once('/').map_or(String::new(), |(dir, _)| format!("{dir}/"));
    let below = match source.path.strip_suffix(".rs") {
        Some(path) if !path.ends_with("mod") && path != "lib" => format!("{path}/"),
        _ => beside.clone(),
    };
    let mut lines = source.text.lines();
    let mut found = Vec::new();
    while lines.any(|line| line == "#[cfg(test)]") {
        let mut line = lines.next().unwrap_or_default();
        let path = line.strip_prefix("#[path = \"").and_then(|rest| rest.strip_suffix("\"]"));
        if path.is_some() {
            line = lines.next().unwrap_or_default();
        }
        if let Some(name) = line.rsplit(' ').next().and_then(|word| word.strip_suffix(';')) {
            found.push(path.map_or(format!("{below}{name}.rs"), |path| format!("{beside}{path}")));
        }
    }
    found
}

#[test]
fn modules_use_only_what_the_graph_allows() {
    assert_eq!(broken_graph(GRAPH), [""; 0]);
    let broken: Vec<String> = sources("src").iter().flat_map(broken_edges).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn files_have_a_header_a_bounded_length_and_no_banned_word() {
    let mut broken: Vec<String> = sources("src").iter().flat_map(broken_form).collect();
    for mut test in sources("tests").into_iter().filter(|test| test.path != "it/tidy.rs") {
        test.is_test = true;
        broken.extend(broken_form(&test));
    }
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn the_map_of_the_crate_has_every_module_above_those_that_it_uses() {
    let map = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let level = |module: &str| -> u32 {
        let row = map.lines().find(|line| line.contains(&format!(" | [`{module}`]")));
        let row = row.unwrap_or_else(|| panic!("lib.rs has no line for {module}"));
        row.split(" | ").nth(1).unwrap().parse().unwrap()
    };
    for (module, uses) in GRAPH.iter().filter(|(module, _)| *module != "main") {
        let own = level(module);
        for used in uses.split_whitespace() {
            assert!(own > level(used), "lib.rs has {module} not above {used}");
        }
    }
}

#[test]
fn tables_of_files_are_whole() {
    let sources = sources("src");
    let broken: Vec<String> = sources.iter().flat_map(|one| broken_table(one, &sources)).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// Each rule can fail.
mod rules {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned(), is_test: false }
    }

    #[test]
    fn a_table_that_lacks_a_file_or_names_one_too_many_is_told() {
        let table = "//! Head.\n//!\n//! | file | what |\n//! | --- | --- |\n//! | `pull`, `gone` | a |\n//! | `sql/` | b |\n";
        let mut sources = vec![source("broker/mod.rs", table)];
        for name in ["pull", "send", "sql/lexer", "pull_tests"] {
            sources.push(source(&format!("broker/{name}.rs"), "//! Head.\n"));
        }
        sources.last_mut().unwrap().is_test = true;
        assert_eq!(
            broken_table(&sources[0], &sources),
            [
                "broker/mod.rs:1: its table does not name `send`",
                "broker/mod.rs:1: its table names `gone`, which is no file",
            ]
        );
        sources[0].text = "//! Head.\n".to_owned();
        assert_eq!(broken_table(&sources[0], &sources), [""; 0]);
        for name in ["a", "b"] {
            sources.push(source(&format!("broker/{name}.rs"), "//! Head.\n"));
        }
        assert_eq!(
            broken_table(&sources[0], &sources),
            ["broker/mod.rs:1: has no table of its files"]
        );
    }

    #[test]
    fn a_forbidden_module_is_named_with_its_line() {
        let text = "//! Head, see crate::nameserver.\n\nuse crate::{clock::Clock, nameserver::{a, b}};\nfn f() { crate::cli::run() }\n";
        assert_eq!(
            broken_edges(&source("broker/mod.rs", text)),
            [
                "broker/mod.rs:3: broker must not use nameserver",
                "broker/mod.rs:4: broker must not use cli"
            ]
        );
        assert_eq!(
            broken_edges(&source("cron.rs", "")),
            ["cron.rs:1: module cron is not in the graph"]
        );
    }

    #[test]
    fn unit_tests_may_use_anything() {
        let text = "//! Head.\nuse crate::model::QueueId;\n\n#[cfg(test)]\nmod tests {\n    use crate::broker::x;\n    f().unwrap();\n}\n";
        assert!(broken_edges(&source("kv/mod.rs", text)).len() == 1, "kv may not use model");
        assert!(broken_form(&source("kv/mod.rs", text)).is_empty());
    }

    #[test]
    fn header_length_and_words_are_checked() {
        let long = format!("//! Head.\n{}", "\n".repeat(FILE_LINES_MAX));
        assert_eq!(
            broken_form(&source("a.rs", &long)),
            ["a.rs:801: more than 800 lines, split it"]
        );
        let text = "fn f() {\n    g().unwrap(); // not .unwrap()\n    dbg!(1); // FIXME\n}\n";
        assert_eq!(
            broken_form(&source("a.rs", text)),
            [
                "a.rs:1: begin with `//!`: what the file is, what it is not, its invariants",
                "a.rs:3: dbg!( is banned, write an event of `tracing`",
                "a.rs:3: FIXME is banned, write the repaired code",
                "a.rs:2: .unwrap() is banned outside tests, write `expect(\"why it holds\")` or `?`",
            ]
        );
    }

    #[test]
    fn a_graph_with_a_cycle_is_refused() {
        let broken = broken_graph(&[("a", "b"), ("b", "a c")]);
        assert_eq!(
            broken,
            ["a may use b, which is not above it", "b may use c, which is not above it"]
        );
    }

    #[test]
    fn files_declared_under_test_are_tests() {
        let parent = source("kv/mod.rs", "#[cfg(test)]\npub mod conformance;\nmod memory;\n");
        assert_eq!(test_files(&parent), ["kv/conformance.rs"]);
        let leaf = source("remoting/command.rs", "#[cfg(test)]\nmod tests;\n");
        assert_eq!(test_files(&leaf), ["remoting/command/tests.rs"]);
        let text = "#[cfg(test)]\n#[path = \"command_tests.rs\"]\nmod tests;\n";
        assert_eq!(test_files(&source("remoting/command.rs", text)), ["remoting/command_tests.rs"]);
        assert_eq!(test_files(&source("lib.rs", "#[cfg(test)]\nmod a;\n")), ["a.rs"]);
    }
}
