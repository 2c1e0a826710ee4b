//! Subscriptions, by tags and by SQL92 expressions: whatever the text, no panic; parentheses around an expression change
//! nothing, and what makes it true does not make it false.

use rmq_node::filter::{Sql, Subscription};

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // An expression, and behind the first line's end a properties text.
    let (expression, properties) = text.split_once('\n').unwrap_or((text, "a\u{1}1\u{2}b\u{1}x"));
    if let Ok(by_tags) = Subscription::parse("T", expression, None, 0) {
        let _any = by_tags.matches_properties(properties);
    }
    let by_sql = Subscription::parse("T", expression, Some("SQL92"), 0);
    let Ok(sql) = Sql::parse(expression) else {
        assert!(by_sql.is_err());
        return;
    };
    let matches = sql.matches(properties);
    assert_eq!(by_sql.is_ok_and(|by_sql| by_sql.matches_properties(properties)), matches);
    // What follows a comment would be part of it.
    if expression.contains("--") {
        return;
    }
    // One more level, and one more term, may be too much.
    if let Ok(same) = Sql::parse(&format!("({expression})")) {
        assert_eq!(same.matches(properties), matches, "{expression}");
    }
    if let Ok(opposite) = Sql::parse(&format!("({expression}) = FALSE")) {
        assert!(!(matches && opposite.matches(properties)), "{expression}");
    }
}
