//! The least that a server of event streams can do: it accepts, says the head, and then
//! gives each event to each viewer with one send, in a plain loop over nonblocking sockets.
//! Nothing is resumed, checked or kept. `GET` is a viewer, `POST` publishes its body.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};

const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n";
const TAKEN: &[u8] = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n";
const LISTENER: Token = Token(usize::MAX);

/// Serves until it is killed.
pub(crate) fn serve(listen: SocketAddr, batch_ms: u64, greeting_bytes: usize) -> anyhow::Result<()> {
    let mut server = Bare::listen(listen, Duration::from_millis(batch_ms))?;
    let event = format!("event: danmaku\ndata: {}\n\n", "x".repeat(250));
    server.greeting.extend(event.repeat(greeting_bytes / event.len()).as_bytes());
    let mut events = Events::with_capacity(1_024);
    loop {
        let wait = server.send_at.map(|at| at.saturating_duration_since(Instant::now()));
        match server.poll.poll(&mut events, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER { server.accept()? } else { server.read(event.token().0)? }
        }
        if server.send_at.is_some_and(|at| at <= Instant::now()) {
            server.send();
        }
    }
}

struct Bare {
    /// What each viewer is sent who comes.
    greeting: Vec<u8>,
    poll: Poll,
    listener: mio::net::TcpListener,
    batch: Duration,
    /// Connections that have not said what they are, and publishers.
    asking: Vec<Option<(mio::net::TcpStream, Vec<u8>)>>,
    viewers: Vec<TcpStream>,
    /// Events that wait to be sent, and when that is.
    frames: Vec<u8>,
    send_at: Option<Instant>,
    published: u64,
}

impl Bare {
    fn listen(address: SocketAddr, batch: Duration) -> anyhow::Result<Self> {
        let poll = Poll::new()?;
        let socket = TcpListener::bind(address)?;
        // As much as goligoli's: a greeting must fit.
        rustix::net::sockopt::set_socket_send_buffer_size(&socket, 256 << 10)?;
        rustix::net::listen(socket.as_fd(), 4_096)?;
        socket.set_nonblocking(true)?;
        let mut listener = mio::net::TcpListener::from_std(socket);
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            greeting: HEAD.to_owned(),
            poll,
            listener,
            batch,
            asking: Vec::new(),
            viewers: Vec::new(),
            frames: Vec::new(),
            send_at: None,
            published: 0,
        })
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        loop {
            match self.listener.accept() {
                Ok((mut socket, _)) => {
                    socket.set_nodelay(true)?;
                    let place = self.asking.iter().position(Option::is_none).unwrap_or(self.asking.len());
                    self.poll.registry().register(&mut socket, Token(place), Interest::READABLE)?;
                    if place == self.asking.len() {
                        self.asking.push(None);
                    }
                    self.asking[place] = Some((socket, Vec::new()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn read(&mut self, place: usize) -> anyhow::Result<()> {
        let mut buffer = [0; 16 << 10];
        while let Some((socket, asked)) = self.asking.get_mut(place).and_then(Option::as_mut) {
            match socket.read(&mut buffer) {
                Ok(0) => self.asking[place] = None,
                Ok(bytes) => {
                    asked.extend_from_slice(&buffer[..bytes]);
                    self.answer(place)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(_) => self.asking[place] = None,
            }
        }
        Ok(())
    }

    fn answer(&mut self, place: usize) -> anyhow::Result<()> {
        let Some((socket, asked)) = self.asking.get_mut(place).and_then(Option::as_mut) else { return Ok(()) };
        let Some(head) = memchr::memmem::find(asked, b"\r\n\r\n") else { return Ok(()) };
        if asked.starts_with(b"GET ") {
            if let Some((mut socket, _)) = self.asking[place].take()
                && socket.write_all(&self.greeting).is_ok()
            {
                self.poll.registry().deregister(&mut socket)?;
                self.viewers.push(socket.into());
            }
            return Ok(());
        }
        let text = String::from_utf8_lossy(&asked[..head]).to_ascii_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let length: usize = length.unwrap_or(0);
        if asked.len() < head + 4 + length {
            return Ok(());
        }
        write!(self.frames, "id: {}\nevent: danmaku\ndata: ", self.published)?;
        self.frames.extend_from_slice(&asked[head + 4..head + 4 + length]);
        self.frames.extend_from_slice(b"\n\n");
        self.published += 1;
        asked.drain(..head + 4 + length);
        _ = socket.write_all(TAKEN);
        if self.batch.is_zero() {
            self.send();
        } else {
            self.send_at.get_or_insert_with(|| Instant::now() + self.batch);
        }
        Ok(())
    }

    /// The loop itself. Who does not take all at once is let go.
    fn send(&mut self) {
        let frames = &self.frames;
        self.viewers.retain_mut(|viewer| matches!(viewer.write(frames), Ok(bytes) if bytes == frames.len()));
        self.frames.clear();
        self.send_at = None;
    }
}
