//! Takes the store of a stopped 4.9.4 broker over into this node's data directory, while the node does not run.
//!
//! Not how its files are taken (`store::adopt`). Invariants: the group's folder is there whole or not at all; what is
//! half done lies in a folder of its own, and goes at the next try; nothing of another group is touched; the files belong
//! to whom the data directory belongs.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, lchown};
use std::path::{Path, PathBuf};

use super::data_dir::DataDir;
use super::{StartError, logging, options};
use crate::clock::Clock;
use crate::config::{self, Config, Level};
use crate::store::adopt::Adoption;
pub use crate::store::adopt::{Adopted, Progress};
use crate::store::java_store::JavaStore;
use crate::store::{OpenError, StartTopics, StoreOptions};

/// Where a store is made until it is whole; no group has such a name.
const UNFINISHED_FOLDER: &str = ".adopting";

/// What is to be adopted.
#[derive(Clone, Debug)]
pub struct Request {
    /// The broker's `storePathRootDir`.
    pub from: PathBuf,
    /// The group (4.x `brokerName`).
    pub group: String,
    /// Link nothing.
    pub copy: bool,
}

/// What stands ready to be adopted.
#[derive(Debug)]
pub struct Prepared<'a> {
    config: &'a Config,
    broker: &'a config::Broker,
    request: &'a Request,
    /// What was found.
    pub source: JavaStore,
}

impl From<OpenError> for StartError {
    fn from(OpenError(text): OpenError) -> Self {
        Self(text)
    }
}

impl<'a> Prepared<'a> {
    /// Looks whether the store can be adopted, and keeps its broker from starting; changes nothing.
    ///
    /// # Errors
    /// Why it cannot be adopted, and what to do.
    pub fn new(config: &'a Config, request: &'a Request) -> Result<Self, StartError> {
        let Some(broker) = config.brokers.iter().find(|broker| broker.group == request.group)
        else {
            let known: Vec<_> = config.brokers.iter().map(|one| one.group.as_str()).collect();
            let known = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
            return Err(StartError(format!(
                "the settings have no broker of \"{}\"; there is: {known}; `rmq-node config import` makes them of the \
                 old broker's property file",
                request.group
            )));
        };
        let source = JavaStore::open(&request.from)?;
        let configured = config.store.segment_bytes;
        if let Some(found) = source.segment_bytes.filter(|found| *found != configured) {
            return Err(StartError(format!(
                "{}: the log files have {found} bytes, and the settings say {configured}: write segment_bytes = {found} \
                 in [store]",
                request.from.display()
            )));
        }
        let prepared = Self { config, broker, request, source };
        let folder = prepared.folder(&config.data_dir);
        if fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(StartError(format!(
                "{0}: this group has a store already: if nothing in it is needed, `mv {0} {0}.old`",
                folder.display()
            )));
        }
        let beside = config.data_dir.ancestors().find(|path| path.exists());
        let beside = beside.unwrap_or(Path::new("."));
        prepared.adoption(&prepared.options(&config.data_dir), beside)?.check_room(beside)?;
        Ok(prepared)
    }

    /// The folder that the group gets in a data directory.
    fn folder(&self, data_dir: &Path) -> PathBuf {
        data_dir.join(&self.broker.group)
    }

    /// Where the group's store will be.
    #[must_use]
    pub fn target(&self) -> PathBuf {
        self.folder(&self.config.data_dir)
    }

    fn options(&self, parent: &Path) -> StoreOptions {
        let retention = options::retention(&self.config.store).into();
        options::store(self.config, self.broker, parent, &retention)
    }

    fn adoption<'b>(
        &'b self,
        options: &'b StoreOptions,
        data_dir: &Path,
    ) -> io::Result<Adoption<'b>> {
        let owner_uid = fs::metadata(data_dir)?.uid();
        Ok(Adoption { source: &self.source, options, owner_uid, copy: self.request.copy })
    }

    /// Makes the group's folder. Blocks until all is read; `tell` is told now and then how far it is.
    ///
    /// # Errors
    /// Why it could not be done; the group has no folder then.
    pub fn run(&self, tell: &dyn Fn(Progress<'_>)) -> Result<Adopted, StartError> {
        // 1. The data directory is ours, and of our format.
        let data_dir = DataDir::lock(&self.config.data_dir)?;
        let unfinished = data_dir.path().join(UNFINISHED_FOLDER);
        let done = self.run_locked(&data_dir, &unfinished, tell);
        // 2. Whether or not it went well, nothing half done stays, and nothing that the node could not write to.
        let tidied = match fs::remove_dir_all(&unfinished) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => give_to_owner(data_dir.path(), &self.folder(data_dir.path())),
        };
        let adopted = done?;
        tidied.map_err(|error| StartError(format!("{}: {error}", data_dir.path().display())))?;
        Ok(adopted)
    }

    fn run_locked(
        &self,
        data_dir: &DataDir,
        unfinished: &Path,
        tell: &dyn Fn(Progress<'_>),
    ) -> Result<Adopted, StartError> {
        data_dir.check_format(self.config.store.segment_bytes)?;
        let failed = |error: io::Error| StartError(format!("{}: {error}", unfinished.display()));
        if unfinished.exists() {
            fs::remove_dir_all(unfinished).map_err(failed)?;
        }
        data_dir.make_folder(&format!("{UNFINISHED_FOLDER}/{}", self.broker.group))?;
        let (options, clock) = (self.options(unfinished), Clock::system());
        logging::start(Level::Warn, &clock);
        let start_topics = StartTopics::new(&self.config.cluster, &self.broker.group);
        let adoption = self.adoption(&options, data_dir.path())?;
        let adopted = adoption.run(&start_topics, &clock, tell)?;
        // From here on it is there.
        let folder = self.folder(data_dir.path());
        fs::rename(&options.dir, &folder).map_err(failed)?;
        fs::File::open(data_dir.path()).and_then(|dir| dir.sync_all()).map_err(failed)?;
        Ok(adopted)
    }
}

