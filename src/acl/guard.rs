//! The accounts of a running node: whom it lets in, and as whom it signs its own calls.
//!
//! Not which requests need what (`needs`), nor how files are read (`files`). Invariants: accounts are swapped as a
//! whole, and only for some that have the node's own account; a refusal is counted each time and told once a source and
//! hour, so that a flood of them fills no log.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::EXCEPTION;
use super::account::Account;
use super::accounts::{Accounts, Caller, Denied};
use super::files::Files;
use super::needs::{Need, Needed, resources};
use super::signature::Key;
use super::told::Told;
use crate::clock::Clock;
use crate::metrics::{Gauge, Metrics};
use crate::model::shown;
use crate::remoting::{Command, request, response};
use crate::task::{self, Kind};

/// How often the files are looked at; 4.9.4 does every 5 s.
const LOOK_PERIOD: Duration = Duration::from_secs(1);

/// Where the accounts are.
#[derive(Clone, Debug)]
pub struct AclOptions {
    /// The folder of the operator's files.
    pub folder: PathBuf,
    /// The file that tools change.
    pub file: PathBuf,
    /// The access key of the account that the node signs its own calls with.
    pub node_account: String,
}

/// The accounts of a node.
#[derive(Debug)]
pub struct Acl {
    pub(super) clock: Clock,
    metrics: Arc<Metrics>,
    pub(super) node_account: String,
    files: Mutex<Files>,
    current: ArcSwap<Current>,
    told: Told,
    /// Peers that have other accounts under the same counter.
    pub(super) different: Mutex<BTreeSet<String>>,
}

/// What counts now.
#[derive(Debug)]
pub(super) struct Current {
    accounts: Accounts,
    node: Arc<Account>,
}

impl Acl {
    /// Reads the files. Blocks.
    ///
    /// # Errors
    /// A file cannot be used, or the node's own account is not there: one line each, with what to do.
    pub fn open(
        options: &AclOptions,
        clock: &Clock,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, String> {
        let files = Files::open(&options.folder, &options.file)?;
        let current = current(files.accounts(), &options.node_account)?;
        Ok(Arc::new(Self {
            clock: clock.clone(),
            metrics: Arc::clone(metrics),
            node_account: options.node_account.clone(),
            files: Mutex::new(files),
            current: ArcSwap::from_pointee(current),
            told: Told::new(clock.clone()),
            different: Mutex::default(),
        }))
    }

    /// What signs the calls of a process beside the node, on its host: the account that the node has. Blocks.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn node_key(options: &AclOptions) -> Result<Key, String> {
        let files = Files::open(&options.folder, &options.file)?;
        Ok(current(files.accounts(), &options.node_account)?.node.key.clone())
    }

    /// Looks at the files until `stop`.
    pub fn start(self: &Arc<Self>, handle: &Handle, stop: &CancellationToken) {
        let acl = Arc::downgrade(self);
        let broken = move || acl.upgrade().map_or(0, |acl| acl.files().problems().len());
        self.metrics.gauge(Gauge::BrokenAccountFiles, broken);
        let acl = Arc::downgrade(self);
        let different = move || {
            let different =
                |acl: Arc<Self>| acl.different.lock().unwrap_or_else(PoisonError::into_inner).len();
            acl.upgrade().map_or(0, different)
        };
        self.metrics.gauge(Gauge::DifferentAccounts, different);
        let (acl, stop) = (Arc::clone(self), stop.clone());
        let _entered = handle.enter();
        task::spawn(Kind::StopNode(stop.clone()), "account files", async move {
            let mut period = tokio::time::interval(LOOK_PERIOD);
            loop {
                tokio::select! {
                    _ = period.tick() => {}
                    () = stop.cancelled() => return,
                }
                let acl = Arc::clone(&acl);
                let looking = task::spawn_blocking("account files", move || acl.look());
                // It fails only if it panics, which is reported.
                let _ = looking.await;
            }
        });
    }

