//! The server's ends of connections, by the kernel's table of TCP sockets.
//!
//! Who does not read cannot see that it was cut: the end of the stream waits behind the
//! bytes that it has not taken. On one machine this table tells it.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

const ESTABLISHED: &str = "01";

/// The clients whose connections `server` still holds, and how many bytes wait in each to be
/// sent. `None` if it cannot be told: another machine, another system, IPv6.
#[must_use]
pub fn held_by(server: SocketAddr) -> Option<HashMap<SocketAddr, u64>> {
    (server.is_ipv4() && server.ip().is_loopback()).then_some(())?;
    let table = std::fs::read_to_string("/proc/net/tcp").ok()?;
    Some(table.lines().skip(1).filter_map(|line| held(line, server)).collect())
}

fn held(line: &str, server: SocketAddr) -> Option<(SocketAddr, u64)> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (local, remote, state, queues) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let is_held = state == ESTABLISHED && address(local)? == server;
    let waiting = u64::from_str_radix(queues.split_once(':')?.0, 16).ok()?;
    is_held.then(|| Some((address(remote)?, waiting)))?
}

/// `0100007F:1F90` is 127.0.0.1:8080 where the lowest byte comes first.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_servers_end_is_found_with_what_waits_in_it() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let clients = [0; 3].map(|_| TcpStream::connect(server).unwrap());
        let [reads, stalls, cut] = [0, 1, 2].map(|n| clients[n].local_addr().unwrap());
        let mut accepted: HashMap<SocketAddr, TcpStream> =
            [0; 3].map(|_| listener.accept().unwrap()).map(|(socket, client)| (client, socket)).into();
        drop(accepted.remove(&cut));
        let unread = &accepted[&stalls];
        unread.set_nonblocking(true).unwrap();
        while (&*unread).write(&[7; 4_096]).is_ok() {}
        let held = held_by(server).unwrap();
        assert_eq!((held.len(), held[&reads]), (2, 0));
        assert!(held[&stalls] > 0);
    }

    #[test]
    fn a_server_elsewhere_is_not_looked_for_here() {
        assert_eq!(held_by("192.0.2.1:80".parse().unwrap()), None);
        assert_eq!(held_by("[::1]:80".parse().unwrap()), None);
    }
}
