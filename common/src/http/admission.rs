//! How many places one address may hold, and how often it may take one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;

use crate::buckets::Buckets;

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
    /// How often an address may come in.
    pace: Option<Buckets>,
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
        Self { held: Arc::default(), most_per_address, pace: None, free: free.into_iter().collect() }
    }

    /// The same, and nobody comes in more often than these buckets allow: who takes a place,
    /// leaves it and takes it again costs more than who stays.
    #[must_use]
    pub fn paced(self, pace: Buckets) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// A place for this address (or its IPv6 /64, which is what one client has); `None` if
    /// it has as many as it may, or came too often.
    #[must_use]
    pub fn enter(&self, address: IpAddr) -> Option<Place> {
        if self.free.iter().any(|net| net.contains(&address)) {
            return Some(Place { of: None });
        }
        if self.pace.as_ref().is_some_and(|pace| pace.take(client_key(address)).is_err()) {
            return None;
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

/// What one client's buckets are kept under.
#[must_use]
pub fn client_key(address: IpAddr) -> u64 {
    match client_network(address) {
        IpAddr::V4(v4) => u64::from(v4.to_bits()),
        IpAddr::V6(v6) => u64::try_from(v6.to_bits() >> 64).unwrap_or(u64::MAX),
    }
}

/// What one client has, as people write it.
#[must_use]
pub fn client_name(address: IpAddr) -> String {
    match client_network(address) {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => format!("{v6}/64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buckets::Rate;

    #[test]
    fn an_address_comes_in_so_often_even_if_it_leaves_again() {
        let rate = Rate { burst: 3.try_into().unwrap(), per_minute: 1.try_into().unwrap() };
        let admission = Admission::new(2, ["10.0.0.0/8".parse().unwrap()]).paced(Buckets::new(rate));
        let may_enter = |address: &str| admission.enter(address.parse().unwrap()).is_some();
        assert_eq!([(); 5].map(|()| may_enter("192.0.2.1")), [true, true, true, false, false]);
        assert!(may_enter("192.0.2.2"));
        assert!([(); 9].map(|()| may_enter("10.1.1.1")).into_iter().all(|may| may));
        let one_client = ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8::4", "2001:db8:0:1::4"];
        assert_eq!(one_client.map(may_enter), [true, true, true, false, true]);
        assert!(admission.held.lock().unwrap().is_empty());
    }

    #[test]
    fn a_client_is_an_address_or_a_64() {
        let same = |one: &str, other: &str| {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            let same = client_network(one) == client_network(other);
            assert_eq!(same, client_key(one) == client_key(other));
            assert_eq!(same, client_name(one) == client_name(other));
            same
        };
        assert!(same("2001:db8:1:2::1", "2001:db8:1:2:ffff::9") && same("::ffff:192.0.2.1", "192.0.2.1"));
        assert!(!same("2001:db8:1:2::1", "2001:db8:1:3::1") && !same("192.0.2.1", "192.0.2.2"));
        assert_eq!(client_name("2001:db8:1:2:ffff::9".parse().unwrap()), "2001:db8:1:2::/64");
        assert_eq!(client_name("::ffff:192.0.2.7".parse().unwrap()), "192.0.2.7");
    }

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
