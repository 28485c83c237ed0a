//! The link of a radio host: radio and 6LoWPAN interface, addresses and the default route.

use std::net::Ipv6Addr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use ipnet::Ipv6Net;
use netlink::{Dad, Errno, Links, Namespace, Nl802154, PhyIndex, sysctl};
use topology::plan::{AddressMode, DadMode};
use units::{Channel, Eui64, PanId};

use crate::host::Interfaces;

/// Prefix of link-local addresses on an interface.
const LINK_LOCAL_BITS: u8 = 64;

/// The radio and what stands on it.
pub(crate) struct Radio {
    links: Links,
    nl802154: Nl802154,
    interfaces: Interfaces,
    wpan: u32,
    lowpan: u32,
    phy: PhyIndex,
    eui64: Eui64,
    /// Channel and PAN, if the channel is one of [`Channel`]'s.
    tuned: Option<(Channel, PanId)>,
    /// Whether multicast listener reports may come later.
    defers_reports: bool,
}

impl Radio {
    /// Opens the node's radio. Both interfaces are up then, and no address is left on them that
    /// an earlier daemon had.
    pub(crate) async fn open(interfaces: &Interfaces) -> Result<Radio> {
        let here = Namespace::current()?;
        let links = Links::connect(&here).await?;
        let nl802154 = Nl802154::connect(&here).await?;
        let found = nl802154.interfaces().await?;
        let wpan = found
            .into_iter()
            .find(|i| i.name == interfaces.wpan)
            .with_context(|| format!("no 802.15.4 interface {}", interfaces.wpan))?;
        let phys = nl802154.phys().await?;
        let phy = phys.into_iter().find(|phy| phy.index == wpan.phy);
        let channel = phy
            .filter(|phy| phy.page == Channel::PAGE)
            .and_then(|phy| Channel::try_from(phy.channel).ok());
        let lowpan = links.index(&interfaces.lowpan).await?;
        links.flush_addresses(lowpan).await?;
        links.up(wpan.ifindex).await?;
        links.up(lowpan).await?;
        Ok(Radio {
            tuned: channel.map(|channel| (channel, wpan.pan_id)),
            links,
            nl802154,
            interfaces: interfaces.clone(),
            wpan: wpan.ifindex,
            lowpan,
            phy: wpan.phy,
            eui64: wpan.eui64,
            defers_reports: false,
        })
    }

    /// Host behaviour: this daemon, not the kernel, solicits routers and forms addresses.
    pub(crate) fn configure_host(&self, retrans_timer: Duration, dad: DadMode) -> Result<()> {
        let lowpan = &self.interfaces.lowpan;
        let set =
            |name: &str, value: u8| sysctl::write(&format!("net.ipv6.conf.{lowpan}.{name}"), value);
        set("accept_ra", 0)?;
        set("autoconf", 0)?;
        // A router cannot know whether its hosts hear each other, and is not to say that they do (RFC 6775 §6.1).
        // Linux does so all the same, and cannot be told not to: kernels after 6.1 are believed.
        set("accept_redirects", 0)?;
        // RFC 4862 §5.4.2: the random delay is for the first message after initialisation,
        // and our router solicitation was that.
        set("router_solicitation_delay", 0)?;
        let optimistic = u8::from(dad == DadMode::Optimistic);
        match set("optimistic_dad", optimistic) {
            // A kernel without it has nothing to switch off.
            Err(error) if error.errno() == Some(Errno::ENOENT) => {
                if dad == DadMode::Optimistic {
                    bail!(
                        "`dad: optimistic`: this kernel was built without \
                         CONFIG_IPV6_OPTIMISTIC_DAD, as Ubuntu's is; Debian's has it"
                    );
                }
            }
            switched => {
                switched?;
                set("use_optimistic", optimistic)?;
            }
        }
        if !retrans_timer.is_zero() {
            let name = format!("net.ipv6.neigh.{lowpan}.retrans_time_ms");
            // The kernel takes no more than 31 bits of what an advertisement has 32 bits for.
            let longest = i32::MAX as u128;
            sysctl::write(&name, retrans_timer.as_millis().min(longest))?;
        }
        Ok(())
    }

    /// Has what is to be sent at once after a move not wait for multicast listener reports: the first one of
    /// a group is formed before the radio is up, and comes to nothing; the second comes at random within
    /// 10 s. Those of MLDv1 do (RFC 2710 §4, §7.10), where Linux sends both of MLDv2 within the first
    /// hundredth of a second.
    pub(crate) fn defer_reports(&mut self) -> Result<()> {
        let lowpan = &self.interfaces.lowpan;
        sysctl::write(&format!("net.ipv6.conf.{lowpan}.force_mld_version"), 1)?;
        self.defers_reports = true;
        Ok(())
    }

    /// Channel and PAN that the radio is on; none before the first retuning if it was opened
    /// on another page.
    pub(crate) fn tuned(&self) -> Option<(Channel, PanId)> {
        self.tuned
    }

