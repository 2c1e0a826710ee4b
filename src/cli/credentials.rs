//! What is shown to a cluster by every action that asks one: an account and a certificate, from flags, the environment or
//! files.
//!
//! Not the signing (`acl`). Invariant: a secret is in no output and no error.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

use crate::acl::file;
use crate::acl::signature::Key;
use crate::config::{self, TlsMode};
use crate::transport::{Credentials, Signer, Tls, TlsMaterial};

/// What is shown to a cluster.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Account and encryption")]
pub(super) struct CredentialsArgs {
    /// Account that signs the requests, where the cluster has accounts.
    #[arg(long, global = true, value_name = "KEY", env = "RMQ_ACCESS_KEY")]
    access_key: Option<String>,
    /// Its secret; others on this host can see flags, so better RMQ_SECRET_KEY or --credentials.
    #[arg(long, global = true, value_name = "KEY", env = "RMQ_SECRET_KEY", hide_env_values = true)]
    secret_key: Option<String>,
    /// File with accessKey and secretKey, as 4.9.4's conf/tools.yml.
    #[arg(long, global = true, value_name = "FILE", env = "RMQ_CREDENTIALS")]
    credentials: Option<PathBuf>,
    /// Encrypt all connections (TLS), to whoever has a certificate of the CAs in this PEM file.
    #[arg(long, global = true, value_name = "FILE", env = "RMQ_TLS_CA")]
    tls_ca: Option<PathBuf>,
    /// PEM file with the certificate to show, where the cluster lets nobody in without one.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RMQ_TLS_CERTIFICATE",
        requires = "tls_ca",
        requires = "tls_key"
    )]
    tls_certificate: Option<PathBuf>,
    /// PEM file with its private key.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "RMQ_TLS_KEY",
        requires = "tls_certificate"
    )]
    tls_key: Option<PathBuf>,
}

impl std::fmt::Debug for CredentialsArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").finish_non_exhaustive()
    }
}

impl CredentialsArgs {
    /// Whether there are any.
    pub(super) fn are_given(&self) -> bool {
        self.access_key.is_some()
            || self.secret_key.is_some()
            || self.credentials.is_some()
            || self.tls_ca.is_some()
    }

    /// All of it; without a flag for TLS, `node` are the settings of this host's node, whose TLS is used where its files
    /// can be read, and must be where nothing else is taken; where no account is given, `usual` is a file with keys.
    ///
    /// # Errors
    /// As [`Self::signer`], or files for TLS cannot be used.
    pub(super) fn credentials(
        &self,
        node: Option<&config::Tls>,
        usual: Option<&Path>,
    ) -> anyhow::Result<Credentials> {
        let own = self.tls_certificate.as_deref().zip(self.tls_key.as_deref());
        let material = match (&self.tls_ca, node) {
            (Some(ca), _) => Some(TlsMaterial::for_tool(ca, own)?),
            (None, Some(node)) if node.mode == TlsMode::Enforcing => TlsMaterial::load(node)?,
            (None, Some(node)) => TlsMaterial::load(node).ok().flatten(),
            (None, None) => None,
        };
        Ok(Credentials { signer: self.signer(usual)?, tls: Tls::new(material) })
    }

    /// What signs the requests; nothing if nothing is given. Flags and environment count before the file, and the file
    /// before the `usual` one, which may be missing or without keys.
    ///
    /// # Errors
    /// The file cannot be read, or one of the two is missing.
    fn signer(&self, usual: Option<&Path>) -> anyhow::Result<Signer> {
        let (access_key, secret) = match (&self.access_key, &self.secret_key, &self.credentials) {
            (Some(access_key), Some(secret), _) => (access_key.clone(), secret.clone()),
            (None, None, Some(path)) => keys(path)?,
            (None, None, None) => match usual.map(keys) {
                Some(Ok((access_key, secret)))
                    if !access_key.trim().is_empty() && !secret.trim().is_empty() =>
                {
                    (access_key, secret)
                }
                // Nobody asked for that file, and 4.9.4's tool goes on unsigned without keys in it.
                _ => return Ok(Signer::default()),
            },
            (Some(_), None, _) => bail!("an access key needs its secret: set RMQ_SECRET_KEY"),
            (None, Some(_), _) => bail!("a secret needs its access key: set RMQ_ACCESS_KEY"),
        };
        let key = Key::new(&secret);
        Ok(Signer::new(move |request| key.sign(&access_key, request)))
    }
}

/// The account of a file.
fn keys(path: &Path) -> anyhow::Result<(String, String)> {
    let name = || path.display().to_string();
    let text = fs::read_to_string(path).with_context(name)?;
    let (access_key, secret) = file::credentials(&text).with_context(name)?;
    Ok((access_key, secret.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_refused_and_flags_count_before_the_file() {
        let text = |text: &str| Some(text.to_owned());
        let credentials = |access_key, secret_key, credentials| CredentialsArgs {
            access_key,
            secret_key,
            credentials,
            ..CredentialsArgs::default()
        };
        let error = |given: CredentialsArgs| given.signer(None).unwrap_err().to_string();
        assert!(error(credentials(text("a"), None, None)).contains("RMQ_SECRET_KEY"));
        assert!(error(credentials(None, text("s"), None)).contains("RMQ_ACCESS_KEY"));
        let nowhere = Some(PathBuf::from("/nonexistent/tools.yml"));
        assert!(error(credentials(None, None, nowhere.clone())).contains("tools.yml"));
        assert!(credentials(text("a"), text("s"), nowhere).signer(None).is_ok());
        let none = credentials(None, None, None);
        assert!(none.signer(None).is_ok() && !none.are_given());
    }

    #[test]
    fn a_usual_file_without_keys_is_no_account() {
        let none = CredentialsArgs::default();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tools.yml");
        assert!(none.signer(Some(&path)).is_ok());
        for text in
            ["", "# accessKey: a\n", "accessKey:\nsecretKey:\n", "accessKey: ' '\nsecretKey: s\n"]
        {
            fs::write(&path, text).unwrap();
            assert!(none.signer(Some(&path)).is_ok(), "{text}");
        }
        let asked =
            CredentialsArgs { credentials: Some(path.clone()), ..CredentialsArgs::default() };
        fs::write(&path, "").unwrap();
        assert!(asked.signer(None).is_err());
    }
}
