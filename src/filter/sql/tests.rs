//! Expressions against what 4.9.4 said (`captured.txt`), against a naive evaluator, and against their limits.

use std::collections::HashMap;
use std::thread;

use proptest::prelude::*;

use super::*;

/// A properties text from `name=value;...`.
fn properties_of(list: &str) -> String {
    list.replace('=', "\u{1}").replace(';', "\u{2}")
}

/// What an expression says about a message, in the words of `captured.txt`.
fn answer(expression: &str, properties: &str) -> &'static str {
    match Sql::parse(expression).map(|sql| sql.evaluate(properties)) {
        Err(_) => "refused",
        Ok(Err(_)) => "incomparable",
        Ok(Ok(Some(true))) => "true",
        Ok(Ok(Some(false))) => "false",
        Ok(Ok(None)) => "unknown",
    }
}

#[test]
fn answers_are_those_of_4_9_4() {
    let captured = include_str!("captured.txt");
    let usual = captured.lines().nth(1).unwrap().trim_start_matches("# ");
    let lines: Vec<&str> = captured.lines().filter(|line| !line.starts_with('#')).collect();
    for line in &lines {
        let mut parts = line.split('\t');
        let expected = parts.next().unwrap().replace("forgets", "refused");
        let expression = parts.next().unwrap().replace("\\n", "\n");
        let properties = properties_of(parts.next().unwrap_or(usual));
        assert_eq!(answer(&expression, &properties), expected, "{line}");
    }
    assert!(lines.len() > 200, "the table is there");
}

#[test]
fn a_broken_expression_says_where_and_why() {
    for (expression, error) in [
        ("", "1: the end where a property, a value or a condition should be"),
        ("a LIKE 'x'", "3: `LIKE` where AND, OR or the end should be"),
        ("'é' = a AND", "12: the end where a property, a value or a condition should be"),
        ("a = 5 && b", "7: `&` is of no use in an expression"),
        ("a = \"5\"", "5: `\"` is of no use in an expression"),
        ("a = 'x", "5: this text has no `'` at its end"),
        ("a IN ('x', 5)", "12: `5` where a text, like 'a', should be"),
        ("a IN ('x' 'y')", "11: `'y'` where `,` or `)` should be"),
        ("(a = 1", "7: the end where `)` should be"),
        ("a = NULL", "5: NULL equals nothing; write `IS NULL`"),
        ("5", "1: a value where a condition should be, like `a = 1`"),
        ("a > 'x'", "5: a text is not less or greater than others; compare numbers"),
        ("a BETWEEN 2 AND 1", "11: BETWEEN takes the lesser number first"),
        ("a > 0.0", "5: a number with a point or an exponent cannot be 0; write `0`"),
        ("a > 9223372036854775808", "5: the number is greater than 9223372036854775807"),
        ("a NOT LIKE 'x'", "7: `LIKE` where BETWEEN or IN should be"),
    ] {
        let found = Sql::parse(expression).unwrap_err().to_string();
        assert_eq!(found, format!("SQL92, character {error}"), "{expression}");
    }
}

#[test]
fn the_last_value_of_a_name_counts_and_names_have_cases() {
    let sql = Sql::parse("a = 2 AND A IS NULL").unwrap();
    assert!(sql.matches("a\u{1}1\u{2}a\u{1}2\u{2}"));
    assert!(!sql.matches("a\u{1}2\u{2}a\u{1}1\u{2}"));
    assert!(!sql.matches("a\u{1}2\u{2}A\u{1}2\u{2}"));
}

#[test]
fn names_may_be_many_of_all_lengths_and_end_at_the_first_separator() {
    let names: Vec<String> = (1..=70).map(|length| "n".repeat(length)).collect();
    let terms: Vec<String> = names.iter().map(|name| format!("{name} = {}", name.len())).collect();
    let sql = Sql::parse(&terms.join(" AND ")).unwrap();
    let entries: Vec<String> =
        names.iter().rev().map(|name| format!("{name}\u{1}{}", name.len())).collect();
    assert!(sql.matches(&entries.join("\u{2}")));
    assert!(!sql.matches(&entries[1..].join("\u{2}")));
    let sql = Sql::parse("a IS NOT NULL AND aab IS NULL AND none IS NULL").unwrap();
    assert!(sql.matches("\u{2}none\u{2}aab\u{1}\u{2}a\u{1}b\u{1}c\u{2}aa\u{1}\u{1}b"));
}

