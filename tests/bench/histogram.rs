//! Measures what counting a duration costs whoever does it: alone, and while another thread counts in the same histogram.
//!
//! Not a test: it prints figures. `histogram [MILLIONS OF VALUES]`

use std::hint::black_box;
use std::time::Duration;

use rmq_node::clock::Clock;
use rmq_node::metrics::Histogram;

fn main() -> anyhow::Result<()> {
    let millions = std::env::args().nth(1).map_or(Ok(10), |text| text.parse::<u64>())?;
    let (clock, histogram) = (Clock::system(), Histogram::default());
    let count = |histogram: &Histogram| {
        for number in 0..millions * 1_000_000 {
            histogram.observe(black_box(Duration::from_nanos(number % 3_000_000)));
        }
    };
    for threads in [1, 2] {
        let begun = clock.monotonic();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| count(&histogram));
            }
        });
        let took = clock.monotonic() - begun;
        println!(
            "{threads} threads: {} ns a value",
            took.as_nanos() / u128::from(millions * 1_000_000)
        );
    }
    println!("{} values", histogram.count());
    Ok(())
}
