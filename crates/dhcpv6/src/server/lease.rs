//! The table of leases: who has which address until when.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv6Addr;

use units::SimTime;

use super::Pool;
use crate::Duid;

/// What an address is given to: one association of one client on one link.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Holder {
    pub duid: Duid,
    pub iaid: u32,
    /// Index of the link's pool.
    pub pool: usize,
}

/// An address that is not free.
#[derive(Clone, Debug)]
struct Taken {
    /// Absent: declined, so somebody uses it whom we do not know.
    holder: Option<Holder>,
    /// When it is free again.
    until: SimTime,
}

/// The table. Each address is in `taken` and, with its end, in `ends`; each leased one is in
/// `held` too.
#[derive(Debug, Default)]
pub(super) struct Leases {
    held: BTreeMap<Holder, Ipv6Addr>,
    taken: BTreeMap<Ipv6Addr, Taken>,
    ends: BTreeSet<(SimTime, Ipv6Addr)>,
}

impl Leases {
    /// The address that `holder` has.
    pub fn find(&self, holder: &Holder) -> Option<Ipv6Addr> {
        self.held.get(holder).copied()
    }

    /// The leases in the order of their addresses, each with its end.
    pub fn iter(&self) -> impl Iterator<Item = (Ipv6Addr, &Holder, SimTime)> {
        self.taken.iter().filter_map(|(&address, taken)| {
            let holder = taken.holder.as_ref()?;
            Some((address, holder, taken.until))
        })
    }

    /// The address for `holder`: the one that it has, or else the first free one of the pool
    /// from a place that depends on nothing but the holder, so that a client that comes back
    /// finds its old address unless another has got it.
    pub fn propose(&self, holder: &Holder, pool: &Pool) -> Option<Ipv6Addr> {
        if let Some(address) = self.find(holder) {
            return Some(address);
        }
        let (first, last) = (u128::from(pool.first), u128::from(pool.last));
        let place = u128::from(place(holder));
        // The pool's size may be 2^128.
        let start = match (last - first).checked_add(1) {
            Some(size) => first + place % size,
            None => place,
        };
        let before = || self.first_free(first, start.checked_sub(1).filter(|end| *end >= first)?);
        self.first_free(start, last).or_else(before)
    }

    /// The first address from `from` to `to` that is free.
    fn first_free(&self, from: u128, to: u128) -> Option<Ipv6Addr> {
        let mut next = from;
        let taken = (self.taken).range(Ipv6Addr::from(from)..=Ipv6Addr::from(to));
        for (address, _) in taken {
            if u128::from(*address) != next {
                return Some(next.into());
            }
            next = next.checked_add(1)?;
        }
        (next <= to).then(|| next.into())
    }

    /// How many addresses of a pool the client of `holder` has for all of its associations.
    pub fn held_by_client(&self, holder: &Holder) -> usize {
        let first = Holder {
            iaid: 0,
            pool: 0,
            ..holder.clone()
        };
        let of_client = (self.held).range(first..);
        let of_client = of_client.take_while(|(held, _)| held.duid == holder.duid);
        of_client
            .filter(|(held, _)| held.pool == holder.pool)
            .count()
    }

    /// Gives `address`, which [`Leases::propose`] returned, to `holder` until then.
    pub fn give(&mut self, holder: Holder, address: Ipv6Addr, until: SimTime) {
        self.take(address, Some(holder.clone()), until);
        self.held.insert(holder, address);
    }

    /// Marks an address as used by nobody knows whom until then.
    pub fn decline(&mut self, holder: &Holder, until: SimTime) -> Option<Ipv6Addr> {
        let address = self.held.remove(holder)?;
        self.take(address, None, until);
        Some(address)
    }

    /// Frees the address of `holder`.
    pub fn release(&mut self, holder: &Holder) -> Option<Ipv6Addr> {
        let address = self.held.remove(holder)?;
        self.free(address);
        Some(address)
    }

    /// When the next address becomes free.
    pub fn next_end(&self) -> Option<SimTime> {
        let (end, _) = self.ends.first()?;
        Some(*end).filter(|&end| end != SimTime::FAR_FUTURE)
    }

    /// Frees one address whose time has come; leased ones come with their holder.
    pub fn expire(&mut self, now: SimTime) -> Option<(Ipv6Addr, Option<Holder>)> {
        let &(end, address) = self.ends.first()?;
        if end > now {
            return None;
        }
        let holder = self.free(address);
        if let Some(holder) = &holder {
            self.held.remove(holder);
        }
        Some((address, holder))
    }

