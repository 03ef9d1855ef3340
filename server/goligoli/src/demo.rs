//! `goligoli demo`: the server, with a streamer and viewers who play a danmaku file into a
//! live room at its own timing, over and over; each time is a broadcast of its own and leaves a
//! replay. They use the same calls as everybody.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use common::rpc::{answer, within};
use common::{Clock, Lifecycle};
use idl::live::{CloseSession, CreateRoom, GetRoom, ListRooms, OpenSession, Room, RoomText, SetCover};
use idl::user::Secret;
use idl::{Refusal, RoomId};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{App, Config};

mod archive;
mod cast;
mod cover;
mod playlist;
mod raffle;

use cast::{Actor, Agency, Cast};
use playlist::Playlist;
use raffle::Raffle;

const STREAMER: &str = "night-train";
/// Between two broadcasts, in the file's time.
const INTERMISSION: Duration = Duration::from_secs(8);
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// An image is decoded and made smaller, also on a slow machine.
const COVER_DEADLINE: Duration = Duration::from_secs(30);
/// After a broadcast that could not be held.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// What `goligoli demo` takes.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// A danmaku file in Bilibili's XML; the project's own if none is given.
    #[arg(long)]
    pub file: Option<PathBuf>,
    /// How many times faster than the file's own time.
    #[arg(long, default_value_t = 1.0, value_parser = speed)]
    pub speed: f64,
    /// Viewers who also keep an event stream open.
    #[arg(long, default_value_t = 24)]
    pub watchers: u32,
    /// Broadcasts to play; over and over if it is not given.
    #[arg(long)]
    pub broadcasts: Option<u64>,
}

fn speed(text: &str) -> Result<f64, String> {
    let speed: f64 = text.parse().map_err(|_| "a number like 1 or 2.5".to_owned())?;
    if (0.1..=1_000.0).contains(&speed) { Ok(speed) } else { Err("0.1 to 1000".to_owned()) }
}

/// Starts the server and the play, and prints where to look.
///
/// # Errors
/// The file can't be read, somebody else has the name of one of the demo's accounts, or
/// those of [`App::start`].
pub async fn start(config: Config, options: Options) -> anyhow::Result<App> {
    let playlist = Playlist::read(options.file.as_deref())?;
    let app = App::start(config, Clock::system()).await?;
    match Play::prepare(&app, playlist, options).await {
        Ok(play) => {
            play.begin(&app);
            Ok(app)
        }
        Err(error) => {
            app.stop().await;
            Err(error)
        }
    }
}

