//! What lies in a folder of objects.

use std::fs::ReadDir;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::well_formed;

/// The keys of all objects in a data folder, in no order; drafts are none. Each folder is read
/// as it is reached.
///
/// An error is a folder that can't be read, or a file that is no object.
#[derive(Debug)]
pub struct Keys {
    root: PathBuf,
    open: Vec<ReadDir>,
}

impl Keys {
    /// Those of the embedded store in `data_dir`; none if it has none.
    ///
    /// # Errors
    /// The folder can't be read.
    pub fn in_folder(data_dir: &Path) -> anyhow::Result<Self> {
        let root = data_dir.join("objects");
        let open = if root.exists() { vec![read(&root)?] } else { Vec::new() };
        Ok(Self { root, open })
    }

    fn visit(&mut self, path: &Path) -> anyhow::Result<Option<String>> {
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            return Ok(None);
        }
        if path.is_dir() {
            self.open.push(read(path)?);
            return Ok(None);
        }
        let key = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
        let key = key.filter(|key| well_formed(key).is_ok());
        key.map(|key| Some(key.to_owned())).with_context(|| format!("{} is no object", path.display()))
    }
}

impl Iterator for Keys {
    type Item = anyhow::Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.open.last_mut()?.next() {
                None => _ = self.open.pop(),
                Some(Err(error)) => {
                    return Some(Err(error).with_context(|| format!("reading {}", self.root.display())));
                }
                Some(Ok(entry)) => match self.visit(&entry.path()) {
                    Ok(None) => {}
                    Ok(Some(key)) => return Some(Ok(key)),
                    Err(error) => return Some(Err(error)),
                },
            }
        }
    }
}

fn read(folder: &Path) -> anyhow::Result<ReadDir> {
    std::fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_found_and_drafts_are_not() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Keys::in_folder(dir.path()).unwrap().count(), 0);
        for key in ["a/b/c.json", "a/b/.c.json.0123", "a/d", "e"] {
            let path = dir.path().join("objects").join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, key).unwrap();
        }
        let keys = || Keys::in_folder(dir.path()).unwrap();
        let mut found: Vec<String> = keys().map(Result::unwrap).collect();
        found.sort();
        assert_eq!(found, ["a/b/c.json", "a/d", "e"]);
        std::fs::write(dir.path().join("objects/not a key"), "").unwrap();
        assert_eq!(keys().filter(Result::is_err).count(), 1);
    }
}
