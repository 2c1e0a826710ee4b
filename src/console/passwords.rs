//! Passwords and tokens: made, hashed, and held against their hashes.
//!
//! Not whose they are (`accounts`). Invariant: what is made here cannot be guessed.

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use blake2::{Blake2s256, Digest};

/// Characters of passwords that are made here: none looks like another. The last is there twice, so that each byte has its
/// character and nearly all are as likely.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567899";
const MADE_CHARS: usize = 20;

/// What a password is kept as (argon2id, in the text of PHC). Takes 19 MiB and some 50 ms.
pub fn hash(password: &str) -> String {
    let hashed = Argon2::default().hash_password(password.as_bytes());
    hashed
        .expect("the parameters are the default ones, and the system has random bytes")
        .to_string()
}

/// Whether the hash is of this password. Takes as long as making one.
pub fn is_hash_of(hash: &str, password: &str) -> bool {
    let parsed = PasswordHash::new(hash);
    parsed
        .is_ok_and(|parsed| Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok())
}

fn random<const BYTES: usize>() -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).expect("the system has random bytes");
    bytes
}

/// A token: 256 bits that nobody can guess.
pub fn made_token() -> String {
    URL_SAFE_NO_PAD.encode(random::<32>())
}

/// A password of 98 bits that somebody can type.
pub fn made_password() -> String {
    let letter = |byte: u8| char::from(LETTERS[usize::from(byte) % LETTERS.len()]);
    random::<MADE_CHARS>().into_iter().map(letter).collect()
}

/// What a token is kept as.
pub fn token_hash(token: &str) -> Vec<u8> {
    Blake2s256::digest(token.as_bytes()).to_vec()
}
