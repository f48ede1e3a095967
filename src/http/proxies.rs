//! Whose request is it that a proxy hands on? A proxy says so in `X-Forwarded-For`, or in `Forwarded`
//! (RFC 7239), but so could anybody: only the word of a proxy that the server was told to trust counts,
//! and each proxy's only about its own caller. So the addresses are read from the right, where the last
//! proxy wrote, up to the first that is no trusted proxy; what stands left of it, that one made up, or
//! may have.
//!
//! What cannot be read (`unknown`, a name, a torn quote) is nobody's address: then the request counts as
//! that of the proxy which wrote it. The same where both headers are there and say different things:
//! which one the proxy wrote, and which it only let pass, is not known. Imports: nothing of ours.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{FORWARDED, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// How whoever comes through the server's Unix socket is called.
const UNIX: &str = "unix";

/// Who is believed when it says for whom it asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// Whoever may connect to the server's Unix socket.
    Socket,
    /// All addresses of a network.
    Network(Network),
}

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first of them.
    first: IpAddr,
    /// How many bits they share.
    bits: u32,
}

/// Why a text names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadProxy {
    /// It is something else.
    #[error(
        "give an address (`10.0.0.1`), a network (`10.0.0.0/8`), or `unix` for the Unix socket"
    )]
    Form,
    /// Longer than an address.
    #[error("the part after `/` is a number of bits, here 0 to {max}")]
    Bits {
        /// An address has so many.
        max: u32,
    },
    /// The network does not begin there.
    #[error("that is an address within the network `{network}`: give the one or the other")]
    Within {
        /// Where it begins.
        network: Network,
    },
}

/// The proxies that a server trusts.
#[derive(Clone, Debug, Default)]
pub struct Proxies(Vec<Proxy>);

impl Proxies {
    /// Trusts these.
    #[must_use]
    pub fn new(trusted: Vec<Proxy>) -> Self {
        Self(trusted)
    }

    /// Returns from where a request comes that `peer` sent, or handed on.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> Option<IpAddr> {
        if !self.trusts(peer) {
            return peer;
        }
        let told = [
            hops(headers, X_FORWARDED_FOR, of_list),
            hops(headers, FORWARDED, of_forwarded),
        ];
        let [one, other] = told.map(|hops| hops.map(|hops| self.follow(peer, hops)));
        match (one, other) {
            (Some(client), None) | (None, Some(client)) => client,
            (Some(one), Some(other)) if one == other => one,
            (None, None) | (Some(_), Some(_)) => peer,
        }
    }

    fn trusts(&self, address: Option<IpAddr>) -> bool {
        self.0.iter().any(|proxy| match (proxy, address) {
            (Proxy::Socket, None) => true,
            (Proxy::Network(network), Some(address)) => network.contains(address),
            (Proxy::Socket, Some(_)) | (Proxy::Network(_), None) => false,
        })
    }

    /// Follows `hops`, the last one first, to the first that is not trusted.
    fn follow(&self, peer: Option<IpAddr>, hops: Vec<Option<IpAddr>>) -> Option<IpAddr> {
        let mut client = peer;
        for hop in hops {
            if hop.is_none() {
                break;
            }
            client = hop;
            if !self.trusts(client) {
                break;
            }
        }
        client
    }
}

/// Reads the addresses in all headers of this name, the last one first; `None`: there is no such header.
fn hops(
    headers: &HeaderMap,
    name: HeaderName,
    read: fn(&str) -> Vec<Option<IpAddr>>,
) -> Option<Vec<Option<IpAddr>>> {
    let mut found: Option<Vec<Option<IpAddr>>> = None;
    for value in headers.get_all(name) {
        let of_value = value.to_str().map_or_else(|_| vec![None], read);
        found.get_or_insert_default().extend(of_value);
    }
    if let Some(hops) = &mut found {
        hops.reverse();
    }
    found
}

/// Reads `192.0.2.1, 10.0.0.1`.
fn of_list(text: &str) -> Vec<Option<IpAddr>> {
    let parts = text.split(',').map(str::trim);
    parts.filter(|part| !part.is_empty()).map(address).collect()
}

/// Reads `for=192.0.2.1;proto=https, for="[2001:db8::1]:4711"`.
fn of_forwarded(text: &str) -> Vec<Option<IpAddr>> {
    // A client's torn quote swallows what proxies have added behind it: then nothing is to be had.
    let Some(elements) = split_unquoted(text, ',') else {
        return vec![None];
    };
    let elements = elements.into_iter().map(str::trim);
    elements
        .filter(|element| !element.is_empty())
        .map(|element| {
            let pairs = split_unquoted(element, ';')?.into_iter();
            let mut pairs = pairs.filter_map(|pair| pair.trim().split_once('='));
            let (_, node) = pairs.find(|(name, _)| name.eq_ignore_ascii_case("for"))?;
            let quoted = node.strip_prefix('"').and_then(|n| n.strip_suffix('"'));
            address(quoted.unwrap_or(node))
        })
        .collect()
}

