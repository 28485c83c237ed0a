//! A WMMS whose answers wait for its store.

use std::net::SocketAddrV6;

use coap::{Machine, Transmit};
use comp::wmms::{self, Wmms};
use units::SimTime;

use crate::Store;

/// What a [`Durable`] tells its owner.
#[derive(Debug)]
pub enum Event<E> {
    /// The WMMS's event.
    Wmms(wmms::Event),
    /// The store has failed. Nothing is sent any more: what the WMMS promises would be lost with
    /// it. The owner ends it.
    Failed(E),
}

/// A [`Wmms`] that sends nothing before the store has what has changed; a [`Machine`].
///
/// Commits as late as it may, when the first datagram is about to leave: everything that was
/// handled until then goes into one transaction. An owner that takes in all datagrams that wait
/// before it sends commits them as a group.
#[derive(Debug)]
pub struct Durable<S: Store> {
    wmms: Wmms,
    store: S,
    failed: bool,
    failure: Option<S::Error>,
}

impl<S: Store> Durable<S> {
    /// A WMMS that was given the table of `store` ([`Store::load`], [`Wmms::restore`]).
    pub fn new(wmms: Wmms, store: S) -> Durable<S> {
        Durable {
            wmms,
            store,
            failed: false,
            failure: None,
        }
    }

    /// The WMMS, to look at.
    pub fn wmms(&self) -> &Wmms {
        &self.wmms
    }

    /// The store, to look at.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Commits what has changed without an answer to anybody, such as lifetimes that ended.
    ///
    /// # Errors
    /// Those of [`Store::commit`].
    pub fn commit(&mut self) -> Result<(), S::Error> {
        if !self.wmms.has_changes() {
            return Ok(());
        }
        let changed = self.wmms.take_changes();
        self.store.commit(self.wmms.mmt(), &changed)
    }
}

impl<S: Store> Machine for Durable<S> {
    type Event = Event<S::Error>;

    fn handle_datagram(&mut self, now: SimTime, from: SocketAddrV6, payload: &[u8]) {
        self.wmms.handle_datagram(now, from, payload);
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.wmms.handle_timeout(now);
    }

    fn poll_transmit(&mut self) -> Option<Transmit> {
        if self.failed {
            return None;
        }
        let transmit = self.wmms.poll_transmit()?;
        match self.commit() {
            Ok(()) => Some(transmit),
            Err(failure) => {
                self.failed = true;
                self.failure = Some(failure);
                None
            }
        }
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.wmms.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Event<S::Error>> {
        match self.failure.take() {
            Some(failure) => Some(Event::Failed(failure)),
            None => self.wmms.poll_event().map(Event::Wmms),
        }
    }
}
