//! How often somebody may ask: a bucket for each key, else for each address, that fills with time and
//! that every request takes one from (GCRA, by the crate `governor`).
//!
//! The memory is bounded. Keys are as many as their file has; of addresses, which anybody can have
//! many of, `ADDRESSES_MAX` are told apart, and those that come when so many are busy share one
//! bucket. A bucket that is full again is forgotten. IPv6 addresses count by their first 64 bits:
//! that is the least that a subscriber gets.
//! Imports: http, governor.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::clock::{Clock, MonotonicClock};
use governor::middleware::{NoOpMiddleware, StateInformationMiddleware};
use governor::nanos::Nanos;
use governor::state::StateStore;
use governor::state::keyed::ShrinkableKeyedStateStore;
use governor::{Quota, RateLimiter};

use crate::http::HeaderMap;
use crate::http::header::{HeaderName, HeaderValue};

/// So many addresses are told apart: some 2 MiB.
const ADDRESSES_MAX: usize = 16_384;

const LIMIT: HeaderName = HeaderName::from_static("ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

/// How many requests each may make.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// On the long run.
    pub per_second: f64,
    /// At once, after a pause; at least 1.
    pub burst: NonZeroU32,
}

/// Whose bucket.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Whose {
    /// That of a key.
    Key(Arc<str>),
    /// That of an address, or of the network that a subscriber has.
    Address(IpAddr),
    /// That of all who come through a Unix socket.
    Socket,
    /// That of all addresses that are not told apart.
    Others,
}

impl Whose {
    /// Returns whose bucket a request without a key takes from.
    pub(super) fn of_peer(peer: Option<IpAddr>) -> Self {
        match peer {
            None => Self::Socket,
            Some(IpAddr::V4(address)) => Self::Address(IpAddr::V4(address)),
            Some(IpAddr::V6(address)) => {
                let network = address.to_bits() >> 64 << 64;
                Self::Address(IpAddr::V6(Ipv6Addr::from_bits(network)))
            }
        }
    }
}

/// What is left after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Share {
    /// What a full bucket holds.
    limit: u32,
    /// What this one holds now.
    remaining: u32,
    /// Until it is full again, in seconds, rounded up.
    reset_s: u64,
    /// For a request that finds it empty: when to come again.
    pub(super) wait: Option<Duration>,
}

impl Share {
    /// Tells it to the client.
    pub(super) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, self.limit.into());
        headers.insert(REMAINING, self.remaining.into());
        headers.insert(RESET, HeaderValue::from(self.reset_s));
    }
}

/// The buckets of a server.
pub(super) struct Rates<C: Clock = MonotonicClock> {
    limiter: RateLimiter<Whose, Buckets, C, StateInformationMiddleware>,
    /// One request.
    every: Duration,
    burst: u32,
}

impl Rates {
    pub(super) fn new(limit: RateLimit) -> Self {
        Self::with_clock(limit, MonotonicClock)
    }
}

impl<C: Clock> Rates<C> {
    fn with_clock(limit: RateLimit, clock: C) -> Self {
        let every = Duration::from_secs_f64(1.0 / limit.per_second);
        let every = every.max(Duration::from_nanos(1));
        // `None` is for a duration of nothing.
        let quota = Quota::with_period(every).unwrap_or(Quota::per_second(limit.burst));
        let quota = quota.allow_burst(limit.burst);
        Self {
            limiter: RateLimiter::<_, _, _, NoOpMiddleware<C::Instant>>::new(
                quota,
                Buckets::default(),
                clock,
            )
            .with_middleware::<StateInformationMiddleware>(),
            every,
            burst: limit.burst.get(),
        }
    }

    /// Takes one from a bucket, if there is one.
    pub(super) fn take(&self, whose: &Whose) -> Share {
        match self.limiter.check_key(whose) {
            Ok(state) => {
                let remaining = state.remaining_burst_capacity();
                self.share(remaining, None)
            }
            Err(until) => {
                let wait = until.wait_time_from(self.limiter.clock().now());
                self.share(0, Some(wait))
            }
        }
    }

    fn share(&self, remaining: u32, wait: Option<Duration>) -> Share {
        let full = self.every.as_secs_f64() * f64::from(self.burst - remaining.min(self.burst));
        Share {
            limit: self.burst,
            remaining,
            reset_s: full.ceil() as u64,
            wait,
        }
    }

    /// Forgets the buckets that are full again.
    pub(super) fn sweep(&self) {
        self.limiter.retain_recent();
    }
}

/// When each bucket will be full (nanoseconds since the start; GCRA's theoretical arrival time).
#[derive(Debug, Default)]
struct Buckets(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    full_at: BTreeMap<Whose, Nanos>,
    addresses: usize,
}

