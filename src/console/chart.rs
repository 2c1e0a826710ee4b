//! History as small line charts with their axes, and what is said where there is none.
//!
//! Places and words; the markup is in `pages/parts.html`. Invariants: a line has at most 288 points, each the highest of
//! those that it stands for; a gap in what is known is a gap in the line; the words beside a chart say what it shows; all
//! charts of a page have the same time, which is shorter while only that is known, so that a line is seen from two points on.

use super::history::SERIES_MAX;
use super::series::{Kind, MINUTE_MS, Span};
use super::visitor::{Fields, Page};
use super::{Pages, format};

/// The field of the lines; what is around it is in the template.
const WIDTH: f64 = 432.0;
const HEIGHT: f64 = 120.0;
/// Lines across that a chart has at most, beside the lowest.
const TICKS_MAX: f64 = 4.0;

/// What a chart counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// Messages, or messages a second.
    Count,
    Bytes,
    Percent,
}

impl Unit {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::BrokerBehind => Self::Bytes,
            Kind::BrokerDisk => Self::Percent,
            _ => Self::Count,
        }
    }

    /// From one name of an amount to the next.
    fn base(self) -> f64 {
        if self == Self::Bytes { 1024.0 } else { 1000.0 }
    }

    /// As `12.3 k` or `1.5 MiB`.
    fn text(self, mut amount: f64) -> String {
        let names: &[&str] = match self {
            Self::Count => &["", " k", " M", " G"],
            Self::Bytes => &[" B", " KiB", " MiB", " GiB", " TiB"],
            Self::Percent => &[" %"],
        };
        let mut name = 0;
        while amount >= self.base() && name + 1 < names.len() {
            (amount, name) = (amount / self.base(), name + 1);
        }
        let decimals = usize::from(amount < 100.0 && (amount - amount.round()).abs() >= 0.05);
        format!("{amount:.decimals$}{}", names[name])
    }

    /// Where the lines across are, up to the first that is not below the highest amount.
    fn ticks(self, highest: f64) -> Vec<f64> {
        if self == Self::Percent {
            return vec![0.0, 25.0, 50.0, 75.0, 100.0];
        }
        let (mut scale, mut step) = (if self == Self::Bytes { 1.0 } else { 0.1 }, 0.0);
        while step * TICKS_MAX < highest || step == 0.0 {
            let steps = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
            let steps = steps.map(|one| one * scale);
            step = steps.into_iter().find(|one| one * TICKS_MAX >= highest).unwrap_or_default();
            scale *= self.base();
        }
        let mut ticks = vec![0.0];
        while ticks.len() < 2 || ticks.last().is_some_and(|last| *last < highest) {
            ticks.push(step * ticks.len() as f64);
        }
        ticks
    }
}

/// How far back charts go, and how fine they are.
#[derive(Clone, Copy, Debug)]
struct Scale {
    span: Span,
    /// Points of the span, up to now.
    points: i64,
    /// How many of them are one value.
    together: i64,
    /// From one time that is named to the next.
    tick_ms: i64,
}

impl Scale {
    /// For what is known of the newest so many points of a span.
    fn of(span: Span, known: usize) -> Self {
        const HOUR_MS: i64 = 60 * MINUTE_MS;
        let (points, together, tick_ms) = match (span, known) {
            (Span::Day, 0..=60) => (60, 1, 10 * MINUTE_MS),
            (Span::Day, 61..=360) => (360, 2, HOUR_MS),
            (Span::Day, _) => (span.points(), 5, 4 * HOUR_MS),
            (Span::Month, 0..=72) => (72, 1, 24 * HOUR_MS),
            (Span::Month, _) => (span.points(), 3, 5 * 24 * HOUR_MS),
        };
        Self { span, points, together, tick_ms }
    }

    /// How far it goes back, and what a point of it is.
    fn words(self, page: &Page) -> (&'static str, String) {
        let time = match (self.span, self.together) {
            (Span::Day, 1) => page.t("1 hour"),
            (Span::Day, 2) => page.t("6 hours"),
            (Span::Day, _) => page.t("24 hours"),
            (Span::Month, 1) => page.t("3 days"),
            (Span::Month, _) => page.t("30 days"),
        };
        let point = match (self.span, self.together) {
            (Span::Day, 1) => page.t("Each point is a minute.").to_owned(),
            (Span::Day, many) => page.t1("Each point is the highest minute of {}.", many),
            (Span::Month, 1) => {
                page.t("Each point is an hour, which has the mean of rates.").to_owned()
            }
            (Span::Month, _) => page
                .t("Each point is the highest hour of three; an hour has the mean of rates.")
                .to_owned(),
        };
        (time, point)
    }
}

