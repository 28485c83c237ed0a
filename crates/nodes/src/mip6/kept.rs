//! A party on the wire with its kernel state.

use std::collections::VecDeque;
use std::net::Ipv6Addr;

use anyhow::{Context, Error, Result};
use driver::raw::{Arrival, Departure};
use driver::{Driver, Raw};
use handover::BindingEvent;
use machine::{Machine, Transmit};
use mip6::headers::MOBILITY_HEADER;
use mip6::{Agent, Correspondent, Headers, Ignored};
use netlink::xfrm::{Direction, Extension, Policy, Report, Selector, State, Upper};
use netlink::{Reports, Xfrm};
use units::SimTime;

use super::around::{arrived, departing};
use crate::control::Controls;
use crate::host::Host;

/// Priorities of policies: signalling first, of that what is protected, everything last.
pub(super) const OF_PROTECTION: u32 = 0;
pub(super) const OF_KEEPING_OUT: u32 = 1;
pub(super) const OF_SIGNALLING: u32 = 2;
pub(super) const OF_BINDINGS: u32 = 10;
pub(super) const OF_THE_REST: u32 = 100;

/// A party that has a binding cache.
pub(super) trait Party: Machine<From = Headers, To = Headers, Ignored = Ignored> {
    /// The kernel dropped a packet with a Home Address option for which there is no binding (RFC 6275
    /// §9.3.1): a Binding Error says so.
    fn dropped(&mut self, now: SimTime, packet: &Headers);
}

impl Party for Agent {
    fn dropped(&mut self, now: SimTime, packet: &Headers) {
        self.dropped_for_want_of_binding(now, packet);
    }
}

impl Party for Correspondent {
    fn dropped(&mut self, now: SimTime, packet: &Headers) {
        self.dropped_for_want_of_binding(now, packet);
    }
}

/// Changes the way of packets to and from mobile nodes.
pub(super) trait Keeper<M: Machine> {
    /// What is told of it.
    type Told;

    /// Does what an event of the machine asks for, and says what is to be told of it.
    fn keep(&mut self, machine: &mut M, event: M::Event) -> Result<Option<Self::Told>>;
}

/// A machine whose events change the kernel before its next message leaves.
#[derive(Debug)]
pub(super) struct Kept<M: Machine, K: Keeper<M>> {
    machine: M,
    keeper: K,
    told: VecDeque<Result<K::Told>>,
}

impl<M, K> Kept<M, K>
where
    M: Machine<From = Headers, To = Headers, Ignored = Ignored>,
    K: Keeper<M>,
{
    pub(super) fn new(machine: M, keeper: K) -> Kept<M, K> {
        Kept {
            machine,
            keeper,
            told: VecDeque::new(),
        }
    }

    fn keep(&mut self) {
        while let Some(event) = self.machine.poll_event() {
            let told = self.keeper.keep(&mut self.machine, event);
            self.told.extend(told.transpose());
        }
    }

    /// Gives the machine a command.
    pub(super) fn with<R>(&mut self, command: impl FnOnce(&mut M) -> R) -> R {
        let result = command(&mut self.machine);
        self.keep();
        result
    }

    /// On its socket.
    ///
    /// # Errors
    /// When that cannot be had.
    pub(super) fn open(self) -> Result<Driver<Kept<M, K>, Raw>> {
        Ok(Driver::new(self, Raw::open(MOBILITY_HEADER)?)?)
    }
}

impl<M, K> Kept<M, K>
where
    M: Party,
    K: Keeper<M, Told = BindingEvent>,
{
    /// Runs it until its node is told to leave.
    ///
    /// # Errors
    /// When a socket fails, or the kernel refuses a change.
    pub(super) async fn run(self, host: Host, mut controls: Controls) -> Result<()> {
        let mut driver = self.open()?;
        let mut reports = Reports::open()?;
        host.part_is_ready()?;
        loop {
            tokio::select! {
                // A binding that has come before a packet counts for it.
                biased;
                told = driver.next_event() => host.events.report(told??.into())?,
                dropped = reports.next() => {
                    let Report { source, care_of, destination } = dropped.context("xfrm")?;
                    let packet = Headers::between(care_of, destination).from_home(source);
                    driver.with(|kept, now| kept.machine.dropped(now, &packet));
                }
                () = controls.stopped() => return Ok(()),
            }
        }
    }
}

impl<M, K> Machine for Kept<M, K>
where
    M: Machine<From = Headers, To = Headers, Ignored = Ignored>,
    K: Keeper<M>,
{
    type From = Arrival;
    type To = Departure;
    type Event = Result<K::Told>;
    type Ignored = Error;

    fn handle_datagram(
        &mut self,
        now: SimTime,
        from: Arrival,
        payload: &[u8],
    ) -> Result<(), Error> {
        let headers = arrived(&from, None)?;
        let taken = self.machine.handle_datagram(now, headers, payload);
        self.keep();
        Ok(taken?)
    }

    fn handle_timeout(&mut self, now: SimTime) {
        self.machine.handle_timeout(now);
        self.keep();
    }

    fn poll_transmit(&mut self) -> Option<Transmit<Departure>> {
        let Transmit { to, payload } = self.machine.poll_transmit()?;
        let to = departing(&to);
        Some(Transmit { to, payload })
    }

    fn poll_timeout(&self) -> Option<SimTime> {
        self.machine.poll_timeout()
    }

    fn poll_event(&mut self) -> Option<Result<K::Told>> {
        self.told.pop_front()
    }
}

/// Deletes what a former daemon left, whose bindings nobody knows any more. Lets Mobility Headers come in that
/// have a Home Address option: without a binding only Binding Updates may (RFC 6275 §9.3.1), and the party itself
/// ignores the others. Keeps what has its headers already from getting more.
///
/// # Errors
/// Those of the kernel.
pub(super) fn let_updates_in(xfrm: &mut Xfrm) -> Result<()> {
    xfrm.flush()?;
    xfrm.put_state(&State::any(Extension::HomeAddress))?;
    xfrm.put_policy(&Policy {
        direction: Direction::In,
        selector: Selector::all(Upper::Mobility),
        extension: Some(Extension::HomeAddress),
        protection: None,
        priority: OF_SIGNALLING,
    })?;
    leave_signalling_alone(xfrm)
}

/// Mobility Headers leave with the headers that they are sent with.
///
/// # Errors
/// Those of the kernel.
pub(super) fn leave_signalling_alone(xfrm: &mut Xfrm) -> Result<()> {
    Ok(xfrm.put_policy(&Policy {
        direction: Direction::Out,
        selector: Selector::all(Upper::Mobility),
        extension: None,
        protection: None,
        priority: OF_SIGNALLING,
    })?)
}

/// Packets between two addresses that have a header, or get one.
pub(super) fn between(
    direction: Direction,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    extension: Extension,
) -> Policy {
    Policy {
        direction,
        selector: Selector::between(source, destination),
        extension: Some(extension),
        protection: None,
        priority: OF_BINDINGS,
    }
}