    /// The extended address.
    pub(crate) fn eui64(&self) -> Eui64 {
        self.eui64
    }

    /// The link-local address, without duplicate address detection: RFC 6775 §5.4 and §8.2
    /// take an address formed from the EUI-64 as unique.
    pub(crate) async fn add_link_local(&self) -> Result<()> {
        let address = Ipv6Net::new(self.eui64.link_local(), LINK_LOCAL_BITS)?;
        if self.has(address.addr()).await? {
            return Ok(());
        }
        Ok(self
            .links
            .add_address(self.lowpan, address, Dad::Off)
            .await?)
    }

    async fn has(&self, address: Ipv6Addr) -> Result<bool> {
        let there = self.links.addresses(self.lowpan).await?;
        Ok(there.iter().any(|found| found.address.addr() == address))
    }

    /// Tunes to a channel and a PAN, from whatever channel. The PAN ID of an interface that is up cannot
    /// change (`EBUSY`), so both interfaces go down for that, which also drops their addresses
    /// and routes; for the same PAN on another channel they stay up. An address that the node is `known` to
    /// have there, and need not check, is there with the link.
    pub(crate) async fn retune(
        &mut self,
        (channel, pan_id): (Channel, PanId),
        known: Option<Ipv6Addr>,
    ) -> Result<()> {
        if self.tuned.is_some_and(|(_, pan)| pan == pan_id) {
            self.nl802154.set_channel(self.phy, channel).await?;
        } else {
            self.links.down(self.lowpan).await?;
            self.links.down(self.wpan).await?;
            self.nl802154.set_pan_id(self.wpan, pan_id).await?;
            self.nl802154.set_channel(self.phy, channel).await?;
            if !self.defers_reports {
                self.links.up(self.wpan).await?;
            }
            self.links.up(self.lowpan).await?;
            self.add_link_local().await?;
            if let Some(address) = known {
                let added = self.add_address(address, AddressMode::Slaac, DadMode::Off);
                added.await?;
            }
            if self.defers_reports {
                self.links.up(self.wpan).await?;
            }
        }
        self.tuned = Some((channel, pan_id));
        Ok(())
    }

    /// Turns the radio, which stays up, to `channel` and leaves its PAN, addresses and routes.
    pub(crate) async fn listen(&mut self, channel: Channel) -> Result<()> {
        self.nl802154.set_channel(self.phy, channel).await?;
        if let Some((tuned, _)) = &mut self.tuned {
            *tuned = channel;
        }
        Ok(())
    }

    /// Adds `address`, checked as `dad` says, if it is not there.
    pub(crate) async fn add_address(
        &self,
        address: Ipv6Addr,
        mode: AddressMode,
        dad: DadMode,
    ) -> Result<()> {
        if self.has(address).await? {
            return Ok(());
        }
        // RFC 8415 §18.2.10.1: a leased address says nothing of a prefix on the link.
        let bits = if mode == AddressMode::Dhcpv6 { 128 } else { 64 };
        let dad = match dad {
            DadMode::Normal => Dad::Normal,
            DadMode::Optimistic => Dad::Optimistic,
            DadMode::Off => Dad::Off,
        };
        Ok(self
            .links
            .add_address(self.lowpan, Ipv6Net::new(address, bits)?, dad)
            .await?)
    }

    /// Removes `address` if it is still there.
    pub(crate) async fn remove_address(&self, address: Ipv6Addr) -> Result<()> {
        for found in self.links.addresses(self.lowpan).await? {
            if found.address.addr() == address {
                self.links
                    .delete_address(self.lowpan, found.address)
                    .await?;
            }
        }
        Ok(())
    }

    /// Takes it that a neighbour has this link-layer address, until it says otherwise.
    pub(crate) async fn learn_neighbour(&self, address: Ipv6Addr, link_layer: Eui64) -> Result<()> {
        let learnt = self.links.learn_neighbour(self.lowpan, address, link_layer);
        Ok(learnt.await?)
    }

    /// Makes `router` the default router.
    pub(crate) async fn set_default_router(&self, router: Ipv6Addr) -> Result<()> {
        let any = Ipv6Net::new(Ipv6Addr::UNSPECIFIED, 0)?;
        Ok(self.links.replace_route(any, router, self.lowpan).await?)
    }

    /// Waits until `address` may be used, at most `deadline`.
    pub(crate) fn usable(
        &self,
        address: Ipv6Addr,
        deadline: Duration,
    ) -> impl Future<Output = Result<()>> + use<> {
        let (links, lowpan) = (self.links.clone(), self.lowpan);
        async move { Ok(links.wait_usable(lowpan, address, deadline).await?) }
    }

    /// Waits until the duplicate address detection of `address` has ended, at most `deadline`.
    pub(crate) fn checked(
        &self,
        address: Ipv6Addr,
        deadline: Duration,
    ) -> impl Future<Output = Result<()>> + use<> {
        let (links, lowpan) = (self.links.clone(), self.lowpan);
        async move { Ok(links.wait_checked(lowpan, address, deadline).await?) }
    }
}
