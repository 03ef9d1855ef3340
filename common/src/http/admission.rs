//! How many places there are, in all and for one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

/// Which addresses are not clients of their own.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    /// Reverse proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    /// Networks that no limit holds for.
    pub exempt: Vec<IpNet>,
}

/// Counts what each address holds. Its size is bounded by what is held. Clones share it.
#[derive(Debug, Clone)]
pub struct Admission {
    held: Arc<Mutex<HashMap<IpAddr, usize>>>,
    most_per_address: usize,
    free: Arc<[IpNet]>,
}

/// A place that an address holds until this is dropped.
#[derive(Debug)]
pub struct Place {
    of: Option<(Admission, IpAddr)>,
}

impl Admission {
    /// At most so many places for one address, and any number for those in `free`.
    #[must_use]
    pub fn new(most_per_address: usize, free: impl IntoIterator<Item = IpNet>) -> Self {
        Self { held: Arc::default(), most_per_address, free: free.into_iter().collect() }
    }

    /// A place for this address (or its IPv6 /64, which is what one client has); `None` if
    /// it has as many as it may.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        if self.free.iter().any(|net| net.contains(&address)) {
            return Some(Place { of: None });
        }
        let key = client_network(address);
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let places = held.entry(key).or_insert(0);
        if *places >= self.most_per_address {
            return None;
        }
        *places += 1;
        Some(Place { of: Some((self.clone(), key)) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((admission, key)) = self.of.take() else { return };
        let mut held = admission.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(places) = held.get_mut(&key) {
            *places -= 1;
            if *places == 0 {
                held.remove(&key);
            }
        }
    }
}

/// What one client has: an IPv4 address, or an IPv6 /64.
#[must_use]
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let mut octets = v6.octets();
            octets[8..].fill(0);
            IpAddr::from(octets)
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_so_many_places_and_gets_them_back() {
        let admission = Admission::new(2, ["10.0.0.0/8".parse().unwrap()]);
        let enter = |address: &str| admission.enter(address.parse().unwrap());
        let first = enter("192.0.2.1").unwrap();
        let second = enter("192.0.2.1");
        assert!(second.is_some() && enter("192.0.2.1").is_none() && enter("192.0.2.2").is_some());
        assert!((0..9).map(|_| enter("10.1.1.1")).collect::<Vec<_>>().iter().all(Option::is_some));
        drop(first);
        assert!(enter("192.0.2.1").is_some());
        let one_client = [enter("2001:db8::1"), enter("2001:db8::2")];
        assert!(one_client.iter().all(Option::is_some) && enter("2001:db8::3").is_none());
        drop((second, one_client));
        assert!(admission.held.lock().unwrap().is_empty());
    }
}
