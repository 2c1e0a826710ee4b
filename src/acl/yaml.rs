//! A YAML document as a tree that knows its lines, with bounds: depth, and what aliases repeat.
//!
//! Not what it means (`file`). Values keep their text: whether `12345678` is a number is for whoever reads it to say, so
//! that a key of digits is the key that was written. Invariants: no text panics, none recurses deeper than
//! [`DEPTH_MAX`], and none takes more than a small multiple of its own size and [`REPEATED_BYTES_MAX`], however often it
//! repeats an anchor.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Lists and maps within one another; an account file has four.
const DEPTH_MAX: usize = 16;
/// What all aliases of one document repeat may take of memory, in bytes.
const REPEATED_BYTES_MAX: usize = 1 << 20;

/// A place in a text and what is wrong there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {text}")]
pub struct YamlError {
    /// The line, from 1.
    pub line: usize,
    /// The sentence.
    pub text: String,
}

impl YamlError {
    /// An error at a line.
    pub fn new(line: usize, text: impl Into<String>) -> Self {
        Self { line, text: text.into() }
    }
}

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The line, from 1.
    pub line: usize,
    /// The value.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, or `null` without quotes.
    Null,
    /// Everything that is neither a list nor a map, as its text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map, in the order of the text; no key stands twice.
    Map(Vec<(Key, Node)>),
}

/// A map's key and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The line, from 1.
    pub line: usize,
    /// The key.
    pub name: String,
}

impl Node {
    /// What a map has under a key.
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Value::Map(entries) = &self.value else { return None };
        entries.iter().find(|(key, _)| key.name == name).map(|(_, node)| node)
    }

    /// The item of a list.
    pub fn item(&self, at: usize) -> Option<&Self> {
        let Value::List(items) = &self.value else { return None };
        items.get(at)
    }

    /// How many bytes of memory it takes, about.
    fn bytes(&self) -> usize {
        let within = match &self.value {
            Value::Null => 0,
            Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Self::bytes).sum(),
            Value::Map(entries) => entries
                .iter()
                .map(|(key, node)| size_of::<Key>() + key.name.len() + node.bytes())
                .sum(),
        };
        size_of::<Self>() + within
    }
}

/// A list or map that has begun.
struct Open {
    line: usize,
    /// 0 without one.
    anchor: usize,
    what: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map(OpenMap),
}

#[derive(Default)]
struct OpenMap {
    entries: Vec<(Key, Node)>,
    /// The key whose value comes next.
    next: Option<Key>,
    /// Where each key stands.
    lines: HashMap<String, usize>,
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    repeated_bytes: usize,
    root: Option<Node>,
}

/// Reads one document; an empty text is [`Value::Null`].
///
/// # Errors
/// It is not YAML, has more than one document, or goes beyond the bounds.
pub fn parse(text: &str) -> Result<Node, YamlError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| YamlError::new(error.marker().line(), error.info()))?;
        builder.take(event, span)?;
    }
    Ok(builder.root.unwrap_or(Node { line: 1, value: Value::Null }))
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), YamlError> {
        let line = span.start.line();
        match event {
            Event::Scalar(text, style, anchor, _) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = if is_null { Value::Null } else { Value::Text(text.into_owned()) };
                self.add(Node { line, value }, anchor)
            }
            Event::Alias(anchor) => self.repeat(line, anchor),
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, OpenKind::Map(OpenMap::default()))
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err(YamlError::new(line, "a second document begins: one is read"))
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, anchor: usize, what: OpenKind) -> Result<(), YamlError> {
        if self.open.len() >= DEPTH_MAX {
            let text = format!("more than {DEPTH_MAX} lists and maps within one another");
            return Err(YamlError::new(line, text));
        }
        self.open.push(Open { line, anchor, what });
        Ok(())
    }

    fn end(&mut self) -> Result<(), YamlError> {
        // The parser closes only what it has opened.
        let Some(Open { line, anchor, what }) = self.open.pop() else { return Ok(()) };
        let value = match what {
            OpenKind::List(items) => Value::List(items),
            OpenKind::Map(map) => Value::Map(map.entries),
        };
        self.add(Node { line, value }, anchor)
    }

    fn repeat(&mut self, line: usize, anchor: usize) -> Result<(), YamlError> {
        // An anchor within itself is not there yet.
        let node = self.anchors.get(&anchor);
        let node = node.ok_or_else(|| YamlError::new(line, "the alias means nothing"))?;
        self.repeated_bytes += node.bytes();
        if self.repeated_bytes > REPEATED_BYTES_MAX {
            let text = format!("the aliases repeat more than {REPEATED_BYTES_MAX} bytes");
            return Err(YamlError::new(line, text));
        }
        let node = Node { line, ..node.clone() };
        self.add(node, 0)
    }

    /// Puts a whole value where it belongs.
    fn add(&mut self, node: Node, anchor: usize) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(map)) => match map.next.take() {
                None => map.next = Some(key(node, &mut map.lines)?),
                Some(key) => map.entries.push((key, node)),
            },
        }
        Ok(())
    }
}

