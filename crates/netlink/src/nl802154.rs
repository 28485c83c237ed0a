//! Phys and 802.15.4 interfaces: the generic netlink family `nl802154`
//! (kernel `include/net/nl802154.h`). It answers in every namespace, for the phys there.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use units::{Channel, Eui64, PanId, ShortAddress};

use crate::error::{Errno, Error, Failure, Result};
use crate::genl::{self, Attr, Family, Message, attr};
use crate::namespace::Namespace;

const FAMILY: &str = "nl802154";
const MODULE: &str = "ieee802154";

// Commands.
const GET_WPAN_PHY: u8 = 1;
const GET_INTERFACE: u8 = 5;
const NEW_INTERFACE: u8 = 7;
const DEL_INTERFACE: u8 = 8;
const SET_CHANNEL: u8 = 9;
const SET_PAN_ID: u8 = 10;
const SET_SHORT_ADDR: u8 = 11;
const SET_ACKREQ_DEFAULT: u8 = 19;
const SET_WPAN_PHY_NETNS: u8 = 20;

// Attributes.
const WPAN_PHY: u16 = 1;
const WPAN_PHY_NAME: u16 = 2;
const IFINDEX: u16 = 3;
const IFNAME: u16 = 4;
const IFTYPE: u16 = 5;
const PAGE: u16 = 7;
const CHANNEL: u16 = 8;
const PAN_ID: u16 = 9;
const SHORT_ADDR: u16 = 10;
const EXTENDED_ADDR: u16 = 23;
const ACKREQ_DEFAULT: u16 = 26;
const NETNS_FD: u16 = 29;

/// What an EBUSY of `SET_PAN_ID` and `SET_SHORT_ADDR` means: the kernel sends no text.
const BUSY: [(Errno, &str); 1] = [(
    Errno::EBUSY,
    "device is up; take its lowpan link and then the interface itself down first",
)];

/// The number of a phy: unique on the machine, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PhyIndex(pub u32);

impl fmt::Display for PhyIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "phy{}", self.0)
    }
}

/// A transceiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Phy {
    /// Its number.
    pub index: PhyIndex,
    /// Its name, `phy` and the number unless renamed.
    pub name: String,
    /// The channel page (IEEE 802.15.4-2006 §6.1.2); 0 for the channels of [`Channel`].
    pub page: u8,
    /// The channel's number on that page.
    pub channel: u8,
}

/// What an 802.15.4 interface does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InterfaceKind {
    /// Sends and receives as a node of a PAN.
    Node,
    /// Receives every frame, and sends frames as they are.
    Monitor,
    /// A coordinator.
    Coordinator,
    /// A kind of a newer kernel.
    Other(u32),
}

impl From<u32> for InterfaceKind {
    fn from(number: u32) -> InterfaceKind {
        match number {
            0 => InterfaceKind::Node,
            1 => InterfaceKind::Monitor,
            2 => InterfaceKind::Coordinator,
            other => InterfaceKind::Other(other),
        }
    }
}

impl From<InterfaceKind> for u32 {
    fn from(kind: InterfaceKind) -> u32 {
        match kind {
            InterfaceKind::Node => 0,
            InterfaceKind::Monitor => 1,
            InterfaceKind::Coordinator => 2,
            InterfaceKind::Other(other) => other,
        }
    }
}

/// An 802.15.4 interface (`wpan0`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WpanInterface {
    /// Its number in its namespace. A move of the phy may change it.
    pub ifindex: u32,
    /// Its name. A move of the phy changes it if the name is taken there.
    pub name: String,
    /// The phy that it is on.
    pub phy: PhyIndex,
    /// `0xffff` until one is set.
    pub pan_id: PanId,
    /// `0xffff` until one is set.
    pub short_address: ShortAddress,
    /// The extended address; hwsim draws it at random.
    pub eui64: Eui64,
    /// Node or monitor.
    pub kind: InterfaceKind,
}

/// A connection to nl802154 in one namespace.
pub struct Nl802154 {
    family: Family,
}

impl Nl802154 {
    /// Connects in `namespace`.
    pub async fn connect(namespace: &Namespace) -> Result<Nl802154> {
        let family = Family::connect(namespace, FAMILY, MODULE).await?;
        Ok(Nl802154 { family })
    }

    /// The phys of the namespace, by number. Equals `iwpan phy`.
    pub async fn phys(&self) -> Result<Vec<Phy>> {
        let failed = |f: Failure| f.at("nl802154", "list phys", &[]);
        let messages = self.family.dump(GET_WPAN_PHY).await.map_err(failed)?;
        let phys: Result<Vec<_>, _> = messages.iter().map(Phy::decode).collect();
        let mut phys = phys.map_err(failed)?;
        phys.sort_by_key(|phy| phy.index);
        Ok(phys)
    }