#[test]
fn whatever_is_too_much_is_refused() {
    let deep = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Sql::parse(&deep(DEPTH_MAX - 1)).is_ok());
    for depth in [DEPTH_MAX, 10_000] {
        let error = Sql::parse(&deep(depth)).unwrap_err();
        assert_eq!((error.character, error.what.as_str()), (51, "nested more than 50 deep"));
    }
    let many = |terms: usize| vec!["a"; terms].join(" OR ");
    assert!(Sql::parse(&many(TERMS_MAX)).is_ok());
    let error = Sql::parse(&many(TERMS_MAX + 2)).unwrap_err();
    assert_eq!(error.what, "more than 1024 terms");
    let long = format!("a IN ('{}')", "x".repeat(EXPRESSION_BYTES_MAX));
    let error = Sql::parse(&long).unwrap_err();
    assert_eq!(error.what, "the expression has more than 32768 bytes");
    let digits = format!("a\u{1}{}1", "0".repeat(NUMBER_BYTES_MAX));
    let one = Sql::parse("a = 1").unwrap();
    assert!(!one.matches(&digits), "longer numbers are none");
    assert!(one.matches(&digits.replacen("00", "", 1)));
}

#[test]
fn the_deepest_tree_needs_little_stack() {
    let links = |count| format!("a{}", " IS NOT NULL".repeat(count));
    let chain = links(DEPTH_MAX + 1);
    let error = Sql::parse(&links(DEPTH_MAX + 2)).unwrap_err();
    assert_eq!(error.what, "more than 50 comparisons of comparisons");
    let signs = format!("{}a = FALSE", "NOT ".repeat(DEPTH_MAX - 2));
    let nested = format!("{}a{}", "(b OR (".repeat(24), " IS NULL IS NOT NULL))".repeat(24));
    let little = thread::Builder::new().stack_size(1 << 20);
    let work = little.spawn(move || {
        for (expression, expected) in [(chain, true), (signs, true), (nested, true)] {
            let sql = Sql::parse(&expression).unwrap();
            assert_eq!(sql.matches("a\u{1}1\u{2}"), expected, "{expression}");
            assert_eq!(sql.clone(), sql);
        }
    });
    work.unwrap().join().unwrap();
}

/// An expression as its writer means it.
#[derive(Clone, Debug)]
enum Meant {
    Equals(String, i32),
    Differs(String, i32),
    Greater(String, i32),
    Within(String, i32, i32),
    Outside(String, i32, i32),
    Is(String, String),
    In(String, Vec<String>),
    Missing(String),
    Present(String),
    Not(Box<Meant>),
    And(Box<Meant>, Box<Meant>),
    Or(Box<Meant>, Box<Meant>),
}

use Meant::{And, Differs, Equals, Greater, In, Is, Missing, Not, Or, Outside, Present, Within};

impl Meant {
    fn written(&self) -> String {
        let quoted = |text: &String| format!("'{}'", text.replace('\'', "''"));
        match self {
            Equals(name, number) => format!("{name} = {number}"),
            Differs(name, number) => format!("{name}<>{number}"),
            Greater(name, number) => format!("{name} > {number}"),
            Within(name, low, high) => format!("{name} between {low} and {high}"),
            Outside(name, low, high) => format!("{name} NOT BETWEEN {low} AND {high}"),
            Is(name, text) => format!("{name} = {}", quoted(text)),
            In(name, texts) => {
                format!("{name} IN ({})", texts.iter().map(quoted).collect::<Vec<_>>().join(", "))
            }
            Missing(name) => format!("{name} IS NULL"),
            Present(name) => format!("{name} is not null"),
            Not(inner) => format!("NOT ({})", inner.written()),
            And(left, right) => format!("({}) AND ({})", left.written(), right.written()),
            Or(left, right) => format!("({})OR({})", left.written(), right.written()),
        }
    }

