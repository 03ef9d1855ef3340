//! One viewer's connection.

use std::io::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

use super::check::Progress;
use super::decode::Decoder;
use super::target::Target;

/// What a viewer does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Reads whatever comes.
    Ordinary,
    /// Never reads after the head.
    Stalled,
    /// Reads one byte a second after the head.
    Dripping,
}

/// Where its connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// There is none; another may be waited for.
    Away,
    /// From connecting to the end of the head.
    Opening,
    /// The head has come.
    Watching,
    /// There is none, and there will be none.
    Gone,
}

#[derive(Debug)]
pub(super) struct Viewer {
    pub(super) role: Role,
    pub(super) state: State,
    pub(super) socket: Option<TcpStream>,
    pub(super) decoder: Decoder,
    pub(super) progress: Progress,
    /// When the state last changed.
    pub(super) since: Instant,
    /// Counts the changes of state: a timer of an earlier one is of no more use.
    pub(super) generation: u32,
    /// Attempts without a head since the last one that had one.
    pub(super) failures: u32,
    pub(super) reached: bool,
    /// How long a special viewer was borne.
    pub(super) cut: Option<Duration>,
}

impl Viewer {
    pub(super) fn new(role: Role) -> Self {
        Self {
            role,
            state: State::Away,
            socket: None,
            decoder: Decoder::default(),
            progress: Progress::default(),
            since: Instant::now(),
            generation: 0,
            failures: 0,
            reached: false,
            cut: None,
        }
    }

    pub(super) fn enter(&mut self, state: State) {
        self.state = state;
        self.since = Instant::now();
        self.generation = self.generation.wrapping_add(1);
    }

    pub(super) fn local_address(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.local_addr().ok()
    }

    /// Asks for the stream, on a connection that has just been made.
    pub(super) fn ask(&mut self, target: &Target) -> io::Result<()> {
        let last = self.progress.last.filter(|_| target.ids == super::Ids::Goligoli).map(|last| last.to_string());
        let request = target.request(last.as_deref());
        let socket = self.socket.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        if let Some(error) = socket.take_error()? {
            return Err(error);
        }
        // A new socket's buffer is empty and larger than any request.
        socket.write_all(request.as_bytes())
    }
}

/// Begins to connect, from one of `sources` addresses.
pub(super) fn connect(to: SocketAddr, source: u8, receive_buffer_bytes: Option<usize>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    // Before connecting: the window that is offered then depends on it.
    receive_buffer_bytes.map_or(Ok(()), |bytes| socket.set_recv_buffer_size(bytes))?;
    if source > 0 && to.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
        socket.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 1 + source), 0)).into())?;
    }
    match socket.connect(&to.into()) {
        Err(error) if !is_under_way(&error) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
        || error.kind() == io::ErrorKind::WouldBlock
}
