//! Results in the format that was asked for: rows for people and their scripts, everything that is known for programs.
//!
//! Invariants: `json` and `yaml` hold the same, `wide` and `tsv` too; `name` is what other commands take as a name.

use serde::Serialize;
use serde_json::Value;

use super::output::Output;
use crate::cli::table::{Align, safe, table};

/// A column.
pub struct Column {
    head: &'static str,
    align: Align,
    is_wide: bool,
}

/// Words.
pub const fn words(head: &'static str) -> Column {
    Column { head, align: Align::Left, is_wide: false }
}

/// Numbers.
pub const fn numbers(head: &'static str) -> Column {
    Column { head, align: Align::Right, is_wide: false }
}

impl Column {
    /// The same, only where there is room.
    #[must_use]
    pub const fn wide(self) -> Self {
        Self { is_wide: true, ..self }
    }
}

/// A result as rows.
pub struct Sheet {
    /// Text above the table.
    pub above: String,
    /// The columns; of the one at `name`, `-o name` prints each value once.
    pub columns: Vec<Column>,
    /// See `columns`.
    pub name: usize,
    /// A cell for each column.
    pub rows: Vec<Vec<String>>,
}

impl Sheet {
    /// A table alone, whose first column has the names.
    pub fn new(columns: Vec<Column>, rows: Vec<Vec<String>>) -> Self {
        Self { above: String::new(), columns, name: 0, rows }
    }

    /// As text; `value` is what programs get.
    pub fn render(&self, value: &impl Serialize, output: Output) -> String {
        match output {
            Output::Json => json(value),
            Output::Yaml => yaml(&serde_json::to_value(value).expect(KEYS)),
            Output::Table => self.table(false),
            Output::Wide => self.table(true),
            Output::Tsv => self.tsv(),
            Output::Name => self.names(),
        }
    }

    /// As a part of a larger text for people.
    pub fn as_table(&self) -> String {
        self.table(false)
    }

    fn table(&self, is_wide: bool) -> String {
        let is_shown = |column: &Column| is_wide || !column.is_wide;
        let shown = self.columns.iter().filter(|column| is_shown(column));
        let heads: Vec<_> = shown.map(|column| (column.head, column.align)).collect();
        let row = |row: &Vec<String>| {
            let cells = row.iter().zip(&self.columns).filter(|(_, column)| is_shown(column));
            cells.map(|(cell, _)| cell.clone()).collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(row).collect();
        let table = if rows.is_empty() { String::new() } else { table(&heads, &rows) };
        format!("{}{table}", self.above)
    }

    fn tsv(&self) -> String {
        let heads = self.columns.iter().map(|column| column.head.to_owned()).collect();
        let lines = std::iter::once(&heads).chain(&self.rows);
        let line = |cells: &Vec<String>| {
            let cells: Vec<_> = cells.iter().map(|cell| safe(cell)).collect();
            cells.join("\t") + "\n"
        };
        lines.map(line).collect()
    }

    fn names(&self) -> String {
        let mut text = String::new();
        let mut last = None;
        for name in self.rows.iter().filter_map(|row| row.get(self.name)) {
            if last != Some(name) {
                text += &safe(name);
                text.push('\n');
                last = Some(name);
            }
        }
        text
    }
}

/// A cell of what is not known, or not there.
pub fn nothing() -> String {
    "-".to_owned()
}

/// A cell of a text that may not be there.
pub fn or_nothing(text: &Option<String>) -> String {
    text.clone().unwrap_or_else(nothing)
}

/// A cell that says whether something is so.
pub fn yes(is_so: bool) -> String {
    if is_so { "yes" } else { "no" }.to_owned()
}

/// A line of one thing that is shown alone: a name in a column so wide, and a value.
pub fn fact(name: &str, width: usize, value: &str) -> String {
    format!("{name:<width$} {}\n", safe(value))
}

const KEYS: &str = "messages have text for keys";

/// A result for programs.
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string_pretty(value).expect(KEYS) + "\n"
}

/// The same as YAML, whose scalars may be JSON's.
pub fn yaml(value: &Value) -> String {
    match value {
        Value::Object(fields) if !fields.is_empty() => {
            fields.iter().map(|(key, value)| format!("{key}:{}", below(value))).collect()
        }
        Value::Array(items) if !items.is_empty() => items.iter().map(item).collect(),
        scalar => format!("{scalar}\n"),
    }
}

/// A result for programs whose one list is printed as it comes, because it may be too long to be held.
pub struct LongResult {
    /// What was not printed yet of the text before the list's brackets, or its items.
    before: String,
    is_yaml: bool,
    is_empty: bool,
}

