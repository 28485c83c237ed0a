//! The bindings that messages tell of: which addresses are one node's, and when a node said that it
//! is somewhere else.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use capture::decode::IpPacket;
use units::SimTime;

use crate::dissect::{Binding, Meaning, Protocol, Standing};

/// Bindings that are remembered of one capture, of those that say something new.
const MOST_BINDINGS: usize = 1 << 14;

/// Addresses of an address of an address: HMIPv6 has two (RFC 5380 §4).
const MOST_STEPS: usize = 8;

/// A node announced that it is somewhere else than before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebinding {
    /// When the first announcement was seen.
    pub time: SimTime,
    /// The address that stays.
    pub permanent: IpAddr,
    /// Where the node was.
    pub from: IpAddr,
    /// Where it is.
    pub to: IpAddr,
    /// Whose message said so.
    pub protocol: Protocol,
    /// Which one.
    pub message: Cow<'static, str>,
}

/// Who tells of a binding: of several that tell of one node's, each has its own delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Teller {
    /// The node, from where it is.
    Node,
    /// Somebody, to somebody.
    Other(IpAddr, IpAddr),
}

#[derive(Clone, Debug)]
struct Told {
    time: SimTime,
    teller: Teller,
    binding: Binding,
    protocol: Protocol,
    message: Cow<'static, str>,
}

/// Of whom something is told, whether it is announced, and by whom.
type Place = (IpAddr, bool, Teller);

/// What was told, as far as it was new. How much is remembered is bounded.
#[derive(Debug, Default)]
pub(super) struct Bindings {
    told: Vec<Told>,
    /// What was told last.
    latest: BTreeMap<Place, IpAddr>,
    /// What of it was accepted.
    accepted: BTreeSet<(Place, IpAddr)>,
    left_out: u64,
}

impl Bindings {
    /// Takes what `packet` means.
    pub(super) fn learn(&mut self, packet: &IpPacket<'_>, meaning: &Meaning) {
        let Some(binding) = meaning.binding else {
            return;
        };
        // Whoever is answered told it.
        let header = packet.header;
        let (from, src, dst) = match binding.standing {
            Standing::Announced | Standing::Told => (header.src, packet.src, packet.dst),
            Standing::Accepted | Standing::Refused => (header.dst, packet.dst, packet.src),
        };
        let teller = match from.to_canonical() == binding.care_of {
            true => Teller::Node,
            false => Teller::Other(src, dst),
        };
        let of_announced = (binding.permanent, true, teller);
        match binding.standing {
            Standing::Announced | Standing::Told => {}
            Standing::Accepted => return self.accept(of_announced, binding.care_of),
            Standing::Refused => return self.refuse(of_announced, binding.care_of),
        }
        self.tell(Told {
            time: packet.time,
            teller,
            binding,
            protocol: meaning.protocol.clone(),
            message: meaning.message.clone(),
        });
    }

    /// What was announced stands.
    fn accept(&mut self, place: Place, care_of: IpAddr) {
        if self.latest.get(&place) == Some(&care_of) {
            self.accepted.insert((place, care_of));
        }
    }

    /// What was announced, and never accepted, was none.
    fn refuse(&mut self, of: Place, care_of: IpAddr) {
        if self.latest.get(&of) != Some(&care_of) || self.accepted.contains(&(of, care_of)) {
            return;
        }
        let same = |told: &Told| place(told) == of && told.binding.care_of == care_of;
        if let Some(at) = self.told.iter().rposition(same) {
            self.told.remove(at);
        }
        match self.told.iter().rfind(|told| place(told) == of) {
            Some(before) => self.latest.insert(of, before.binding.care_of),
            None => self.latest.remove(&of),
        };
    }

    fn tell(&mut self, told: Told) {
        let binding = &told.binding;
        let place = place(&told);
        if self.latest.get(&place) == Some(&binding.care_of) {
            return;
        }
        if self.told.len() >= MOST_BINDINGS {
            self.left_out += 1;
            return;
        }
        self.latest.insert(place, binding.care_of);
        self.told.push(told);
    }

