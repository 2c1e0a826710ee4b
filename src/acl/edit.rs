//! What tools change (50, 51, 53), and what nodes tell one another of it.
//!
//! Not what is answered. Only the file in the data directory is changed, and each change raises its counter; nodes take
//! the file with the greater one from one another. Invariants: a change is on the disk and counts when it is told as
//! done; nothing is written that could not be read again, or that lacks the node's own account; of two files under one
//! counter neither is overwritten: that is told until somebody makes one more change.

use std::collections::BTreeSet;
use std::sync::{MutexGuard, PoisonError};

use sha1::{Digest as _, Sha1};

use super::account::{Description, Rights, check_keys, split};
use super::file::{self, AclFile};
use super::files::Files;
use super::guard::{Acl, current};
use crate::model::DataVersion;
use crate::remoting::bodies::extension::AccountsOffer;

/// What follows from what a peer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The same is here, now at least.
    Same,
    /// More is here: it is to be told.
    Ahead,
    /// Less is here.
    Behind,
    /// Something else is here under the same counter.
    Different,
}

impl Acl {
    /// Makes an account, or changes what is given of one that is there, where the secret has to be given too. Blocks.
    ///
    /// # Errors
    /// Why not, in 4.9.4's words where it has some; nothing has changed then.
    pub fn update_account(&self, given: &Description) -> Result<(), String> {
        check_keys(given).map_err(|mistake| mistake.text)?;
        for list in [&given.topic_perms, &given.group_perms] {
            list.iter().flatten().try_for_each(|text| check_permission(text))?;
        }
        let mut files = self.files();
        let key = &given.access_key;
        refuse_operators(&files, key)?;
        let mut own = files.read_own()?;
        match own.accounts.iter_mut().find(|account| account.access_key == *key) {
            Some(account) => merge(account, given),
            None => own.accounts.push(given.clone()),
        }
        self.change(&mut files, own)
    }

    /// Deletes an account. Blocks.
    ///
    /// # Errors
    /// Why not: `None` if there is none.
    pub fn delete_account(&self, access_key: &str) -> Result<(), Option<String>> {
        let mut files = self.files();
        refuse_operators(&files, access_key)?;
        let mut own = files.read_own()?;
        let before = own.accounts.len();
        own.accounts.retain(|account| account.access_key != access_key);
        if own.accounts.len() == before {
            return Err(None);
        }
        Ok(self.change(&mut files, own)?)
    }

    /// Replaces the white list of the file that tools change; a path is taken only if it is that file's. Blocks.
    ///
    /// # Errors
    /// Why not.
    pub fn set_white_addresses(&self, addresses: Vec<String>, path: &str) -> Result<(), String> {
        let mut files = self.files();
        if !path.is_empty() && files.own_path().as_os_str() != path {
            let own = files.own_path().display();
            return Err(format!("tools change {own} only: leave the path out"));
        }
        let mut own = files.read_own()?;
        own.white_addresses = addresses;
        self.change(&mut files, own)
    }

    /// Each file's path and version, and the version of the one that tools change.
    #[must_use]
    pub fn versions(&self) -> (Vec<(String, DataVersion)>, DataVersion) {
        let files = self.files();
        let own = files.versions().find(|(path, _)| *path == files.own_path());
        let own = own.map(|(_, version)| version).unwrap_or_default();
        let all = files.versions().map(|(path, version)| (path.display().to_string(), version));
        (all.collect(), own)
    }

    /// All white lists, and all accounts that count.
    #[must_use]
    pub fn all(&self) -> (Vec<String>, Vec<Description>) {
        let (mut white, mut accounts, mut seen) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (_, file) in self.files().all() {
            white.extend(file.white_addresses.iter().cloned());
            let new = file.accounts.iter().filter(|one| seen.insert(one.access_key.clone()));
            accounts.extend(new.cloned());
        }
        (white, accounts)
    }

    /// What a peer is told: the version and digest of the file that tools change, with its text if it is wanted.
    #[must_use]
    pub fn offer(&self, with_text: bool) -> AccountsOffer {
        let files = self.files();
        let own = files.all().find(|(path, _)| *path == files.own_path());
        let own = own.map(|(_, file)| file.clone()).unwrap_or_default();
        AccountsOffer {
            counter: own.version.counter,
            digest: digest(&own),
            text: with_text.then(|| file::render(&own)),
        }
    }