    fn take(&mut self, address: Ipv6Addr, holder: Option<Holder>, until: SimTime) {
        self.free(address);
        self.taken.insert(address, Taken { holder, until });
        self.ends.insert((until, address));
    }

    fn free(&mut self, address: Ipv6Addr) -> Option<Holder> {
        let taken = self.taken.remove(&address)?;
        self.ends.remove(&(taken.until, address));
        taken.holder
    }
}

/// FNV-1a, 64 bits, over the client's identifiers: spreads clients over a pool, the same way
/// in every run. Not a secret, and no defence against clients that choose their identifiers.
fn place(holder: &Holder) -> u64 {
    let iaid = holder.iaid.to_be_bytes();
    let octets = holder.duid.as_bytes().iter().chain(&iaid);
    octets.fold(0xcbf2_9ce4_8422_2325, |hash, &octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn pool(size: u16) -> Pool {
        Pool {
            link: "2001:db8::/64".parse().unwrap(),
            first: "2001:db8::1:0".parse().unwrap(),
            last: Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 1, size - 1),
        }
    }

    fn holder(client: u8) -> Holder {
        Holder {
            duid: Duid::try_from(vec![0, 3, client]).unwrap(),
            iaid: 1,
            pool: 0,
        }
    }

    proptest! {
        #[test]
        fn no_address_is_held_twice_whatever_happens(
            steps in proptest::collection::vec((0..12u8, 0..4u8, 0..50u64), 0..200),
        ) {
            let pool = pool(8);
            let mut leases = Leases::default();
            let mut now = SimTime::ZERO;
            for (client, what, wait) in steps {
                now += Duration::from_secs(wait);
                while leases.expire(now).is_some() {}
                let holder = holder(client);
                match what {
                    0 => drop(leases.release(&holder)),
                    1 => drop(leases.decline(&holder, now + Duration::from_secs(100))),
                    _ => match leases.propose(&holder, &pool) {
                        Some(address) => {
                            leases.give(holder, address, now + Duration::from_secs(60));
                        }
                        None => prop_assert_eq!(leases.taken.len(), 8),
                    },
                }
                let held: BTreeSet<_> = leases.held.values().collect();
                prop_assert_eq!(held.len(), leases.held.len());
                prop_assert_eq!(leases.ends.len(), leases.taken.len());
                prop_assert!(leases.taken.len() <= 8);
                for (address, holder, until) in leases.iter() {
                    prop_assert_eq!(leases.find(holder), Some(address));
                    prop_assert!((pool.first..=pool.last).contains(&address) && until > now);
                }
            }
        }
    }

    #[test]
    fn a_pool_of_every_address_works() {
        let pool = Pool {
            link: "::/0".parse().unwrap(),
            first: Ipv6Addr::UNSPECIFIED,
            last: Ipv6Addr::from(u128::MAX),
        };
        assert!(Leases::default().propose(&holder(1), &pool).is_some());
    }

    #[test]
    fn a_pool_is_given_out_to_its_last_address_from_any_place() {
        let pool = pool(300);
        let mut leases = Leases::default();
        for client in 0..=u8::MAX {
            let address = leases.propose(&holder(client), &pool).unwrap();
            leases.give(holder(client), address, SimTime::FAR_FUTURE);
        }
        for iaid in 2..46 {
            let other = Holder { iaid, ..holder(1) };
            let address = leases.propose(&other, &pool).unwrap();
            leases.give(other, address, SimTime::FAR_FUTURE);
        }
        let other = Holder {
            iaid: 99,
            ..holder(7)
        };
        assert_eq!(
            (leases.taken.len(), leases.propose(&other, &pool)),
            (300, None)
        );
        assert_eq!(leases.held_by_client(&holder(1)), 45);
        let freed = leases.release(&holder(200)).unwrap();
        assert_eq!(leases.propose(&other, &pool), Some(freed));
    }

    #[test]
    fn a_client_that_comes_back_gets_its_address_again() {
        let pool = pool(1000);
        let mut leases = Leases::default();
        let address = leases.propose(&holder(1), &pool).unwrap();
        leases.give(holder(1), address, SimTime::ZERO);
        assert_eq!(leases.next_end(), Some(SimTime::ZERO));
        let expired = leases.expire(SimTime::ZERO);
        assert_eq!(expired, Some((address, Some(holder(1)))));
        assert_eq!(leases.propose(&holder(1), &pool), Some(address));
    }
}
