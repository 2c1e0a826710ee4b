//! As whom requests are signed, for every action that asks a cluster: from flags, the environment or a file.
//!
//! Not the signing (`acl`). Invariant: a secret is in no output and no error.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::acl::file;
use crate::acl::signature::Key;
use crate::transport::Signer;

/// As whom requests are signed where accounts are on.
#[derive(Args, Clone, Default)]
pub(super) struct Credentials {
    /// Account that signs the requests, where the cluster has accounts.
    #[arg(long, global = true, value_name = "KEY", env = "RMQ_ACCESS_KEY")]
    access_key: Option<String>,
    /// Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials.
    #[arg(long, global = true, value_name = "KEY", env = "RMQ_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<String>,
    /// File with accessKey and secretKey, as 4.9.4's conf/tools.yml.
    #[arg(long, global = true, value_name = "FILE", env = "RMQ_CREDENTIALS")]
    credentials: Option<PathBuf>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl Credentials {
    /// Whether there are any.
    pub(super) fn are_given(&self) -> bool {
        self.access_key.is_some() || self.secret_key.is_some() || self.credentials.is_some()
    }

    /// What signs the requests; nothing if nothing is given. Flags and environment count before the file.
    ///
    /// # Errors
    /// The file cannot be read, or one of the two is missing.
    pub(super) fn signer(&self) -> anyhow::Result<Signer> {
        self.signer_or(None)
    }

    /// The same; where nothing is given, with the keys of a file that need not have any.
    ///
    /// # Errors
    /// A file cannot be read, or one of the two is missing.
    pub(super) fn signer_or(&self, usual: Option<&Path>) -> anyhow::Result<Signer> {
        let (access_key, secret) = match (&self.access_key, &self.secret_key, &self.credentials) {
            (Some(access_key), Some(secret), _) => (access_key.clone(), secret.clone()),
            (None, None, None) if usual.is_none() => return Ok(Signer::default()),
            (None, None, given) => {
                let path = given.as_deref().or(usual).unwrap_or(Path::new(""));
                let name = path.display().to_string();
                let text = fs::read_to_string(path).with_context(|| name.clone())?;
                let (access_key, secret) =
                    file::credentials(&text).with_context(|| name.clone())?;
                (access_key, secret.0)
            }
            (Some(_), None, _) => bail!("an access key needs its secret: set RMQ_SECRET_KEY"),
            (None, Some(_), _) => bail!("a secret needs its access key: set RMQ_ACCESS_KEY"),
        };
        let key = Key::new(&secret);
        Ok(Signer::new(move |request| key.sign(&access_key, request)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_refused_and_flags_count_before_the_file() {
        let text = |text: &str| Some(text.to_owned());
        let credentials = |access_key, secret_key, credentials| Credentials {
            access_key,
            secret_key,
            credentials,
        };
        let error = |given: Credentials| given.signer().unwrap_err().to_string();
        assert!(error(credentials(text("a"), None, None)).contains("RMQ_SECRET_KEY"));
        assert!(error(credentials(None, text("s"), None)).contains("RMQ_ACCESS_KEY"));
        let nowhere = Some(PathBuf::from("/nonexistent/tools.yml"));
        assert!(error(credentials(None, None, nowhere.clone())).contains("tools.yml"));
        assert!(credentials(text("a"), text("s"), nowhere).signer().is_ok());
        let none = credentials(None, None, None);
        assert!(none.signer().is_ok() && !none.are_given());
    }
}