    /// Takes what a peer has, if that is newer and whole, and says what that means. Blocks.
    ///
    /// # Errors
    /// It is newer and cannot be taken.
    pub fn meet(&self, peer: &str, theirs: &AccountsOffer) -> Result<Standing, String> {
        let mut files = self.files();
        let own = files.read_own()?;
        let standing = match theirs.counter.cmp(&own.version.counter) {
            std::cmp::Ordering::Less => Standing::Ahead,
            std::cmp::Ordering::Equal if theirs.digest == digest(&own) => Standing::Same,
            std::cmp::Ordering::Equal => Standing::Different,
            std::cmp::Ordering::Greater => match &theirs.text {
                None => Standing::Behind,
                Some(text) => {
                    let taken = file::parse(text).map_err(|error| error.to_string())?.file;
                    if taken.version.counter != theirs.counter {
                        return Err("its text has another counter".to_owned());
                    }
                    self.use_own(&mut files, &taken)?;
                    let counter = theirs.counter;
                    tracing::info!(peer, counter, "accounts taken over");
                    Standing::Same
                }
            },
        };
        drop(files);
        self.note(peer, standing);
        Ok(standing)
    }

    /// Peers that had other accounts under the same counter when they were met last.
    #[must_use]
    pub fn differs_from(&self) -> Vec<String> {
        let different = self.different.lock().unwrap_or_else(PoisonError::into_inner);
        different.iter().cloned().collect()
    }

    /// Tells of a peer's other accounts once when they are found and once when they are gone.
    fn note(&self, peer: &str, standing: Standing) {
        let mut different = self.different.lock().unwrap_or_else(PoisonError::into_inner);
        if standing == Standing::Different {
            if different.insert(peer.to_owned()) {
                tracing::error!(
                    peer,
                    "other accounts there than here under the same counter: two changes were made at once, or a file \
                     by hand. Neither is overwritten: make the right change once more with a tool, here or there"
                );
            }
        } else if different.remove(peer) {
            tracing::info!(peer, "the accounts there are no longer others than here");
        }
    }

    fn change(&self, files: &mut MutexGuard<'_, Files>, mut own: AclFile) -> Result<(), String> {
        own.version = own.version.next(self.clock.now_ms());
        self.use_own(files, &own)
    }

    /// Writes the file if it can be used, and uses it.
    fn use_own(&self, files: &mut MutexGuard<'_, Files>, own: &AclFile) -> Result<(), String> {
        let checked = file::parse(&file::render(own)).map_err(|error| error.text)?;
        current(files.accounts_with(&checked), &self.node_account)?;
        files.write_own(own)?;
        self.swap(files.accounts())
    }
}

/// What is given replaces what was there; of texts an empty one is not given, but for the address.
fn merge(account: &mut Description, given: &Description) {
    account.secret_key.clone_from(&given.secret_key);
    account.admin = given.admin;
    if given.white_remote_address.is_some() {
        account.white_remote_address.clone_from(&given.white_remote_address);
    }
    for (text, given) in [
        (&mut account.default_topic_perm, &given.default_topic_perm),
        (&mut account.default_group_perm, &given.default_group_perm),
    ] {
        if given.as_ref().is_some_and(|given| !given.is_empty()) {
            text.clone_from(given);
        }
    }
    for (list, given) in [
        (&mut account.topic_perms, &given.topic_perms),
        (&mut account.group_perms, &given.group_perms),
    ] {
        if given.is_some() {
            list.clone_from(given);
        }
    }
}

/// Accounts of the operator's files are not for tools to change.
fn refuse_operators(files: &Files, access_key: &str) -> Result<(), String> {
    let mut others = files.all().filter(|(path, _)| *path != files.own_path());
    let has = |file: &AclFile| file.accounts.iter().any(|one| one.access_key == access_key);
    match others.find(|(_, file)| has(file)) {
        None => Ok(()),
        Some((path, _)) => {
            let path = path.display();
            Err(format!(
                "accessKey {access_key} is in {path}, which no tool changes: edit that file"
            ))
        }
    }
}

