//! The account files of a node: read together, looked at again, and one of them written.
//!
//! The operator's files lie in a folder of `/etc` and are only read; the one that tools change is in the data directory.
//! Not what accounts may do. Invariants: a file that cannot be used any more stays as it was last, and says why; what is
//! written is there as a whole or not at all, and readable by nobody else.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use super::accounts::Accounts;
use super::file::{self, AclFile, Checked};
use crate::model::DataVersion;

/// Folders within one another that are looked through.
const FOLDERS_MAX: usize = 8;
/// A file with more is refused: that is some ten thousand accounts.
const FILE_BYTES_MAX: u64 = 8 << 20;
/// Nobody but us needs to read secrets.
const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o750;
/// The bit that lets everybody read.
const MODE_OF_OTHERS: u32 = 0o004;

/// What tells that a file was changed (A-006 looks at the time alone).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    modified: (i64, i64),
    bytes: u64,
    inode: u64,
}

/// A file as it was read.
#[derive(Clone, Debug)]
struct Loaded {
    path: PathBuf,
    /// What it said when it was right last.
    checked: Checked,
    /// Why that is no longer what it says.
    problem: Option<String>,
}

/// All account files.
#[derive(Debug)]
pub struct Files {
    folder: PathBuf,
    own: PathBuf,
    loaded: Vec<Loaded>,
    /// The files as they were when they were read.
    used: Vec<Stamp>,
    /// The files as they were found last: only what stays as it is for a moment is read, not what is being written.
    seen: Vec<Stamp>,
}

impl Files {
    /// Reads all files: those of the operator, in the order of their names, then the one that tools change. Blocks.
    ///
    /// # Errors
    /// Each file that cannot be used, one a line.
    pub fn open(folder: &Path, own: &Path) -> Result<Self, String> {
        let mut files = Self {
            folder: folder.to_owned(),
            own: own.to_owned(),
            loaded: Vec::new(),
            used: Vec::new(),
            seen: Vec::new(),
        };
        files.read_all();
        let problems = files.problems();
        if problems.is_empty() { Ok(files) } else { Err(problems.join("\n")) }
    }

    /// Reads all files again if one is new, gone or changed, and does not change this very moment. Blocks. Returns
    /// whether it did.
    pub fn look(&mut self) -> bool {
        let now = self.stamps();
        let is_settled = now == self.seen;
        self.seen = now;
        let is_changed = self.seen != self.used;
        if is_settled && is_changed {
            self.read_all();
        }
        is_settled && is_changed
    }

    /// Why files are not used as they are now, one each.
    #[must_use]
    pub fn problems(&self) -> Vec<String> {
        self.loaded.iter().filter_map(|loaded| loaded.problem.clone()).collect()
    }

    /// What all files say together.
    #[must_use]
    pub fn accounts(&self) -> Accounts {
        let mut accounts = Accounts::default();
        for Loaded { checked, .. } in &self.loaded {
            accounts.add(&checked.white, &checked.accounts);
        }
        accounts
    }

    /// The same if the file that tools change said something else.
    #[must_use]
    pub fn accounts_with(&self, own: &Checked) -> Accounts {
        let mut accounts = Accounts::default();
        for Loaded { checked, .. } in self.loaded.iter().filter(|one| one.path != self.own) {
            accounts.add(&checked.white, &checked.accounts);
        }
        accounts.add(&own.white, &own.accounts);
        accounts
    }

    /// Each file with what it says.
    pub fn all(&self) -> impl Iterator<Item = (&Path, &AclFile)> {
        self.loaded.iter().map(|loaded| (loaded.path.as_path(), &loaded.checked.file))
    }

    /// The path of the file that tools change.
    #[must_use]
    pub fn own_path(&self) -> &Path {
        &self.own
    }

