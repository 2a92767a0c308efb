//! The files of the repository, read once for all checks.

use std::fs;
use std::path::Path;

use base::{Error, Result};

/// Every file of the repository that is not ignored, in order of path.
pub struct Tree {
    pub files: Vec<Entry>,
}

/// One file.
pub struct Entry {
    /// From the root, with `/` between folders.
    pub path: String,
    pub bytes: u64,
    /// Empty for files that are not text, and for those too large to be read.
    pub text: String,
}

/// Files above this have no place in a repository, unless they are listed.
pub const BLOB_MAX: u64 = 1 << 20;

impl Tree {
    /// Reads everything below `root` but what `.gitignore` leaves out.
    pub fn read(root: &Path) -> Result<Self> {
        let ignored = fs::read_to_string(root.join(".gitignore")).unwrap_or_default();
        let mut tree = Self { files: Vec::new() };
        tree.walk(root, "", &ignored.lines().collect::<Vec<_>>())?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(tree)
    }

    fn walk(&mut self, folder: &Path, prefix: &str, ignored: &[&str]) -> Result<()> {
        let failed = |error: std::io::Error| Error::io(folder.display(), &error);
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            if name == ".git" || ignored.iter().any(|rule| is_ignored(&path, rule)) {
                continue;
            }
            let found = entry.metadata().map_err(failed)?;
            if found.is_dir() {
                self.walk(&entry.path(), &format!("{path}/"), ignored)?;
            } else if found.is_file() {
                let bytes = found.len();
                let content =
                    if bytes > BLOB_MAX { Vec::new() } else { fs::read(entry.path()).map_err(failed)? };
                self.files.push(Entry { path, bytes, text: String::from_utf8(content).unwrap_or_default() });
            }
        }
        Ok(())
    }

    /// The text of one file.
    pub fn text(&self, path: &str) -> Option<&str> {
        let place = self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok()?;
        Some(&self.files[place].text)
    }

    /// Files whose path ends so.
    pub fn ending(&self, ending: &str) -> impl Iterator<Item = &Entry> {
        self.files.iter().filter(move |file| file.path.ends_with(ending))
    }

    /// Whether there is a file or a folder of this path.
    pub fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        path.is_empty()
            || self.text(path).is_some()
            || self.files.iter().any(|file| file.path.starts_with(&folder))
    }
}

/// The two kinds of rules `.gitignore` has here: a path from the root, and a name anywhere.
fn is_ignored(path: &str, rule: &str) -> bool {
    let rule = rule.trim().trim_end_matches('/');
    match rule.strip_prefix('/') {
        _ if rule.is_empty() || rule.starts_with('#') => false,
        Some(anchored) => path == anchored,
        None => path.rsplit('/').next() == Some(rule),
    }
}

#[cfg(test)]
impl Tree {
    /// A made-up repository.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let entry = |(path, text): &(&str, &str)| Entry {
            path: (*path).to_owned(),
            bytes: text.len() as u64,
            text: (*text).to_owned(),
        };
        let mut files: Vec<Entry> = files.iter().map(entry).collect();
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }
}
