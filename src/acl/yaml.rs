//! A YAML document as a tree that knows its lines, with bounds: depth, nodes, and what aliases repeat.
//!
//! Not what it means (`file`). Values keep their text: whether `12345678` is a number is for whoever reads it to say, so
//! that a key of digits is the key that was written. Invariants: no text panics, none recurses deeper than
//! [`DEPTH_MAX`], and none takes more than [`NODES_MAX`] nodes however often it repeats an anchor.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

/// Lists and maps within one another; an account file has four.
const DEPTH_MAX: usize = 16;
/// Values of one document, repeated ones counted each time.
const NODES_MAX: usize = 1_000_000;

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

    /// How many values there are in it, with itself.
    fn count(&self) -> usize {
        match &self.value {
            Value::Null | Value::Text(_) => 1,
            Value::List(items) => 1 + items.iter().map(Self::count).sum::<usize>(),
            Value::Map(entries) => 1 + entries.iter().map(|(_, node)| node.count()).sum::<usize>(),
        }
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
    /// With the key whose value comes next.
    Map(Vec<(Key, Node)>, Option<Key>),
}

#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    count: usize,
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
                self.add(Node { line, value }, anchor, 1)
            }
            Event::Alias(anchor) => {
                // An anchor within itself is not there yet.
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| YamlError::new(line, "the alias means nothing"))?;
                let count = node.count();
                self.add(Node { line, ..node }, 0, count)
            }
            Event::SequenceStart(anchor, _) => self.begin(line, anchor, OpenKind::List(Vec::new())),
            Event::MappingStart(anchor, _) => {
                self.begin(line, anchor, OpenKind::Map(Vec::new(), None))
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
            OpenKind::Map(entries, _) => Value::Map(entries),
        };
        self.add(Node { line, value }, anchor, 1)
    }

    /// Puts a whole value where it belongs; `count` is how many it adds to those that were there.
    fn add(&mut self, node: Node, anchor: usize, count: usize) -> Result<(), YamlError> {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.count += count;
        if self.count > NODES_MAX {
            return Err(YamlError::new(node.line, format!("more than {NODES_MAX} values")));
        }
        match self.open.last_mut().map(|open| &mut open.what) {
            None => self.root = Some(node),
            Some(OpenKind::List(items)) => items.push(node),
            Some(OpenKind::Map(entries, next)) => match next.take() {
                None => *next = Some(key(node, entries)?),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }
}

fn key(node: Node, entries: &[(Key, Node)]) -> Result<Key, YamlError> {
    let Value::Text(name) = node.value else {
        return Err(YamlError::new(node.line, "a key must be a word"));
    };
    if let Some((first, _)) = entries.iter().find(|(key, _)| key.name == name) {
        let text = format!("`{name}` stands here again after line {}", first.line);
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
        assert!(refused(&text).1.contains("values"));
        let repeated = parse("a: &x {k: v}\nb: *x\n").unwrap();
        assert_eq!(repeated.get("b").unwrap().get("k").unwrap().value, Value::Text("v".into()));
    }
}
