//! `goligoli import`: brings a danmaku file into a running server as a new replay. It asks as
//! anybody does, over the API, so it works from wherever the server is reached by plain HTTP:
//! of the proxy before it that speaks TLS this command knows nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use idl::message::ImportedReplay;
use idl::{IdempotencyKey, Refusal, RoomId};
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Client, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::fs::File;

/// Whose access token it is that asks. Not an argument, which everybody on the machine sees.
const TOKEN: &str = "GOLIGOLI_TOKEN";
const REFUSED: u8 = 1;
const IMPOSSIBLE: u8 = 2;
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);
/// A server waits no longer for an import to end.
const IMPORT_DEADLINE: Duration = Duration::from_hours(1);
/// An answer is a replay and a list of counts.
const MAX_ANSWER_BYTES: usize = 1 << 20;

/// What `goligoli import` takes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// The file.
    file: PathBuf,
    /// The room that gets the replay.
    #[arg(long, value_name = "ID")]
    room: RoomId,
    /// What the replay is called.
    #[arg(long)]
    title: String,
    /// Makes a repetition safe: with the same key, room and title there is one replay. 1 to 64
    /// visible ASCII characters; random if it is not given.
    #[arg(long, value_parser = key)]
    key: Option<IdempotencyKey>,
    /// Where the server is.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8080")]
    server: Url,
}

fn key(text: &str) -> Result<IdempotencyKey, Refusal> {
    text.to_owned().try_into()
}

/// A problem document, as far as it is told.
#[derive(Debug, Deserialize)]
struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    /// Which field, `/title` say.
    pointer: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for FieldError { pointer } in &self.errors {
            write!(f, "{}: ", pointer.trim_start_matches('/'))?;
        }
        write!(f, "{} ({})", self.detail, self.code)
    }
}

/// How an import ended that the server answered.
enum Ended {
    Imported(ImportedReplay),
    Refused(Problem),
}

/// Imports; tells the result as JSON on standard output, in words on standard error.
pub(crate) async fn run(options: &Options) -> ExitCode {
    // Nobody may be reading; the exit code still says it.
    let (code, _told) = match import(options).await {
        Ok(Ended::Imported(imported)) => (0, tell(options, &imported)),
        Ok(Ended::Refused(problem)) => (REFUSED, writeln!(io::stderr(), "goligoli: the server refuses it: {problem}")),
        Err(error) => (IMPOSSIBLE, writeln!(io::stderr(), "goligoli: {error:#}")),
    };
    ExitCode::from(code)
}

async fn import(options: &Options) -> anyhow::Result<Ended> {
    let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
    let token = token.with_context(|| format!("set {TOKEN} to an access token of the room's owner"))?;
    let url = endpoint(options)?;
    let path = options.file.display();
    let file = File::open(&options.file).await.with_context(|| format!("opening {path}"))?;
    let about = file.metadata().await.with_context(|| format!("opening {path}"))?;
    anyhow::ensure!(!about.is_dir(), "{path} is a folder");
    let client = Client::builder().connect_timeout(CONNECT_DEADLINE).timeout(IMPORT_DEADLINE).build()?;
    let key = options.key.as_ref().map_or_else(|| format!("{:032x}", rand::random::<u128>()), ToString::to_string);
    let mut request = client.post(url).bearer_auth(token).header(CONTENT_TYPE, "application/xml");
    request = request.header("Idempotency-Key", &key);
    // A file that is too large is refused before it is sent. A pipe has no length.
    if about.is_file() {
        request = request.header(CONTENT_LENGTH, about.len());
    }
    let response = request.body(Body::from(file)).send().await;
    let response = match response {
        Err(error) if error.is_connect() => return Err(broke_off(options, error)),
        response => response.map_err(|error| broke_off(options, error)),
    };
    let answer = async { read(response?).await };
    let unknown = || format!("whether it was imported is not known; to repeat it safely: --key '{key}'");
    let (status, body) = answer.await.with_context(unknown)?;
    ended(status, &body)
}

fn endpoint(options: &Options) -> anyhow::Result<Url> {
    let server = &options.server;
    anyhow::ensure!(
        server.scheme() == "http",
        "--server {server}: this command speaks http alone; run it where the server is, or send the file with curl"
    );
    let mut url = server.join(&format!("/api/v1/rooms/{}/replays", options.room))?;
    url.query_pairs_mut().append_pair("title", &options.title);
    Ok(url)
}

fn broke_off(options: &Options, error: reqwest::Error) -> anyhow::Error {
    let server = &options.server;
    let what = if error.is_connect() {
        format!("no server is reached at {server}")
    } else if error.is_timeout() {
        format!("the server at {server} does not answer")
    } else {
        format!("sending {} to {server} broke off", options.file.display())
    };
    // Its own words begin with the URL, which is said.
    anyhow::Error::new(error.without_url()).context(what)
}

async fn read(mut response: Response) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.context("the answer broke off")? {
        body.extend_from_slice(&piece);
        anyhow::ensure!(body.len() <= MAX_ANSWER_BYTES, "the answer is longer than goligoli's are");
    }
    Ok((response.status(), body))
}

fn ended(status: StatusCode, body: &[u8]) -> anyhow::Result<Ended> {
    if status == StatusCode::CREATED {
        return Ok(Ended::Imported(serde_json::from_slice(body).context("the answer is not understood")?));
    }
    let problem = serde_json::from_slice(body);
    let problem: Problem = problem.map_err(|_| anyhow!("what answers is not goligoli: status {status}"))?;
    if status.is_server_error() {
        bail!("the server can't do it now: {problem}");
    }
    Ok(Ended::Refused(problem))
}

fn tell(options: &Options, imported: &ImportedReplay) -> io::Result<()> {
    writeln!(io::stdout(), "{}", serde_json::to_string(imported)?)?;
    let ImportedReplay { replay, report } = imported;
    let page = options.server.join(&format!("/replays/{}", replay.id)).map_err(io::Error::other)?;
    let (id, room) = (replay.id, replay.room_id);
    let Some(report) = report else {
        return writeln!(io::stderr(), "this was imported before, and is replay {id} of room {room}: {page}");
    };
    let (accepted, skipped, changed) = (report.accepted, listed(&report.skipped), listed(&report.changed));
    writeln!(
        io::stderr(),
        "{accepted} danmaku are replay {id} of room {room}, which is being indexed: {page}; \
         skipped {skipped}, changed {changed}",
    )
}

/// The sum, and what it is made of.
fn listed(counts: &BTreeMap<String, u64>) -> String {
    let sum: u64 = counts.values().sum();
    let parts: Vec<String> = counts.iter().map(|(what, count)| format!("{what}: {count}")).collect();
    if parts.is_empty() { sum.to_string() } else { format!("{sum} ({})", parts.join(", ")) }
}
