//! A WMMS whose answers wait for its store.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::time::Duration;

use comp::mmt::Entry;
use comp::wmms::Wmms;
use handover::BindingEvent;
use machine::{Allowance, Machine, Transmit};
use units::SimTime;

use crate::Store;

/// What a [`Durable`] tells its owner.
#[derive(Debug)]
pub enum Event<G> {
    /// The WMMS's event.
    Wmms(BindingEvent),
    /// A group to be written ([`Writer::commit`](crate::Writer::commit)); then
    /// [`Durable::written`]. If that fails, the owner ends the WMMS: what it promises would be
    /// lost with it.
    Write(G),
    /// More came than could be taken in: so many datagrams since the last such event.
    PassedOver(u64),
}

/// Datagrams that wait for the store at most. A WMMS whose store has come to a stop takes in nothing
/// more then, and goes on when it is written again; who asked asks again.
pub const MAX_HELD: usize = 1 << 16;

/// Of these, what answers to strangers may have made of it when theirs are no longer taken in.
const MAX_HELD_FOR_STRANGERS: usize = MAX_HELD / 2;

/// How often it is told that datagrams were passed over: so often at once, and once more in this time.
const TOLD_AT_ONCE: u64 = 4;
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Changes for which nobody waits that are written all the same. Of a million lifetimes that end at
/// once, whoever asks next would otherwise wait for all of them.
const UNASKED: usize = 1024;

/// A [`Wmms`] that sends nothing before the store has what has changed; a [`Machine`].
///
/// What changes while a group is being written is the next group, and is taken when that one is
/// written: a slow disk makes groups larger, and the WMMS goes on meanwhile. Each datagram waits
/// for the group that is the last to have a change from before it, and they leave in order.
#[derive(Debug)]
pub struct Durable<S: Store> {
    wmms: Wmms,
    store: S,
    /// What the WMMS sends, each with the number of the group that is to be written first.
    held: VecDeque<(u64, Transmit)>,
    /// Number of the last group that was taken.
    taken: u64,
    /// Number of the last group that is written.
    written: u64,
    /// Datagrams that were not taken in.
    passed_over: u64,
    /// How many of them nobody was told of, how often it may be told, and what is to be told.
    untold: u64,
    telling: Allowance,
    told: Option<u64>,
}

impl<S: Store> Durable<S> {
    /// A WMMS that was given the table of `store` ([`Store::load`], [`Wmms::restore`]).
    pub fn new(wmms: Wmms, store: S) -> Durable<S> {
        Durable {
            wmms,
            store,
            held: VecDeque::new(),
            taken: 0,
            written: 0,
            passed_over: 0,
            untold: 0,
            telling: Allowance::new(SimTime::ZERO, TOLD_AT_ONCE, TOLD_EVERY),
            told: None,
        }
    }

    /// The WMMS, to look at.
    pub fn wmms(&self) -> &Wmms {
        &self.wmms
    }

    /// How many datagrams were not taken in, because [`MAX_HELD`] waited for the store or more came than
    /// is taken in.
    pub fn passed_over(&self) -> u64 {
        self.passed_over
    }

    /// The group of the last [`Event::Write`] is written.
    pub fn written(&mut self) {
        self.written = self.taken;
    }

    /// Whether datagrams wait for the next group.
    pub fn has_waiting(&self) -> bool {
        self.held
            .back()
            .is_some_and(|(group, _)| *group > self.taken)
    }

    /// Whether everything that has changed is written.
    pub fn is_settled(&self) -> bool {
        self.taken == self.written && !self.wmms.has_changes()
    }

    /// Whether every group that was taken is written.
    pub fn is_written(&self) -> bool {
        self.taken == self.written
    }

    /// Gives the WMMS entries that another one kept, as they stand in the store ([`Wmms::adopt`]).
    pub fn adopt(&mut self, now: SimTime, entries: Vec<(Ipv6Addr, Entry)>) {
        self.wmms.adopt(now, entries);
    }

    /// Leaves entries to another WMMS ([`Wmms::hand_over`]); to be called when all [is settled](Durable::is_settled).
    pub fn hand_over(&mut self, now: SimTime, of: impl Fn(Ipv6Addr) -> bool) {
        self.wmms.hand_over(now, of);
    }

    /// Takes what has changed without an answer to anybody, such as lifetimes that ended: what
    /// is left to write at the end, once all groups before are written.
    pub fn take_rest(&mut self) -> Option<S::Group> {
        self.hold_back();
        self.wmms.has_changes().then(|| self.take_group())
    }

    /// Has it told that datagrams were passed over, if it may be told.
    fn tell(&mut self, now: SimTime) {
        if self.told.is_none() && self.telling.take(now) {
            self.told = Some(std::mem::take(&mut self.untold));
        }
    }

    fn take_group(&mut self) -> S::Group {
        self.taken += 1;
        let changed = self.wmms.take_changes();
        self.store.group(self.wmms.mmt(), &changed)
    }

    /// Puts what the WMMS sends in line, behind what has changed until now.
    fn hold_back(&mut self) {
        let group = self.taken + u64::from(self.wmms.has_changes());
        while let Some(transmit) = self.wmms.poll_transmit() {
            self.held.push_back((group, transmit));
        }
    }

    /// The next group, if somebody waits for it or it has become large, and none is being written.
    fn poll_group(&mut self) -> Option<S::Group> {
        self.hold_back();
        let wanted = self.has_waiting() || self.wmms.changes() >= UNASKED;
        (wanted && self.taken == self.written).then(|| self.take_group())
    }
}

impl<S: Store> Machine for Durable<S> {
    type From = SocketAddrV6;
    type To = SocketAddrV6;
    type Ignored = Infallible;
    type Event = Event<S::Group>;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: SocketAddrV6,
        payload: &[u8],
    ) -> Result<(), Infallible> {
        let held = self.held.len();
        if held >= MAX_HELD || held >= MAX_HELD_FOR_STRANGERS && !self.knows(now, &from) {
            self.passed_over(now, 1);
            return Ok(());
        }
        if self.untold > 0 {
            self.tell(now);
        }
        self.wmms.handle_datagram(now, from, payload)
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.wmms.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        self.hold_back();
        let &(group, _) = self.held.front()?;
        if group > self.written {
            return None;
        }
        self.held.pop_front().map(|(_, transmit)| transmit)
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.wmms.poll_timeout()
    }

    /// Groups first: the disk works while the owner looks at the rest.
    fn poll_event(&mut self) -> Option<Event<S::Group>> {
        match self.poll_group() {
            Some(group) => Some(Event::Write(group)),
            None => match self.told.take() {
                Some(datagrams) => Some(Event::PassedOver(datagrams)),
                None => self.wmms.poll_event().map(Event::Wmms),
            },
        }
    }

    fn knows(&self, now: SimTime, from: &SocketAddrV6) -> bool {
        self.wmms.knows(now, from)
    }

    fn passed_over(&mut self, now: SimTime, datagrams: u64) {
        self.passed_over += datagrams;
        self.untold += datagrams;
        self.tell(now);
    }
}
