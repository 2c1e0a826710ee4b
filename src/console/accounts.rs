//! Who may use the console: users with their passwords, and sessions.
//!
//! Not accounts of clients (`crate::acl`), nor cookies (`visitor`), nor how users and sessions are kept (`user_store`).
//! Invariants: a password is kept as an argon2 hash only; who guesses waits longer each time; there is always an admin.

use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::guesses::Guesses;
use super::passwords::{hash, is_hash_of, made_password, token_hash};
use super::user_store::{Session, User, UserStore};
pub use crate::admin::service::roles::Role;
use crate::clock::Clock;
use crate::kv::{Database, KvError};
use crate::model::shown;
use crate::task;

/// The first user's password, in the data directory, until the first log-in; whoever writes a file of that name sets the
/// password at the next start.
const PASSWORD_FILE: &str = "console-admin-password";
/// The first user.
const ADMIN: &str = "admin";
/// The shortest password that somebody may choose.
const PASSWORD_CHARS_MIN: usize = 10;
/// The longest that is hashed.
const PASSWORD_BYTES_MAX: usize = 512;
/// Passwords that wait to be hashed, each of which takes 19 MiB and some 50 ms; more are told to come again.
const WAITING_MAX: usize = 8;

/// All users and sessions of this node.
#[derive(Debug)]
pub struct Accounts {
    store: Arc<UserStore>,
    password_file: PathBuf,
    /// Places of those that are hashed or wait for it.
    waiting: Semaphore,
    hashing: Semaphore,
    guesses: Guesses,
}

/// Why somebody does not get what they ask for.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such user, or the password is another.
    #[error("this user and password do not belong together")]
    Wrong,
    /// There were too many tries: seconds to wait.
    #[error("too many tries: wait {0} s")]
    Wait(u64),
    /// It makes no sense.
    #[error("{0}")]
    Invalid(&'static str),
    /// A bug, or the disk.
    #[error("the console cannot store it: {0}")]
    Broken(String),
}

