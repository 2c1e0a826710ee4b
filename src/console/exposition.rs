//! `/metrics` in the format that is asked for: OpenMetrics, or Prometheus' older text.
//!
//! Not which metrics there are. Invariant: both tell the same samples; only the older format's heads name a counter with
//! its `_total`, as its samples do.

use axum::http::{HeaderMap, header};

use crate::metrics::Metrics;

/// What whoever reads metrics understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `application/openmetrics-text`: Prometheus.
    OpenMetrics,
    /// Text 0.0.4: everybody, `promtool` and browsers too.
    Text,
}

impl Format {
    /// The one that the request's `Accept` names, else the older one.
    pub fn asked_for(headers: &HeaderMap) -> Self {
        let accepted =
            headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let is_open = accepted
            .flat_map(|value| value.split(','))
            .any(|one| one.trim().starts_with("application/openmetrics-text"));
        if is_open { Self::OpenMetrics } else { Self::Text }
    }

    /// The answer's `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// All metrics. Blocks.
    pub fn encode(self, metrics: &Metrics) -> String {
        let text = metrics.encode();
        match self {
            Self::OpenMetrics => text,
            Self::Text => as_text(&text),
        }
    }
}

/// OpenMetrics as text 0.0.4.
fn as_text(open: &str) -> String {
    let mut text = String::with_capacity(open.len());
    let mut lines = open.lines().peekable();
    while let Some(line) = lines.next() {
        let Some(head) = line.strip_prefix("# ") else {
            text.push_str(line);
            text.push('\n');
            continue;
        };
        // A family begins with its help, then come unit and type.
        let (help, mut kind) = (head.strip_prefix("HELP "), head.strip_prefix("TYPE "));
        while kind.is_none()
            && let Some(next) = lines.next_if(|next| next.starts_with("# "))
        {
            kind = next.strip_prefix("# TYPE ");
        }
        let Some((name, kind)) = kind.and_then(|kind| kind.split_once(' ')) else { continue };
        let (suffix, kind) = match kind {
            "counter" => ("_total", kind),
            "info" => ("_info", "gauge"),
            "unknown" => ("", "untyped"),
            _ => ("", kind),
        };
        if let Some((_, words)) = help.and_then(|help| help.split_once(' ')) {
            text.push_str(&format!("# HELP {name}{suffix} {words}\n"));
        }
        text.push_str(&format!("# TYPE {name}{suffix} {kind}\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let open = "# HELP rmq_in Messages in.\n# TYPE rmq_in counter\nrmq_in_total 1\n\
                    # HELP rmq_size_bytes Size.\n# UNIT rmq_size_bytes bytes\n# TYPE rmq_size_bytes gauge\n\
                    rmq_size_bytes{group=\"# a\"} 2\n# HELP rmq_build Build.\n# TYPE rmq_build info\nrmq_build_info{v=\"1\"} 1\n# EOF\n";
        let expected = "# HELP rmq_in_total Messages in.\n# TYPE rmq_in_total counter\nrmq_in_total 1\n\
                        # HELP rmq_size_bytes Size.\n# TYPE rmq_size_bytes gauge\n\
                        rmq_size_bytes{group=\"# a\"} 2\n# HELP rmq_build_info Build.\n# TYPE rmq_build_info gauge\n\
                        rmq_build_info{v=\"1\"} 1\n";
        assert_eq!(as_text(open), expected);
    }

    #[test]
    fn prometheus_gets_what_it_asks_for() {
        let asked = |accept: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            Format::asked_for(&headers)
        };
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
        assert_eq!(asked(prometheus), Format::OpenMetrics);
        assert_eq!(asked("text/html,*/*"), Format::Text);
        assert_eq!(Format::asked_for(&HeaderMap::new()), Format::Text);
    }
}
