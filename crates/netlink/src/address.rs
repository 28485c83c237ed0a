//! IPv6 addresses, duplicate address detection, and waiting until an address is usable.

use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use futures_util::StreamExt;
use ipnet::Ipv6Net;
use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL, NetlinkPayload};
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressMessage, AddressScope,
};
use rtnetlink::packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::{AddressMessageBuilder, MulticastGroup};
use tokio::time::timeout;

use crate::error::{Errno, Error, Result};
use crate::link::Links;
use crate::rtnl::{Events, Rtnl};

/// As long the kernel is waited for to say that an optimistic address receives.
const TOLD_WITHIN: Duration = Duration::from_millis(100);

/// How an address is checked for duplicates on its link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dad {
    /// Unusable until the detection has ended (RFC 4862 §5.4).
    Normal,
    /// Usable during the detection (RFC 4429); needs the sysctl `optimistic_dad`.
    Optimistic,
    /// Not checked, usable at once.
    Off,
}

/// Where an address is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressState {
    /// Detection is under way; not usable.
    Tentative,
    /// Detection is under way; usable (RFC 4429).
    Optimistic,
    /// Detection has ended well, or there was none.
    Usable,
    /// Another node has the address.
    DadFailed,
}

/// An address of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address and the length of its prefix.
    pub address: Ipv6Net,
    /// Whether it can be used.
    pub state: AddressState,
    /// Whether its scope is the link only.
    pub link_local: bool,
}

/// Why an address did not become usable.
#[derive(Debug, thiserror::Error)]
pub enum WaitError {
    /// Another node has the address.
    #[error("{address} on interface {ifindex}: duplicate address detected")]
    DadFailed {
        /// The address.
        address: Ipv6Addr,
        /// The interface.
        ifindex: u32,
    },
    /// The deadline passed.
    #[error("{address} on interface {ifindex}: not usable after {deadline:?} (it is {})", state.map_or("absent".into(), |s| format!("{s:?}")))]
    TimedOut {
        /// The address.
        address: Ipv6Addr,
        /// The interface.
        ifindex: u32,
        /// How long it was waited for.
        deadline: Duration,
        /// Its state at the end, if it exists.
        state: Option<AddressState>,
    },
    /// The kernel could not be asked.
    #[error(transparent)]
    Netlink(#[from] Error),
}

impl Links {
    /// Adds an address and the route to its prefix, for ever. Equals
    /// `ip -6 address add ADDRESS dev DEV [optimistic | nodad]`.
    ///
    /// With [`Dad::Optimistic`], the kernel ignores the wish where the sysctl
    /// `net.ipv6.conf.DEV.optimistic_dad` is 0: that is an error here, and nothing is added. It
    /// takes the address as a source at once, but joins its solicited-node group a moment later: a
    /// router that has an answer for the node would ask for it in vain, and again after a second. So
    /// this returns when the address can be asked for, which the kernel tells only where
    /// `use_optimistic` is 1, too; elsewhere, 0.1 s later.
    pub async fn add_address(&self, ifindex: u32, address: Ipv6Net, dad: Dad) -> Result<()> {
        let operation = format!("add address {address}");
        let mut message = message(ifindex, address);
        let flags = match dad {
            Dad::Normal => AddressFlags::empty(),
            Dad::Optimistic => AddressFlags::Optimistic,
            Dad::Off => AddressFlags::Nodad,
        };
        message.attributes.push(AddressAttribute::Flags(flags));
        // Subscribed before it is added, so that nothing is missed.
        let mut told = match dad {
            Dad::Optimistic => Some(self.changes_of(ifindex, address.addr())?),
            Dad::Normal | Dad::Off => None,
        };
        let request = RouteNetlinkMessage::NewAddress(message);
        let added = self.rtnl.request(request, NLM_F_CREATE | NLM_F_EXCL).await;
        if let Err(failure) = added {
            let advice = [(Errno::EACCES, "IPv6 is disabled on the interface")];
            return Err(self.explain(failure, ifindex, &operation, &advice).await);
        }
        let Some(changes) = &mut told else {
            return Ok(());
        };
        if self.state_of(ifindex, address.addr()).await? == Some(AddressState::Tentative) {
            self.delete_address(ifindex, address).await?;
            return Err(Error::unusable(
                format_args!("interface {ifindex}"),
                operation,
                "optimistic detection is off: set its sysctl optimistic_dad to 1",
            ));
        }
        match timeout(TOLD_WITHIN, changes.next()).await {
            Ok(told) => told.map(drop),
            Err(_) => Ok(()),
        }
    }