    /// Reads what was changed. Blocks.
    pub(super) fn look(&self) {
        let mut files = self.files();
        if !files.look() {
            return;
        }
        for problem in files.problems() {
            tracing::error!("{problem}; the accounts of this file stay as they were");
        }
        match self.swap(files.accounts()) {
            Ok(()) => tracing::info!(files = files.all().count(), "the accounts were read again"),
            Err(why) => tracing::error!("{why}; all accounts stay as they were"),
        }
    }

    /// Lets other accounts count.
    ///
    /// # Errors
    /// The node's own account is not among them; then nothing changes.
    pub(super) fn swap(&self, accounts: Accounts) -> Result<(), String> {
        self.current.store(Arc::new(current(accounts, &self.node_account)?));
        Ok(())
    }

    pub(super) fn files(&self) -> MutexGuard<'_, Files> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Signs a call of the node's own.
    pub fn sign(&self, request: &mut Command) {
        let current = self.current.load();
        current.node.key.sign(&self.node_account, request);
    }

    /// Who a request comes from, if it is let in at all.
    ///
    /// # Errors
    /// [`Denied::Login`].
    fn caller(&self, request: &Command, from: IpAddr) -> Result<Caller, Denied> {
        self.current.load().accounts.caller(request, from)
    }

    /// Whether an admin signed the request, wherever it comes from.
    pub fn is_signed_by_admin(&self, request: &Command) -> bool {
        self.current.load().accounts.is_signed_by_admin(request)
    }

    /// Who a request comes from, if it may be done as far as it tells itself; nobody is asked for where it needs nothing.
    ///
    /// # Errors
    /// [`Denied`]; a body that cannot be read is a refused permission, whose sentence says so.
    pub fn admit(
        &self,
        request: &Command,
        need: Need,
        from: IpAddr,
    ) -> Result<Option<Caller>, Denied> {
        let needed = match need {
            Need::Nothing => return Ok(None),
            Need::Account => Needed::Account,
            Need::Admin => Needed::Admin,
            Need::PartsOrAll(_, field)
                if request.field(field).is_none_or(|value| value.trim().is_empty()) =>
            {
                Needed::Admin
            }
            Need::Parts(parts) | Need::PartsOrAll(parts, _) | Need::TopicAt(parts, ..) => {
                let caller = self.caller(request, from)?;
                let resources = resources(parts, request);
                let resources = resources.map_err(|error| Denied::Permission(error.to_string()))?;
                caller.may(request.code, &Needed::Resources(resources))?;
                return Ok(Some(caller));
            }
        };
        let caller = self.caller(request, from)?;
        caller.may(request.code, &needed)?;
        Ok(Some(caller))
    }

    /// Counts and tells a refusal, and makes the answer of it.
    pub fn refusal(&self, denied: &Denied, request: &Command, from: IpAddr) -> Command {
        match denied {
            Denied::Login(_) => self.metrics.logins_refused.inc(),
            Denied::Permission(_) => self.metrics.permissions_refused.inc(),
        };
        if let Some(before) = self.told.is_news(from) {
            let (name, code) = (request::name(request.code), request.code);
            let remark = shown(&denied.to_string());
            tracing::warn!(%from, request = name, code, remark, before, "refused; what follows from there is only counted");
        }
        Command::response(response::SYSTEM_ERROR).with_remark(format!("{EXCEPTION}{denied}"))
    }
}

