//! What a broker counts (315, B-370 to B-379).

use super::super::{Admin, AdminError};
use crate::remoting::json::Value;
use crate::remoting::{Command, json, request};

/// Messages of a topic to producers, by the topic.
pub const TOPIC_PUT_NUMS: &str = "TOPIC_PUT_NUMS";
/// Messages of a topic to a group, by `topic@group`.
pub const GROUP_GET_NUMS: &str = "GROUP_GET_NUMS";

/// A count over three spans.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Statistics {
    /// A second, over the last minute.
    pub tps: f64,
    /// In the last minute, hour and day.
    pub sums: [i64; 3],
}

impl Statistics {
    /// The sum of the longest span that has one, as 4.9.4's tools compute a day.
    #[must_use]
    pub fn day(&self) -> i64 {
        self.sums.iter().rev().copied().find(|sum| *sum != 0).unwrap_or(0)
    }
}

impl Admin {
    /// What a broker counts under a key.
    ///
    /// # Errors
    /// It does not answer, or counts nothing there (code 1).
    pub async fn statistics(
        &self,
        address: &str,
        name: &str,
        key: &str,
    ) -> Result<Statistics, AdminError> {
        let request = Command::request(request::VIEW_BROKER_STATS_DATA)
            .with_field("statsName", name)
            .with_field("statsKey", key);
        self.of(address, request, |body| {
            let value = json::parse(body)?;
            let sum = |span: &str| value.get(span).number_or("sum", 0);
            let sums = [sum("statsMinute")?, sum("statsHour")?, sum("statsDay")?];
            let tps: &Value<'_> = value.get("statsMinute").get("tps");
            Ok(Statistics { tps: tps.as_f64().unwrap_or(0.0), sums })
        })
        .await
    }
}
