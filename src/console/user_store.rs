//! Users and sessions as they are kept: read once, in memory from then on, and in the database.
//!
//! Not who is let in, nor what may be changed (`accounts`). Invariants: a change is in the database before it counts, but
//! for when a session was used last and that it ran out; a token is there as its hash only.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::passwords::{made_token, token_hash};
use crate::admin::service::roles::Role;
use crate::clock::Clock;
use crate::kv::{Batch, Database, KvError};
use crate::task;

const USERS: &str = "console_users";
/// The tree of sessions.
pub const SESSIONS: &str = "console_sessions";
/// A session that was not used for so long is over.
const IDLE_MAX_MS: i64 = 12 * 60 * 60 * 1000;
/// So is one that is so old.
const AGE_MAX_MS: i64 = 7 * 24 * 60 * 60 * 1000;
/// How often it is written down that a session is used.
const SEEN_MS: i64 = 5 * 60 * 1000;
/// Sessions of one user; more end the oldest.
const SESSIONS_MAX: usize = 16;

/// A user as it is stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    /// Of its password.
    pub hash: String,
    /// What it may do.
    pub role: Role,
    /// Whether its password was made for it.
    pub must_change: bool,
}

/// A session as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Whose.
    pub user: String,
    /// What its forms hold.
    pub csrf: String,
    began_ms: i64,
    seen_ms: i64,
}

#[derive(Debug, Default)]
struct State {
    users: BTreeMap<String, User>,
    /// By the hash of their tokens.
    sessions: HashMap<Vec<u8>, Session>,
}

/// All of them.
#[derive(Debug)]
pub struct UserStore {
    database: Arc<dyn Database>,
    clock: Clock,
    state: Mutex<State>,
    /// Held from when a change is decided until it is in the database and in memory, so that both end alike.
    writing: Mutex<()>,
}

