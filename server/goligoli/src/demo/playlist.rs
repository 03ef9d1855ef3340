//! A danmaku file as a script for a broadcast.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use anyhow::Context as _;
use common::rpc::MessageClient;
use common::rpc::{answer, within};
use futures::StreamExt as _;
use idl::message::{DanmakuBody, PostDanmaku};
use idl::{Code, IdempotencyKey, Kind, Refusal, RoomId, SessionId};
use message::format::bilibili_xml::{self, Line};
use tokio::time::Instant;

use super::cast::{Actor, Cast};

/// The project's own file: the window of a night train, and who looks out of it.
const OWN: &[u8] = include_bytes!("../../demo/night-train.xml");
const POST_DEADLINE: Duration = Duration::from_secs(2);
/// How often a line is tried that may be taken a moment later.
const TRIES: u32 = 20;
const TRY_AGAIN_AFTER_MS: u64 = 100;
/// Lines on their way at once. Full: the next ones are late.
const POSTS_AT_ONCE: usize = 64;

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
                let sender = *numbers.entry(line.sender_hash).or_insert(next);
                (line, sender)
            })
            .collect();
        Ok(Self { lines, senders: numbers.len() })
    }

    pub(crate) fn lines(&self) -> &[(Line, usize)] {
        &self.lines
    }

    /// When the last line is said.
    pub(crate) fn length(&self) -> Duration {
        self.lines.last().map_or(Duration::ZERO, |(line, _)| Duration::from_millis(line.at_ms))
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
}

/// What became of a performance's lines.
#[derive(Debug, Default)]
pub(crate) struct Performance {
    posted: usize,
    refused: usize,
    last_refusal: Option<Refusal>,
}

impl fmt::Display for Performance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} danmaku posted, {} refused", self.posted, self.refused)?;
        match &self.last_refusal {
            Some(refusal) => write!(f, ", the last one: {refusal}"),
            None => Ok(()),
        }
    }
}

impl Script {
    /// Posts every line when it is due. A line that is refused is left out.
    pub(crate) async fn play(&self, playlist: &Playlist, cast: &Cast, message: &MessageClient) -> Performance {
        let curtain = Instant::now();
        let post = |number: usize| async move {
            let (line, sender) = &playlist.lines()[number];
            tokio::time::sleep_until(curtain + Duration::from_millis(line.at_ms).div_f64(self.speed)).await;
            self.post(number, line, cast.actor(*sender), message).await
        };
        let lines = futures::stream::iter(0..playlist.lines().len());
        let mut outcomes = pin!(lines.map(post).buffer_unordered(POSTS_AT_ONCE));
        let mut performance = Performance::default();
        while let Some(outcome) = outcomes.next().await {
            let Err(refusal) = outcome else {
                performance.posted += 1;
                continue;
            };
            // Somebody ended the broadcast: the other lines have nowhere to go.
            let cut = refusal.code == Code::RoomClosed;
            performance.refused += 1;
            performance.last_refusal = Some(refusal);
            if cut {
                break;
            }
        }
        performance
    }

    /// Repeats what may work a moment later; the key makes sure that it is stored once.
    async fn post(&self, number: usize, line: &Line, actor: &Actor, message: &MessageClient) -> Result<(), Refusal> {
        let body = DanmakuBody { text: line.text.clone(), mode: line.mode, color: line.color, size: line.size };
        let key = Some(IdempotencyKey::try_from(format!("demo-{}-{number}", self.session))?);
        let attempt = async || {
            let request =
                PostDanmaku { caller: actor.caller().await?, room: self.room, body: body.clone(), key: key.clone() };
            answer(message.post(within(POST_DEADLINE), request).await)
        };
        let mut tries = 1;
        loop {
            match attempt().await {
                Ok(_) => return Ok(()),
                Err(refusal) if tries < TRIES && matches!(refusal.kind(), Kind::Unavailable | Kind::TooMany) => {
                    tries += 1;
                    let wait_ms = refusal.retry_after_ms.unwrap_or(TRY_AGAIN_AFTER_MS);
                    tokio::time::sleep(Duration::from_millis(wait_ms)).await;
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