    /// Removes an address. Equals `ip -6 address del ADDRESS dev DEV`.
    pub async fn delete_address(&self, ifindex: u32, address: Ipv6Net) -> Result<()> {
        let request = RouteNetlinkMessage::DelAddress(message(ifindex, address));
        match self.rtnl.request(request, 0).await {
            Ok(_) => Ok(()),
            Err(failure) => {
                let operation = format!("delete address {address}");
                let advice = [(Errno::EADDRNOTAVAIL, "it has no such address")];
                Err(self.explain(failure, ifindex, operation, &advice).await)
            }
        }
    }

    /// Removes all addresses of an interface but the link-local ones. Equals
    /// `ip -6 address flush dev DEV scope global`.
    pub async fn flush_addresses(&self, ifindex: u32) -> Result<()> {
        for found in self.addresses(ifindex).await? {
            if !found.link_local {
                self.delete_address(ifindex, found.address).await?;
            }
        }
        Ok(())
    }

    /// The IPv6 addresses of an interface. Equals `ip -6 address show dev DEV`.
    pub async fn addresses(&self, ifindex: u32) -> Result<Vec<InterfaceAddress>> {
        let mut wanted = AddressMessage::default();
        wanted.header.family = AddressFamily::Inet6;
        let answer = self
            .rtnl
            .dump(RouteNetlinkMessage::GetAddress(wanted))
            .await;
        let answer = answer.map_err(|f| f.at("rtnetlink", "list addresses", &[]))?;
        Ok(answer
            .iter()
            .filter_map(|message| match message {
                RouteNetlinkMessage::NewAddress(m) if m.header.index == ifindex => decode(m),
                _ => None,
            })
            .collect())
    }

    /// Waits until `address` can be used: its detection has ended well, or it is optimistic.
    /// The address may be added before or after the call. Events tell, nothing is polled.
    pub async fn wait_usable(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        deadline: Duration,
    ) -> Result<(), WaitError> {
        let enough = [AddressState::Usable, AddressState::Optimistic];
        self.wait_for(ifindex, address, deadline, &enough).await
    }

    /// Waits until the detection of `address` has ended well, as [`Links::wait_usable`] does;
    /// that it is optimistic is not enough.
    pub async fn wait_checked(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        deadline: Duration,
    ) -> Result<(), WaitError> {
        let enough = [AddressState::Usable];
        self.wait_for(ifindex, address, deadline, &enough).await
    }

    async fn wait_for(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        deadline: Duration,
        enough: &[AddressState],
    ) -> Result<(), WaitError> {
        let watch = self.watch(ifindex, address, enough);
        if let Ok(outcome) = timeout(deadline, watch).await {
            return outcome;
        }
        match self.state_of(ifindex, address).await? {
            Some(state) if enough.contains(&state) => Ok(()),
            Some(AddressState::DadFailed) => Err(WaitError::DadFailed { address, ifindex }),
            state => Err(WaitError::TimedOut {
                address,
                ifindex,
                deadline,
                state,
            }),
        }
    }

    async fn watch(
        &self,
        ifindex: u32,
        address: Ipv6Addr,
        enough: &[AddressState],
    ) -> Result<(), WaitError> {
        let failed = || WaitError::DadFailed { address, ifindex };
        let mut seen = self.state_of(ifindex, address).await?;
        if seen.is_some_and(|state| enough.contains(&state)) {
            return Ok(());
        }
        // Looked again after this, so that no change falls in between.
        let mut changes = self.changes_of(ifindex, address)?;
        seen = self.state_of(ifindex, address).await?;
        loop {
            match seen {
                Some(state) if enough.contains(&state) => return Ok(()),
                Some(AddressState::DadFailed) => return Err(failed()),
                _ => {}
            }
            seen = match changes.next().await? {
                Change::Is(state) => Some(state),
                // A duplicate with a lifetime is not marked as failed but removed.
                Change::Removed(AddressState::Usable) => None,
                Change::Removed(_) => return Err(failed()),
                Change::Missed => self.state_of(ifindex, address).await?,
            };
        }
    }

