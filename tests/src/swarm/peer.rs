//! Looks at the other end of connections.
//!
//! Who does not read cannot see that it was cut: the end of the stream waits behind the
//! bytes that it has not taken. On one machine the kernel's table of sockets tells it.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};

const ESTABLISHED: &str = "01";

/// The clients of `server` whose connections the server still holds. `None` if it cannot be
/// told: another machine, another system, IPv6.
pub(super) fn clients_of(server: SocketAddr) -> Option<HashSet<SocketAddr>> {
    server.ip().is_loopback().then_some(())?;
    clients_in(&std::fs::read_to_string("/proc/net/tcp").ok()?, server)
}

fn clients_in(table: &str, server: SocketAddr) -> Option<HashSet<SocketAddr>> {
    let held = |line: &str| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let (local, remote, state) = (fields.next()?, fields.next()?, fields.next()?);
        (state == ESTABLISHED && address(local)? == server).then(|| address(remote))?
    };
    server.is_ipv4().then(|| table.lines().skip(1).filter_map(held).collect())
}

/// `0100007F:1F90` is 127.0.0.1:8080 where the lowest byte comes first.
fn address(text: &str) -> Option<SocketAddr> {
    let (ip, port) = text.split_once(':')?;
    let ip = u32::from_str_radix(ip, 16).ok()?.to_ne_bytes();
    Some(SocketAddrV4::new(Ipv4Addr::from(ip), u16::from_str_radix(port, 16).ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_end_is_found_in_the_table() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        let stays = std::net::TcpStream::connect(server).unwrap();
        let cut = std::net::TcpStream::connect(server).unwrap();
        let accepted = [listener.accept().unwrap(), listener.accept().unwrap()];
        let (kept, dropped): (Vec<_>, Vec<_>) =
            accepted.into_iter().partition(|(_, client)| *client == stays.local_addr().unwrap());
        drop(dropped);
        assert_eq!(clients_of(server).unwrap(), HashSet::from([stays.local_addr().unwrap()]));
        drop((kept, cut));
    }
}
