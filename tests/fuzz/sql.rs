//! SQL92 expressions: whatever the text, no panic; parentheses around an expression change nothing, and what makes
//! it true does not make it false.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rmq_node::filter::Sql;

fuzz_target!(|text: &str| {
    // An expression, and behind the first line's end a properties text.
    let (expression, properties) = text.split_once('\n').unwrap_or((text, "a\u{1}1\u{2}b\u{1}x"));
    let Ok(sql) = Sql::parse(expression) else { return };
    // What follows a comment would be part of it.
    if expression.contains("--") {
        return;
    }
    let matches = sql.matches(properties);
    // One more level, and one more term, may be too much.
    if let Ok(same) = Sql::parse(&format!("({expression})")) {
        assert_eq!(same.matches(properties), matches, "{expression}");
    }
    if let Ok(opposite) = Sql::parse(&format!("({expression}) = FALSE")) {
        assert!(!(matches && opposite.matches(properties)), "{expression}");
    }
});
