//! A broker's settings under 4.9.4's keys: all, changing one while it runs, taking a change back.
//!
//! Invariant: what a broker says that it has changed is looked at afterwards, because 4.9.4 takes keys that it does not
//! have without a word (B-303).

use super::super::{Admin, AdminError, done, dry_run, outcome, unchanged};
use super::member;
use crate::proto::v1::{
    BrokerConfig, BrokerSetting, GetBrokerConfigRequest, ResetBrokerConfigRequest,
    ResetBrokerConfigResponse, SetBrokerConfigRequest, SetBrokerConfigResponse,
};

impl Admin {
    /// The settings of a broker, or one of them.
    ///
    /// # Errors
    /// The broker is not registered, does not answer, or has no such setting.
    pub async fn broker_config(
        &self,
        request: &GetBrokerConfigRequest,
    ) -> Result<BrokerConfig, AdminError> {
        let group = self.group_named(request.broker.as_deref()).await?;
        let (_, address) = member(&group, request.id)?;
        let settings = self.broker_settings(&address).await?;
        let overrides = self.broker_state(&address).await?.unwrap_or_default().overrides;
        let setting = |(key, value): (String, String)| {
            let instead_of = overrides.iter().find(|one| one.key == key);
            BrokerSetting { instead_of: instead_of.map(|one| one.instead_of.clone()), key, value }
        };
        let is_wanted =
            |(key, _): &(String, String)| request.key.as_ref().is_none_or(|wanted| wanted == key);
        let settings: Vec<_> = settings.into_iter().filter(is_wanted).map(setting).collect();
        match (&request.key, settings.is_empty()) {
            (Some(key), true) => {
                Err(AdminError::NotFound(format!("{address} has no setting {key}")))
            }
            _ => Ok(BrokerConfig { settings }),
        }
    }

    /// Changes a setting of a broker.
    ///
    /// # Errors
    /// The broker is not registered, does not answer, or does not change it.
    pub async fn set_broker_config(
        &self,
        request: &SetBrokerConfigRequest,
    ) -> Result<SetBrokerConfigResponse, AdminError> {
        let SetBrokerConfigRequest { broker, id, key, value, dry_run: is_dry_run } = request;
        if key.contains(['=', '\n', '\r']) || value.contains(['\n', '\r', '\\']) {
            let text = "a key has no `=`, and neither it nor its value a line break or `\\`";
            return Err(AdminError::Invalid(text.to_owned()));
        }
        let group = self.group_named(broker.as_deref()).await?;
        let (_, address) = member(&group, *id)?;
        let before = self.broker_settings(&address).await?.remove(key);
        let became = if before.as_ref() == Some(value) {
            unchanged()
        } else if *is_dry_run {
            dry_run()
        } else {
            self.set_broker_setting(&address, key, value).await?;
            let is_taken = self
                .broker_settings(&address)
                .await?
                .get(key)
                .is_some_and(|now| before.as_ref() != Some(now) || now == value);
            if !is_taken {
                let text =
                    format!("{address} took no notice: it has no {key}, or none that changes");
                return Err(AdminError::Conflict(text));
            }
            outcome(Ok(()))
        };
        let done = done(&group.broker_name, Some(&address), became);
        Ok(SetBrokerConfigResponse { done: Some(done), before })
    }

    /// Makes a setting what the settings of the broker's node say.
    ///
    /// # Errors
    /// The broker is not registered, does not answer, is none of ours, or has no such setting that changes.
    pub async fn reset_broker_config(
        &self,
        request: &ResetBrokerConfigRequest,
    ) -> Result<ResetBrokerConfigResponse, AdminError> {
        let ResetBrokerConfigRequest { broker, id, key, dry_run: is_dry_run } = request;
        let group = self.group_named(broker.as_deref()).await?;
        let (_, address) = member(&group, *id)?;
        let Some(state) = self.broker_state(&address).await? else {
            let text = format!(
                "{address} is no rmq-node: it has written the change into its file, `set` the value that was there"
            );
            return Err(AdminError::Conflict(text));
        };
        let row = state.overrides.into_iter().find(|one| one.key == *key);
        let became = match (&row, *is_dry_run) {
            (None, _) => {
                // Who misspells it is told.
                let config = GetBrokerConfigRequest {
                    broker: Some(group.broker_name.clone()),
                    id: *id,
                    key: Some(key.clone()),
                };
                self.broker_config(&config).await?;
                unchanged()
            }
            (Some(_), true) => dry_run(),
            (Some(_), false) => outcome(Ok(self.reset_broker_setting(&address, key).await?)),
        };
        let done = done(&group.broker_name, Some(&address), became);
        let (before, after) = row.map(|row| (row.value, row.instead_of)).unzip();
        Ok(ResetBrokerConfigResponse { done: Some(done), before, after })
    }
}