    /// What the kernel tells of an address from now on.
    fn changes_of(&self, ifindex: u32, address: Ipv6Addr) -> Result<Changes> {
        let (socket, events) = Rtnl::connect(&self.namespace, &[MulticastGroup::Ipv6Ifaddr])?;
        Ok(Changes {
            _socket: socket,
            events,
            ifindex,
            address,
        })
    }

    async fn state_of(&self, ifindex: u32, address: Ipv6Addr) -> Result<Option<AddressState>> {
        let all = self.addresses(ifindex).await?;
        Ok(all
            .iter()
            .find(|found| found.address.addr() == address)
            .map(|found| found.state))
    }
}

/// Changes of an address.
struct Changes {
    _socket: Rtnl,
    events: Events,
    ifindex: u32,
    address: Ipv6Addr,
}

/// A change of an address.
enum Change {
    /// It was added, or its state changed.
    Is(AddressState),
    /// It is no more; this was its state.
    Removed(AddressState),
    /// There were too many to be told.
    Missed,
}

impl Changes {
    /// The next one. Cancel-safe.
    async fn next(&mut self) -> Result<Change> {
        loop {
            let Some((event, _)) = self.events.next().await else {
                let lost = std::io::Error::from(std::io::ErrorKind::NotConnected);
                return Err(Error::io("rtnetlink", "wait for address events", lost));
            };
            let change = match &event.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(m)) => {
                    self.state_in(m).map(Change::Is)
                }
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelAddress(m)) => {
                    self.state_in(m).map(Change::Removed)
                }
                NetlinkPayload::Overrun(_) => Some(Change::Missed),
                _ => None,
            };
            if let Some(change) = change {
                return Ok(change);
            }
        }
    }

    fn state_in(&self, message: &AddressMessage) -> Option<AddressState> {
        let found = decode(message)?;
        let same = (message.header.index, found.address.addr()) == (self.ifindex, self.address);
        same.then_some(found.state)
    }
}

fn message(ifindex: u32, address: Ipv6Net) -> AddressMessage {
    AddressMessageBuilder::<Ipv6Addr>::new()
        .index(ifindex)
        .address(address.addr(), address.prefix_len())
        .build()
}

/// Reads an IPv6 address; `None` for one of another family.
fn decode(message: &AddressMessage) -> Option<InterfaceAddress> {
    let mut address = None;
    // The header holds the low eight flags, which are all that matter here.
    let mut flags = AddressFlags::from_bits_retain(message.header.flags.bits().into());
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Address(IpAddr::V6(found)) => address = Some(*found),
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    let state = if flags.contains(AddressFlags::Dadfailed) {
        AddressState::DadFailed
    } else if flags.contains(AddressFlags::Optimistic) {
        // The kernel sets TENTATIVE beside it until the detection ends.
        AddressState::Optimistic
    } else if flags.contains(AddressFlags::Tentative) {
        AddressState::Tentative
    } else {
        AddressState::Usable
    };
    Some(InterfaceAddress {
        address: Ipv6Net::new(address?, message.header.prefix_len).ok()?,
        state,
        link_local: message.header.scope == AddressScope::Link,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_flags(flags: AddressFlags) -> AddressState {
        let mut m = message(7, "fd00::1/64".parse().unwrap());
        m.attributes.push(AddressAttribute::Flags(flags));
        decode(&m).unwrap().state
    }

    #[test]
    fn flags_tell_the_state_and_failure_outweighs_the_rest() {
        use AddressFlags as F;
        assert_eq!(with_flags(F::Permanent), AddressState::Usable);
        assert_eq!(with_flags(F::Tentative), AddressState::Tentative);
        assert_eq!(
            with_flags(F::Tentative | F::Optimistic),
            AddressState::Optimistic
        );
        assert_eq!(
            with_flags(F::Tentative | F::Dadfailed),
            AddressState::DadFailed
        );
    }
}
