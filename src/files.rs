//! Replacing a file as a whole.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

/// Writes all of a file or none of it, and on the disk: aside, fsynced, renamed. Blocks.
///
/// # Errors
/// The disk refuses it: what was there stays.
pub fn replace(path: &Path, content: impl AsRef<[u8]>) -> io::Result<()> {
    let aside = path.with_added_extension("tmp");
    let mut written = File::create(&aside)?;
    written.write_all(content.as_ref())?;
    written.sync_all()?;
    fs::rename(&aside, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topics.json");
        for text in ["old", "new"] {
            replace(&path, text).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        fs::create_dir(dir.path().join("topics.json.tmp")).unwrap();
        replace(&path, "newer").unwrap_err();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
    }
}