impl UserStore {
    /// Reads them; what cannot be read is not there. Blocks.
    ///
    /// # Errors
    /// What the database says.
    pub fn open(database: Arc<dyn Database>, clock: Clock) -> Result<Self, KvError> {
        let mut state = State::default();
        database.scan(USERS, &[], &mut |key, value| {
            if let (Ok(name), Ok(user)) = (str::from_utf8(key), serde_json::from_slice(value)) {
                state.users.insert(name.to_owned(), user);
            }
            true
        })?;
        database.scan(SESSIONS, &[], &mut |key, value| {
            if let Ok(session) = serde_json::from_slice(value) {
                state.sessions.insert(key.to_owned(), session);
            }
            true
        })?;
        Ok(Self { database, clock, state: Mutex::new(state), writing: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody else changes anything while this is held.
    pub fn writing(&self) -> MutexGuard<'_, ()> {
        self.writing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every user with its role, by name.
    pub fn users(&self) -> Vec<(String, Role)> {
        self.lock().users.iter().map(|(name, user)| (name.clone(), user.role)).collect()
    }

    /// The user of that name.
    pub fn user(&self, name: &str) -> Option<User> {
        self.lock().users.get(name).cloned()
    }

    /// Whether a token's session is there, by the token's hash.
    pub fn has_session(&self, key: &[u8]) -> bool {
        self.lock().sessions.contains_key(key)
    }

    /// The session of a token, and its user, if it is not over.
    pub fn session(self: &Arc<Self>, token: &str) -> Option<(Session, User)> {
        let (key, now) = (token_hash(token), self.clock.now_ms());
        let mut state = self.lock();
        let session = state.sessions.get(&key)?.clone();
        let user = state.users.get(&session.user).cloned();
        let is_over = now - session.seen_ms > IDLE_MAX_MS || now - session.began_ms > AGE_MAX_MS;
        let is_alive = user.is_some() && !is_over;
        if is_alive && now - session.seen_ms <= SEEN_MS {
            return Some((session, user?));
        }
        if is_alive {
            state.sessions.insert(key.clone(), Session { seen_ms: now, ..session.clone() });
        } else {
            state.sessions.remove(&key);
        }
        drop(state);
        let store = Arc::clone(self);
        // Nobody waits: what is lost of it ends the session too early or too late at worst.
        task::spawn_blocking("console session", move || {
            let _writing = store.writing();
            // What is so by now: it may have ended since.
            let session = store.lock().sessions.get(&key).cloned();
            if let Err(error) = store.write(SESSIONS, key, session.as_ref()) {
                tracing::warn!(%error, "a session of the console cannot be written down");
            }
        });
        is_alive.then_some((session, user?))
    }

    /// Begins a session of a user: its token. Blocks.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn begin(&self, user: String) -> Result<String, KvError> {
        let now = self.clock.now_ms();
        let (token, csrf) = (made_token(), made_token());
        let session = Session { user: user.clone(), csrf, began_ms: now, seen_ms: now };
        let key = token_hash(&token);
        self.write(SESSIONS, key.clone(), Some(&session))?;
        let mut oldest = Vec::new();
        {
            let mut state = self.lock();
            state.sessions.insert(key, session);
            let its = state.sessions.iter().filter(|(_, session)| session.user == user);
            let mut its: Vec<_> = its.map(|(key, one)| (one.seen_ms, key.clone())).collect();
            its.sort();
            its.truncate(its.len().saturating_sub(SESSIONS_MAX));
            oldest.extend(its.into_iter().map(|(_, key)| key));
        }
        self.end(oldest)?;
        Ok(token)
    }

    /// Ends sessions, by the hashes of their tokens. Blocks.
    ///
    /// # Errors
    /// It cannot be written down; those that are left go on, and can be ended later.
    pub fn end(&self, keys: Vec<Vec<u8>>) -> Result<(), KvError> {
        for key in keys {
            // A log-out that is not written down would come back with the next start.
            self.write(SESSIONS, key.clone(), None::<&Session>)?;
            self.lock().sessions.remove(&key);
        }
        Ok(())
    }

    /// Ends all sessions of a user but one. Blocks.
    ///
    /// # Errors
    /// As of [`Self::end`].
    pub fn end_others(&self, user: &str, but: Option<&Vec<u8>>) -> Result<(), KvError> {
        let state = self.lock();
        let its = state.sessions.iter().filter(|(key, one)| one.user == user && Some(*key) != but);
        let its: Vec<_> = its.map(|(key, _)| key.clone()).collect();
        drop(state);
        self.end(its)
    }

    /// Whether there is an admin beside this user.
    pub fn has_admin_but(&self, name: &str) -> bool {
        let state = self.lock();
        let mut admins = state.users.iter().filter(|(_, user)| user.role == Role::Admin);
        admins.any(|(admin, _)| admin != name)
    }

    /// Makes a user so. Blocks.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn put_user(&self, name: &str, user: User) -> Result<(), KvError> {
        self.write(USERS, name.as_bytes().to_owned(), Some(&user))?;
        self.lock().users.insert(name.to_owned(), user);
        Ok(())
    }

    /// Takes a user away, and ends its sessions. Blocks.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn remove_user(&self, name: &str) -> Result<(), KvError> {
        self.write(USERS, name.as_bytes().to_owned(), None::<&User>)?;
        self.lock().users.remove(name);
        self.end_others(name, None)
    }

    /// Writes a row, or removes it, and waits for the disk.
    fn write(
        &self,
        tree: &'static str,
        key: Vec<u8>,
        value: Option<&impl Serialize>,
    ) -> Result<(), KvError> {
        let mut batch = Batch::default();
        match value {
            Some(value) => {
                batch.insert(key, serde_json::to_vec(value).expect("fields are texts and numbers"));
            }
            None => batch.remove(key),
        }
        // The history of the charts is in the same database.
        self.database.apply_flushed(tree, batch)
    }
}
