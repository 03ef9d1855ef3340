//! A danmaku file as a script for a broadcast.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use common::rpc::{answer, within};
use futures::StreamExt as _;
use idl::message::{DanmakuBody, MessageClient, PostDanmaku};
use idl::{IdempotencyKey, Kind, Refusal, RoomId, SessionId};
use message::bilibili_xml::{self, Line};
use tokio::time::Instant;

use super::cast::Cast;

/// The project's own file: the window of a night train, and who looks out of it.
const OWN: &[u8] = include_bytes!("../../demo/night-train.xml");
const POST_DEADLINE: Duration = Duration::from_secs(2);

/// The lines of a file by time, each with its sender as a number from 0.
#[derive(Debug)]
pub(crate) struct Playlist {
    lines: Vec<(Line, usize)>,
    senders: usize,
}

impl Playlist {
    /// Reads a file, or the project's own.
    pub(crate) fn read(file: Option<&Path>) -> anyhow::Result<Self> {
        match file {
            None => Self::parse(OWN).context("reading the demo's own file"),
            Some(path) => {
                let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
                Self::parse(BufReader::new(file)).with_context(|| format!("reading {}", path.display()))
            }
        }
    }

    fn parse(input: impl BufRead) -> anyhow::Result<Self> {
        let mut reader = bilibili_xml::read(input);
        let mut lines: Vec<Line> = reader.by_ref().collect::<Result<_, _>>()?;
        for (reason, n) in &reader.report().skipped {
            tracing::warn!(lines = n, %reason, "lines of the danmaku file are left out");
        }
        anyhow::ensure!(!lines.is_empty(), "it has no danmaku that can be played");
        lines.sort_by_key(|line| line.at_ms);
        let mut numbers = std::collections::HashMap::new();
        let lines = lines
            .into_iter()
            .map(|line| {
                let next = numbers.len();
                let sender = *numbers.entry(line.sender_hash.clone()).or_insert(next);
                (line, sender)
            })
            .collect();
        Ok(Self { lines, senders: numbers.len() })
    }

    pub(crate) fn lines(&self) -> &[(Line, usize)] {
        &self.lines
    }

    /// How many different senders there are.
    pub(crate) const fn senders(&self) -> usize {
        self.senders
    }
}

/// One performance of a playlist.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) room: RoomId,
    pub(crate) session: SessionId,
    pub(crate) speed: f64,
    pub(crate) tries: u32,
}

/// What became of a performance's lines.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Performance {
    posted: usize,
    refused: usize,
}

impl fmt::Display for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} danmaku posted, {} refused", self.posted, self.refused)
    }
}

impl Script {
    /// Posts every line when it is due.
    pub(crate) async fn play(
        &self,
        playlist: &Playlist,
        cast: &Cast,
        message: &MessageClient,
        at_once: usize,
    ) -> Performance {
        let curtain = Instant::now();
        let post = |number: usize| async move {
            let (line, sender) = &playlist.lines()[number];
            tokio::time::sleep_until(curtain + Duration::from_millis(line.at_ms).div_f64(self.speed)).await;
            self.post(number, line, *sender, cast, message).await
        };
        let outcomes = futures::stream::iter(0..playlist.lines().len()).map(post).buffer_unordered(at_once);
        outcomes
            .fold(Performance::default(), |sum, outcome| async move {
                match outcome {
                    Ok(()) => Performance { posted: sum.posted + 1, ..sum },
                    Err(refusal) => {
                        tracing::warn!(error = %refusal, "a demo danmaku was refused");
                        Performance { refused: sum.refused + 1, ..sum }
                    }
                }
            })
            .await
    }

    /// Repeats what may work a moment later; the key makes sure that it is stored once.
    async fn post(
        &self,
        number: usize,
        line: &Line,
        sender: usize,
        cast: &Cast,
        message: &MessageClient,
    ) -> Result<(), Refusal> {
        let body = DanmakuBody { text: line.text.clone(), mode: line.mode, color: line.color, size: line.size };
        let key = Some(IdempotencyKey::try_from(format!("demo-{}-{number}", self.session))?);
        let mut tries = 0;
        loop {
            tries += 1;
            let request = PostDanmaku {
                caller: cast.caller(sender).await?,
                room: self.room,
                body: body.clone(),
                key: key.clone(),
            };
            match answer(message.post(within(POST_DEADLINE), request).await) {
                Ok(_) => return Ok(()),
                Err(refusal) if matches!(refusal.kind(), Kind::Unavailable | Kind::TooMany) && tries < self.tries => {
                    tokio::time::sleep(Duration::from_millis(refusal.retry_after_ms.unwrap_or(100))).await;
                }
                Err(refusal) => return Err(refusal),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_file_plays_whole() {
        let playlist = Playlist::read(None).unwrap();
        assert!(playlist.lines().len() > 500 && playlist.senders() > 50);
        let modes: std::collections::HashSet<_> = playlist.lines().iter().map(|(line, _)| line.mode).collect();
        assert_eq!(modes.len(), 4, "all modes are shown");
        assert!(playlist.lines().is_sorted_by_key(|(line, _)| line.at_ms));
    }
}
