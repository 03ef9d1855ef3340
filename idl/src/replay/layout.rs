//! Where the objects of a replay lie: below its prefix, in a folder for each version.
//!
//! ```text
//! {prefix}/v{version}/meta.json                     ReplayManifest; stored last
//! {prefix}/v{version}/danmaku/all.{xml,ass,json,pb} all danmaku, in each format
//! {prefix}/v{version}/danmaku/part_00001.json       ReplayLines of a ReplayPart
//! {prefix}/v{version}/danmaku/segment_00001.pb      six minutes; there is none if nothing was said
//! ```
//!
//! Whoever indexes a replay writes them and whoever serves it reads them: this is a contract
//! between the two. An object is never changed once its version is shown.

/// How much of a replay a segment has, in milliseconds.
pub const SEGMENT_MS: u64 = 360_000;

/// The manifest, in a version's folder.
pub const MANIFEST: &str = "meta.json";

/// Which segment a moment of a replay is in, from 1.
#[must_use]
pub const fn segment_of(at_ms: u64) -> u64 {
    at_ms / SEGMENT_MS + 1
}

/// How many segments a replay of this length has; one that is empty has one.
#[must_use]
pub const fn segments(duration_ms: u64) -> u64 {
    let segments = duration_ms.div_ceil(SEGMENT_MS);
    if segments == 0 { 1 } else { segments }
}

/// The folder of a version.
#[must_use]
pub fn folder(prefix: &str, version: u64) -> String {
    format!("{prefix}/v{version}")
}

/// Which version's folder has this name below the prefix.
#[must_use]
pub fn version_of(folder: &str) -> Option<u64> {
    folder.strip_prefix('v')?.parse().ok()
}

/// The file with all danmaku in the format that has this extension, in a version's folder.
#[must_use]
pub fn whole(extension: &str) -> String {
    format!("danmaku/all.{extension}")
}

/// A part of the danmaku, in a version's folder.
#[must_use]
pub fn part(part: u64) -> String {
    format!("danmaku/part_{part:05}.json")
}

/// A segment of the binary form, in a version's folder.
#[must_use]
pub fn segment(segment: u64) -> String {
    format!("danmaku/segment_{segment:05}.pb")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_in_one_segment_of_the_replay() {
        assert_eq!([0, 359_999, 360_000, 3_600_000].map(segment_of), [1, 1, 2, 11]);
        assert_eq!([0, 1, 360_000, 360_001].map(segments), [1, 1, 1, 2]);
    }

    #[test]
    fn a_folder_says_its_version() {
        assert_eq!(folder("replays/7", 12), "replays/7/v12");
        assert_eq!(version_of("v12"), Some(12));
        assert!(["12", "v", "v-1", "vx"].iter().all(|other| version_of(other).is_none()));
    }
}