    /// `Err`: a text that is no number was compared with one.
    fn holds(&self, of: &HashMap<String, String>) -> Result<Option<bool>, ()> {
        let number = |name: &String| {
            of.get(name).map(|text| text.parse::<i32>().map(i64::from).map_err(|_| ())).transpose()
        };
        let compared = |name: &String, is: &dyn Fn(i64) -> bool| Ok(number(name)?.map(is));
        match self {
            Equals(name, to) => compared(name, &|value| value == i64::from(*to)),
            Differs(name, to) => compared(name, &|value| value != i64::from(*to)),
            Greater(name, than) => compared(name, &|value| value > i64::from(*than)),
            Within(name, low, high) => {
                compared(name, &|value| (i64::from(*low)..=i64::from(*high)).contains(&value))
            }
            Outside(name, low, high) => {
                compared(name, &|value| value < i64::from(*low) || value > i64::from(*high))
            }
            Is(name, text) => Ok(of.get(name).map(|value| value == text)),
            In(name, texts) => Ok(of.get(name).map(|value| texts.contains(value))),
            Missing(name) => Ok(Some(!of.contains_key(name))),
            Present(name) => Ok(Some(of.contains_key(name))),
            Not(inner) => Ok(inner.holds(of)?.map(|holds| !holds)),
            And(left, right) => match left.holds(of)? {
                Some(false) => Ok(Some(false)),
                left => Ok(match (left, right.holds(of)?) {
                    (_, Some(false)) => Some(false),
                    (Some(true), Some(true)) => Some(true),
                    _ => None,
                }),
            },
            Or(left, right) => match left.holds(of)? {
                Some(true) => Ok(Some(true)),
                left => Ok(match (left, right.holds(of)?) {
                    (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                }),
            },
        }
    }
}

fn meant() -> impl Strategy<Value = Meant> {
    let name = || "a{1,3}|b|c";
    let number = || -3..4i32;
    let text = || prop_oneof!["-?[0-3]", "[xy]", Just("it's".to_owned())];
    let pair = || (number(), number()).prop_map(|(one, two)| (one.min(two), one.max(two)));
    let leaf = prop_oneof![
        (name(), number()).prop_map(|(name, number)| Equals(name, number)),
        (name(), number()).prop_map(|(name, number)| Differs(name, number)),
        (name(), number()).prop_map(|(name, number)| Greater(name, number)),
        (name(), pair()).prop_map(|(name, (low, high))| Within(name, low, high)),
        (name(), pair()).prop_map(|(name, (low, high))| Outside(name, low, high)),
        (name(), text()).prop_map(|(name, text)| Is(name, text)),
        (name(), prop::collection::vec(text(), 1..7)).prop_map(|(name, texts)| In(name, texts)),
        name().prop_map(Missing),
        name().prop_map(Present),
    ];
    leaf.prop_recursive(4, 30, 2, |inner| {
        let inner = || inner.clone().prop_map(Box::new);
        prop_oneof![
            inner().prop_map(Not),
            (inner(), inner()).prop_map(|(left, right)| And(left, right)),
            (inner(), inner()).prop_map(|(left, right)| Or(left, right)),
        ]
    })
}

fn message() -> impl Strategy<Value = HashMap<String, String>> {
    let value = prop_oneof![3 => "-?[0-3]", 1 => "[xy]", 1 => Just("it's".to_owned())];
    prop::collection::hash_map("a{1,3}|b|c", value, 0..5)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_written_expression_says_what_is_meant(meant in meant(), message in message()) {
        let listed: Vec<String> =
            message.iter().map(|(name, value)| format!("{name}\u{1}{value}")).collect();
        let expected = match meant.holds(&message) {
            Ok(Some(true)) => "true",
            Ok(Some(false)) => "false",
            Ok(None) => "unknown",
            Err(()) => "incomparable",
        };
        prop_assert_eq!(answer(&meant.written(), &listed.join("\u{2}")), expected);
    }

    #[test]
    fn no_text_makes_it_panic(
        words in prop::collection::vec(
            prop_oneof!["[a-z0-9]{1,3}", "[ -~]", "\\PC", "(?i)(and|or|not|in|is|null|between|'x')"], 0..20,
        ),
        properties in "[abc\u{1}\u{2}0-9.e-]{0,40}",
    ) {
        if let Ok(sql) = Sql::parse(&words.join(" ")) {
            let _any = sql.matches(&properties);
        }
    }
}
