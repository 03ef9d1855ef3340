//! `goligoli demo`: the server, with a streamer and viewers who play a danmaku file into a
//! live room at its own timing, over and over. They use the same calls as everybody.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use common::rpc::{answer, within};
use common::{Clock, Lifecycle};
use idl::live::{CloseSession, CreateRoom, ListRooms, OpenSession, Room, RoomText};
use idl::user::{LogIn, LoggedIn, Register, Secret};
use idl::{Caller, Code};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{App, Config};

mod cast;
mod playlist;

use cast::Cast;
use playlist::Playlist;

const STREAMER: &str = "night-train";
/// Between two broadcasts, in the file's time.
const INTERMISSION: Duration = Duration::from_secs(8);
const CALL_DEADLINE: Duration = Duration::from_secs(5);
/// Lines on their way at once. Full: the next ones are late.
const POSTS_AT_ONCE: usize = 64;
const TRIES: u32 = 20;

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
/// The file can't be read, or those of [`App::start`].
pub async fn start(config: Config, options: Options) -> anyhow::Result<App> {
    let playlist = Playlist::read(options.file.as_deref())?;
    let app = App::start(config, Clock::system()).await?;
    let (streamer, password) = streamer(&app).await?;
    let room = room(&app, &streamer).await?;
    let cast = Cast::assemble(&app.operator, app.clients.user.clone(), playlist.senders()).await?;
    println!("{}", poster(app.http, &room, &password, &playlist));
    for _ in 0..options.watchers {
        app.lifecycle().spawn_one_of_many(watch(app.http, room.id.to_string(), app.lifecycle().clone()));
    }
    let play = Play { clients: app.clients.clone(), room, playlist, cast, streamer, password, options };
    let soft = app.lifecycle().soft().clone();
    app.lifecycle().spawn("demo.play", async move {
        if let Some(Err(error)) = soft.run_until_cancelled(play.over_and_over()).await {
            tracing::error!(error = %format!("{error:#}"), "the demo's play broke off; the server goes on");
        }
    });
    Ok(app)
}

fn poster(http: SocketAddr, room: &Room, password: &Secret, playlist: &Playlist) -> String {
    let id = room.id;
    format!(
        "\n  goligoli demo is on: {} danmaku, over and over\n\n\
         \x20   watch      http://{http}/rooms/{id}\n\
         \x20   overlay    http://{http}/rooms/{id}/overlay   (for OBS's browser source)\n\
         \x20   API        http://{http}/api/v1/docs\n\
         \x20   stream     curl -N http://{http}/api/v1/rooms/{id}/events\n\
         \x20   log in     {STREAMER} / {}   (the streamer), or register as anybody\n\n\
         \x20 Ctrl-C stops it.\n",
        playlist.lines().len(),
        password.0,
    )
}

/// The streamer's account, with a new password at every start.
async fn streamer(app: &App) -> anyhow::Result<(LoggedIn, Secret)> {
    let user = &app.clients.user;
    let password = Secret(format!("{:016x}", rand::random::<u64>()));
    let request =
        Register { name: STREAMER.to_owned(), password: password.clone(), device_name: "goligoli demo".to_owned() };
    match answer(user.register(within(CALL_DEADLINE), request).await) {
        Ok(logged_in) => Ok((logged_in, password)),
        Err(refusal) if refusal.code == Code::NameTaken => {
            let password = app.operator.reset_password(STREAMER).await?;
            Ok((log_in(&app.clients, &password).await?, password))
        }
        Err(refusal) => Err(refusal).context("registering the demo's streamer"),
    }
}

async fn log_in(clients: &gateway::Clients, password: &Secret) -> anyhow::Result<LoggedIn> {
    let request = LogIn {
        name: STREAMER.to_owned(),
        password: password.clone(),
        device_name: "goligoli demo".to_owned(),
        client: None,
    };
    answer(clients.user.log_in(within(CALL_DEADLINE), request).await).context("logging the demo's streamer in")
}

async fn room(app: &App, streamer: &LoggedIn) -> anyhow::Result<Room> {
    let live = &app.clients.live;
    let mine = ListRooms { owner: Some(streamer.account.id), limit: 1, ..ListRooms::default() };
    if let Some(room) = answer(live.rooms(within(CALL_DEADLINE), mine).await)?.items.pop() {
        return Ok(room);
    }
    let text = RoomText {
        title: "Night train 夜行列车".to_owned(),
        description: "A window seat through the mountains, until sunrise.\n靠窗的座位，穿过群山，直到日出。".to_owned(),
        category: "旅行 travel".to_owned(),
    };
    let request = CreateRoom { caller: caller(&streamer.access_token), text, key: None };
    Ok(answer(live.create_room(within(CALL_DEADLINE), request).await)?)
}

fn caller(token: &Secret) -> Caller {
    Caller { token: token.0.clone() }
}

struct Play {
    clients: gateway::Clients,
    room: Room,
    playlist: Playlist,
    cast: Cast,
    streamer: LoggedIn,
    password: Secret,
    options: Options,
}

impl Play {
    async fn over_and_over(mut self) -> anyhow::Result<()> {
        let mut played = 0;
        while self.options.broadcasts.is_none_or(|most| played < most) {
            if played > 0 {
                tokio::time::sleep(INTERMISSION.div_f64(self.options.speed)).await;
            }
            self.broadcast().await?;
            played += 1;
        }
        Ok(())
    }

    async fn broadcast(&mut self) -> anyhow::Result<()> {
        let live = self.clients.live.clone();
        if let Some(open) =
            answer(live.room(within(CALL_DEADLINE), idl::live::GetRoom { room: self.room.id }).await)?.session
        {
            self.close(open.id).await?;
        }
        let caller = self.streamer_now().await?;
        let request = OpenSession { caller, room: self.room.id, key: None };
        let session = answer(live.open(within(CALL_DEADLINE), request).await)?;
        let script =
            playlist::Script { room: self.room.id, session: session.id, speed: self.options.speed, tries: TRIES };
        let outcome = script.play(&self.playlist, &self.cast, &self.clients.message, POSTS_AT_ONCE).await;
        tracing::info!(session.id = %session.id, %outcome, "a demo broadcast is over");
        self.close(session.id).await
    }

    async fn close(&mut self, session: idl::SessionId) -> anyhow::Result<()> {
        let request = CloseSession { caller: self.streamer_now().await?, room: self.room.id, session };
        answer(self.clients.live.close(within(CALL_DEADLINE), request).await)?;
        Ok(())
    }

    /// The streamer logs in anew for each call that may be minutes after the last one.
    async fn streamer_now(&mut self) -> anyhow::Result<Caller> {
        if let Err(refusal) = answer(
            self.clients
                .user
                .me(within(CALL_DEADLINE), idl::user::Me { caller: caller(&self.streamer.access_token) })
                .await,
        ) {
            anyhow::ensure!(refusal.code == Code::NotSignedIn, refusal);
            self.streamer = log_in(&self.clients, &self.password).await?;
        }
        Ok(caller(&self.streamer.access_token))
    }
}

/// One viewer who only watches: reads an event stream and comes back when it ends.
async fn watch(http: SocketAddr, room: String, lifecycle: Lifecycle) {
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
