//! What the node was told of other routers before it goes there (RFC 5568 §6.1).
//!
//! A while after it has come to a router the node asks it about the others. At the next one it then has
//! prefix and router at once: it solicits nobody, and believes what it was told until the router itself
//! says otherwise. A router that was told of it, too, expects it at the address that it forms there, and asks nobody
//! before the first packet: the node says who it is (§6.3) a while after its address is known. At an address that
//! is leased nobody expects it, and it says so at once.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use driver::{Driver, Icmpv6};
use nd::option::INFINITE_LIFETIME_S;
use nd::proxy::{FAST_HANDOVERS, Neighbour, Requester, unsolicited};
use nd::solicitor::Advertised;
use nd::{ALL_NODES, HOP_LIMIT, LinkLayerAddress, PrefixInformation};
use topology::plan::DadMode;
use units::{Eui64, SimTime};

use super::RadioHost;
use super::settings::candidate;
use crate::host::{Host, now};
use crate::mobility::Adapter;

/// From the end of a handover to what need not be said at once: what the move itself has to send, and the
/// requests that waited for it, come first.
const ASKS_AFTER: Duration = Duration::from_secs(1);

/// Which routers the node knows of.
pub(super) struct Beforehand {
    requester: Driver<Requester, Icmpv6>,
    /// By access point; those that the node may attach to.
    known: BTreeMap<Eui64, Neighbour>,
    /// Whether the node's router has not heard of it, since it came without a solicitation.
    unheard: bool,
    /// When the node says who it is.
    announces_at: Option<SimTime>,
}

impl Beforehand {
    /// A node with the link-layer address `own` that knows of nobody.
    pub(super) fn open(host: &Host, own: Eui64) -> Result<Beforehand> {
        let requester = Requester::new(own, host.protocol_rng("proxy-advertisements"));
        let lowpan = &host.interfaces.lowpan;
        let icmpv6 = Icmpv6::open(lowpan, &[], FAST_HANDOVERS, HOP_LIMIT)?;
        Ok(Beforehand {
            requester: Driver::new(requester, icmpv6)?,
            known: BTreeMap::new(),
            unheard: false,
            announces_at: None,
        })
    }

    /// The link is left: its router is asked nothing any more.
    pub(super) fn leave(&mut self) {
        (self.unheard, self.announces_at) = (false, None);
        self.requester.with(|requester, _| requester.stop());
        self.requester.discard();
    }
}

/// The next router that the node is told of, or never. Cancel-safe.
pub(super) async fn next_neighbour(beforehand: &mut Option<Beforehand>) -> Result<Neighbour> {
    match beforehand {
        Some(beforehand) => (beforehand.requester.next_event().await).context("ICMPv6 socket"),
        None => std::future::pending().await,
    }
}

impl<A: Adapter> RadioHost<A> {
    /// Asks the router that the node is at about the others, if it is to.
    pub(super) fn ask_about_others(&mut self) {
        if let (Some(beforehand), Some(router)) = (&mut self.beforehand, &self.router) {
            let router = router.router;
            let ask = |requester: &mut Requester, now| requester.ask(now + ASKS_AFTER, router);
            beforehand.requester.with(ask);
            let unheard = std::mem::take(&mut beforehand.unheard);
            beforehand.announces_at = unheard.then(|| now() + ASKS_AFTER);
        }
    }

    /// When [`RadioHost::announce_if_due`] has something to do.
    pub(super) fn announces_at(&self) -> Option<SimTime> {
        let due = self.beforehand.as_ref()?.announces_at;
        due.filter(|_| self.is_here())
    }

    /// Tells a router that expects the node who it is, when that is due: it need not be "as soon as it regains
    /// connectivity" (RFC 5568 §6.3), but the router may have given it up since it was here.
    pub(super) fn announce_if_due(&mut self, now: SimTime) {
        if self.announces_at().is_some_and(|due| due <= now) {
            if let Some(beforehand) = &mut self.beforehand {
                beforehand.announces_at = None;
            }
            if let Some(address) = self.t_addr {
                self.announce(address);
            }
        }
    }

    /// Tells a router that does not expect `address` who the node is, if it has not solicited there.
    pub(super) fn announce_lease(&mut self, address: Ipv6Addr) {
        if self.leases_address() && self.take_unheard() {
            self.announce(address);
        }
    }

    /// Whether the router has not heard of the node by a solicitation, and is to hear of it now.
    fn take_unheard(&mut self) -> bool {
        let beforehand = self.beforehand.as_mut();
        beforehand.is_some_and(|beforehand| std::mem::take(&mut beforehand.unheard))
    }

