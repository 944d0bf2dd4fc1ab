//! The secrets that nodes write down, as they come. A node that starts afresh has another file under the same path.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Most bytes that are taken from a file at once: the rest comes with the next look.
const READ_MAX: u64 = 1 << 20;

/// Files of secrets, and how far they were read.
#[derive(Debug)]
pub(super) struct KeyFiles(Vec<KeyFile>);

#[derive(Debug)]
struct KeyFile {
    path: PathBuf,
    /// Device, inode and what was read of it.
    read: Option<(u64, u64, u64)>,
}

impl KeyFiles {
    /// Nothing is read yet.
    pub(super) fn new(paths: Vec<PathBuf>) -> Self {
        KeyFiles(paths.into_iter().map(|path| KeyFile { path, read: None }).collect())
    }

    /// Whole lines that were added since the last call.
    pub(super) fn news(&mut self) -> Vec<u8> {
        // A file that is not there belongs to a node that has no link yet, or has gone.
        self.0.iter_mut().filter_map(|file| file.news().ok()).flatten().collect()
    }
}

impl KeyFile {
    fn news(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        let found = file.metadata()?;
        let read = self.read.filter(|(device, inode, _)| (*device, *inode) == (found.dev(), found.ino()));
        let from = read.map_or(0, |(_, _, read)| read);
        file.seek(SeekFrom::Start(from))?;
        let mut bytes = Vec::new();
        file.take(READ_MAX).read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        bytes.truncate(whole);
        self.read = Some((found.dev(), found.ino(), from + whole as u64));
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_lines_come_once_and_those_of_a_new_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.log");
        let mut files = KeyFiles::new(vec![path.clone(), folder.path().join("missing")]);
        let mut check = |content: &str, expected: &str| {
            std::fs::write(&path, content).unwrap();
            assert_eq!(String::from_utf8(files.news()).unwrap(), expected);
        };
        check("a 1\nb", "a 1\n");
        check("a 1\nb 2\n", "b 2\n");
        check("a 1\nb 2\n", "");
        // Another file under the same name, while the old one still exists.
        std::fs::rename(&path, folder.path().join("old")).unwrap();
        check("c 3\n", "c 3\n");
    }
}