    /// Sets the clock by which it was told.
    pub(super) fn shift(&mut self, to: impl Fn(SimTime) -> SimTime) {
        for told in &mut self.told {
            told.time = to(told.time);
        }
    }

    /// Adds what another capture tells.
    pub(super) fn add(&mut self, other: Bindings) {
        self.told.extend(other.told);
        self.told.sort_by_key(|told| told.time);
        self.left_out += other.left_out;
    }

    /// How many were new and not remembered.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Permanent and temporary address of each binding, in the order in which they were told; a
    /// permanent address that is the temporary one of another is told as that one's.
    pub(super) fn pairs(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> {
        let pairs = || {
            let all = self.told.iter().map(|told| &told.binding);
            all.map(|binding| (binding.permanent, binding.care_of))
        };
        let permanent: BTreeSet<IpAddr> = pairs().map(|(permanent, _)| permanent).collect();
        let mut of: BTreeMap<IpAddr, IpAddr> = BTreeMap::new();
        for (permanent_one, care_of) in pairs() {
            if permanent_one != care_of && permanent.contains(&care_of) {
                of.entry(care_of).or_insert(permanent_one);
            }
        }
        pairs().flat_map(move |(permanent, care_of)| {
            let mut node = permanent;
            for _ in 0..MOST_STEPS {
                node = of.get(&node).copied().unwrap_or(node);
            }
            [(node, permanent), (node, care_of)]
        })
    }

    /// Where each node went, by its permanent address, in the order of time. Whoever tells of a
    /// node's bindings in its place is believed only if the node itself is not heard, and of
    /// several the one who tells most.
    pub(super) fn changes(&self) -> BTreeMap<IpAddr, Vec<Rebinding>> {
        let mut tellers: BTreeMap<IpAddr, BTreeMap<Teller, Vec<&Told>>> = BTreeMap::new();
        for told in self.told.iter().filter(|told| place(told).1) {
            let of_node = tellers.entry(told.binding.permanent).or_default();
            of_node.entry(told.teller).or_default().push(told);
        }
        let chosen = tellers.into_iter().filter_map(|(permanent, by_teller)| {
            let weight = |(teller, told): &(Teller, Vec<&Told>)| {
                (
                    *teller == Teller::Node,
                    told.len(),
                    std::cmp::Reverse(*teller),
                )
            };
            let (_, told) = by_teller.into_iter().max_by_key(weight)?;
            let changes = told.windows(2).filter_map(change).collect();
            Some((permanent, changes))
        });
        chosen.collect()
    }
}

fn place(told: &Told) -> Place {
    let announced = told.binding.standing == Standing::Announced;
    (told.binding.permanent, announced, told.teller)
}

/// What the second says that the first did not.
fn change(told: &[&Told]) -> Option<Rebinding> {
    let [before, now] = told else {
        return None;
    };
    (before.binding.care_of != now.binding.care_of).then(|| Rebinding {
        time: now.time,
        permanent: now.binding.permanent,
        from: before.binding.care_of,
        to: now.binding.care_of,
        protocol: now.protocol.clone(),
        message: now.message.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn told(ms: u64, teller: Teller, permanent: &str, care_of: &str) -> Told {
        Told {
            time: SimTime::from_nanos(ms * 1_000_000),
            teller,
            binding: Binding {
                permanent: address(permanent),
                care_of: address(care_of),
                standing: Standing::Announced,
            },
            protocol: Protocol::named("made_up"),
            message: "binding update".into(),
        }
    }

    fn bindings(told: Vec<Told>) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.add(Bindings {
            told,
            ..Bindings::default()
        });
        bindings
    }

    fn agent() -> Teller {
        Teller::Other(address("2001:db8::a"), address("2001:db8::c"))
    }

    /// When, from where and where to the node with this address went.
    fn moves(bindings: &Bindings, permanent: &str) -> Vec<(u64, String, String)> {
        let changes = bindings.changes();
        let changes = changes[&address(permanent)].iter();
        let text = |c: &Rebinding| {
            let ms = c.time.as_nanos() / 1_000_000;
            (ms, c.from.to_string(), c.to.to_string())
        };
        changes.map(text).collect()
    }

    #[test]
    fn what_a_node_says_itself_counts_and_not_what_comes_late_from_others() {
        let told = vec![
            told(0, Teller::Node, "fd00::5", "2001:db8:1::5"),
            told(100, Teller::Node, "fd00::5", "2001:db8:2::5"),
            // An agent passes on what is over.
            told(110, agent(), "fd00::5", "2001:db8:1::5"),
            told(120, agent(), "fd00::5", "2001:db8:2::5"),
            told(200, Teller::Node, "fd00::5", "2001:db8:1::5"),
        ];
        let (one, two) = ("2001:db8:1::5".to_owned(), "2001:db8:2::5".to_owned());
        let expected = [(100, one.clone(), two.clone()), (200, two, one)];
        assert_eq!(moves(&bindings(told.clone()), "fd00::5"), expected);

        let others: Vec<Told> = told.into_iter().filter(|t| t.teller == agent()).collect();
        assert_eq!(moves(&bindings(others), "fd00::5").len(), 1);
    }

    #[test]
    fn a_repeated_binding_is_no_change_even_if_two_captures_have_it() {
        let first = vec![told(0, Teller::Node, "fd00::5", "2001:db8:1::5")];
        let second = vec![
            told(1, Teller::Node, "fd00::5", "2001:db8:1::5"),
            told(50, Teller::Node, "fd00::5", "2001:db8:2::5"),
        ];
        let mut bindings = bindings(second);
        bindings.add(Bindings {
            told: first,
            ..Bindings::default()
        });
        assert_eq!(moves(&bindings, "fd00::5").len(), 1);
        assert_eq!(moves(&bindings, "fd00::5")[0].0, 50);
    }

    #[test]
    fn what_is_told_again_costs_nothing_and_of_too_much_the_rest_is_counted() {
        let mut bindings = Bindings::default();
        for _ in 0..3 {
            bindings.tell(told(0, Teller::Node, "fd00::5", "2001:db8:1::5"));
        }
        assert_eq!((bindings.told.len(), bindings.left_out()), (1, 0));
        for n in 0..MOST_BINDINGS as u32 + 7 {
            let mut new = told(n.into(), Teller::Node, "fd00::5", "2001:db8:1::5");
            new.binding.care_of = std::net::Ipv6Addr::from(u128::from(n)).into();
            bindings.tell(new);
        }
        assert_eq!(
            (bindings.told.len(), bindings.left_out()),
            (MOST_BINDINGS, 8)
        );
    }

    #[test]
    fn the_address_of_an_address_is_the_same_nodes() {
        // HMIPv6: the regional address is bound to a local one, and the home address to it.
        let bindings = bindings(vec![
            told(0, Teller::Node, "2001:db8:a::5", "2001:db8:1::5"),
            told(5, Teller::Node, "2001:db8:f::5", "2001:db8:a::5"),
            told(90, Teller::Node, "2001:db8:a::5", "2001:db8:2::5"),
            // And one who says of two addresses that each is the other's.
            told(95, Teller::Node, "2001:db8::1", "2001:db8::2"),
            told(96, Teller::Node, "2001:db8::2", "2001:db8::1"),
        ]);
        let home = address("2001:db8:f::5");
        let of_home = bindings.pairs().filter(|(node, _)| *node == home);
        let of_home: BTreeSet<IpAddr> = of_home.map(|(_, address)| address).collect();
        let all = [
            "2001:db8:a::5",
            "2001:db8:1::5",
            "2001:db8:2::5",
            "2001:db8:f::5",
        ];
        assert_eq!(of_home, all.into_iter().map(address).collect());
    }
}
