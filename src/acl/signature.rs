//! Signatures of requests: HMAC-SHA1 over the values of the fields in the order of their names, then
//! the body.
//!
//! Not who may do what. What is signed holds no time and no number: whoever reads a signed request on the wire can send
//! it again for as long as the account has its secret. Clients of 4.9.4 know nothing else; against that helps
//! only a wire that nobody reads. Invariants: comparisons take the same time wherever the signatures differ; a secret is
//! never in a log, nor in a `Debug` text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use crate::remoting::Command;

/// The field with the account's name.
pub const ACCESS_KEY: &str = "AccessKey";
/// The field with the signature.
const SIGNATURE: &str = "Signature";
/// What accounts of clouds sign with beside their secret; not read here.
const SECURITY_TOKEN: &str = "SecurityToken";
/// Clients of 4.9.4 sign this field, older ones do not (S-50).
const UNIQUE_KEY_QUERY: &str = "_UNIQUE_KEY_QUERY";

/// A secret, ready to sign with.
#[derive(Clone)]
pub struct Key(Hmac<Sha1>);

impl Key {
    /// The key of a secret; its length does not matter.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        let mac = Hmac::new_from_slice(secret.as_bytes());
        Self(mac.expect("HMAC takes keys of any length"))
    }

    /// Signs a request as the Java client of 4.9.4 does, in place of what may have signed it before.
    pub fn sign(&self, access_key: &str, request: &mut Command) {
        request.set_field(ACCESS_KEY, access_key);
        let signature = self.mac(request, &signed_fields(request, true)).finalize().into_bytes();
        request.set_field(SIGNATURE, STANDARD.encode(signature));
    }

    /// Whether a request is signed with this key, in either of the forms of S-50.
    #[must_use]
    pub fn has_signed(&self, request: &Command) -> bool {
        let Some(signature) = request.field(SIGNATURE) else { return false };
        let Ok(signature) = STANDARD.decode(signature) else { return false };
        let fits = |with_flag| {
            let mac = self.mac(request, &signed_fields(request, with_flag));
            mac.verify_slice(&signature).is_ok()
        };
        fits(true) || (request.field(UNIQUE_KEY_QUERY).is_some() && fits(false))
    }

    fn mac(&self, request: &Command, fields: &[(&str, &str)]) -> Hmac<Sha1> {
        let mut mac = self.0.clone();
        for (_, value) in fields {
            mac.update(value.as_bytes());
        }
        mac.update(&request.body);
        mac
    }
}

/// Takes the signature out of a request that is handed on: it covers neither code nor kind, so that whoever got it could
/// ask for anything as the signer.
pub fn remove(request: &mut Command) {
    if let Some(fields) = &mut request.fields {
        fields.retain(|name| ![ACCESS_KEY, SIGNATURE, SECURITY_TOKEN].contains(&name));
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The fields that are signed, by name; of two with one name the last one.
fn signed_fields(request: &Command, with_unique_key_query: bool) -> Vec<(&str, &str)> {
    let is_signed =
        |name: &str| name != SIGNATURE && (with_unique_key_query || name != UNIQUE_KEY_QUERY);
    let all = request.fields.iter().flat_map(|fields| fields.iter());
    let mut fields: Vec<_> = all.filter(|(name, _)| is_signed(name)).collect();
    // The sort is stable and `dedup` keeps the first: so it is the last one of a name that stays.
    fields.reverse();
    fields.sort_by_key(|(name, _)| *name);
    fields.dedup_by_key(|(name, _)| *name);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `openssl dgst -sha1 -hmac 12345678 -binary | base64` says of `rocketmq2Tbody`.
    const KNOWN: &str = "YxD0ZV4OXkTmdaZgdqUmy2tW3zU=";

    fn request() -> Command {
        // Not in the order of the names.
        let request = Command::request(10).with_field("topic", "T").with_field("queueId", 2);
        request.with_field(ACCESS_KEY, "rocketmq").with_body("body")
    }

    #[test]
    fn values_are_signed_in_the_order_of_their_names_then_the_body_a011_a012() {
        let mut signed = request();
        Key::new("12345678").sign("rocketmq", &mut signed);
        assert_eq!(signed.field(SIGNATURE), Some(KNOWN));
        assert!(Key::new("12345678").has_signed(&signed));
        assert!(!Key::new("12345679").has_signed(&signed));
        // Signed again it is the same.
        let before = signed.field(SIGNATURE).map(str::to_owned);
        Key::new("12345678").sign("rocketmq", &mut signed);
        assert_eq!(signed.field(SIGNATURE), before.as_deref());
    }

    #[test]
    fn whatever_is_changed_the_signature_no_longer_fits() {
        let key = Key::new("12345678");
        let mut signed = request();
        key.sign("rocketmq", &mut signed);
        let changes: [fn(&mut Command); 5] = [
            |request| request.body = "bodY".into(),
            |request| request.set_field("topic", "U"),
            |request| request.set_field("more", "1"),
            |request| request.set_field(SIGNATURE, ""),
            |request| request.set_field(SIGNATURE, "no base 64"),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut changed = signed.clone();
            change(&mut changed);
            assert!(!key.has_signed(&changed), "change {at}");
        }
        assert!(!key.has_signed(&request()), "not signed at all");
        // these are not signed.
        let other = Command { code: 11, opaque: 7, version: 1, ..signed };
        assert!(key.has_signed(&other));
    }

    #[test]
    fn both_forms_of_a_query_by_unique_key_fit_s50() {
        let key = Key::new("12345678");
        let mut with = request().with_field(UNIQUE_KEY_QUERY, "true");
        key.sign("rocketmq", &mut with);
        assert!(key.has_signed(&with), "as 4.9.4 signs");
        let mut without = request();
        key.sign("rocketmq", &mut without);
        without.set_field(UNIQUE_KEY_QUERY, "true");
        assert!(key.has_signed(&without), "as older clients sign");
    }

    #[test]
    fn of_a_field_that_stands_twice_the_last_one_is_signed() {
        let key = Key::new("12345678");
        let mut once = Command::request(10).with_field("a", "new");
        key.sign("rocketmq", &mut once);
        let twice = Command::request(10).with_field("a", "old").with_field("a", "new");
        let twice = twice.with_field(ACCESS_KEY, "rocketmq");
        let twice = twice.with_field(SIGNATURE, once.field(SIGNATURE).unwrap());
        assert!(key.has_signed(&twice));
    }
}