impl Buckets {
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Buckets {
    type Key = Whose;

    fn measure_and_replace<T, F, E>(&self, whose: &Whose, judge: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut known = self.lock();
        if let Some(full_at) = known.full_at.get_mut(whose) {
            let (judged, next) = judge(Some(*full_at))?;
            *full_at = next;
            return Ok(judged);
        }
        let is_address = matches!(whose, Whose::Address(_));
        if is_address && ADDRESSES_MAX <= known.addresses {
            let before = known.full_at.get(&Whose::Others).copied();
            let (judged, next) = judge(before)?;
            known.full_at.insert(Whose::Others, next);
            return Ok(judged);
        }
        let (judged, next) = judge(None)?;
        known.full_at.insert(whose.clone(), next);
        known.addresses += usize::from(is_address);
        Ok(judged)
    }
}

impl ShrinkableKeyedStateStore<Whose> for Buckets {
    fn retain_recent(&self, drop_below: Nanos) {
        let mut known = self.lock();
        known.full_at.retain(|_, full_at| drop_below < *full_at);
        let is_address = |whose: &&Whose| matches!(whose, Whose::Address(_));
        known.addresses = known.full_at.keys().filter(is_address).count();
    }

    fn len(&self) -> usize {
        self.lock().full_at.len()
    }

    fn is_empty(&self) -> bool {
        self.lock().full_at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;
    use proptest::prelude::*;

    use super::*;

    fn rates(per_second: f64, burst: u32) -> (Rates<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let burst = NonZeroU32::new(burst).unwrap();
        let limit = RateLimit { per_second, burst };
        (Rates::with_clock(limit, clock.clone()), clock)
    }

    fn v4(n: u32) -> Whose {
        Whose::of_peer(Some(IpAddr::V4(n.into())))
    }

    fn told(share: Share) -> (u32, u64, Option<Duration>) {
        (share.remaining, share.reset_s, share.wait)
    }

    #[test]
    fn a_burst_is_let_through_and_then_one_at_a_time() {
        let (rates, clock) = rates(2.0, 3);
        let half = Duration::from_millis(500);
        assert_eq!(told(rates.take(&v4(1))), (2, 1, None));
        assert_eq!(told(rates.take(&v4(1))), (1, 1, None));
        assert_eq!(told(rates.take(&v4(1))), (0, 2, None));
        assert_eq!(told(rates.take(&v4(1))), (0, 2, Some(half)));
        let other = Whose::Key("ci".into());
        assert_eq!(
            told(rates.take(&other)),
            (2, 1, None),
            "a bucket of its own"
        );
        clock.advance(Duration::from_millis(400));
        let rest = Duration::from_millis(100);
        assert_eq!(told(rates.take(&v4(1))), (0, 2, Some(rest)));
        clock.advance(rest);
        assert_eq!(told(rates.take(&v4(1))), (0, 2, None));
        clock.advance(Duration::from_mins(1));
        assert_eq!(
            told(rates.take(&v4(1))),
            (2, 1, None),
            "never more than a burst"
        );
    }

    #[test]
    fn slow_rates_are_kept_too() {
        let (rates, clock) = rates(0.1, 1);
        assert_eq!(told(rates.take(&Whose::Socket)), (0, 10, None));
        let wait = Some(Duration::from_secs(10));
        assert_eq!(told(rates.take(&Whose::Socket)), (0, 10, wait));
        clock.advance(Duration::from_secs(10));
        assert_eq!(rates.take(&Whose::Socket).wait, None);
    }

    #[test]
    fn full_buckets_are_forgotten_and_others_are_not() {
        let (rates, clock) = rates(1.0, 2);
        rates.take(&v4(1));
        clock.advance(Duration::from_secs(5));
        rates.take(&v4(2));
        rates.take(&v4(2));
        rates.sweep();
        assert_eq!(rates.limiter.len(), 1);
        assert!(rates.take(&v4(2)).wait.is_some(), "it is still empty");
        clock.advance(Duration::from_secs(5));
        rates.sweep();
        assert!(rates.limiter.is_empty());
    }

    #[test]
    fn many_addresses_share_a_bucket() {
        let (rates, clock) = rates(1.0, 1);
        let most = ADDRESSES_MAX as u32;
        for n in 0..most {
            assert_eq!(rates.take(&v4(n)).wait, None);
        }
        assert_eq!(rates.take(&v4(most)).wait, None, "the first of the others");
        assert!(rates.take(&v4(most + 1)).wait.is_some(), "the second");
        assert!(rates.take(&v4(7)).wait.is_some(), "a known one has its own");
        assert_eq!(rates.take(&Whose::Key("ci".into())).wait, None);
        assert_eq!(rates.limiter.len(), ADDRESSES_MAX + 2);
        clock.advance(Duration::from_secs(2));
        rates.sweep();
        assert_eq!(rates.take(&v4(most + 1)).wait, None);
        assert_eq!(rates.limiter.len(), 1);
    }

    #[test]
    fn addresses_of_one_subscriber_are_one() {
        let of = |text: &str| Whose::of_peer(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_burst_and_rate(
            per_second in 0.5f64..1000.0,
            burst in 1u32..50,
            pauses_ms in prop::collection::vec(0u64..200, 1..300),
        ) {
            let (rates, clock) = rates(per_second, burst);
            let mut passed = 0u32;
            let mut elapsed_ms = 0;
            for pause in pauses_ms {
                clock.advance(Duration::from_millis(pause));
                elapsed_ms += pause;
                let share = rates.take(&v4(1));
                prop_assert!(share.remaining < burst);
                passed += u32::from(share.wait.is_none());
                let most = f64::from(burst) + per_second * elapsed_ms as f64 / 1e3;
                prop_assert!(f64::from(passed) <= most + 1e-3, "{passed} of {most}");
            }
        }
    }
}