impl From<KvError> for Refusal {
    fn from(error: KvError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Accounts {
    /// Where the first user's password is, or is to be taken from.
    #[must_use]
    pub fn password_file(data_dir: &Path) -> PathBuf {
        data_dir.join(PASSWORD_FILE)
    }

    /// Reads them. The first time, makes the first user and writes its password into the data directory. Blocks.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(database: Arc<dyn Database>, data_dir: &Path, clock: Clock) -> io::Result<Self> {
        let accounts = Self {
            password_file: Self::password_file(data_dir),
            guesses: Guesses::new(clock.clone()),
            store: Arc::new(UserStore::open(database, clock).map_err(io::Error::other)?),
            waiting: Semaphore::new(WAITING_MAX),
            hashing: Semaphore::new(1),
        };
        let is_first = accounts.users().is_empty();
        let told = match fs::read_to_string(&accounts.password_file) {
            Ok(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let password = match told {
            Some(password) => password,
            None if is_first => accounts.write_password()?,
            None => return Ok(accounts),
        };
        let user = User { hash: hash(&password), role: Role::Admin, must_change: true };
        accounts.store.put_user(ADMIN, user).map_err(io::Error::other)?;
        let file = accounts.password_file.display();
        tracing::info!(%file, "the console's user is {ADMIN}, its password is in this file until the first log-in");
        Ok(accounts)
    }

    /// Into a file that is new: whoever made a blank one might read it.
    fn write_password(&self) -> io::Result<String> {
        self.remove_password()?;
        let password = made_password();
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&self.password_file)?;
        writeln!(file, "{password}")?;
        file.sync_all()?;
        Ok(password)
    }

    fn remove_password(&self) -> io::Result<()> {
        match fs::remove_file(&self.password_file) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Every user with its role, by name.
    pub fn users(&self) -> Vec<(String, Role)> {
        self.store.users()
    }

    /// The session of a token, and its user, if it is not over.
    pub fn session(&self, token: &str) -> Option<(Session, User)> {
        self.store.session(token)
    }

    /// Lets somebody in: the session's token.
    ///
    /// # Errors
    /// They are not who they say, or have to wait.
    pub async fn log_in(
        self: &Arc<Self>,
        from: IpAddr,
        name: String,
        password: String,
    ) -> Result<String, Refusal> {
        if let Some(wait_s) = self.guesses.wait_s(from) {
            return Err(Refusal::Wait(wait_s));
        }
        let is_right = self.is_password(name.clone(), password).await?;
        self.guesses.tried(from, is_right);
        if !is_right {
            tracing::warn!(%from, user = shown(&name), "a log-in to the console was refused");
            return Err(Refusal::Wrong);
        }
        tracing::info!(%from, user = name, "logged in to the console");
        self.change(move |accounts| accounts.begin(name)).await
    }

    fn begin(&self, name: String) -> Result<String, Refusal> {
        if name == ADMIN
            && let Err(error) = self.remove_password()
        {
            let file = self.password_file.display();
            tracing::warn!(%file, %error, "remove this file: it holds a password");
        }
        Ok(self.store.begin(name)?)
    }

    /// Ends a session.
    ///
    /// # Errors
    /// It cannot be written down.
    pub async fn log_out(self: &Arc<Self>, token: &str) -> Result<(), Refusal> {
        let key = token_hash(token);
        self.change(move |accounts| Ok(accounts.store.end(vec![key])?)).await
    }

    /// Whether it is this user's; takes as long without such a user.
    async fn is_password(
        self: &Arc<Self>,
        name: String,
        password: String,
    ) -> Result<bool, Refusal> {
        if password.len() > PASSWORD_BYTES_MAX {
            return Ok(false);
        }
        let user = self.store.user(&name);
        self.hashed(move || match user {
            Some(user) => is_hash_of(&user.hash, &password),
            // An answer that comes sooner would tell which users there are.
            None => hash(&password).is_empty(),
        })
        .await
    }

    /// One at a time.
    async fn hashed<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let Ok(_place) = self.waiting.try_acquire() else { return Err(Refusal::Wait(1)) };
        let _permit = self.hashing.acquire().await.map_err(|e| Refusal::Broken(e.to_string()))?;
        blocking(move || Ok(work())).await
    }

    /// Gives a user another password, and ends its sessions but this one.
    ///
    /// # Errors
    /// The old one is wrong, or the new one is too short or the same.
    pub async fn change_password(
        self: &Arc<Self>,
        (from, token): (IpAddr, &str),
        name: String,
        old: String,
        new: String,
    ) -> Result<(), Refusal> {
        if new.chars().count() < PASSWORD_CHARS_MIN || new.len() > PASSWORD_BYTES_MAX {
            return Err(Refusal::Invalid("a password has at least 10 characters"));
        }
        if new == old {
            return Err(Refusal::Invalid("the new password is the old one"));
        }
        if let Some(wait_s) = self.guesses.wait_s(from) {
            return Err(Refusal::Wait(wait_s));
        }
        let is_right = self.is_password(name.clone(), old).await?;
        self.guesses.tried(from, is_right);
        if !is_right {
            return Err(Refusal::Invalid("the old password is another"));
        }
        let hash = self.hashed(move || hash(&new)).await?;
        let key = token_hash(token);
        self.change(move |accounts| {
            let store = &accounts.store;
            // Whoever took the user away meanwhile, or gave it another password, has ended this session.
            let user = store.user(&name).filter(|_| store.has_session(&key));
            let user = user.ok_or(Refusal::Wrong)?;
            store.put_user(&name, User { hash, must_change: false, ..user })?;
            Ok(store.end_others(&name, Some(&key))?)
        })
        .await
    }

    /// Makes a user, or gives one that there is another role and password: the password, to be changed at the log-in.
    ///
    /// # Errors
    /// The name makes no sense, or it cannot be written down.
    pub async fn set_user(self: &Arc<Self>, name: &str, role: Role) -> Result<String, Refusal> {
        let is_letter = |c: char| c.is_ascii_alphanumeric() || ".-_@".contains(c);
        if name.is_empty() || name.len() > 64 || !name.chars().all(is_letter) {
            return Err(Refusal::Invalid("a user's name has up to 64 letters, digits and . - _ @"));
        }
        self.keeps_admin(name, Some(role))?;
        let password = made_password();
        let made = password.clone();
        let hash = self.hashed(move || hash(&made)).await?;
        let name = name.to_owned();
        self.change(move |accounts| {
            // Another change may have come first.
            accounts.keeps_admin(&name, Some(role))?;
            accounts.store.put_user(&name, User { hash, role, must_change: true })?;
            Ok(accounts.store.end_others(&name, None)?)
        })
        .await?;
        Ok(password)
    }

    /// Takes a user away, and ends its sessions.
    ///
    /// # Errors
    /// There would be no admin any more, or it cannot be written down.
    pub async fn remove_user(self: &Arc<Self>, name: &str) -> Result<(), Refusal> {
        let name = name.to_owned();
        self.change(move |accounts| {
            accounts.keeps_admin(&name, None)?;
            Ok(accounts.store.remove_user(&name)?)
        })
        .await
    }

    fn keeps_admin(&self, name: &str, role: Option<Role>) -> Result<(), Refusal> {
        if role == Some(Role::Admin) || self.store.has_admin_but(name) {
            return Ok(());
        }
        Err(Refusal::Invalid("somebody has to be an admin"))
    }

    /// Does `work`, which changes users or sessions, while nobody else does.
    async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, Refusal> + Send + 'static,
    ) -> Result<T, Refusal> {
        let accounts = Arc::clone(self);
        blocking(move || {
            let _writing = accounts.store.writing();
            work(&accounts)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = task::spawn_blocking("console accounts", work).await;
    done.unwrap_or_else(|error| Err(Refusal::Broken(error.to_string())))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::time::Duration;

    use super::super::user_store::SESSIONS;
    use super::*;
    use crate::kv::faults::{self, Moment};
    use crate::kv::{MemoryDatabase, SledDatabase};

    const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    struct Setting {
        dir: tempfile::TempDir,
        database: Arc<dyn Database>,
        clock: Clock,
    }

    impl Setting {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir, database: Arc::new(MemoryDatabase::default()), clock: Clock::system() }
        }

        fn open(&self) -> Arc<Accounts> {
            let database = Arc::clone(&self.database);
            Arc::new(Accounts::open(database, self.dir.path(), self.clock.clone()).unwrap())
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join(PASSWORD_FILE)
        }
    }

    async fn log_in(
        accounts: &Arc<Accounts>,
        name: &str,
        password: &str,
    ) -> Result<String, Refusal> {
        accounts.log_in(HOME, name.to_owned(), password.to_owned()).await
    }

    /// An admin who is logged in, with the folder of a database that can be made to fail, and the session's token.
    async fn logged_in_on_disk() -> (Setting, PathBuf, Arc<Accounts>, String) {
        let mut setting = Setting::new();
        let kv = setting.dir.path().join("kv");
        setting.database = Arc::new(SledDatabase::create(&kv, b"test").unwrap());
        fs::write(setting.file(), "chosen by hand").unwrap();
        let accounts = setting.open();
        let token = log_in(&accounts, ADMIN, "chosen by hand").await.unwrap();
        (setting, kv, accounts, token)
    }

    #[tokio::test]
    async fn the_first_password_is_in_a_file_until_it_was_used_and_must_be_changed() {
        let setting = Setting::new();
        let accounts = setting.open();
        let mode = fs::metadata(setting.file()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let password = fs::read_to_string(setting.file()).unwrap().trim().to_owned();
        // A restart before the first log-in changes nothing.
        let accounts = {
            drop(accounts);
            setting.open()
        };
        let token = log_in(&accounts, ADMIN, &password).await.unwrap();
        assert!(!setting.file().exists());
        let (session, user) = accounts.session(&token).unwrap();
        assert!(session.user == ADMIN && user.must_change && user.role == Role::Admin);
        let change = |old: &str, new: &str| {
            let (accounts, token) = (Arc::clone(&accounts), token.clone());
            let (old, new) = (old.to_owned(), new.to_owned());
            async move { accounts.change_password((HOME, &token), ADMIN.to_owned(), old, new).await }
        };
        change(&password, "short").await.unwrap_err();
        change(&password, &password).await.unwrap_err();
        change("wrong", "a new password").await.unwrap_err();
        let other = log_in(&accounts, ADMIN, &password).await.unwrap();
        change(&password, "a new password").await.unwrap();
        assert!(accounts.session(&other).is_none(), "sessions elsewhere end");
        assert!(!accounts.session(&token).unwrap().1.must_change);
        // All of it is still so after a restart.
        let accounts = setting.open();
        assert!(accounts.session(&token).is_some() && !setting.file().exists());
        log_in(&accounts, ADMIN, &password).await.unwrap_err();
        log_in(&accounts, ADMIN, "a new password").await.unwrap();
    }

    #[tokio::test]
    async fn who_has_forgotten_the_password_writes_the_file() {
        let setting = Setting::new();
        drop(setting.open());
        fs::write(setting.file(), "chosen by hand\n").unwrap();
        let accounts = setting.open();
        let token = log_in(&accounts, ADMIN, "chosen by hand").await.unwrap();
        assert!(accounts.session(&token).unwrap().1.must_change);
    }

    #[tokio::test]
    async fn a_password_file_that_is_blank_is_made_anew_at_the_first_start() {
        let setting = Setting::new();
        fs::write(setting.file(), "\n").unwrap();
        let accounts = setting.open();
        let password = fs::read_to_string(setting.file()).unwrap().trim().to_owned();
        log_in(&accounts, ADMIN, &password).await.unwrap();
    }

    #[tokio::test]
    async fn a_session_that_ended_does_not_come_back_when_its_use_is_written_down_late() {
        let (setting, kv, accounts, token) = logged_in_on_disk().await;
        setting.clock.advance(Duration::from_secs(6 * 60));
        // That it was used is what is written first, and slowly.
        let began = Arc::new(AtomicBool::new(false));
        let beginning = Arc::clone(&began);
        faults::set(&kv, move |_, moment| {
            if moment == Moment::Apply && !beginning.swap(true, Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(200));
            }
            Ok(())
        });
        accounts.session(&token).unwrap();
        while !began.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        accounts.log_out(&token).await.unwrap();
        while Arc::strong_count(&accounts.store) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        faults::clear(&kv);
        assert!(setting.open().session(&token).is_none(), "not after a restart either");
    }

    #[tokio::test]
    async fn a_log_out_that_is_not_written_down_can_be_done_again() {
        let (setting, kv, accounts, token) = logged_in_on_disk().await;
        faults::set(&kv, |_, _| Err(io::Error::other("full")));
        accounts.log_out(&token).await.unwrap_err();
        assert!(accounts.session(&token).is_some());
        faults::clear(&kv);
        accounts.log_out(&token).await.unwrap();
        assert!(accounts.session(&token).is_none() && setting.open().session(&token).is_none());
    }

    #[tokio::test]
    async fn sessions_end_and_nobody_finds_a_token_in_the_database() {
        let setting = Setting::new();
        fs::write(setting.file(), "chosen by hand").unwrap();
        let accounts = setting.open();
        let tokens = [
            log_in(&accounts, ADMIN, "chosen by hand").await.unwrap(),
            log_in(&accounts, ADMIN, "chosen by hand").await.unwrap(),
        ];
        setting
            .database
            .scan(SESSIONS, &[], &mut |key, value| {
                let text =
                    format!("{}{}", String::from_utf8_lossy(key), String::from_utf8_lossy(value));
                assert!(tokens.iter().all(|token| !text.contains(token)));
                true
            })
            .unwrap();
        accounts.log_out(&tokens[0]).await.unwrap();
        assert!(accounts.session(&tokens[0]).is_none());
        setting.clock.advance(Duration::from_secs(11 * 60 * 60));
        assert!(accounts.session(&tokens[1]).is_some());
        setting.clock.advance(Duration::from_secs(11 * 60 * 60));
        assert!(accounts.session(&tokens[1]).is_some(), "it was used");
        setting.clock.advance(Duration::from_secs(13 * 60 * 60));
        assert!(accounts.session(&tokens[1]).is_none());
        assert!(accounts.session("").is_none());
    }

    #[tokio::test]
    async fn who_guesses_waits_and_others_do_not() {
        let setting = Setting::new();
        fs::write(setting.file(), "chosen by hand").unwrap();
        let accounts = setting.open();
        for _ in 0..5 {
            assert!(matches!(log_in(&accounts, ADMIN, "guess").await, Err(Refusal::Wrong)));
        }
        assert!(matches!(
            log_in(&accounts, ADMIN, "chosen by hand").await,
            Err(Refusal::Wait(1..))
        ));
        let elsewhere = "192.0.2.1".parse().unwrap();
        let there = accounts.log_in(elsewhere, ADMIN.to_owned(), "chosen by hand".to_owned()).await;
        there.unwrap();
        setting.clock.advance(Duration::from_secs(60));
        log_in(&accounts, ADMIN, "chosen by hand").await.unwrap();
        assert!(matches!(log_in(&accounts, "nobody", "guess").await, Err(Refusal::Wrong)));
    }

    #[tokio::test]
    async fn admins_make_users_and_there_is_always_one() {
        let setting = Setting::new();
        let accounts = setting.open();
        let password = accounts.set_user("li", Role::Reader).await.unwrap();
        let token = log_in(&accounts, "li", &password).await.unwrap();
        let (_, user) = accounts.session(&token).unwrap();
        assert!(user.role == Role::Reader && user.must_change);
        accounts.set_user(ADMIN, Role::Reader).await.unwrap_err();
        accounts.remove_user(ADMIN).await.unwrap_err();
        accounts.set_user("a b", Role::Reader).await.unwrap_err();
        accounts.set_user("li", Role::Admin).await.unwrap();
        assert!(accounts.session(&token).is_none(), "another role, another log-in");
        accounts.remove_user(ADMIN).await.unwrap();
        assert_eq!(accounts.users(), [("li".to_owned(), Role::Admin)]);
    }

    #[tokio::test]
    async fn two_admins_who_go_at_once_leave_one() {
        let setting = Setting::new();
        let accounts = setting.open();
        accounts.set_user("li", Role::Admin).await.unwrap();
        let (first, second) = tokio::join!(
            accounts.set_user(ADMIN, Role::Reader),
            accounts.set_user("li", Role::Operator)
        );
        assert!(first.is_ok() != second.is_ok(), "{first:?}, {second:?}");
        assert!(accounts.users().iter().any(|(_, role)| *role == Role::Admin));
    }

    #[tokio::test]
    async fn who_was_taken_out_meanwhile_changes_no_password() {
        let setting = Setting::new();
        let accounts = setting.open();
        let made = accounts.set_user("li", Role::Reader).await.unwrap();
        let token = log_in(&accounts, "li", &made).await.unwrap();
        let whose = (HOME, token.as_str());
        let changing =
            accounts.change_password(whose, "li".to_owned(), made, "a new password".to_owned());
        // Waits its turn behind the old password and before the new one.
        let (changed, set) = tokio::join!(changing, accounts.set_user("li", Role::Reader));
        changed.unwrap_err();
        log_in(&accounts, "li", &set.unwrap()).await.unwrap();
    }
}
