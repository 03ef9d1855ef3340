//! An append-only file of records: what survives `kill -9` because the kernel has it
//! before anybody is told.
//!
//! Layout: each record is `length`, `crc32 of the length's bytes`, `crc32 of the body` (all
//! u32 LE) and the body (MessagePack with named fields, so that a newer build may add some).
//! A record that is cut off at the end of the file was never told to anybody and is
//! dropped. Anything else that does not check means that the file was damaged.
//!
//! A machine that lost power may have lost records that *were* told. So whoever opens a
//! file notes the machine's boot id in it, and whoever puts it away in order a mark: another
//! boot without the mark counts as damage. What must survive that as well (its sender
//! forgets it once it is accepted) is appended durably.

use std::fs::{File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// A record larger than this is damage, not data.
const MAX_RECORD_BYTES: usize = 4 << 20;
const HEADER_BYTES: usize = 12;

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line<R> {
    /// Opened under this boot of the machine.
    Opened(String),
    /// Put away in order, on the disk.
    Closed,
    Record(R),
}

/// An open log of records of type `R`.
#[derive(Debug)]
pub(crate) struct Log<R> {
    path: PathBuf,
    file: File,
    len: u64,
    _records: PhantomData<fn(R)>,
}

/// What was in a file.
#[derive(Debug)]
pub(crate) struct Loaded<R> {
    /// The records that check, in order.
    pub(crate) records: Vec<R>,
    /// Records that were told to somebody may be missing at the end.
    pub(crate) damaged: bool,
    /// Where the next record belongs.
    end: u64,
}

impl<R: Serialize + DeserializeOwned> Log<R> {
    /// Reads a file, if there is one, without opening it.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Option<Loaded<R>>> {
        let mut bytes = Vec::new();
        match File::open(path) {
            Ok(mut file) => file.read_to_end(&mut bytes).with_context(|| format!("reading {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).with_context(|| format!("opening {}", path.display())),
        };
        Ok(Some(parse(&bytes, &boot_id())))
    }

    /// Opens a file that was read and is not damaged, to be appended to.
    pub(crate) fn resume(path: &Path, loaded: &Loaded<R>) -> anyhow::Result<Self> {
        let open = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().write(true).open(path)?;
            // A record that was cut off must not stand before the next one.
            file.set_len(loaded.end)?;
            file.seek(SeekFrom::Start(loaded.end))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("opening {}", path.display()))?;
        let mut log = Self { path: path.to_owned(), file, len: loaded.end, _records: PhantomData };
        log.write(&encode(&Line::<R>::Opened(boot_id()))?)?;
        Ok(log)
    }

    /// Replaces the file by one with just these records, whole or not at all, and opens it.
    pub(crate) fn rewrite(path: &Path, records: impl IntoIterator<Item = R>) -> anyhow::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        }
        let mut bytes = encode(&Line::<R>::Opened(boot_id()))?;
        for record in records {
            bytes.extend(encode(&Line::Record(record))?);
        }
        let draft = path.with_extension("draft");
        let write = || -> std::io::Result<File> {
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&draft)?;
            file.write_all(&bytes)?;
            // Before the rename: it must not be left standing over an empty file.
            file.sync_all()?;
            std::fs::rename(&draft, path)?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(file)
        };
        let file = write().with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { path: path.to_owned(), file, len: bytes.len() as u64, _records: PhantomData })
    }

    /// Appends a record in one write. When this returns the kernel has it, and with
    /// `durable` the disk, too. On an error it is not in the file.
    pub(crate) fn append(&mut self, record: R, durable: bool) -> anyhow::Result<()> {
        self.write(&encode(&Line::Record(record))?)?;
        if durable {
            self.file.sync_data().with_context(|| format!("syncing {}", self.path.display()))?;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if let Err(error) = self.file.write_all(bytes) {
            // A part of it may be there; the next append must not follow that part.
            let cut = self.file.set_len(self.len).and_then(|()| self.file.seek(SeekFrom::Start(self.len)));
            cut.with_context(|| format!("cutting {} back after a failed write", self.path.display()))?;
            return Err(error).with_context(|| format!("writing {}", self.path.display()));
        }
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's size in bytes.
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    /// Puts the file away in order, on the disk.
    pub(crate) fn close(mut self) -> anyhow::Result<()> {
        let mark = encode(&Line::<R>::Closed)?;
        self.file
            .write_all(&mark)
            .and_then(|()| self.file.sync_all())
            .with_context(|| format!("closing {}", self.path.display()))
    }
}

fn encode<R: Serialize>(line: &Line<R>) -> anyhow::Result<Vec<u8>> {
    let body = rmp_serde::to_vec_named(line).context("encoding a record")?;
    anyhow::ensure!(body.len() <= MAX_RECORD_BYTES, "a record of {} bytes is too long", body.len());
    let length = u32::try_from(body.len()).context("encoding a record")?.to_le_bytes();
    let mut bytes = Vec::with_capacity(HEADER_BYTES + body.len());
    bytes.extend(length);
    bytes.extend(crc32fast::hash(&length).to_le_bytes());
    bytes.extend(crc32fast::hash(&body).to_le_bytes());
    bytes.extend(body);
    Ok(bytes)
}

fn parse<R: DeserializeOwned>(bytes: &[u8], boot_id: &str) -> Loaded<R> {
    let mut loaded = Loaded { records: Vec::new(), damaged: false, end: 0 };
    let (mut closed, mut boot) = (false, String::new());
    let mut left = bytes;
    while let Some((header, rest)) = left.split_first_chunk::<HEADER_BYTES>() {
        let word = |at: usize| [header[at], header[at + 1], header[at + 2], header[at + 3]];
        let length = u32::from_le_bytes(word(0)) as usize;
        if crc32fast::hash(&word(0)) != u32::from_le_bytes(word(4)) || length > MAX_RECORD_BYTES {
            loaded.damaged = true;
            break;
        }
        let Some((body, after)) = rest.split_at_checked(length) else { break }; // cut off in a write
        let checks = crc32fast::hash(body) == u32::from_le_bytes(word(8));
        closed = false;
        match checks.then(|| rmp_serde::from_slice(body).ok()).flatten() {
            Some(Line::Opened(id)) => boot = id,
            Some(Line::Closed) => closed = true,
            Some(Line::Record(record)) => loaded.records.push(record),
            None => {
                loaded.damaged = true;
                break;
            }
        }
        left = after;
    }
    loaded.end = (bytes.len() - left.len()) as u64;
    loaded.damaged |= !closed && boot != boot_id;
    loaded
}

/// Where the machine does not tell its boots apart, all are the same.
fn boot_id() -> String {
    common::clock::boot_id().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn load(path: &Path) -> Loaded<String> {
        Log::load(path).unwrap().unwrap()
    }

    #[test]
    fn records_are_there_without_a_close() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("room.feed");
        assert!(Log::<String>::load(&path).unwrap().is_none());
        let mut log = Log::rewrite(&path, ["one".to_owned()]).unwrap();
        log.append("two".to_owned(), false).unwrap();
        std::mem::forget(log); // kill -9
        // …in the middle of a write
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.extend(&encode(&Line::Record("never told".to_owned())).unwrap()[..15]);
        std::fs::write(&path, bytes).unwrap();
        let loaded = load(&path);
        assert_eq!(loaded.records, ["one", "two"]);
        assert!(!loaded.damaged);
        let mut log = Log::resume(&path, &loaded).unwrap();
        log.append("three".to_owned(), true).unwrap();
        log.close().unwrap();
        assert_eq!(load(&path).records, ["one", "two", "three"]);
    }

    #[test]
    fn another_boot_without_a_close_is_damage() {
        let mut bytes = encode(&Line::<String>::Opened("before".into())).unwrap();
        bytes.extend(encode(&Line::Record("told".to_owned())).unwrap());
        assert!(parse::<String>(&bytes, "now").damaged);
        bytes.extend(encode(&Line::<String>::Closed).unwrap());
        assert!(!parse::<String>(&bytes, "now").damaged);
    }

    proptest! {
        #[test]
        fn a_cut_file_keeps_its_whole_records_and_is_no_damage(cut in 0usize..200) {
            let mut bytes = encode(&Line::<String>::Opened("b".into())).unwrap();
            let head = bytes.len();
            for n in 0..9 {
                bytes.extend(encode(&Line::Record(format!("record {n}"))).unwrap());
            }
            let cut = (head + cut).min(bytes.len());
            let loaded = parse::<String>(&bytes[..cut], "b");
            prop_assert!(!loaded.damaged);
            let whole = loaded.records.iter().enumerate().all(|(n, record)| *record == format!("record {n}"));
            prop_assert!(whole, "{:?}", loaded.records);
        }

        #[test]
        fn a_flipped_byte_never_yields_another_record(at in any::<prop::sample::Index>(), flip in 1u8..=255) {
            let mut bytes = encode(&Line::<String>::Opened("b".into())).unwrap();
            for n in 0..9 {
                bytes.extend(encode(&Line::Record(format!("record {n}"))).unwrap());
            }
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let loaded = parse::<String>(&bytes, "b");
            prop_assert!(loaded.damaged, "a lost record was told to somebody");
            let whole = loaded.records.iter().enumerate().all(|(n, record)| *record == format!("record {n}"));
            prop_assert!(whole, "{:?}", loaded.records);
        }
    }
}