    /// The 802.15.4 interfaces of the namespace, by number. Equals `iwpan dev`.
    pub async fn interfaces(&self) -> Result<Vec<WpanInterface>> {
        let failed = |f: Failure| f.at("nl802154", "list interfaces", &[]);
        let messages = self.family.dump(GET_INTERFACE).await.map_err(failed)?;
        let found: Result<Vec<_>, _> = messages.iter().map(WpanInterface::decode).collect();
        let mut found = found.map_err(failed)?;
        found.sort_by_key(|interface| interface.ifindex);
        Ok(found)
    }

    /// The only interface of a phy of this namespace: how to find it after a move.
    pub async fn interface_of(&self, phy: PhyIndex) -> Result<WpanInterface> {
        let mut found = self.interfaces().await?;
        found.retain(|interface| interface.phy == phy);
        match <[WpanInterface; 1]>::try_from(found) {
            Ok([interface]) => Ok(interface),
            Err(found) => Err(Error::unusable(
                phy,
                "find its interface",
                format_args!("expected one in this namespace, found {}", found.len()),
            )),
        }
    }

    /// Tunes a phy; it may be up. Equals `iwpan phy PHY set channel 0 CHANNEL`.
    pub async fn set_channel(&self, phy: PhyIndex, channel: Channel) -> Result<()> {
        let attrs = [
            attr(WPAN_PHY, phy.0.to_ne_bytes()),
            attr(PAGE, [Channel::PAGE]),
            attr(CHANNEL, [channel.number()]),
        ];
        let answer = self.family.request(SET_CHANNEL, &attrs).await;
        let operation = format_args!("set channel {channel}");
        answer.map(drop).map_err(|f| f.at(phy, operation, &BUSY))
    }

    /// Sets the PAN ID of an interface that is down, with its lowpan link. Equals
    /// `iwpan dev DEV set pan_id PAN`.
    pub async fn set_pan_id(&self, ifindex: u32, pan: PanId) -> Result<()> {
        let attrs = [
            attr(IFINDEX, ifindex.to_ne_bytes()),
            attr(PAN_ID, pan.0.to_le_bytes()),
        ];
        let operation = format_args!("set PAN ID {pan}");
        self.interface_command(SET_PAN_ID, &attrs, ifindex, operation)
            .await
    }

    /// Sets the short address of an interface that is down, with its lowpan link. Equals
    /// `iwpan dev DEV set short_addr ADDRESS`.
    pub async fn set_short_address(&self, ifindex: u32, address: ShortAddress) -> Result<()> {
        let attrs = [
            attr(IFINDEX, ifindex.to_ne_bytes()),
            attr(SHORT_ADDR, address.0.to_le_bytes()),
        ];
        let operation = format_args!("set short address {address}");
        self.interface_command(SET_SHORT_ADDR, &attrs, ifindex, operation)
            .await
    }

    /// Sets whether unicast frames of an interface that is down ask for an acknowledgement.
    /// Equals `iwpan dev DEV set ackreq_default 1`.
    pub async fn set_ackreq_default(&self, ifindex: u32, ackreq: bool) -> Result<()> {
        let attrs = [
            attr(IFINDEX, ifindex.to_ne_bytes()),
            attr(ACKREQ_DEFAULT, [u8::from(ackreq)]),
        ];
        let operation = format_args!("set ackreq_default {ackreq}");
        self.interface_command(SET_ACKREQ_DEFAULT, &attrs, ifindex, operation)
            .await
    }

    /// Moves a phy of this namespace, with its interfaces, to another; lowpan links must be
    /// gone, hwsim's edges stay. Find the interface again there: its number may change.
    /// Equals `iwpan phy PHY set netns name NAME`.
    pub async fn move_phy(&self, phy: PhyIndex, to: &Namespace) -> Result<()> {
        let fd =
            u32::try_from(to.as_fd().as_raw_fd()).expect("an open file descriptor is not negative");
        let attrs = [
            attr(WPAN_PHY, phy.0.to_ne_bytes()),
            attr(NETNS_FD, fd.to_ne_bytes()),
        ];
        let answer = self.family.request(SET_WPAN_PHY_NETNS, &attrs).await;
        answer
            .map(drop)
            .map_err(|f| f.at(phy, "move to another namespace", &[]))
    }

    /// Deletes an interface. Equals `iwpan dev DEV del`.
    pub async fn delete_interface(&self, ifindex: u32) -> Result<()> {
        let attrs = [attr(IFINDEX, ifindex.to_ne_bytes())];
        self.interface_command(DEL_INTERFACE, &attrs, ifindex, "delete")
            .await
    }

    /// Adds an interface to a phy; a monitor has no extended address and ignores it. Its number is
    /// [`crate::Links::index`]'s, which no listing of all radios has to tell. Equals
    /// `iwpan phy PHY interface add NAME type KIND EUI64`.
    pub async fn add_interface(
        &self,
        phy: PhyIndex,
        name: &str,
        kind: InterfaceKind,
        eui64: Eui64,
    ) -> Result<()> {
        let attrs = [
            attr(WPAN_PHY, phy.0.to_ne_bytes()),
            attr(IFNAME, [name.as_bytes(), &[0]].concat()),
            attr(IFTYPE, u32::from(kind).to_ne_bytes()),
            attr(EXTENDED_ADDR, little_endian(eui64)),
        ];
        let operation = format_args!("add interface {name}");
        let answer = self.family.request(NEW_INTERFACE, &attrs).await;
        answer.map(drop).map_err(|f| f.at(phy, operation, &[]))
    }