/// Whether a text is a permission of a list, as `T=PUB|SUB`.
///
/// # Errors
/// It is none, in 4.9.4's words.
pub fn check_permission(text: &str) -> Result<(), String> {
    let Some((_, permission)) = split(text) else {
        return Err(format!(
            "Parse Resource format error for {text}.\nThe expected resource format is 'Res=Perm'. For example: topicA=SUB"
        ));
    };
    if Rights::parse(permission).is_none() {
        return Err(format!(
            "Parse resource permission error for {text}.\nThe expected permissions are 'SUB' or 'PUB' or 'SUB|PUB' or \
             'PUB|SUB'."
        ));
    }
    Ok(())
}

fn digest(file: &AclFile) -> String {
    let digest = Sha1::digest(file::render_content(file));
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::Arc;

    use tokio_util::sync::CancellationToken;

    use super::*;
    use crate::acl::AclOptions;
    use crate::acl::account::Secret;
    use crate::clock::Clock;
    use crate::metrics::Metrics;

    struct Node {
        acl: Arc<Acl>,
        file: PathBuf,
        metrics: Arc<Metrics>,
        _dir: tempfile::TempDir,
    }

    /// A node whose own account is in the operator's file.
    fn node() -> Node {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("etc");
        std::fs::create_dir(&folder).unwrap();
        let text = "accounts: [{accessKey: node-account, secretKey: node-secret, admin: true}]\n";
        std::fs::write(folder.join("nodes.yml"), text).unwrap();
        let file = dir.path().join("data/acl/plain_acl.yml");
        let options =
            AclOptions { folder, file: file.clone(), node_account: "node-account".into() };
        let metrics = Arc::default();
        let acl = Acl::open(&options, &Clock::system(), &metrics).unwrap();
        Node { acl, file, metrics, _dir: dir }
    }

    fn account(key: &str) -> Description {
        Description {
            access_key: key.into(),
            secret_key: Secret("a secret".into()),
            topic_perms: Some(vec!["T=PUB".into()]),
            ..Description::default()
        }
    }

    fn of(node: &Node, key: &str) -> Option<Description> {
        node.acl.all().1.into_iter().find(|account| account.access_key == key)
    }

    #[test]
    fn accounts_are_made_changed_and_deleted_with_a_counter_a007() {
        let node = node();
        node.acl.update_account(&account("application")).unwrap();
        assert_eq!(of(&node, "application"), Some(account("application")));
        let change = Description {
            admin: true,
            default_topic_perm: Some("SUB".into()),
            default_group_perm: Some(String::new()),
            white_remote_address: Some("10.1.2.3".into()),
            topic_perms: None,
            ..account("application")
        };
        node.acl.update_account(&change).unwrap();
        let expected = Description {
            topic_perms: Some(vec!["T=PUB".into()]),
            default_group_perm: None,
            ..change.clone()
        };
        assert_eq!(of(&node, "application"), Some(expected.clone()));
        node.acl.set_white_addresses(vec!["10.1.1.*".into()], "").unwrap();
        let read = file::parse(&std::fs::read_to_string(&node.file).unwrap()).unwrap().file;
        assert_eq!((read.accounts, read.version.counter), (vec![expected], 3));
        assert_eq!(node.acl.all().0, ["10.1.1.*"]);
        node.acl.delete_account("application").unwrap();
        assert_eq!((of(&node, "application"), node.acl.versions().1.counter), (None, 4));
        assert_eq!(node.acl.delete_account("application"), Err(None));
        let own = node.file.display().to_string();
        assert_eq!(node.acl.set_white_addresses(Vec::new(), &own), Ok(()));
        assert_eq!(node.acl.versions().0.len(), 2);
    }

    #[test]
    fn what_cannot_be_used_is_not_written() {
        let node = node();
        let refused = |account: Description| node.acl.update_account(&account).unwrap_err();
        let short = Description { secret_key: Secret("short".into()), ..account("application") };
        assert!(refused(short).starts_with("The accessKey=application and secretKey=*** cannot"));
        let bare = Description { secret_key: Secret(String::new()), ..account("application") };
        let without = "The accessKey=application and secretKey=null cannot be null and length should longer than 6";
        assert_eq!(refused(bare), without);
        let both = Description { topic_perms: Some(vec!["T=pub".into()]), ..account("short6") };
        assert!(refused(both).starts_with("The accessKey=short6 and"), "keys come first");
        let of_topics = |text: &str| {
            let topic_perms = Some(vec![text.to_owned()]);
            refused(Description { topic_perms, ..account("application") })
        };
        assert!(of_topics("T").starts_with("Parse Resource format error for T."));
        assert!(of_topics("T=pub").starts_with("Parse resource permission error for T=pub."));
        let white_remote_address = Some("here".into());
        assert!(
            refused(Description { white_remote_address, ..account("application") })
                .contains("here")
        );
        assert!(refused(account("node-account")).contains("nodes.yml, which no tool changes"));
        assert!(node.acl.delete_account("node-account").unwrap_err().is_some());
        assert!(node.acl.set_white_addresses(vec!["x".into()], "").is_err());
        assert!(node.acl.set_white_addresses(Vec::new(), "/etc/passwd").is_err());
        assert!(!node.file.exists());
        std::fs::create_dir_all(node.file.parent().unwrap()).unwrap();
        std::fs::write(&node.file, "accounts: [\n").unwrap();
        assert!(refused(account("application")).contains("plain_acl.yml:"), "written by hand");
        assert_eq!(std::fs::read_to_string(&node.file).unwrap(), "accounts: [\n");
    }

    /// One asks the other, as a slave asks its master.
    fn exchange(slave: &Node, master: &Node) -> Standing {
        let asked = slave.acl.offer(false);
        let standing = master.acl.meet("slave", &asked).unwrap();
        let answer = master.acl.offer(standing == Standing::Ahead);
        let standing = slave.acl.meet("master", &answer).unwrap();
        if standing == Standing::Ahead {
            let told = slave.acl.offer(true);
            assert_eq!(master.acl.meet("slave", &told).unwrap(), Standing::Same);
        }
        standing
    }

    #[test]
    fn the_greater_counter_is_taken_in_both_directions() {
        let (slave, master) = (node(), node());
        assert_eq!(exchange(&slave, &master), Standing::Same);
        master.acl.update_account(&account("of-master")).unwrap();
        assert_eq!(exchange(&slave, &master), Standing::Same);
        assert!(of(&slave, "of-master").is_some());
        assert_eq!(slave.acl.versions().1, master.acl.versions().1);
        slave.acl.update_account(&account("of-slave")).unwrap();
        assert_eq!(exchange(&slave, &master), Standing::Ahead);
        assert!(of(&master, "of-slave").is_some());
        assert_eq!(slave.acl.versions().1, master.acl.versions().1);
        // The same change made on both nodes is no difference.
        for node in [&slave, &master] {
            node.acl.delete_account("of-slave").unwrap();
        }
        assert_eq!(exchange(&slave, &master), Standing::Same);
    }

    #[tokio::test]
    async fn two_changes_under_one_counter_overwrite_nothing_and_are_seen() {
        let (slave, master) = (node(), node());
        master.acl.start(&tokio::runtime::Handle::current(), &CancellationToken::new());
        master.acl.update_account(&account("of-master")).unwrap();
        slave.acl.update_account(&account("of-slave")).unwrap();
        assert_eq!(exchange(&slave, &master), Standing::Different);
        assert!(of(&slave, "of-master").is_none() && of(&master, "of-slave").is_none());
        assert_eq!(slave.acl.differs_from(), ["master"]);
        assert_eq!(master.acl.differs_from(), ["slave"]);
        assert!(master.metrics.encode().contains("rmq_acl_drift 1\n"));
        master.acl.update_account(&account("of-master")).unwrap();
        assert_eq!(exchange(&slave, &master), Standing::Same);
        assert!(of(&slave, "of-master").is_some() && of(&slave, "of-slave").is_none());
        assert_eq!(exchange(&slave, &master), Standing::Same);
        assert!(slave.acl.differs_from().is_empty() && master.acl.differs_from().is_empty());
        assert!(master.metrics.encode().contains("rmq_acl_drift 0\n"));
    }

    #[test]
    fn what_a_peer_offers_is_checked() {
        let node = node();
        let offer = |text: &str| AccountsOffer {
            counter: 9,
            digest: String::new(),
            text: Some(text.to_owned()),
        };
        assert!(node.acl.meet("peer", &offer("accounts: [")).is_err());
        assert!(node.acl.meet("peer", &offer("accounts: []\n")).is_err(), "another counter");
        let bare = AccountsOffer { text: None, ..offer("") };
        assert_eq!(node.acl.meet("peer", &bare), Ok(Standing::Behind));
        assert!(!node.file.exists());
    }
}