    /// Says who the node is (UNA, RFC 5568 §6.3).
    fn announce(&self, address: Ipv6Addr) {
        if let Some(beforehand) = &self.beforehand {
            let message = unsolicited(address, self.radio.eui64());
            let socket = beforehand.requester.socket();
            if let Err(error) = socket.send_from(address, ALL_NODES, &message) {
                // The router asks then.
                tracing::warn!(%address, %error, "unsolicited neighbour advertisement not sent");
            }
        }
    }

    /// The node was told of a router. Of one that it never goes to it keeps nothing.
    pub(super) fn on_neighbour(&mut self, neighbour: Neighbour) {
        let mut candidates = self.plan.handover.iter().flat_map(|plan| &plan.candidates);
        let may_attach = candidates.any(|c| c.access_point == Some(neighbour.access_point));
        if let Some(beforehand) = self.beforehand.as_mut().filter(|_| may_attach) {
            (beforehand.known).insert(neighbour.access_point, neighbour);
        }
    }

    /// Looks for a router on the link that the radio is tuned to: takes the one that it was told of, or
    /// solicits.
    pub(super) async fn find_router(&mut self) -> Result<()> {
        let Some(neighbour) = self.told_of_home() else {
            self.solicitor.with(|solicitor, now| solicitor.start(now));
            return Ok(());
        };
        let router = neighbour.link_layer.link_local();
        (self.radio.learn_neighbour(router, neighbour.link_layer)).await?;
        self.told = true;
        if let Some(beforehand) = &mut self.beforehand {
            beforehand.unheard = true;
        }
        self.take_router(as_if_heard(&neighbour)).await?;
        if self.router.is_none() {
            // It is of no use; what it says itself may be.
            self.take_unheard();
            self.forget_told();
            self.solicitor.with(|solicitor, now| solicitor.start(now));
        }
        Ok(())
    }

    /// The address that the node is going to have at the PAN that it is to be attached to, if it knows it
    /// and need not check it.
    pub(super) fn known_address(&self) -> Option<Ipv6Addr> {
        let formed = !self.leases_address() && self.plan.dad == DadMode::Off;
        let neighbour = self.told_of_home().filter(|_| formed)?;
        self.formed_address(&as_if_heard(&neighbour))
    }

    /// What the node was told of the PAN that it is to be attached to.
    fn told_of_home(&self) -> Option<Neighbour> {
        let candidates = &self.plan.handover.as_ref()?.candidates;
        let home = &candidates[candidate(&self.plan, self.home)?];
        let known = &self.beforehand.as_ref()?.known;
        known.get(&home.access_point?).cloned()
    }

    /// The router speaks of which the node was told: it knows better.
    pub(super) async fn correct(&mut self, advertised: Advertised) -> Result<()> {
        let Some(told) = self.router.take() else {
            return Ok(());
        };
        if told.router != advertised.router {
            self.router = Some(told);
            return Ok(());
        }
        self.application
            .hear(self.radio.eui64(), &advertised.others);
        let (was, is) = (self.formed_address(&told), self.formed_address(&advertised));
        let retrans_timer = advertised.retrans_timer.unwrap_or_default();
        self.radio.configure_host(retrans_timer, self.plan.dad)?;
        self.router = Some(advertised);
        if was == is || self.leases_address() {
            self.told = false;
            return Ok(());
        }
        self.forget_told();
        tracing::warn!(router = %told.router, "it has another prefix than the last router said");
        if let Some(address) = was {
            self.drop_address(address).await?;
        }
        match self.attachment.sequencer().filter(|s| s.in_progress()) {
            Some(sequencer) => {
                sequencer.step_failed(
                    now(),
                    "the router has another prefix than the last one said",
                );
                Ok(())
            }
            None => self.acquire_address().await,
        }
    }

    /// What the node was told of the router that it is at led nowhere.
    pub(super) fn forget_told(&mut self) {
        if let Some(neighbour) = self.told_of_home().filter(|_| self.told)
            && let Some(beforehand) = &mut self.beforehand
        {
            beforehand.known.remove(&neighbour.access_point);
        }
        self.told = false;
    }
}

/// A neighbour as if it had advertised itself: it is a router, and an address may be formed from its prefix.
fn as_if_heard(neighbour: &Neighbour) -> Advertised {
    let prefix = PrefixInformation {
        prefix: neighbour.prefix,
        on_link: false,
        autonomous: true,
        valid_lifetime_s: INFINITE_LIFETIME_S,
        preferred_lifetime_s: INFINITE_LIFETIME_S,
    };
    Advertised {
        router: neighbour.link_layer.link_local(),
        source_link_layer: Some(LinkLayerAddress::Extended(neighbour.link_layer)),
        prefixes: vec![prefix],
        mtu: None,
        others: neighbour.others.clone(),
        managed: false,
        other: false,
        router_lifetime: Duration::MAX,
        reachable_time: None,
        retrans_timer: None,
        cur_hop_limit: None,
    }
}
