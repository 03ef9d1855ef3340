//! Secret keys in the data folder: made at the first start, readable by its owner only.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::data_dir::write_whole;
use crate::secret::Quoted;

/// A symmetric key. Debug does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey([u8; 32]);

impl std::fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl SecretKey {
    /// Reads the key of that name, or makes it (at the first start).
    ///
    /// # Errors
    /// The file can't be read or written, or is not 32 bytes long.
    pub fn load_or_create(data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        if let Some(key) = Self::load(data_dir, name)? {
            return Ok(key);
        }
        let (file, mut fresh) = (file_of(data_dir, name), [0; 32]);
        aws_lc_rs::rand::fill(&mut fresh).map_err(|_| anyhow::anyhow!("the system gave no randomness for a key"))?;
        write_private(&file, &fresh).with_context(|| format!("writing {}", file.display()))?;
        Ok(Self(fresh))
    }

    /// Reads the key of that name, if it has been made.
    ///
    /// # Errors
    /// The file can't be read, or is not 32 bytes long.
    pub fn load(data_dir: &Path, name: &str) -> anyhow::Result<Option<Self>> {
        let file = file_of(data_dir, name);
        if !file.exists() {
            return Ok(None);
        }
        let bytes = std::fs::read(&file).with_context(|| format!("reading {}", file.display()))?;
        let key = bytes.try_into().map_err(|_| anyhow::anyhow!("{} is not a key of 32 bytes", file.display()))?;
        Ok(Some(Self(key)))
    }

    /// The configured key, or the one of that name in the data folder.
    ///
    /// # Errors
    /// Those of [`SecretKey::load_or_create`].
    pub fn configured_or(configured: &ConfiguredKey, data_dir: &Path, name: &str) -> anyhow::Result<Self> {
        match &configured.0 {
            Some(key) => Ok(key.clone()),
            None => Self::load_or_create(data_dir, name),
        }
    }

    /// The key's bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// A key as a setting: 64 hexadecimal digits, or empty for the one in the data folder. Several
/// instances that must have the same one get it this way. It is never printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfiguredKey(Option<SecretKey>);

impl Serialize for ConfiguredKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(if self.0.is_some() { "***" } else { "" })
    }
}

impl<'de> Deserialize<'de> for ConfiguredKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = d.deserialize_any(Quoted)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let mut key = [0; 32];
        // What was given is not in the message: it may be most of a key.
        hex::decode_to_slice(&text, &mut key).map_err(|_| D::Error::custom("a key is 64 hexadecimal digits"))?;
        Ok(Self(Some(SecretKey(key))))
    }
}

impl ConfiguredKey {
    /// The key, if one is configured.
    #[must_use]
    pub const fn configured(&self) -> Option<&SecretKey> {
        self.0.as_ref()
    }
}

/// Where a key lies.
pub(crate) fn file_of(data_dir: &Path, name: &str) -> PathBuf {
    data_dir.join("keys").join(name)
}

pub(crate) fn write_private(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    write_whole(file, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configured_key_is_read_and_never_printed() {
        let dir = tempfile::tempdir().unwrap();
        let read = |text: &str| serde_json::from_str::<ConfiguredKey>(&format!("{text:?}"));
        let key = |configured: &ConfiguredKey| SecretKey::configured_or(configured, dir.path(), "c.key").unwrap();
        let (given, empty) = (read(&"0a".repeat(32)).unwrap(), read("").unwrap());
        assert_eq!(key(&given).bytes(), &[10; 32]);
        assert_eq!(key(&empty), key(&empty));
        assert_eq!(serde_json::to_string(&given).unwrap(), "\"***\"");
        assert!(!format!("{given:?}").contains("10"));
        for bad in ["0a", "***", &"0a".repeat(33), &"zz".repeat(32)] {
            assert!(!read(bad).unwrap_err().to_string().contains(bad), "{bad}");
        }
    }

    #[test]
    fn a_key_is_kept_private_and_its_own() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let first = SecretKey::load_or_create(dir.path(), "a.key").unwrap();
        assert_eq!(first, SecretKey::load_or_create(dir.path(), "a.key").unwrap());
        assert_ne!(first, SecretKey::load_or_create(dir.path(), "b.key").unwrap());
        let mode = std::fs::metadata(file_of(dir.path(), "a.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
        std::fs::write(file_of(dir.path(), "a.key"), "short").unwrap();
        assert!(SecretKey::load_or_create(dir.path(), "a.key").is_err());
    }
}
