//! Measures what an SQL92 filter costs a message: reading the expression, and asking it about properties.
//!
//! Not a test: it prints figures. The properties are those that a 4.9 client's message has, and three of its sender's.
//! `filter [MILLIONS OF MESSAGES]`

use std::hint::black_box;

use anyhow::Context;
use rmq_node::clock::Clock;
use rmq_node::filter::Sql;

const EXPRESSIONS: [&str; 5] = [
    "TAGS = 'created'",
    "number > 100",
    "colour IN ('red', 'green', 'blue') AND number BETWEEN 100 AND 200",
    "(TAGS = 'paid' OR TAGS = 'created') AND price >= 9.5 AND colour <> 'red'",
    "missing IS NULL AND (number < 10 OR number > 1000 OR NOT (colour = 'red' AND price < 10.0))",
];

const PROPERTIES: &str = "CLUSTER\u{1}DefaultCluster\u{2}KEYS\u{1}order-1234567\u{2}TAGS\u{1}created\u{2}\
    UNIQ_KEY\u{1}7F00000100002A139A551B8D00000000\u{2}WAIT\u{1}true\u{2}colour\u{1}red\u{2}number\u{1}150\u{2}price\u{1}9.99\u{2}";

fn main() -> anyhow::Result<()> {
    let millions = std::env::args().nth(1).map_or(Ok(1), |text| text.parse::<u32>())?;
    let clock = Clock::system();
    println!("{:>9} {:>9} {:>7}  expression", "read, ns", "ask, ns", "wanted");
    for expression in EXPRESSIONS {
        let (reads, asks) = (millions * 100_000, millions * 1_000_000);
        let begin = clock.monotonic();
        for _ in 0..reads {
            black_box(Sql::parse(black_box(expression)).context(expression)?);
        }
        let read = clock.monotonic() - begin;
        let sql = Sql::parse(expression)?;
        let begin = clock.monotonic();
        let wanted = (0..asks).filter(|_| sql.matches(black_box(PROPERTIES))).count();
        let ask = clock.monotonic() - begin;
        let (read, ask) = (read.as_nanos() / u128::from(reads), ask.as_nanos() / u128::from(asks));
        println!("{read:>9} {ask:>9} {:>7}  {expression}", wanted > 0);
    }
    Ok(())
}
