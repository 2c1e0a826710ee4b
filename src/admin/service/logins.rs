//! Who may log in over TCP: the logins file, tokens and certificates with a role each.
//!
//! ```toml
//! [[token]]
//! name = "grafana"              # the audit log's name for it
//! role = "reader"               # reader, operator or admin
//! sha256 = "9f86d081..."        # of the token; the token itself is in no file here
//!
//! [[certificate]]
//! subject = "CN=alice,O=Example" # as `openssl x509 -noout -subject -nameopt RFC2253` prints it
//! role = "admin"
//! ```
//!
//! Not what a role may (`roles`), nor who signed which certificate (`transport::tls`). Invariants: a file that is wrong
//! in part counts in no part; a token is compared by its hash, and is in no text.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use x509_cert::name::Name;

use super::roles::Role;
use crate::config;

/// What others than the owner may not do with the file: the group writes it, everybody reads it.
const MODE_OF_OTHERS: u32 = 0o027;
/// How a token and its hash are made.
const HOW_TO_MAKE: &str = "make a token with `openssl rand -hex 32 | tee token`, and its hash with `tr -d '\\n' < token | sha256sum`";

/// Who may log in now; shared by all who ask.
#[derive(Clone, Debug, Default)]
pub struct Logins(Arc<ArcSwap<KnownLogins>>);

/// What a logins file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownLogins {
    /// By the token's hash.
    tokens: HashMap<[u8; 32], Login>,
    /// By the certificate's subject.
    certificates: HashMap<String, Login>,
}

/// Somebody who has logged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// `token NAME` or `certificate SUBJECT`.
    pub name: String,
    /// What it may.
    pub role: Role,
}