/// Splits a text where no quotes (RFC 9110, section 5.6.4) are around; `None`: a quote has no end.
fn split_unquoted(text: &str, at: char) -> Option<Vec<&str>> {
    let mut parts = Vec::new();
    let (mut from, mut is_quoted, mut is_escaped) = (0, false, false);
    for (i, c) in text.char_indices() {
        if is_escaped {
            is_escaped = false;
        } else if is_quoted && c == '\\' {
            is_escaped = true;
        } else if c == '"' {
            is_quoted = !is_quoted;
        } else if c == at && !is_quoted {
            parts.push(&text[from..i]);
            from = i + c.len_utf8();
        }
    }
    parts.push(&text[from..]);
    (!is_quoted).then_some(parts)
}

/// Reads an address, with a port or without; one of IPv6 may stand in brackets.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let found = bare.unwrap_or(text).parse::<IpAddr>();
    let found = found.or_else(|_| text.parse::<SocketAddr>().map(|at| at.ip()));
    found.ok().map(|address| address.to_canonical())
}

impl Network {
    fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        width(address) == width(self.first) && self.begin_of(address) == self.first
    }

    /// Returns where the network of this size begins that `address` is in.
    fn begin_of(self, address: IpAddr) -> IpAddr {
        let rest = width(address).saturating_sub(self.bits);
        match address {
            IpAddr::V4(v4) => {
                let mask = u32::MAX.checked_shl(rest).unwrap_or(0);
                IpAddr::V4((v4.to_bits() & mask).into())
            }
            IpAddr::V6(v6) => {
                let mask = u128::MAX.checked_shl(rest).unwrap_or(0);
                IpAddr::V6((v6.to_bits() & mask).into())
            }
        }
    }
}

fn width(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(_) => u32::BITS,
        IpAddr::V6(_) => u128::BITS,
    }
}

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Self, BadProxy> {
        if text == UNIX {
            return Ok(Self::Socket);
        }
        let (first, bits) = match text.split_once('/') {
            None => (text, None),
            Some((first, bits)) => (first, Some(bits)),
        };
        let first: IpAddr = first.parse().map_err(|_| BadProxy::Form)?;
        let Some(bits) = bits else {
            let first = first.to_canonical();
            let bits = width(first);
            return Ok(Self::Network(Network { first, bits }));
        };
        let max = width(first);
        let is_number = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let bits = bits.parse::<u32>().ok();
        let bits = bits.filter(|bits| is_number && *bits <= max);
        let bits = bits.ok_or(BadProxy::Bits { max })?;
        let network = Network { first, bits };
        let begin = network.begin_of(first);
        if begin != first {
            let network = Network { first: begin, bits };
            return Err(BadProxy::Within { network });
        }
        Ok(Self::Network(network))
    }
}