    /// What the file that tools change says now, read anew; nothing if it is not there. Blocks.
    ///
    /// # Errors
    /// It cannot be used.
    pub fn read_own(&self) -> Result<AclFile, String> {
        if !self.own.exists() {
            return Ok(AclFile::default());
        }
        read(&self.own).map(|checked| checked.file)
    }

    /// Writes the file that tools change, and uses it. Blocks.
    ///
    /// # Errors
    /// The disk refuses it; then it is as it was.
    pub fn write_own(&mut self, file: &AclFile) -> Result<(), String> {
        let refuse = |error: io::Error| format!("{}: {error}", self.own.display());
        write(&self.own, &file::render(file)).map_err(refuse)?;
        self.read_all();
        Ok(())
    }

    /// The version of each file, by its path.
    pub fn versions(&self) -> impl Iterator<Item = (&Path, DataVersion)> {
        self.all().map(|(path, file)| (path, file.version))
    }

    fn read_all(&mut self) {
        let stamps = self.stamps();
        let mut loaded = Vec::new();
        for Stamp { path, .. } in &stamps {
            let before = self.loaded.iter().find(|one| one.path == *path);
            loaded.push(match read(path) {
                Ok(checked) => {
                    tell_warnings(path, &checked, before);
                    Loaded { path: path.clone(), checked, problem: None }
                }
                Err(problem) => Loaded {
                    path: path.clone(),
                    checked: before.map(|before| before.checked.clone()).unwrap_or_default(),
                    problem: Some(problem),
                },
            });
        }
        self.loaded = loaded;
        self.used.clone_from(&stamps);
        self.seen = stamps;
    }

    fn stamps(&self) -> Vec<Stamp> {
        let mut paths = Vec::new();
        list(&self.folder, 0, &mut paths);
        paths.sort();
        paths.retain(|path| *path != self.own);
        paths.push(self.own.clone());
        // A file that is not there has no stamp; one that cannot be read says so when it is read.
        paths.into_iter().filter_map(stamp).collect()
    }
}

fn stamp(path: PathBuf) -> Option<Stamp> {
    let found = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
    let modified = (found.mtime(), found.mtime_nsec());
    Some(Stamp { modified, bytes: found.len(), inode: found.ino(), path })
}