    async fn interface_command(
        &self,
        command: u8,
        attrs: &[Attr],
        ifindex: u32,
        operation: impl fmt::Display,
    ) -> Result<()> {
        let Err(failure) = self.family.request(command, attrs).await else {
            return Ok(());
        };
        // Only the failure needs the name.
        let named = self.interfaces().await.unwrap_or_default();
        let name = named.into_iter().find(|i| i.ifindex == ifindex);
        let object = name.map_or_else(|| format!("interface {ifindex}"), |i| i.name);
        Err(failure.at(object, operation, &BUSY))
    }
}

/// nl802154 carries an extended address as a little-endian number: last byte first.
fn little_endian(eui64: Eui64) -> [u8; 8] {
    let mut octets = eui64.0;
    octets.reverse();
    octets
}

fn missing(what: &str) -> Failure {
    Failure::Malformed(format!("{what} is missing"))
}

impl Phy {
    /// Reads one message of a `GET_WPAN_PHY` dump.
    fn decode(message: &Message) -> Result<Phy, Failure> {
        let attrs = || message.attrs().iter();
        Ok(Phy {
            index: PhyIndex(genl::u32_of(attrs(), WPAN_PHY).ok_or_else(|| missing("WPAN_PHY"))?),
            name: genl::string_of(attrs(), WPAN_PHY_NAME)
                .ok_or_else(|| missing("WPAN_PHY_NAME"))?,
            page: genl::u8_of(attrs(), PAGE).ok_or_else(|| missing("PAGE"))?,
            channel: genl::u8_of(attrs(), CHANNEL).ok_or_else(|| missing("CHANNEL"))?,
        })
    }
}

impl WpanInterface {
    /// Reads one message of a `GET_INTERFACE` dump.
    fn decode(message: &Message) -> Result<WpanInterface, Failure> {
        let attrs = || message.attrs().iter();
        let mut eui64: [u8; 8] = genl::bytes_of(attrs(), EXTENDED_ADDR)
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| missing("EXTENDED_ADDR"))?;
        eui64.reverse();
        let le16 = |kind| {
            genl::bytes_of(attrs(), kind)
                .and_then(|bytes| bytes.try_into().ok())
                .map(u16::from_le_bytes)
        };
        Ok(WpanInterface {
            ifindex: genl::u32_of(attrs(), IFINDEX).ok_or_else(|| missing("IFINDEX"))?,
            name: genl::string_of(attrs(), IFNAME).ok_or_else(|| missing("IFNAME"))?,
            phy: PhyIndex(genl::u32_of(attrs(), WPAN_PHY).ok_or_else(|| missing("WPAN_PHY"))?),
            pan_id: PanId(le16(PAN_ID).ok_or_else(|| missing("PAN_ID"))?),
            short_address: ShortAddress(le16(SHORT_ADDR).ok_or_else(|| missing("SHORT_ADDR"))?),
            eui64: Eui64(eui64),
            kind: genl::u32_of(attrs(), IFTYPE)
                .ok_or_else(|| missing("IFTYPE"))?
                .into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::answer;

    #[test]
    fn a_phy_is_read_with_its_channel() {
        let dump = answer(include_str!("../tests/golden/phy.hex")).unwrap();
        let [message] = dump.messages.as_slice() else {
            panic!("one phy")
        };
        let expected = Phy {
            index: PhyIndex(2),
            name: "phy2".into(),
            page: 0,
            channel: 13,
        };
        assert_eq!(Phy::decode(message).unwrap(), expected);
    }

    #[test]
    fn interfaces_are_read_with_their_addresses() {
        let dump = answer(include_str!("../tests/golden/interfaces.hex")).unwrap();
        let read = |m| WpanInterface::decode(m).unwrap();
        let found: Vec<WpanInterface> = dump.messages.iter().map(read).collect();
        assert_eq!(
            found[0],
            WpanInterface {
                ifindex: 4,
                name: "wpan2".into(),
                phy: PhyIndex(2),
                pan_id: PanId(0xffff),
                short_address: ShortAddress(0xffff),
                eui64: "32:1e:25:26:d6:6c:89:8c".parse().unwrap(),
                kind: InterfaceKind::Node,
            }
        );
        let names: Vec<&str> = found.iter().map(|i| i.name.as_str()).collect();
        assert_eq!(names, ["wpan2", "wpan1", "wpan0"]);
    }

    #[test]
    fn a_message_without_a_wanted_attribute_is_malformed() {
        let radios = answer(include_str!("../tests/golden/radios.hex")).unwrap();
        let failure = WpanInterface::decode(&radios.messages[0]).unwrap_err();
        assert!(matches!(failure, Failure::Malformed(_)), "{failure:?}");
    }
}