/// As a network: `10.0.0.0/8`.
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.bits)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proxies(texts: &[&str]) -> Proxies {
        Proxies::new(texts.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn ip(text: &str) -> Option<IpAddr> {
        text.parse().ok()
    }

    /// Says from where a request comes; headers are written one to a line.
    fn client(trusted: &[&str], peer: &str, headers: &str) -> Option<IpAddr> {
        let mut map = HeaderMap::new();
        for line in headers.lines() {
            let (name, value) = line.split_once(": ").unwrap();
            let name: HeaderName = name.parse().unwrap();
            map.append(name, value.parse().unwrap());
        }
        proxies(trusted).client(ip(peer), &map)
    }

    #[test]
    fn nobody_is_believed_who_is_not_trusted() {
        let headers = "x-forwarded-for: 192.0.2.9\nforwarded: for=192.0.2.9";
        let nobody: &[&str] = &[];
        for trusted in [nobody, &["10.0.0.0/8"], &["unix"], &["::/0"]] {
            assert_eq!(client(trusted, "192.0.2.1", headers), ip("192.0.2.1"));
        }
        assert_eq!(client(&["0.0.0.0/0"], "", headers), None);
        let all = client(&["0.0.0.0/0"], "192.0.2.1", "x-forwarded-for: ::1");
        assert_eq!(all, ip("::1"));
    }

    #[test]
    fn the_first_from_the_right_that_is_no_proxy_asks() {
        let of = |headers: &str| client(&["10.0.0.0/8", "fd00::/8"], "10.0.0.1", headers);
        for (headers, expected) in [
            ("x-forwarded-for: 192.0.2.7", "192.0.2.7"),
            ("x-forwarded-for: 198.51.100.1, 192.0.2.7", "192.0.2.7"),
            (
                "x-forwarded-for: 198.51.100.1,192.0.2.7 , 10.9.9.9,",
                "192.0.2.7",
            ),
            (
                "x-forwarded-for: 198.51.100.1, 192.0.2.7\nx-forwarded-for: fd00::3",
                "192.0.2.7",
            ),
            ("x-forwarded-for: 192.0.2.7:4711", "192.0.2.7"),
            ("x-forwarded-for: [2001:db8::7]:4711", "2001:db8::7"),
            ("x-forwarded-for: 2001:db8::7", "2001:db8::7"),
            ("x-forwarded-for: ::ffff:192.0.2.7", "192.0.2.7"),
            // All of them are proxies: the first one asks for itself.
            ("x-forwarded-for: 10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("forwarded: for=192.0.2.7;proto=http", "192.0.2.7"),
            (
                "forwarded: for=198.51.100.1, by=10.0.0.2;For=\"[2001:db8::7]:47\"",
                "2001:db8::7",
            ),
            (
                "forwarded: for=192.0.2.7;host=\"a,b;c\\\"\", for=10.0.0.2",
                "192.0.2.7",
            ),
            (
                "x-forwarded-for: 192.0.2.7\nforwarded: for=192.0.2.7",
                "192.0.2.7",
            ),
        ] {
            assert_eq!(of(headers), ip(expected), "{headers}");
        }
        let socket = client(&["unix"], "", "x-forwarded-for: 192.0.2.7");
        assert_eq!(socket, ip("192.0.2.7"));
    }

    #[test]
    fn what_cannot_be_read_counts_as_the_proxy_that_wrote_it() {
        let of = |headers: &str| client(&["10.0.0.0/8"], "10.0.0.1", headers);
        for (headers, expected) in [
            ("x-forwarded-for: 192.0.2.7, unknown", "10.0.0.1"),
            ("x-forwarded-for: 192.0.2.7, _hidden, 10.0.0.2", "10.0.0.2"),
            ("forwarded: for=192.0.2.7, proto=http", "10.0.0.1"),
            ("forwarded: for=unknown", "10.0.0.1"),
            // A client tears a quote open to hide what the proxy adds.
            (
                "forwarded: for=198.51.100.1;x=\", for=192.0.2.7",
                "10.0.0.1",
            ),
            (
                "forwarded: for=198.51.100.1;x=\", for=\"[2001:db8::7]\"",
                "10.0.0.1",
            ),
            // Which one did the proxy write?
            (
                "x-forwarded-for: 192.0.2.7\nforwarded: for=198.51.100.1",
                "10.0.0.1",
            ),
        ] {
            assert_eq!(of(headers), ip(expected), "{headers}");
        }
    }

    #[test]
    fn a_proxy_is_an_address_a_network_or_the_socket() {
        let network = |text: &str| match text.parse::<Proxy>().unwrap() {
            Proxy::Network(network) => network.to_string(),
            Proxy::Socket => UNIX.to_owned(),
        };
        for (text, expected) in [
            ("unix", "unix"),
            ("10.0.0.1", "10.0.0.1/32"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::1/128", "::1/128"),
        ] {
            assert_eq!(network(text), expected);
        }
        for (text, expected) in [
            ("", BadProxy::Form),
            ("proxy.local", BadProxy::Form),
            ("10.0.0/8", BadProxy::Form),
            ("10.0.0.0/33", BadProxy::Bits { max: 32 }),
            ("10.0.0.0/+8", BadProxy::Bits { max: 32 }),
            ("::/129", BadProxy::Bits { max: 128 }),
            ("::/", BadProxy::Bits { max: 128 }),
        ] {
            assert_eq!(text.parse::<Proxy>(), Err(expected), "{text}");
        }
        let within = "10.1.2.3/8".parse::<Proxy>().unwrap_err().to_string();
        assert_eq!(
            within,
            "that is an address within the network `10.0.0.0/8`: give the one or the other"
        );
    }

    proptest! {
        /// Whatever a client writes, what the trusted proxy adds behind it is what counts, or nothing
        /// of it does.
        #[test]
        fn a_client_cannot_choose_its_address(made_up in "[ -~]{0,40}") {
            let is_header = made_up.parse::<hyper::header::HeaderValue>().is_ok();
            prop_assume!(is_header);
            for (name, real) in [
                ("x-forwarded-for", "203.0.113.5"),
                ("forwarded", "for=203.0.113.5"),
                ("forwarded", "for=\"203.0.113.5:80\";proto=https"),
            ] {
                let headers = format!("{name}: {made_up}, {real}");
                let found = client(&["10.0.0.1"], "10.0.0.1", &headers);
                let allowed = [ip("203.0.113.5"), ip("10.0.0.1")];
                prop_assert!(allowed.contains(&found), "{headers}: {found:?}");
            }
        }
    }
}