/// Values at the same distances, the oldest first.
struct Drawn {
    values: Vec<Option<f64>>,
    begin_ms: i64,
    end_ms: i64,
}

impl Drawn {
    /// Of all points of a span up to now; each value is the highest of some neighbours, which are the same from one time to
    /// the next.
    fn of(points: &[Option<f32>], scale: Scale, now_ms: i64) -> Self {
        let Scale { span, together, .. } = scale;
        let range = span.range(now_ms);
        let end = range.end().div_euclid(together) + 1;
        let begin = end - scale.points / together;
        let place = |at: i64| usize::try_from(at.div_euclid(together) - begin).ok();
        let mut values = vec![None; usize::try_from(end - begin).unwrap_or_default()];
        for (at, point) in range.zip(points) {
            if let (Some(value), Some(point)) = (place(at).and_then(|at| values.get_mut(at)), point)
            {
                *value = Some(f64::from(*point).max(value.unwrap_or(0.0)));
            }
        }
        let step_ms = span.step_ms() * together;
        Self { values, begin_ms: begin * step_ms, end_ms: end * step_ms }
    }

    /// A line for each run of values; one without neighbours is a dot.
    fn path(&self, top: f64) -> String {
        let step = WIDTH / self.values.len() as f64;
        let (mut path, mut is_open) = (String::new(), false);
        for (at, value) in self.values.iter().enumerate() {
            if let Some(value) = value {
                let x = (at as f64 * step * 10.0).round() / 10.0;
                let y = (HEIGHT * (1.0 - value / top)).round();
                path.push_str(&format!("{}{x} {y}", if is_open { "L" } else { "M" }));
                if !is_open {
                    path.push_str("h.1");
                }
            }
            is_open = value.is_some();
        }
        path
    }

    fn x(&self, ms: i64) -> f64 {
        (WIDTH * (ms - self.begin_ms) as f64 / (self.end_ms - self.begin_ms) as f64).round()
    }
}

/// One line.
pub struct Line {
    /// As in the style sheet: `one` or `two`.
    pub class: &'static str,
    /// In the place of the lines.
    pub path: String,
    /// What it is, with its last and its highest value.
    pub words: String,
}

/// One chart.
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// The first may be alone.
    pub lines: Vec<Line>,
    /// What stands there while no line has two points.
    pub waits: Option<String>,
    /// Lines across: height, and what they stand for.
    pub amounts: Vec<(f64, String)>,
    /// Lines down: place, and what they stand for.
    pub times: Vec<(f64, String)>,
    /// All of it in words.
    pub label: String,
}