/// Accounts that may count.
///
/// # Errors
/// The node's own account is not among them, or may not everything.
pub(super) fn current(accounts: Accounts, node_account: &str) -> Result<Current, String> {
    match accounts.get(node_account).cloned() {
        Some(node) if node.is_unlimited() => Ok(Current { accounts, node }),
        Some(_) => Err(format!(
            "the node's own account {node_account} must be `admin: true`, without topicPerms and groupPerms"
        )),
        None => Err(format!(
            "the node's own account {node_account} is in no account file: add it with `admin: true`, or name \
             another as acl.node_account"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acl::needs;

    const FILE: &str = "\
accounts:
- {accessKey: node-account, secretKey: node-secret, admin: true}
- {accessKey: ordinary, secretKey: secret-1, topicPerms: [T=PUB]}
";

    struct World {
        acl: Arc<Acl>,
        metrics: Arc<Metrics>,
        clock: Clock,
        file: PathBuf,
        _dir: tempfile::TempDir,
    }

    fn open(text: &str, clock: &Clock) -> Result<World, String> {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("etc/plain_acl.yml");
        std::fs::create_dir(dir.path().join("etc")).unwrap();
        std::fs::write(&file, text).unwrap();
        let options = AclOptions {
            folder: dir.path().join("etc"),
            file: dir.path().join("data/plain_acl.yml"),
            node_account: "node-account".into(),
        };
        let metrics = Arc::new(Metrics::default());
        let acl = Acl::open(&options, clock, &metrics)?;
        Ok(World { acl, metrics, clock: clock.clone(), file, _dir: dir })
    }

    fn world() -> World {
        open(FILE, &Clock::system()).unwrap()
    }

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    impl World {
        fn admit(&self, request: &Command) -> Result<(), Denied> {
            let need = needs::at_broker(request.code);
            self.acl.admit(request, need, from("10.1.1.1")).map(|_| ())
        }
    }

    #[test]
    fn the_node_needs_an_account_that_may_everything() {
        let refused = |text: &str| open(text, &Clock::system()).err().unwrap();
        assert!(refused("").contains("is in no account file"), "{}", refused(""));
        let must = "must be `admin: true`, without topicPerms and groupPerms";
        assert!(refused(&FILE.replace("admin: true", "admin: false")).ends_with(must));
        assert!(refused(&FILE.replace("true}", "true, groupPerms: [G=SUB]}")).ends_with(must));
    }

    #[test]
    fn what_the_node_signs_is_let_in() {
        let world = world();
        let mut request = Command::request(9001).with_body("{}");
        let unsigned = world.admit(&request).unwrap_err();
        assert_eq!(unsigned, Denied::Login("No accessKey is configured".into()));
        world.acl.sign(&mut request);
        assert_eq!(world.admit(&request), Ok(()));
    }

    #[test]
    fn a_reload_without_the_nodes_account_changes_nothing() {
        let world = world();
        let mut request = Command::request(17);
        world.acl.sign(&mut request);
        std::fs::write(&world.file, "accounts: []\n").unwrap();
        world.acl.look();
        world.acl.look();
        assert_eq!(world.admit(&request), Ok(()));
        std::fs::write(&world.file, FILE.replace("node-secret", "other-secret")).unwrap();
        world.acl.look();
        world.acl.look();
        assert!(world.admit(&request).is_err());
        world.acl.sign(&mut request);
        assert_eq!(world.admit(&request), Ok(()));
    }

    #[test]
    fn a_body_that_cannot_be_read_is_refused_after_the_login() {
        let world = world();
        let mut request = Command::request(34).with_body("[");
        assert!(matches!(world.admit(&request), Err(Denied::Login(_))));
        world.acl.sign(&mut request);
        assert!(matches!(world.admit(&request), Err(Denied::Permission(_))));
    }

    #[test]
    fn refusals_are_counted_and_told_once_a_source_and_hour() {
        let clock = Clock::system();
        let world = open(FILE, &clock).unwrap();
        let request = Command::request(10);
        let denied = Denied::Login("No accessKey is configured".into());
        let answer = world.acl.refusal(&denied, &request, from("10.1.1.1"));
        let remark = "org.apache.rocketmq.acl.common.AclException: No accessKey is configured";
        assert_eq!((answer.code, answer.remark.as_deref()), (1, Some(remark)));
        let denied = Denied::Permission("No default permission for topic:T".into());
        world.acl.refusal(&denied, &request, from("10.1.1.1"));
        let text = world.metrics.encode();
        assert!(text.contains("rmq_acl_logins_refused_total 1\n"), "{text}");
        assert!(text.contains("rmq_acl_permissions_refused_total 1\n"), "{text}");
        assert_eq!(world.acl.told.is_news(from("10.1.1.1")), None);
        world.clock.advance(Duration::from_secs(3600));
        assert_eq!(world.acl.told.is_news(from("10.1.1.1")), Some(2));
    }
}
