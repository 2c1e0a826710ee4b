//! What only name servers know and do: 100 to 102, 205, 219, 318, 319, 327.

use std::collections::BTreeMap;

use super::super::{Admin, AdminError};
use super::brokers::{parse_properties, parse_table, properties_text};
use crate::remoting::{Command, request, response};

impl Admin {
    /// Sets a value at a name server (100).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn put_kv(
        &self,
        name_server: &str,
        namespace: &str,
        key: &str,
        value: &str,
    ) -> Result<(), AdminError> {
        let request = about_kv(request::PUT_KV_CONFIG, namespace, key).with_field("value", value);
        self.at_name_server(name_server, request).await.map(drop)
    }

    /// A value that name servers have (101).
    ///
    /// # Errors
    /// No name server answers, or there is no such value (code 22).
    pub async fn kv(&self, namespace: &str, key: &str) -> Result<String, AdminError> {
        let request = about_kv(request::GET_KV_CONFIG, namespace, key);
        let (_, answer) = self.call_name_server(&request).await?;
        Ok(answer.field("value").unwrap_or_default().to_owned())
    }

    /// All values of a namespace at a name server (219); none if it does not know the namespace.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn kv_of_namespace(
        &self,
        name_server: &str,
        namespace: &str,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        let request =
            Command::request(request::GET_KVLIST_BY_NAMESPACE).with_field("namespace", namespace);
        match self.at_name_server(name_server, request).await {
            Err(error) if error.is_refused(response::QUERY_NOT_FOUND) => Ok(BTreeMap::new()),
            answered => parse_table(&answered?.body)
                .map_err(|error| AdminError::unreadable(name_server, &error)),
        }
    }

    /// Takes a value away from a name server (102).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn delete_kv(
        &self,
        name_server: &str,
        namespace: &str,
        key: &str,
    ) -> Result<(), AdminError> {
        self.at_name_server(name_server, about_kv(request::DELETE_KV_CONFIG, namespace, key))
            .await
            .map(drop)
    }

    /// Has a name server tell producers not to write to a broker (205); returns the number of its topics.
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn wipe_write_permission(
        &self,
        name_server: &str,
        broker: &str,
    ) -> Result<i64, AdminError> {
        let request =
            Command::request(request::WIPE_WRITE_PERM_OF_BROKER).with_field("brokerName", broker);
        self.count(name_server, request, "wipeTopicCount").await
    }

    /// The opposite (327).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn add_write_permission(
        &self,
        name_server: &str,
        broker: &str,
    ) -> Result<i64, AdminError> {
        let request =
            Command::request(request::ADD_WRITE_PERM_OF_BROKER).with_field("brokerName", broker);
        self.count(name_server, request, "addTopicCount").await
    }

    /// A name server's settings (319).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn name_server_settings(
        &self,
        name_server: &str,
    ) -> Result<BTreeMap<String, String>, AdminError> {
        let answer =
            self.at_name_server(name_server, Command::request(request::GET_NAMESRV_CONFIG)).await?;
        parse_properties(&answer.body).map_err(|error| AdminError::unreadable(name_server, &error))
    }

    /// Changes one setting of a name server (318).
    ///
    /// # Errors
    /// It does not answer, or refuses.
    pub async fn set_name_server_setting(
        &self,
        name_server: &str,
        key: &str,
        value: &str,
    ) -> Result<(), AdminError> {
        let request = Command::request(request::UPDATE_NAMESRV_CONFIG);
        self.at_name_server(name_server, request.with_body(properties_text(key, value)))
            .await
            .map(drop)
    }

    async fn count(
        &self,
        name_server: &str,
        request: Command,
        field: &'static str,
    ) -> Result<i64, AdminError> {
        let answer = self.at_name_server(name_server, request).await?;
        answer.required_i64(field).map_err(|error| AdminError::unreadable(name_server, &error))
    }
}

fn about_kv(code: i32, namespace: &str, key: &str) -> Command {
    Command::request(code).with_field("namespace", namespace).with_field("key", key)
}
