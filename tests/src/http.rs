//! The least that speaks HTTP/1.1, so that a client under load takes little of the machine.

use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use memchr::memmem;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MOST_HEAD_BYTES: usize = 16 << 10;
/// An answer that has no body, and does not say so.
const NOT_MODIFIED: u16 = 304;

/// A connection that is kept; one request at a time.
#[derive(Debug)]
pub struct Connection {
    socket: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens there.
    pub async fn to(address: SocketAddr) -> anyhow::Result<Self> {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        Ok(Self { socket, buffer: Vec::new() })
    }

    /// Sends a whole request and gives the answer's status and body. After an error the
    /// connection is of no more use.
    ///
    /// # Errors
    /// The connection broke, or it can't be seen where the answer ends.
    pub async fn ask(&mut self, request: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        self.socket.write_all(request).await?;
        loop {
            if let Some(head) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..head]).to_ascii_lowercase();
                let status = text.get(9..12).context("no status")?.parse()?;
                let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
                let whole = if text.contains("\r\ntransfer-encoding: chunked") {
                    unchunked(&self.buffer[head + 4..])?
                } else if status == NOT_MODIFIED {
                    Some((0, Vec::new()))
                } else {
                    let length: usize = length.context("no content-length")?.trim().parse()?;
                    self.buffer.get(head + 4..head + 4 + length).map(|body| (length, body.to_vec()))
                };
                if let Some((length, body)) = whole {
                    self.buffer.drain(..head + 4 + length);
                    return Ok((status, body));
                }
            } else {
                ensure!(self.buffer.len() <= MOST_HEAD_BYTES, "a head without an end");
            }
            ensure!(self.socket.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        }
    }
}

/// A body that comes in chunks, and how many bytes it takes with their sizes; `None` if more of
/// it is to come.
fn unchunked(bytes: &[u8]) -> anyhow::Result<Option<(usize, Vec<u8>)>> {
    let (mut body, mut at) = (Vec::new(), 0);
    while let Some(end) = memmem::find(&bytes[at..], b"\r\n") {
        let size = usize::from_str_radix(std::str::from_utf8(&bytes[at..at + end])?, 16)?;
        at += end + 2;
        let Some(chunk) = bytes.get(at..at + size + 2) else { break };
        if size == 0 {
            return Ok(Some((at + 2, body)));
        }
        body.extend_from_slice(&chunk[..size]);
        at += size + 2;
    }
    Ok(None)
}

/// A `GET`, as it goes over the wire.
#[must_use]
pub fn get(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("GET", path, headers, "")
}

/// A `POST` with a body, as it goes over the wire.
#[must_use]
pub fn post(path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    request("POST", path, headers, body)
}

/// A `PUT` without a body, as it goes over the wire.
#[must_use]
pub fn put(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    request("PUT", path, headers, "")
}

fn request(method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut request = format!("{method} {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.extend(["\r\n", body]);
    request.into_bytes()
}