/// What is to be drawn: of whom, a title, and each line with its word.
type Plan<'a> = (&'a str, String, Vec<(&'a str, Kind)>);

/// All charts of a page.
pub struct Charts {
    /// Those with something in them.
    pub charts: Vec<Chart>,
    /// The words of each span, what it is in a query, and whether it is shown.
    pub spans: [(&'static str, &'static str, bool); 2],
    /// What is shown, or why nothing is.
    pub note: String,
}

impl Charts {
    /// Rates, slaves and disks of each master of this node.
    pub fn of_brokers(pages: &Pages, page: &Page, query: &Fields) -> Self {
        let names = pages.history.as_ref().map(|history| history.names(Kind::BrokerIn));
        let names = names.unwrap_or_default();
        let plans = names.iter().flat_map(|name| {
            let plan = |text: &str, lines| (name.as_str(), format!("{name}: {text}"), lines);
            let rates = vec![("in", Kind::BrokerIn), ("out", Kind::BrokerOut)];
            let behind = page.t("Bytes that a slave does not have yet");
            [
                plan(page.t("Messages per second"), rates),
                plan(behind, vec![("", Kind::BrokerBehind)]),
                plan(page.t("Used part of the disk"), vec![("", Kind::BrokerDisk)]),
            ]
        });
        Self::of(pages, page, query, plans.collect())
    }

    /// Messages of a topic.
    pub fn of_topic(pages: &Pages, page: &Page, query: &Fields, topic: &str) -> Self {
        let title = page.t("Messages in per second").to_owned();
        Self::of(pages, page, query, vec![(topic, title, vec![("", Kind::TopicIn)])])
    }

    /// Lag and messages of a group.
    pub fn of_group(pages: &Pages, page: &Page, query: &Fields, group: &str) -> Self {
        let lag = (page.t("Lag in messages"), Kind::GroupLag);
        let plans = [lag, (page.t("Messages out per second"), Kind::GroupOut)];
        let plans = plans.map(|(title, kind)| (group, title.to_owned(), vec![("", kind)]));
        Self::of(pages, page, query, plans.to_vec())
    }

    fn of(pages: &Pages, page: &Page, query: &Fields, plans: Vec<Plan<'_>>) -> Self {
        let is_month = query.get("span") == "30d";
        let span = if is_month { Span::Month } else { Span::Day };
        let spans = [("24 hours", "24h", !is_month), ("30 days", "30d", is_month)];
        let Some(history) = &pages.history else {
            let note = page.t("This console shows another cluster, and a node keeps history of its own brokers only.");
            return Self { charts: Vec::new(), spans, note: note.to_owned() };
        };
        let now_ms = pages.clock.now_ms();
        let known = plans.into_iter().map(|(name, title, lines)| {
            let known = |(word, kind)| (word, kind, history.points(kind, name, span, now_ms));
            (title, lines.into_iter().map(known).collect::<Vec<_>>())
        });
        let known: Vec<_> = known.collect();
        let all = known.iter().flat_map(|(_, lines)| lines).map(|(.., points)| points);
        let oldest = |points: &Vec<Option<f32>>| {
            points.iter().position(Option::is_some).map(|at| points.len() - at)
        };
        let scale = Scale::of(span, all.filter_map(oldest).max().unwrap_or_default());
        let charts = known.iter().filter_map(|(title, lines)| {
            let drawn = lines.iter().filter_map(|(word, kind, points)| {
                let last = points.iter().rev().find_map(|point| *point)?;
                Some((*word, *kind, f64::from(last), Drawn::of(points, scale, now_ms)))
            });
            Chart::of(page, title.clone(), scale, drawn.collect())
        });
        let charts: Vec<_> = charts.collect();
        let masters = history.names(Kind::BrokerIn).join(", ");
        let note = if charts.is_empty() {
            page.t1("There is none: the first figures come within a minute of a start, and a node keeps those of its own masters, and of the {} topics and groups that have most.", SERIES_MAX)
        } else {
            let (_, what) = scale.words(page);
            let whose = page.t1("Of the masters of this node only: {}.", masters);
            format!("{whose} {what} {}", page.t("Times are UTC."))
        };
        Self { charts, spans, note }
    }
}

impl Chart {
    fn of(
        page: &Page,
        title: String,
        scale: Scale,
        drawn: Vec<(&str, Kind, f64, Drawn)>,
    ) -> Option<Self> {
        let (_, kind, _, first) = drawn.first()?;
        let unit = Unit::of(*kind);
        let highest =
            |drawn: &Drawn| drawn.values.iter().flatten().fold(0.0, |a: f64, b| a.max(*b));
        let of_all = drawn.iter().map(|(.., drawn)| highest(drawn)).fold(0.0, f64::max);
        let ticks = unit.ticks(of_all);
        let top = ticks.last().copied().unwrap_or(1.0);
        let lines = drawn.iter().zip(["one", "two"]).map(|((word, _, last, drawn), class)| {
            let name = if word.is_empty() { String::new() } else { format!("{}: ", page.t(word)) };
            let last = page.t1("last {}", unit.text(*last));
            let highest = page.t1("highest {}", unit.text(highest(drawn)));
            Line { class, path: drawn.path(top), words: format!("{name}{last}, {highest}") }
        });
        let lines: Vec<_> = lines.collect();
        let words: Vec<_> = lines.iter().map(|line| line.words.as_str()).collect();
        let (time, _) = scale.words(page);
        let has_line = |drawn: &Drawn| drawn.values.iter().flatten().nth(1).is_some();
        let next = &format::time(first.end_ms)[11..16];
        let waits = (!drawn.iter().any(|(.., drawn)| has_line(drawn)))
            .then(|| page.t1("A line needs two points: the next comes at {} UTC.", next));
        let amount = |tick: f64| ((HEIGHT * (1.0 - tick / top)).round(), unit.text(tick));
        Some(Self {
            label: format!("{title}, {time}. {}", words.join("; ")),
            amounts: ticks.into_iter().map(amount).collect(),
            times: times(first, scale),
            title,
            lines,
            waits,
        })
    }
}

/// Full tens of minutes or hours, or days.
fn times(drawn: &Drawn, scale: Scale) -> Vec<(f64, String)> {
    let step_ms = scale.tick_ms;
    let shown = match scale.span {
        Span::Day => 11..16,
        Span::Month => 5..10,
    };
    let first = drawn.begin_ms.div_euclid(step_ms) + 1;
    let times = (first..).map(|number| number * step_ms).take_while(|ms| *ms < drawn.end_ms);
    times.map(|ms| (drawn.x(ms), format::time(ms)[shown.clone()].to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::super::text::Language;
    use super::*;

    /// 2026-11-29 10:00
    const NOW_MS: i64 = 1_795_946_400_000;

    #[test]
    fn lines_across_are_at_round_amounts() {
        let ticks = |unit: Unit, highest| -> Vec<_> {
            unit.ticks(highest).into_iter().map(|tick| unit.text(tick)).collect()
        };
        assert_eq!(ticks(Unit::Count, 0.0), ["0", "0.1"]);
        assert_eq!(ticks(Unit::Count, 0.7), ["0", "0.2", "0.4", "0.6", "0.8"]);
        assert_eq!(ticks(Unit::Count, 3.0), ["0", "1", "2", "3"]);
        assert_eq!(ticks(Unit::Count, 1234.0), ["0", "500", "1 k", "1.5 k"]);
        assert_eq!(ticks(Unit::Count, 7.9e6), ["0", "2 M", "4 M", "6 M", "8 M"]);
        assert_eq!(ticks(Unit::Bytes, 0.0), ["0 B", "1 B"]);
        assert_eq!(ticks(Unit::Bytes, 5000.0), ["0 B", "2 KiB", "4 KiB", "6 KiB"]);
        assert_eq!(ticks(Unit::Bytes, 3e9), ["0 B", "1 GiB", "2 GiB", "3 GiB"]);
        assert_eq!(ticks(Unit::Percent, 3.0), ["0 %", "25 %", "50 %", "75 %", "100 %"]);
        assert!(ticks(Unit::Count, 3e38).len() <= 5, "whatever there is, the lines are few");
    }

    #[test]
    fn amounts_are_short() {
        let texts =
            [0.04, 0.5, 12.34, 456.7, 12_340.0, 2e12].map(|amount| Unit::Count.text(amount));
        assert_eq!(texts, ["0", "0.5", "12.3", "457", "12.3 k", "2000 G"]);
        assert_eq!(Unit::Percent.text(43.21), "43.2 %");
    }

    /// Points at the ends of lists of minutes or hours, the last of which is now.
    fn points(span: Span, newest: &[Option<f32>]) -> Vec<Option<f32>> {
        let mut points = vec![None; usize::try_from(span.points()).unwrap()];
        let from = points.len() - newest.len();
        points[from..].copy_from_slice(newest);
        points
    }

    #[test]
    fn no_maximum_is_lost_and_a_gap_is_a_gap() {
        let minutes =
            [Some(1.0), Some(7.0), None, None, None, None, None, Some(2.0), Some(3.0), None];
        let before = vec![None; 5];
        let newest = [&minutes[..], &before, &[Some(4.0)]].concat();
        let (day, month) = (Scale::of(Span::Day, 361), Scale::of(Span::Month, 73));
        let drawn = Drawn::of(&points(Span::Day, &newest), day, NOW_MS);
        assert_eq!(drawn.values.len(), 288);
        assert_eq!(drawn.values[284..], [Some(7.0), Some(3.0), None, Some(4.0)]);
        assert_eq!((drawn.end_ms - NOW_MS, drawn.end_ms - drawn.begin_ms), (300_000, 86_400_000));
        assert_eq!(drawn.path(8.0), "M426 15h.1L427.5 75M430.5 60h.1");
        // A minute later the neighbours are the same.
        let later = points(Span::Day, &[&newest[..], &[Some(4.0)]].concat());
        assert_eq!(Drawn::of(&later, day, NOW_MS + 60_000).values, drawn.values);
        let month = Drawn::of(&points(Span::Month, &[Some(1.0), None, None]), month, NOW_MS);
        assert_eq!((month.values.len(), month.values[239]), (240, None));
        assert_eq!(month.values[238], Some(1.0));
    }

    #[test]
    fn times_are_full_hours_and_midnights() {
        let texts = |span, known| -> Vec<_> {
            let scale = Scale::of(span, known);
            let drawn = Drawn::of(&points(span, &[Some(1.0)]), scale, NOW_MS);
            times(&drawn, scale).into_iter().map(|(_, text)| text).collect()
        };
        assert_eq!(texts(Span::Day, 361), ["12:00", "16:00", "20:00", "00:00", "04:00", "08:00"]);
        assert_eq!(texts(Span::Day, 61), ["05:00", "06:00", "07:00", "08:00", "09:00", "10:00"]);
        assert_eq!(texts(Span::Day, 60), ["09:10", "09:20", "09:30", "09:40", "09:50", "10:00"]);
        let days = ["11-03", "11-08", "11-13", "11-18", "11-23", "11-28"];
        assert_eq!(texts(Span::Month, 73), days);
        assert_eq!(texts(Span::Month, 72), ["11-27", "11-28", "11-29"]);
    }

    fn page() -> Page {
        Page::plain(Language::English, "/")
    }

    #[test]
    fn after_a_start_a_line_is_seen_from_two_points_on_and_words_before() {
        for (span, next, step) in [(Span::Day, "10:01", 7.2), (Span::Month, "11:00", 6.0)] {
            let chart = |newest: &[Option<f32>]| {
                let scale = Scale::of(span, newest.len());
                let drawn = Drawn::of(&points(span, newest), scale, NOW_MS);
                let drawn = vec![("", Kind::TopicIn, 1.0, drawn)];
                Chart::of(&page(), String::new(), scale, drawn).unwrap()
            };
            let words = format!("A line needs two points: the next comes at {next} UTC.");
            assert_eq!(chart(&[Some(1.0)]).waits, Some(words));
            let two = chart(&[Some(1.0), Some(2.0)]);
            assert_eq!(two.waits, None);
            let (first, last) = two.lines[0].path.split_once("h.1L").unwrap();
            let x = |place: &str| -> f64 {
                place.trim_start_matches('M').split(' ').next().unwrap().parse().unwrap()
            };
            assert!((x(last) - x(first) - step).abs() < 0.11, "{}", two.lines[0].path);
        }
    }

    #[test]
    fn a_chart_says_in_words_what_it_shows() {
        let (page, scale) = (page(), Scale::of(Span::Day, 361));
        let drawn = |word, kind, values: &[Option<f32>]| {
            let drawn = Drawn::of(&points(Span::Day, values), scale, NOW_MS);
            (word, kind, f64::from(values.last().unwrap().unwrap()), drawn)
        };
        let both = vec![
            drawn(
                "in",
                Kind::BrokerIn,
                &[Some(10.0), None, None, None, None, Some(40.0), Some(20.0)],
            ),
            drawn("out", Kind::BrokerOut, &[Some(5.0)]),
        ];
        let chart = Chart::of(&page, "broker-a: Messages per second".to_owned(), scale, both);
        let chart = chart.unwrap();
        let words = "broker-a: Messages per second, 24 hours. in: last 20, highest 40; out: last 5, highest 5";
        assert_eq!(chart.label, words);
        let amounts = [(120.0, "0"), (90.0, "10"), (60.0, "20"), (30.0, "30"), (0.0, "40")];
        assert_eq!(chart.amounts, amounts.map(|(y, text)| (y, text.to_owned())));
        let paths: Vec<_> = chart.lines.iter().map(|line| line.path.as_str()).collect();
        assert_eq!(paths, ["M427.5 90h.1L429 0L430.5 60", "M430.5 105h.1"]);
    }
}
