//! One broker's state, settings and cleaning: 25, 26, 28, 306, 316, 329, and what only ours answer: 9009, 9010, 9011.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;

use super::super::{Admin, AdminError};
use crate::config::properties;
use crate::remoting::bodies::extension::{self, BrokerState, Figures, ResetConfig};
use crate::remoting::{Command, DecodeError, json, request, response};

impl Admin {
    /// What a broker tells of itself (28, B-360).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn runtime_info(
        &self,
        address: &str,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        self.of(address, Command::request(request::GET_BROKER_RUNTIME_INFO), parse_table).await
    }

    /// A broker's settings as 4.9.4 names them (26).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn broker_settings(
        &self,
        address: &str,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        self.of(address, Command::request(request::GET_BROKER_CONFIG), parse_properties).await
    }

    /// Changes one setting of a broker (25).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn set_broker_setting(
        &self,
        address: &str,
        key: &str,
        value: &str,
    ) -> Result<(), AdminError> {
        let request = Command::request(request::UPDATE_BROKER_CONFIG);
        self.call(address, request.with_body(properties_text(key, value))).await.map(drop)
    }

    /// What a broker of ours tells of itself besides (9010); `None` of others.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn broker_state(&self, address: &str) -> Result<Option<BrokerState>, AdminError> {
        self.of_ours(address, request::EXTENSION_BROKER_STATE).await
    }

    /// What a broker of ours reckoned last (9009); `None` of others.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn broker_figures(&self, address: &str) -> Result<Option<Figures>, AdminError> {
        self.of_ours(address, request::EXTENSION_FIGURES).await
    }

    /// What only brokers of ours answer; `None` of others.
    async fn of_ours<T: DeserializeOwned + Default>(
        &self,
        address: &str,
        code: i32,
    ) -> Result<Option<T>, AdminError> {
        match self.of(address, Command::request(code), extension::parse).await {
            Err(error) if error.is_refused(response::REQUEST_CODE_NOT_SUPPORTED) => Ok(None),
            told => told.map(Some),
        }
    }

    /// Makes a setting of a broker of ours what its node's settings say (9011).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn reset_broker_setting(&self, address: &str, key: &str) -> Result<(), AdminError> {
        let request = Command::request(request::EXTENSION_RESET_CONFIG);
        let body = extension::to_bytes(&ResetConfig { key: key.to_owned() });
        self.call(address, request.with_body(body)).await.map(drop)
    }

    /// Has a broker throw away queues whose messages are gone (306).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn clean_queues(&self, address: &str) -> Result<(), AdminError> {
        self.call(address, Command::request(request::CLEAN_EXPIRED_CONSUMEQUEUE)).await.map(drop)
    }

    /// Has a broker throw away queues of topics that it does not have (316).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn clean_unused_topics(&self, address: &str) -> Result<(), AdminError> {
        self.call(address, Command::request(request::CLEAN_UNUSED_TOPIC)).await.map(drop)
    }

    /// Has a broker delete segments of its log that are older than its retention (329).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn delete_expired_log(&self, address: &str) -> Result<(), AdminError> {
        self.call(address, Command::request(request::DELETE_EXPIRED_COMMITLOG)).await.map(drop)
    }
}

/// One line of properties as 4.9.4's tools send it: nothing in it is escaped (K-004).
pub(super) fn properties_text(key: &str, value: &str) -> String {
    format!("{key}={value}\n")
}

/// Reads the answer to 26 or 319.
pub(in crate::admin) fn parse_properties(
    body: &[u8],
) -> Result<BTreeMap<String, String>, DecodeError> {
    let text =
        std::str::from_utf8(body).map_err(|error| DecodeError(format!("properties: {error}")))?;
    Ok(properties::parse(text))
}

/// Reads a table of texts.
pub(super) fn parse_table(body: &[u8]) -> Result<BTreeMap<String, String>, DecodeError> {
    let value = json::parse(body)?;
    value.expect_object("the table")?;
    let text = |(key, value): &(json::Value<'_>, json::Value<'_>)| {
        Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))
    };
    Ok(value.get("table").entries().iter().filter_map(text).collect())
}