/// Where this machine reaches a server that listens there.
fn from_here(mut http: SocketAddr) -> SocketAddr {
    if http.ip().is_unspecified() {
        http.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    http
}

fn poster(http: SocketAddr, room: RoomId, password: &Secret, lines: usize) -> String {
    format!(
        "\n  goligoli demo is on: {lines} danmaku, over and over\n\n\
         \x20   watch      http://{http}/rooms/{room}\n\
         \x20   overlay    http://{http}/rooms/{room}/overlay   (for OBS's browser source)\n\
         \x20   API        http://{http}/api/v1/docs\n\
         \x20   stream     curl -N http://{http}/api/v1/rooms/{room}/events\n\
         \x20   log in     {STREAMER} / {}   (the streamer), or register as anybody\n\n\
         \x20 Ctrl-C stops it.\n",
        password.0,
    )
}

async fn streamer(agency: &Arc<Agency>) -> anyhow::Result<Actor> {
    let mut streamers = agency.engage(vec![STREAMER.to_owned()]).await?;
    streamers.pop().context("the demo has no streamer")
}

/// The streamer's room, as an earlier demo left it, or a new one.
async fn room(clients: &gateway::Clients, streamer: &Actor) -> anyhow::Result<Room> {
    let live = &clients.live;
    let mine = ListRooms { owner: Some(streamer.user_id), limit: 1, ..ListRooms::default() };
    if let Some(room) = answer(live.rooms(within(CALL_DEADLINE), mine).await)?.items.pop() {
        return Ok(room);
    }
    let text = RoomText {
        title: "Night train 夜行列车".to_owned(),
        description: "A window seat through the mountains, until sunrise.\n靠窗的座位，穿过群山，直到日出。".to_owned(),
        category: "旅行 travel".to_owned(),
    };
    let request = CreateRoom { caller: streamer.caller().await?, text, key: None };
    let room = answer(live.create_room(within(CALL_DEADLINE), request).await).context("making the demo's room")?;
    let cover = SetCover { caller: streamer.caller().await?, room: room.id, image: cover::png()?.into() };
    answer(live.set_cover(within(COVER_DEADLINE), cover).await).context("setting the cover of the demo's room")
}

struct Play {
    clients: gateway::Clients,
    room: RoomId,
    playlist: Playlist,
    cast: Cast,
    streamer: Actor,
    options: Options,
}

impl Play {
    /// Makes what is missing, and prints where to look.
    async fn prepare(app: &App, playlist: Playlist, options: Options) -> anyhow::Result<Self> {
        let agency = || Agency::new(app.operator.clone(), app.clients.user.clone());
        let (streamers, viewers) = (agency(), agency());
        let streamer = streamer(&streamers).await?;
        let room = room(&app.clients, &streamer).await?.id;
        let cast = Cast::assemble(&viewers, playlist.senders()).await?;
        println!("{}", poster(from_here(app.http), room, streamers.password(), playlist.lines().len()));
        Ok(Self { clients: app.clients.clone(), room, playlist, cast, streamer, options })
    }

    /// Lets viewers in and plays, until the process stops.
    fn begin(self, app: &App) {
        for _ in 0..self.options.watchers {
            app.lifecycle().spawn_one_of_many(watch(from_here(app.http), self.room, app.lifecycle().clone()));
        }
        let soft = app.lifecycle().soft().clone();
        app.lifecycle().spawn("demo.play", async move {
            let cut = soft.run_until_cancelled(self.over_and_over()).await.is_none();
            // The services answer until the last task is done: nobody comes to a broadcast
            // that nobody holds any more.
            if cut && let Err(error) = self.close().await {
                tracing::warn!(%error, "the demo's broadcast could not be ended; its next start ends it");
            }
        });
    }

    async fn over_and_over(&self) {
        let mut played = 0;
        while self.options.broadcasts.is_none_or(|most| played < most) {
            match self.broadcast(played).await {
                Ok(()) => {
                    played += 1;
                    tokio::time::sleep(INTERMISSION.div_f64(self.options.speed)).await;
                }
                // The disk is full, or somebody else acts as the streamer, too: it may pass.
                Err(error) => {
                    tracing::warn!(%error, "a demo broadcast could not be held; the next try comes soon");
                    tokio::time::sleep(TRY_AGAIN_AFTER).await;
                }
            }
        }
    }

    async fn broadcast(&self, number: u64) -> Result<(), Refusal> {
        self.close().await?;
        let request = OpenSession { caller: self.streamer.caller().await?, room: self.room, key: None };
        let session = answer(self.clients.live.open(within(CALL_DEADLINE), request).await)?.id;
        let script = playlist::Script { room: self.room, session, speed: self.options.speed };
        let raffle = Raffle {
            clients: &self.clients,
            room: self.room,
            streamer: &self.streamer,
            cast: &self.cast,
            length: self.playlist.length().div_f64(self.options.speed),
            speed: self.options.speed,
            by_keyword: !number.is_multiple_of(2),
        };
        let play = script.play(&self.playlist, &self.cast, &self.clients.message);
        // The lottery is decided, and its prizes are claimed, before the broadcast ends.
        let (performance, ()) = tokio::join!(play, raffle.hold());
        tracing::info!(session.id = %session, %performance, "a demo broadcast is over");
        self.close().await?;
        if let Err(error) = archive::keep_latest(&self.clients, self.room, &self.streamer).await {
            tracing::warn!(%error, "old demo broadcasts could not be removed; the end of the next one tries again");
        }
        Ok(())
    }

    /// Ends the broadcast that is on, if one is.
    async fn close(&self) -> Result<(), Refusal> {
        let live = &self.clients.live;
        let room = answer(live.room(within(CALL_DEADLINE), GetRoom { room: self.room }).await)?;
        if let Some(session) = room.session {
            let caller = self.streamer.caller().await?;
            let request = CloseSession { caller, room: self.room, session: session.id };
            answer(live.close(within(CALL_DEADLINE), request).await)?;
        }
        Ok(())
    }
}

/// One viewer who only watches: reads an event stream and comes back when it ends.
async fn watch(http: SocketAddr, room: RoomId, lifecycle: Lifecycle) {
    let watching = async {
        loop {
            if let Ok(mut socket) = TcpStream::connect(http).await {
                let request =
                    format!("GET /api/v1/rooms/{room}/events HTTP/1.1\r\nHost: {http}\r\nConnection: close\r\n\r\n");
                let mut buffer = [0; 4_096];
                if socket.write_all(request.as_bytes()).await.is_ok() {
                    while socket.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
                }
            }
            tokio::time::sleep(Duration::from_millis(500 + u64::from(rand::random::<u8>()) * 8)).await;
        }
    };
    lifecycle.soft().run_until_cancelled(watching).await;
}
