//! What becomes of feeds while no push process runs, by an operator's command.

use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context as _;
use common::Clock;

use crate::FeedsUrl;
use crate::revocation_feed::{self, RevocationFeed};
use crate::shared::{Link, Shared, SharedRevocations};

/// What is asked for at once.
const PAGE: usize = 500;
/// Keys of Redis that are looked at by one command.
const SCANNED: usize = 1_000;

/// Lets go of all rooms' feeds: each begins anew when it is next written, in another epoch, and
/// viewers who come back get a `gap`. Which log-ins have ended stays: their access tokens may not
/// have expired.
///
/// # Errors
/// The folder or the Redis can't be used; in one line.
pub async fn begin_anew(feeds: &FeedsUrl, data_dir: &Path) -> anyhow::Result<()> {
    if feeds.is_log() {
        let folder = data_dir.join("feeds");
        return remove_files(&folder).with_context(|| format!("removing the feeds in {}", folder.display()));
    }
    let link = Shared::open(feeds).await?.0.link;
    let forget = async {
        let mut from = None;
        while let Some((next, keys)) = scan(&link, from).await? {
            if !keys.is_empty() {
                link.command::<()>(redis::cmd("UNLINK").arg(&keys)).await?;
            }
            from = Some(next);
        }
        // Who watched is gone.
        link.command::<()>(redis::cmd("DEL").arg(link.name("nodes"))).await
    };
    forget.await.context("push.feeds: letting go of the rooms' feeds")
}

/// All but the ended log-ins.
fn remove_files(folder: &Path) -> std::io::Result<()> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else if entry.file_name() != revocation_feed::FILE {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether shared feeds hold those of any room.
///
/// # Errors
/// The Redis can't be used; in one line.
pub async fn has_rooms(feeds: &FeedsUrl) -> anyhow::Result<bool> {
    let link = Shared::open(feeds).await?.0.link;
    let mut from = None;
    while let Some((next, keys)) = scan(&link, from).await.context("push.feeds: looking for rooms' feeds")? {
        if !keys.is_empty() {
            return Ok(true);
        }
        from = Some(next);
    }
    Ok(false)
}

/// Gives the shared feeds the ended log-ins that a data folder's feeds hold and whose access
/// tokens have not expired; says how many. What is there already is not given twice.
///
/// The caller has locked the data folder.
///
/// # Errors
/// The file or the Redis can't be used; in one line.
pub async fn carry_revocations(data_dir: &Path, feeds: &FeedsUrl, clock: &Clock) -> anyhow::Result<usize> {
    let folder = data_dir.join("feeds");
    if !folder.exists() {
        return Ok(0);
    }
    let from = RevocationFeed::open(&folder, clock.clone()).context("reading the ended log-ins of the data folder")?;
    let to = SharedRevocations::new(Shared::open(feeds).await?.0.link, clock.clone());
    let (mut carried, mut after) = (0, None);
    loop {
        let page = from.follow(after.as_deref(), std::time::Duration::ZERO).await;
        if page.revocations.is_empty() {
            return Ok(carried);
        }
        for some in page.revocations.chunks(PAGE) {
            to.append(some).await.context("push.feeds: storing ended log-ins")?;
        }
        carried += page.revocations.len();
        after = Some(page.next);
    }
}

/// Some keys of rooms' feeds, and from where to go on; `None` after the last. A key may come
/// twice; one that stays is not left out.
async fn scan(link: &Link, from: Option<u64>) -> anyhow::Result<Option<(u64, Vec<String>)>> {
    if from == Some(0) {
        return Ok(None);
    }
    // A prefix has none of the letters that a pattern gives a meaning to.
    let mut scan = redis::cmd("SCAN");
    scan.arg(from.unwrap_or(0)).arg("MATCH").arg(link.name("feed:{*")).arg("COUNT").arg(SCANNED);
    link.command(&scan).await.map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::native;
    use idl::push::Revocation;
    use idl::{DeviceId, Timestamp, UserId};

    async fn keys(link: &Link) -> Vec<String> {
        let mut keys: Vec<String> = link.command(redis::cmd("KEYS").arg(link.name("*"))).await.unwrap();
        keys.sort();
        keys.iter().map(|key| key.rsplit_once(':').unwrap().1.to_owned()).collect()
    }

    #[tokio::test]
    async fn ended_log_ins_are_carried_once_and_outlive_the_rooms_feeds() {
        let Some(server) = native::server("NATIVE_REDIS_URL") else { return };
        let feeds = FeedsUrl::from(format!("{server}?prefix=at_rest_{:016x}", rand::random::<u64>()).as_str());
        let (dir, clock) = (tempfile::tempdir().unwrap(), Clock::manual(Timestamp(10_000)));
        assert_eq!(carry_revocations(dir.path(), &feeds, &clock).await.unwrap(), 0);
        let folder = dir.path().join("feeds");
        std::fs::create_dir(&folder).unwrap();
        let ended = |n: u64, until_ms| Revocation {
            source: format!("device:{n}"),
            user: UserId(1),
            device: DeviceId(n),
            until_ms,
        };
        let all: Vec<Revocation> = (1..=1_201).map(|n| ended(n, if n == 1 { 1 } else { 99_000 })).collect();
        RevocationFeed::open(&folder, clock.clone()).unwrap().append(all.clone()).await.unwrap();
        for _ in 0..2 {
            assert_eq!(carry_revocations(dir.path(), &feeds, &clock).await.unwrap(), 1_200, "one has expired");
        }

        let link = Shared::open(&feeds).await.unwrap().0.link;
        assert!(!has_rooms(&feeds).await.unwrap());
        for n in 0..2_500 {
            link.command::<()>(redis::cmd("SET").arg(link.name(&format!("feed:{{{n}}}:head"))).arg(1)).await.unwrap();
        }
        assert!(has_rooms(&feeds).await.unwrap());
        begin_anew(&feeds, dir.path()).await.unwrap();
        assert!(!has_rooms(&feeds).await.unwrap());
        assert_eq!(keys(&link).await, ["revocations", "entries", "sources"]);
        let shared = SharedRevocations::new(link.clone(), clock);
        let page = shared.follow(None, std::time::Duration::ZERO).await.unwrap();
        assert_eq!(page.revocations, all[1..=1_000], "a page of them");
        for name in ["revocations", "revocations:entries", "revocations:sources"] {
            link.command::<()>(redis::cmd("DEL").arg(link.name(name))).await.unwrap();
        }
    }
}