impl Logins {
    /// These.
    #[must_use]
    pub fn new(known: KnownLogins) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(known)))
    }

    /// Calls that begin from now on are judged by these. Whether they are others than before.
    pub fn set(&self, known: KnownLogins) -> bool {
        if **self.0.load() == known {
            return false;
        }
        self.0.store(Arc::new(known));
        true
    }

    /// Whose token it is.
    pub(super) fn of_token(&self, token: &[u8]) -> Option<Login> {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.0.load().tokens.get(&hash).cloned()
    }

    /// Whose certificate it is, of one that was checked.
    pub(super) fn of_certificate(&self, subject: &str) -> Option<Login> {
        self.0.load().certificates.get(subject).cloned()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    token: Vec<Token>,
    #[serde(default)]
    certificate: Vec<Certificate>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    name: String,
    role: Role,
    sha256: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Certificate {
    subject: String,
    role: Role,
}

impl KnownLogins {
    /// Reads a logins file; `has_ca` says whether certificates of clients can be checked. Blocks.
    ///
    /// # Errors
    /// It cannot be used: the file, what is wrong, and what to write.
    pub fn read(file: &Path, has_ca: bool) -> Result<Self, String> {
        let name = file.display().to_string();
        let refuse = |reason: String| format!("{name} cannot be used for logins: {reason}");
        let text = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
        let mode =
            fs::metadata(file).map_err(|error| refuse(error.to_string()))?.permissions().mode();
        if mode & MODE_OF_OTHERS != 0 {
            let command = format!("chmod u=rw,g=r,o= {name}");
            return Err(refuse(format!(
                "its mode {:o} lets others use it: `{command}`",
                mode & 0o777
            )));
        }
        let read = toml::from_str(&text)
            .map_err(|error| config::mistake(&name, &text, &error).to_string())?;
        Self::of(read, has_ca).map_err(refuse)
    }

    fn of(file: File, has_ca: bool) -> Result<Self, String> {
        if file.token.is_empty() && file.certificate.is_empty() {
            return Err(format!(
                "there is no [[token]] and no [[certificate]] in it: {HOW_TO_MAKE}"
            ));
        }
        if !has_ca && !file.certificate.is_empty() {
            let text = "certificates of clients are checked by a CA: write tls.ca_file = \"/etc/rmq-node/tls/ca.crt\"";
            return Err(text.to_owned());
        }
        let mut known = Self::default();
        for token in file.token {
            let name = format!("token {}", token.name);
            if token.name.is_empty() || known.tokens.values().any(|other| other.name == name) {
                return Err(format!(
                    "each [[token]] needs a name of its own, and \"{}\" is none",
                    token.name
                ));
            }
            let hash = hash(&token.sha256).ok_or_else(|| {
                format!("{name}: sha256 is not 64 hexadecimal digits: {HOW_TO_MAKE}")
            })?;
            if let Some(other) =
                known.tokens.insert(hash, Login { name: name.clone(), role: token.role })
            {
                return Err(format!("{name} is the same as {}: {HOW_TO_MAKE}", other.name));
            }
        }
        for certificate in file.certificate {
            let subject = Name::from_str(&certificate.subject).map(|name| name.to_string());
            let subject = subject.ok().filter(|subject| !subject.is_empty()).ok_or_else(|| {
                format!(
                    "subject \"{}\" is no name such as \"CN=alice,O=Example\": print a certificate's with \
                     `openssl x509 -noout -subject -nameopt RFC2253 -in FILE`",
                    certificate.subject
                )
            })?;
            let login = Login { name: format!("certificate {subject}"), role: certificate.role };
            if known.certificates.insert(subject, login).is_some() {
                return Err(format!("subject \"{}\" is there twice", certificate.subject));
            }
        }
        Ok(known)
    }
}

fn hash(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    let mut hash = [0; 32];
    if digits.len() != 2 * hash.len() {
        return None;
    }
    for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit =
            |at: usize| char::from(pair[at]).to_digit(16).and_then(|one| u8::try_from(one).ok());
        *byte = digit(0)? << 4 | digit(1)?;
    }
    Some(hash)
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    /// Of the token `secret`.
    const HASH: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    fn read(text: &str, mode: u32, has_ca: bool) -> Result<Logins, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("logins.toml");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let read = KnownLogins::read(&file, has_ca).map(Logins::new);
        read.map_err(|error| error.replace(&format!("{}/", dir.path().display()), ""))
    }

    fn token(name: &str, hash: &str) -> String {
        format!("[[token]]\nname = \"{name}\"\nrole = \"reader\"\nsha256 = \"{hash}\"\n")
    }

    #[test]
    fn tokens_and_certificates_are_known_with_their_roles() {
        let text = token("grafana", HASH)
            + "[[certificate]]\nsubject = \"CN=alice\\\\, the first,O=Example\"\nrole = \"operator\"\n";
        for mode in [0o600, 0o640, 0o400] {
            let logins = read(&text, mode, true).unwrap();
            let login = logins.of_token(b"secret").unwrap();
            assert_eq!((login.name.as_str(), login.role), ("token grafana", Role::Reader));
            assert_eq!(logins.of_token(b"Secret"), None);
            assert_eq!(logins.of_token(HASH.as_bytes()), None);
            let login = logins.of_certificate("CN=alice\\, the first,O=Example").unwrap();
            assert_eq!(login.role, Role::Operator);
            assert_eq!(logins.of_certificate("CN=alice"), None);
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_what_to_do() {
        let good = token("a", HASH);
        let refused = |text: &str| read(text, 0o600, false).unwrap_err();
        let cases = [
            (
                String::new(),
                "there is no [[token]] and no [[certificate]] in it: make a token with `openssl rand",
            ),
            (
                good.replace("reader", "king"),
                "logins.toml:3:8: \"king\" is not one of \"reader\", \"operator\", \"admin\"",
            ),
            (good.replace("name", "nam"), "unknown key `nam`; did you mean `name`?"),
            (token("a", "2bb8"), "token a: sha256 is not 64 hexadecimal digits: make"),
            (
                token("a", &HASH.replace('b', "g")),
                "token a: sha256 is not 64 hexadecimal digits: make",
            ),
            (
                good.clone() + &token("a", &HASH.replace('b', "c")),
                "needs a name of its own, and \"a\" is none",
            ),
            (good.clone() + &token("b", HASH), "token b is the same as token a"),
            (
                "[[certificate]]\nsubject = \"CN=a\"\nrole = \"admin\"\n".to_owned(),
                "write tls.ca_file = ",
            ),
        ];
        for (text, expected) in cases {
            assert!(refused(&text).contains(expected), "{}", refused(&text));
        }
        let subject = |name: &str| {
            let text = format!("[[certificate]]\nsubject = \"{name}\"\nrole = \"admin\"\n");
            read(&(text.clone() + &text), 0o600, true).unwrap_err()
        };
        assert!(subject("alice").contains("is no name such as"), "{}", subject("alice"));
        assert!(subject("").contains("is no name such as"), "{}", subject(""));
        assert!(subject("CN=alice").ends_with("is there twice"), "{}", subject("CN=alice"));
        for mode in [0o644, 0o660, 0o604] {
            let error = read(&good, mode, true).unwrap_err();
            let expected = format!(
                "logins.toml cannot be used for logins: its mode {mode:o} lets others use it: `chmod"
            );
            assert!(error.starts_with(&expected), "{error}");
        }
    }

    #[test]
    fn others_count_from_the_moment_that_they_are_set() {
        let logins = read(&token("a", HASH), 0o600, false).unwrap();
        let same = (**logins.0.load()).clone();
        assert!(!logins.set(same));
        assert!(logins.set(KnownLogins::default()));
        assert_eq!(logins.of_token(b"secret"), None);
    }
}
