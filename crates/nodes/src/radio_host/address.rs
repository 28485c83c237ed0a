//! From a router's advertisement to an address that may be used.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result};
use handover::Mobility;
use nd::solicitor::Advertised;
use rundir::EventKind;
use topology::plan::{AddressMode, DadMode};

use super::{Checking, RadioHost};
use crate::host::now;
use crate::mobility::Adapter;

/// How long duplicate address detection may take before the address is given up: ten times
/// the default RetransTimer.
const DAD_DEADLINE: Duration = Duration::from_secs(10);

impl<A: Adapter> RadioHost<A> {
    pub(super) async fn on_advertisement(&mut self, advertised: Advertised) -> Result<()> {
        if advertised.router_lifetime.is_zero() {
            return Ok(());
        }
        if self.router.is_some() {
            return match self.told {
                true => self.correct(advertised).await,
                false => Ok(()),
            };
        }
        self.told = false;
        self.take_router(advertised).await
    }

    /// Goes on with a router, if that is possible.
    pub(super) async fn take_router(&mut self, advertised: Advertised) -> Result<()> {
        let now = now();
        if let Err(error) = self.check_router(&advertised) {
            if let Some(times) = self.ignored.another() {
                let source = advertised.router;
                tracing::warn!(%source, %error, times, "router advertisement ignored");
            }
            return Ok(());
        }
        let retrans_timer = advertised.retrans_timer.unwrap_or_default();
        self.radio.configure_host(retrans_timer, self.plan.dad)?;
        self.radio.set_default_router(advertised.router).await?;
        self.application
            .hear(self.radio.eui64(), &advertised.others);
        self.router = Some(advertised);
        if self.attachment.is_attaching() {
            return self.acquire_address().await;
        }
        if let Some(sequencer) = self.attachment.sequencer() {
            sequencer.router_advertised(now);
        }
        Ok(())
    }

    /// Whether the node can go on with a router: it is another node, and has a prefix where
    /// addresses are formed from it.
    fn check_router(&self, advertised: &Advertised) -> Result<(), &'static str> {
        if advertised.router == self.radio.eui64().link_local() {
            return Err("it comes from an address of ours");
        }
        if !self.leases_address() && self.formed_address(advertised).is_none() {
            return Err("no prefix has the A flag, for SLAAC");
        }
        Ok(())
    }

    /// Whether the node's address is leased.
    pub(super) fn leases_address(&self) -> bool {
        self.plan.address != AddressMode::Slaac
    }

    /// The address that the node forms from the first prefix with the A flag.
    pub(super) fn formed_address(&self, router: &Advertised) -> Option<Ipv6Addr> {
        let eui64 = self.radio.eui64();
        let mut prefixes = router.prefixes.iter();
        prefixes.find_map(|prefix| prefix.autonomous_address(eui64))
    }

    /// Starts DHCPv6, or forms the address from the advertised prefix.
    pub(super) async fn acquire_address(&mut self) -> Result<()> {
        match self.plan.address {
            AddressMode::Dhcpv6 => {
                self.dhcp.with(|dhcp, now| dhcp.start(now));
                Ok(())
            }
            AddressMode::Slaac => {
                let router = self.router.as_ref().context("an address before a router")?;
                let formed = self.formed_address(router);
                let address = formed.context("a router without a prefix was taken")?;
                self.have_address(address).await
            }
        }
    }

    pub(super) async fn on_dhcp(&mut self, event: dhcpv6::client::Event) -> Result<()> {
        match event {
            dhcpv6::client::Event::Bound(lease) => {
                let address = lease.address;
                self.host.events.report(EventKind::Leased { address })?;
                if self.t_addr == Some(address) {
                    Ok(())
                } else {
                    self.have_address(address).await
                }
            }
            dhcpv6::client::Event::Failed(reason) => {
                tracing::warn!(%reason, "DHCPv6 failed");
                self.step_failed(format!("DHCPv6: {reason}"));
                Ok(())
            }
            dhcpv6::client::Event::Unserved(reason) => {
                tracing::warn!(%reason, "DHCPv6 gives no address; asking again");
                let reason = reason.to_string();
                self.host.events.report(EventKind::Unserved { reason })
            }
            dhcpv6::client::Event::Expired { address } => {
                tracing::warn!(%address, "lease expired");
                self.drop_address(address).await
            }
            dhcpv6::client::Event::Released { .. } => Ok(()),
        }
    }

    /// An address was leased or formed: onto the interface with it.
    async fn have_address(&mut self, address: Ipv6Addr) -> Result<()> {
        let dad = match self.kept == Some(address) {
            true => DadMode::Off,
            false => self.plan.dad,
        };
        let mode = self.plan.address;
        self.radio.add_address(address, mode, dad).await?;
        self.t_addr = Some(address);
        self.announce_lease(address);
        if dad == DadMode::Optimistic {
            let verified = self.radio.checked(address, DAD_DEADLINE);
            self.verifying = Some((address, Box::pin(verified)));
        }
        match self.attachment.sequencer().filter(|s| s.in_progress()) {
            Some(sequencer) => sequencer.address_acquired(now(), address),
            None => self.start_check(address),
        }
        Ok(())
    }

    /// Takes an address away that must not be used any more.
    pub(super) async fn drop_address(&mut self, address: Ipv6Addr) -> Result<()> {
        if self.t_addr == Some(address) {
            self.t_addr = None;
        }
        self.radio.remove_address(address).await
    }

    /// Somebody else has the address, or the check did not end.
    pub(super) async fn on_duplicate(
        &mut self,
        address: Ipv6Addr,
        error: &anyhow::Error,
    ) -> Result<()> {
        tracing::warn!(%address, %error, "duplicate address detection failed");
        self.checking = None;
        self.kept = None;
        self.drop_address(address).await?;
        // RFC 8415 §18.2.8; the client then asks for another one.
        self.dhcp.with(|dhcp, now| dhcp.decline(now));
        self.step_failed(format!("{address}: {error}"));
        Ok(())
    }

    fn step_failed(&mut self, reason: String) {
        if let Some(sequencer) = self.attachment.sequencer() {
            sequencer.step_failed(now(), reason);
        }
    }

    pub(super) fn start_check(&mut self, address: Ipv6Addr) {
        self.checking = Some((address, Box::pin(self.radio.usable(address, DAD_DEADLINE))));
    }

    pub(super) async fn on_checked(
        &mut self,
        (address, outcome): (Ipv6Addr, Result<()>),
    ) -> Result<()> {
        match outcome {
            Ok(()) if self.attachment.is_attaching() => {
                let attach = |mobility: &mut dyn Mobility, now| mobility.attach(now, address);
                self.application.with_mobility(attach);
                Ok(())
            }
            Ok(()) => match self.attachment.sequencer().filter(|s| s.in_progress()) {
                Some(sequencer) => {
                    sequencer.address_usable(now(), address);
                    Ok(())
                }
                // Another lease at the same router: no handover, but a new binding.
                None => self.bind(address),
            },
            Err(error) => self.on_duplicate(address, &error).await,
        }
    }
}

/// The end of the check in progress, or never without one. Cancel-safe.
pub(super) async fn check(checking: &mut Option<(Ipv6Addr, Checking)>) -> (Ipv6Addr, Result<()>) {
    let Some((address, future)) = checking else {
        return std::future::pending().await;
    };
    let (address, outcome) = (*address, future.await);
    *checking = None;
    (address, outcome)
}