/// Gives what root has made to whom the data directory belongs. A file that is shared with the source is theirs already.
fn give_to_owner(data_dir: &Path, group_folder: &Path) -> io::Result<()> {
    let owner = fs::metadata(data_dir)?;
    if !nix::unistd::geteuid().is_root() || owner.uid() == 0 {
        return Ok(());
    }
    let mut paths =
        vec![data_dir.join("LOCK"), data_dir.join("node.json"), group_folder.to_owned()];
    while let Some(path) = paths.pop() {
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        if found.is_dir() {
            for entry in fs::read_dir(&path)? {
                paths.push(entry?.path());
            }
        } else if found.nlink() > 1 {
            continue;
        }
        lchown(&path, Some(owner.uid()), Some(owner.gid()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load};

    /// A data directory's settings, and the empty store of a broker that had topics.
    struct World {
        dir: tempfile::TempDir,
        config: Config,
        request: Request,
    }

    impl World {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let data_dir = Some(dir.path().join("data").display().to_string());
            let config = load(&Sources { data_dir, ..Sources::default() }).unwrap().config;
            let from = dir.path().join("store");
            fs::create_dir_all(from.join("commitlog")).unwrap();
            fs::create_dir_all(from.join("config")).unwrap();
            let topics = r#"{"topicConfigTable":{"T":{"topicName":"T","readQueueNums":3}}}"#;
            fs::write(from.join("config/topics.json"), topics).unwrap();
            Self {
                dir,
                config,
                request: Request { from, group: "broker-a".to_owned(), copy: false },
            }
        }

        fn run(&self) -> Result<Adopted, String> {
            let prepared = Prepared::new(&self.config, &self.request);
            prepared.and_then(|prepared| prepared.run(&|_| {})).map_err(|error| error.to_string())
        }

        fn names(&self) -> Vec<String> {
            let found = fs::read_dir(self.dir.path().join("data")).unwrap();
            let mut names: Vec<_> =
                found.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        }
    }

    #[test]
    fn a_group_gets_a_store_once_and_what_a_former_try_left_goes() {
        let world = World::new();
        fs::create_dir_all(world.dir.path().join("data/.adopting/broker-a/commitlog")).unwrap();
        world.run().unwrap();
        assert_eq!(world.names(), ["LOCK", "broker-a", "node.json"]);
        let text = fs::read_to_string(world.dir.path().join("data/broker-a/export/topics.json"));
        assert!(text.unwrap().contains("\"readQueueNums\":3"));
        let refused = world.run().unwrap_err();
        assert!(refused.contains("broker-a: this group has a store already: "), "{refused}");
    }

    #[test]
    fn what_cannot_be_adopted_leaves_nothing() {
        let world = World::new();
        let refused = {
            let prepared = Prepared::new(&world.config, &world.request).unwrap();
            let _running = DataDir::lock(&world.config.data_dir).unwrap();
            prepared.run(&|_| {}).unwrap_err().to_string()
        };
        assert!(refused.contains("is in use by process"), "{refused}");
        let other = Request { group: "broker-b".to_owned(), ..world.request.clone() };
        let refused = Prepared::new(&world.config, &other).unwrap_err().to_string();
        assert!(
            refused
                .starts_with("the settings have no broker of \"broker-b\"; there is: broker-a; ")
        );
        let segment = world.request.from.join("commitlog").join("0".repeat(20));
        let message = crate::message::encode_blank(4096);
        fs::write(&segment, [&message[..], &[1; 4088]].concat()).unwrap();
        let refused = world.run().unwrap_err();
        assert!(refused.contains("does not begin with a message of 4.9"), "{refused}");
        assert_eq!(world.names(), ["LOCK"]);
    }

    #[test]
    fn what_root_makes_belongs_to_whom_the_data_directory_belongs() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let world = World::new();
        let data = world.dir.path().join("data");
        fs::create_dir(&data).unwrap();
        lchown(&data, Some(4242), Some(4243)).unwrap();
        world.run().unwrap();
        for path in ["LOCK", "node.json", "broker-a", "broker-a/commitlog", "broker-a/checkpoint"] {
            let found = fs::metadata(data.join(path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (4242, 4243), "{path}");
        }
    }
}