fn key(node: Node, lines: &mut HashMap<String, usize>) -> Result<Key, YamlError> {
    let Value::Text(name) = node.value else {
        return Err(YamlError::new(node.line, "a key must be a word"));
    };
    if let Some(first) = lines.insert(name.clone(), node.line) {
        let text = format!("`{name}` stands here again after line {first}");
        return Err(YamlError::new(node.line, text));
    }
    Ok(Key { line: node.line, name })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, String) {
        let error = parse(text).unwrap_err();
        (error.line, error.text)
    }

    #[test]
    fn values_keep_their_text_and_their_line() {
        let text = "# a\nk: 012345678\nlist:\n- a\n- 'null'\n- null\n-\n";
        let root = parse(text).unwrap();
        let first = root.get("k").unwrap();
        assert_eq!((first.line, &first.value), (2, &Value::Text("012345678".into())));
        let list = root.get("list").unwrap();
        let values: Vec<_> = (0..4).map(|at| list.item(at).unwrap()).collect();
        assert_eq!(values[1].value, Value::Text("null".into()));
        assert_eq!((values[2].line, &values[2].value), (6, &Value::Null));
        assert_eq!(values[3].value, Value::Null);
        assert_eq!(list.item(4), None);
        assert_eq!(parse("").unwrap().value, Value::Null);
        assert_eq!(parse("# only a comment\n").unwrap().value, Value::Null);
    }

    #[test]
    fn what_is_not_one_document_is_refused_with_its_line() {
        assert_eq!(refused("a: 1\nb: 2\na: 3\n"), (3, "`a` stands here again after line 1".into()));
        assert_eq!(
            refused("a: 1\n---\nb: 2\n"),
            (2, "a second document begins: one is read".into())
        );
        assert_eq!(refused("a: [1, 2\nb: 3\n").0, 2);
        assert_eq!(refused("? [a]\n: b\n"), (1, "a key must be a word".into()));
        assert_eq!(refused("a: *nobody\n").0, 1);
        assert_eq!(refused("a: &x [*x]\n").0, 1);
    }

    #[test]
    fn a_map_may_have_many_keys() {
        let text: String = (0..200_000).map(|at| format!("k{at}: v\n")).collect();
        let root = parse(&(text.clone() + "k7: v\n"));
        assert_eq!(root.unwrap_err().text, "`k7` stands here again after line 8");
        assert_eq!(parse(&text).unwrap().get("k199999").unwrap().line, 200_000);
    }

    #[test]
    fn depth_and_what_aliases_repeat_are_bounded() {
        let deep = "[".repeat(17) + &"]".repeat(17);
        assert_eq!(refused(&deep).1, "more than 16 lists and maps within one another");
        assert!(parse(&("[".repeat(16) + &"]".repeat(16))).is_ok());
        // Each line is ten times as much as the one before.
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for at in 1..12 {
            let ten = vec![format!("*a{}", at - 1); 10].join(", ");
            text += &format!("a{at}: &a{at} [{ten}]\n");
        }
        let much = "the aliases repeat more than 1048576 bytes";
        assert_eq!(refused(&text).1, much);
        // Few values, but long ones.
        let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), vec!["*a"; 20].join(", "));
        assert_eq!(refused(&long).1, much);
        // What is not repeated may be as large as it is.
        assert!(parse(&"- x\n".repeat(200_000)).is_ok());
        let repeated = parse("a: &x {k: v}\nb: *x\n").unwrap();
        assert_eq!(repeated.get("b").unwrap().get("k").unwrap().value, Value::Text("v".into()));
    }
}
