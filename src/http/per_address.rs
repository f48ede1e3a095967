//! How many connections one address may have open. Imports: nothing of ours.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

/// The bits of an IPv6 address that its owner cannot choose: a provider hands out whole /64 networks.
const OWN_BITS: u128 = !0 << 64;

/// Counts the open connections of each address.
#[derive(Debug)]
pub(super) struct PerAddress {
    max: Option<NonZeroUsize>,
    /// Only addresses that have one.
    open: Mutex<BTreeMap<IpAddr, usize>>,
}

/// One connection of an address, for as long as it lives.
#[derive(Debug)]
pub(super) struct Seat {
    of: Option<(Arc<PerAddress>, IpAddr)>,
}

impl PerAddress {
    /// Allows each address `max` connections, or any number.
    pub(super) fn new(max: Option<NonZeroUsize>) -> Arc<Self> {
        Arc::new(Self {
            max,
            open: Mutex::default(),
        })
    }

    /// Takes a place for one more connection of `address`; a Unix socket has none. `None`: that address
    /// has as many as it may.
    pub(super) fn take(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Seat> {
        let (Some(max), Some(address)) = (self.max, address) else {
            return Some(Seat { of: None });
        };
        let address = client(address);
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let open = all.entry(address).or_default();
        if max.get() <= *open {
            return None;
        }
        *open += 1;
        Some(Seat {
            of: Some((Arc::clone(self), address)),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let Some((counts, address)) = &self.of else {
            return;
        };
        let mut all = counts.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = all.get_mut(address) {
            *open -= 1;
            if *open == 0 {
                all.remove(address);
            }
        }
    }
}

/// Returns what stands for one client: an IPv4 address, or a /64 network of IPv6.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & OWN_BITS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_address_has_so_many_and_gets_them_back() {
        let all = PerAddress::new(NonZeroUsize::new(2));
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        let first = all.take(one).unwrap();
        // The same one, as a socket of IPv6 tells it.
        let _second = all.take(address("::ffff:192.0.2.1")).unwrap();
        assert!(all.take(one).is_none());
        let _of_other = all.take(other).unwrap();
        drop(first);
        assert!(all.take(one).is_some());
        // Neighbours in a network of IPv6 are one client.
        let _third = all.take(address("2001:db8::1")).unwrap();
        let _fourth = all.take(address("2001:db8::2")).unwrap();
        assert!(all.take(address("2001:db8::3")).is_none());
        assert!(all.take(address("2001:db8:0:1::3")).is_some());
        // A Unix socket has no address.
        assert!((0..9).all(|_| all.take(None).is_some()));
        assert_eq!(all.open.lock().unwrap().len(), 3);
    }

    #[test]
    fn without_a_limit_nothing_is_counted() {
        let all = PerAddress::new(None);
        let _seat = all.take(Some("192.0.2.1".parse().unwrap())).unwrap();
        assert!(all.open.lock().unwrap().is_empty());
    }
}