/// The account files below a folder; one that is not there has none.
fn list(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth < FOLDERS_MAX {
                list(&path, depth + 1, found);
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yml" || extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// Reads and checks one file.
///
/// # Errors
/// Where and why it cannot be used: `file:line: ...`.
pub fn read(path: &Path) -> Result<Checked, String> {
    let name = path.display();
    let text = read_text(path).map_err(|error| format!("{name}: {error}"))?;
    file::parse(&text).map_err(|error| format!("{name}:{}: {}", error.line, error.text))
}

fn read_text(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if u64::try_from(text.len()).is_ok_and(|bytes| bytes > FILE_BYTES_MAX) {
        return Err(io::Error::other(format!("it has more than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// Tells what is doubtful in a file, once each time it changes.
fn tell_warnings(path: &Path, checked: &Checked, before: Option<&Loaded>) {
    if before.is_some_and(|before| before.checked.file == checked.file) {
        return;
    }
    for warning in &checked.warnings {
        tracing::warn!("{}:{}: {}", path.display(), warning.line, warning.text);
    }
    let is_open = fs::metadata(path).is_ok_and(|found| found.mode() & MODE_OF_OTHERS != 0);
    if is_open && !checked.accounts.is_empty() {
        tracing::warn!("{} can be read by everybody: chmod o-r {0}", path.display());
    }
}

/// Writes a file as a whole or not at all, and makes its folder if need be. Blocks.
///
/// # Errors
/// The disk refuses it.
pub fn write(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(DIR_MODE).create(folder)?;
    let new = path.with_extension("yml.tmp");
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(true).mode(FILE_MODE);
    let mut written = options.open(&new)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&new, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    struct Folder {
        dir: tempfile::TempDir,
    }

    impl Folder {
        fn new() -> Self {
            Self { dir: tempfile::tempdir().unwrap() }
        }

        fn write(&self, name: &str, text: &str) {
            let path = self.dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn open(&self) -> Result<Files, String> {
            let path = self.dir.path();
            Files::open(&path.join("etc"), &path.join("data/acl/plain_acl.yml"))
        }
    }

    fn account(key: &str) -> String {
        format!("accounts:\n- {{accessKey: {key}, secretKey: secret-{key}}}\n")
    }

    fn names(files: &Files) -> Vec<String> {
        let all = files.all().flat_map(|(_, file)| file.accounts.iter());
        all.map(|account| account.access_key.clone()).collect()
    }

    #[test]
    fn files_are_read_in_the_order_of_their_names_and_ours_last_a002() {
        let folder = Folder::new();
        assert_eq!(folder.open().unwrap().all().count(), 0, "nothing is there");
        folder.write("etc/b.yml", &account("account-b"));
        folder.write("etc/a.yaml", &account("account-a"));
        folder.write("etc/more/c.yml", &account("account-c"));
        folder.write("etc/not-this.txt", "- not accounts");
        folder.write("data/acl/plain_acl.yml", &account("account-0"));
        let files = folder.open().unwrap();
        assert_eq!(names(&files), ["account-a", "account-b", "account-c", "account-0"]);
        assert_eq!(files.read_own().unwrap().accounts.len(), 1);
    }

    #[test]
    fn every_broken_file_is_told_at_the_start_with_its_line() {
        let folder = Folder::new();
        folder.write("etc/a.yml", "accounts:\n- accessKey: short\n");
        folder.write("etc/b.yml", "accounts: [");
        fs::write(folder.dir.path().join("etc/c.yml"), [0xff, 0xfe, 0xff]).unwrap();
        let told = folder.open().unwrap_err();
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines.len(), 3, "{told}");
        assert!(lines[0].contains("etc/a.yml:2: The accessKey=short"), "{told}");
        assert!(lines[1].contains("etc/b.yml:2: "), "{told}");
        assert!(lines[2].contains("etc/c.yml: stream did not contain valid UTF-8"), "{told}");
    }

    #[test]
    fn changes_count_when_they_have_settled_and_broken_files_stay_as_they_were_a006() {
        let folder = Folder::new();
        folder.write("etc/a.yml", &account("account-a"));
        let mut files = folder.open().unwrap();
        assert!(!files.look());
        folder.write("etc/b.yml", &account("account-b"));
        assert!(!files.look(), "it may still be written");
        assert!(files.look());
        assert_eq!(names(&files), ["account-a", "account-b"]);
        assert!(!files.look());
        folder.write("etc/a.yml", "accounts: [\n\n");
        assert!(!files.look());
        assert!(files.look());
        assert_eq!(names(&files), ["account-a", "account-b"], "as it was last");
        assert_eq!(files.problems().len(), 1);
        folder.write("etc/a.yml", &account("account-d"));
        fs::remove_file(folder.dir.path().join("etc/b.yml")).unwrap();
        assert!(!files.look());
        assert!(files.look());
        assert_eq!((names(&files), files.problems()), (vec!["account-d".into()], vec![]));
    }

    #[test]
    fn what_is_written_counts_at_once_and_is_for_nobody_else() {
        let folder = Folder::new();
        folder.write("etc/a.yml", &account("account-a"));
        let mut files = folder.open().unwrap();
        let mut own = file::parse(&account("account-b")).unwrap().file;
        own.version = DataVersion { counter: 1, timestamp: 2 };
        files.write_own(&own).unwrap();
        assert_eq!(names(&files), ["account-a", "account-b"]);
        assert!(!files.look(), "it is known already");
        let mode = fs::metadata(files.own_path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let counters: Vec<_> = files.versions().map(|(_, version)| version.counter).collect();
        assert_eq!(counters, [0, 1]);
        assert_eq!(folder.open().unwrap().read_own().unwrap(), own);
    }
}