impl LongResult {
    /// `frame` is the result without items; the list is its first field.
    pub fn new(frame: &impl Serialize, output: Output) -> Self {
        let is_yaml = output == Output::Yaml;
        let (before, _) = Self::around(frame, is_yaml);
        Self { before, is_yaml, is_empty: true }
    }

    /// The text before and behind the list's brackets.
    fn around(frame: &impl Serialize, is_yaml: bool) -> (String, String) {
        let text =
            if is_yaml { yaml(&serde_json::to_value(frame).expect(KEYS)) } else { json(frame) };
        let (before, after) = text.split_once(" []").unwrap_or((&text, ""));
        (before.to_owned(), after.to_owned())
    }

    /// The text of the next item, with what comes before it.
    pub fn item(&mut self, value: &impl Serialize) -> String {
        let before = std::mem::take(&mut self.before);
        let is_first = std::mem::take(&mut self.is_empty);
        if self.is_yaml {
            let value = serde_json::to_value(value).expect(KEYS);
            let head = if is_first { "\n" } else { "" };
            return format!("{before}{head}{}", indented(&Value::Array(vec![value])));
        }
        let head = if is_first { " [" } else { "," };
        let text = json(value).trim_end().replace('\n', "\n    ");
        format!("{before}{head}\n    {text}")
    }

    /// The text behind all items; of `frame` also what became known while they came.
    pub fn end(self, frame: &impl Serialize) -> String {
        let Self { before, is_yaml, is_empty } = self;
        let (_, after) = Self::around(frame, is_yaml);
        match (is_empty, is_yaml) {
            (true, _) => format!("{before} []{after}"),
            (false, true) => after.trim_start_matches('\n').to_owned(),
            (false, false) => format!("\n  ]{after}"),
        }
    }
}

fn is_nested(value: &Value) -> bool {
    value.as_object().is_some_and(|fields| !fields.is_empty())
        || value.as_array().is_some_and(|items| !items.is_empty())
}

/// A value behind its key.
fn below(value: &Value) -> String {
    if is_nested(value) { format!("\n{}", indented(value)) } else { format!(" {}", yaml(value)) }
}

/// A value behind its dash.
fn item(value: &Value) -> String {
    if !is_nested(value) {
        return format!("- {}", yaml(value));
    }
    indented(value).replacen("  ", "- ", 1)
}

fn indented(value: &Value) -> String {
    yaml(value).lines().map(|line| format!("  {line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let columns = vec![words("TOPIC"), numbers("QUEUES"), words("ADDRESS").wide()];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = vec![row(["a", "8", "h:1"]), row(["a", "16", "h\t2"]), row(["b", "1", "-"])];
        Sheet { above: "two\n\n".to_owned(), ..Sheet::new(columns, rows) }
    }

    #[test]
    fn every_format_has_the_same_rows() {
        let value =
            serde_json::json!([{"topic": "a", "queues": [1, 2], "none": null, "empty": []}, "x"]);
        let render = |output| sheet().render(&value, output);
        assert_eq!(
            render(Output::Table),
            "two\n\nTOPIC  QUEUES\na           8\na          16\nb           1\n"
        );
        assert!(render(Output::Wide).contains("a          16  h\\t2\n"));
        assert_eq!(
            render(Output::Tsv),
            "TOPIC\tQUEUES\tADDRESS\na\t8\th:1\na\t16\th\\t2\nb\t1\t-\n"
        );
        assert_eq!(render(Output::Name), "a\nb\n");
        let yaml =
            "- empty: []\n  none: null\n  queues:\n    - 1\n    - 2\n  topic: \"a\"\n- \"x\"\n";
        assert_eq!(render(Output::Yaml), yaml);
        assert_eq!(serde_json::from_str::<Value>(&render(Output::Json)).unwrap(), value);
    }

    #[test]
    fn a_long_list_comes_in_pieces_to_the_same_text() {
        let result = |list: &[Value]| serde_json::json!({"letters": list, "queues": [{"a": []}]});
        let items = [serde_json::json!({"a": "x\n\"", "b": [1]}), serde_json::json!({"a": {}})];
        for output in [Output::Json, Output::Yaml] {
            for count in 0..=items.len() {
                let mut long = LongResult::new(&result(&[]), output);
                let mut text: String = items[..count].iter().map(|one| long.item(one)).collect();
                text += &long.end(&result(&[]));
                assert_eq!(text, sheet().render(&result(&items[..count]), output));
            }
        }
    }
}
