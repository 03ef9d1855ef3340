//! A TCP proxy between a site and a server: a network that can break in other ways than a
//! process that dies.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What the network does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    /// Bytes pass.
    Whole,
    /// No byte passes, and none is lost: they wait until it is whole again.
    Paused,
    /// Both ends believe that they are connected, and what either sends is lost for good:
    /// a half-open connection. New connections are the same.
    HalfOpen,
    /// Connections are broken, and no new one is made.
    Cut,
}

/// The proxy. Dropped: all its connections are broken.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    network: watch::Sender<Network>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    /// A proxy to a server, on a port of its own.
    pub async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let (network, seen) = watch::channel(Network::Whole);
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, server, seen));
        Self { address, network, _accepting: accepting }
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on the network is like this.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, network: watch::Receiver<Network>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((near, _)) = accepted else { continue };
                connections.spawn(carry(near, server, network.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn carry(near: TcpStream, server: SocketAddr, network: watch::Receiver<Network>) {
    let now = *network.borrow();
    if now == Network::Cut {
        return;
    }
    let mut whole = network.clone();
    if now == Network::Paused && whole.wait_for(|network| *network != Network::Paused).await.is_err() {
        return;
    }
    let Ok(far) = TcpStream::connect(server).await else { return };
    _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_reads, near_writes), (far_reads, far_writes)) = (near.into_split(), far.into_split());
    let was_half_open = now == Network::HalfOpen;
    tokio::select! {
        () = one_way(near_reads, far_writes, network.clone(), was_half_open) => {}
        () = one_way(far_reads, near_writes, network.clone(), was_half_open) => {}
        () = is_cut(network) => {}
    }
}

async fn is_cut(mut network: watch::Receiver<Network>) {
    _ = network.wait_for(|network| *network == Network::Cut).await;
}

/// Carries bytes until an end closes. A connection that was half-open once has lost bytes: it
/// stays so.
async fn one_way(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut network: watch::Receiver<Network>,
    mut lost: bool,
) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(bytes @ 1..) = from.read(&mut buffer).await else {
            // The other end of a half-open connection never hears that this one closed.
            if lost || *network.borrow() == Network::HalfOpen {
                tokio::time::sleep(Duration::from_mins(10)).await;
            }
            return;
        };
        if network.wait_for(|network| *network != Network::Paused).await.is_err() {
            return;
        }
        lost = lost || *network.borrow() == Network::HalfOpen;
        if !lost && to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DEADLINE, in_time};

    const SOON: Duration = Duration::from_millis(200);

    /// Answers every byte with itself.
    async fn echo() -> (SocketAddr, JoinSet<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, mut serving) = (listener.local_addr().unwrap(), JoinSet::new());
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut socket, _)) = listener.accept().await {
                connections.spawn(async move {
                    let (mut reads, mut writes) = socket.split();
                    _ = tokio::io::copy(&mut reads, &mut writes).await;
                });
            }
        });
        (address, serving)
    }

    async fn echoed(socket: &mut TcpStream) -> bool {
        let mut byte = [0];
        let asked = async { socket.write_all(&[7]).await.is_ok() && socket.read_exact(&mut byte).await.is_ok() };
        tokio::time::timeout(SOON, asked).await.unwrap_or(false)
    }

    #[tokio::test]
    async fn the_network_breaks_in_each_way() {
        let (server, _serving) = echo().await;
        let proxy = Proxy::to(server).await;
        let mut socket = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echoed(&mut socket).await);

        proxy.set(Network::Paused);
        assert!(!echoed(&mut socket).await);
        proxy.set(Network::Whole);
        let mut byte = [0];
        _ = in_time(DEADLINE, "what waited comes", socket.read_exact(&mut byte)).await.unwrap();
        assert!(echoed(&mut socket).await);

        proxy.set(Network::HalfOpen);
        assert!(!echoed(&mut socket).await);
        proxy.set(Network::Whole);
        assert!(!echoed(&mut socket).await, "it has lost bytes");
        let mut other = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echoed(&mut other).await);

        proxy.set(Network::Cut);
        assert_eq!(in_time(DEADLINE, "it is broken", other.read(&mut byte)).await.unwrap_or(0), 0);
        proxy.set(Network::Whole);
        let mut third = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(echoed(&mut third).await);
    }
}
