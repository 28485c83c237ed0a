//! Netlink: hwsim radios, nl802154, 6LoWPAN links, addresses, routes, netem, namespaces.
//!
//! Owns every request that wpanlab makes of the kernel's network configuration, and never
//! starts a shell. Must not know the topology, the plan or any daemon: it speaks of radios,
//! interfaces and addresses only. The doc of each method names the `ip`, `iwpan`, `wpan-hwsim`
//! or `tc` command that it equals.
//!
//! An error carries object, operation, errno and the kernel's own text (extended
//! acknowledgement): `wpan2: set channel 26: EBUSY: device is up`.
//!
//! ```no_run
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! use units::{Channel, PanId};
//! use netlink::{Hwsim, Links, Namespace, Nl802154, create_radio_with_phy};
//!
//! // A radio whose phy lives in a namespace of its own, with a 6LoWPAN link on it.
//! let here = Namespace::current()?;
//! let hwsim = Hwsim::connect().await?;
//! let radio = create_radio_with_phy(&hwsim, &Nl802154::connect(&here).await?, |_| {}).await?;
//! let node = Namespace::create()?;
//! Nl802154::connect(&here).await?.move_phy(radio.phy, &node).await?;
//!
//! let nl802154 = Nl802154::connect(&node).await?;
//! let wpan0 = nl802154.interface_of(radio.phy).await?;
//! nl802154.set_pan_id(wpan0.ifindex, PanId(0xabcd)).await?;
//! nl802154.set_channel(radio.phy, Channel::try_from(26)?).await?;
//! let links = Links::connect(&node).await?;
//! let lowpan0 = links.add_lowpan("lowpan0", wpan0.ifindex).await?;
//! links.up(wpan0.ifindex).await?;
//! links.up(lowpan0).await?;
//! # Ok(()) }
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`namespace`] | [`Namespace`]: a network namespace by file descriptor |
//! | [`hwsim`] | [`Hwsim`]: simulated radios and the edges between them |
//! | [`nl802154`] | [`Nl802154`]: phys, channels, PAN IDs, 802.15.4 interfaces |
//! | [`radio`] | [`create_radio_with_phy`]: a radio and the phy that appeared with it |
//! | [`lqi`] | [`LqiSocket`]: the link quality of received frames, in the initial namespace |
//! | [`link`] | [`Links`]: links, and the other rtnetlink requests as further methods of it |
//! | [`address`] | [`Dad`], [`AddressState`], waiting until an address is usable |
//! | [`route`] | routes |
//! | [`neighbour`] | link-layer addresses of neighbours |
//! | [`data_plane`] | [`DataPlane`]: tunnels, routes by source and home addresses, between two messages |
//! | [`xfrm`] | [`Xfrm`]: Home Address option and type 2 routing header on a node's packets |
//! | [`nat`] | network address translation of what a namespace forwards |
//! | [`netem`] | delay, rate and loss of an interface |
//! | [`sysctl`] | `/proc/sys` of a namespace |
//! | [`error`] | [`Error`] |
//! | `genl`, `rtnl` | the two connections: request, answer, kernel's text |
//! | `direct` | requests that are done when the call returns |
//! | `apart` | a request that outlives its caller |
//!
//! Sockets are opened by a thread that has entered the namespace and then used from the
//! caller's tokio runtime, which may be a current-thread one with I/O and time enabled.

pub mod address;
mod apart;
pub mod data_plane;
mod direct;
pub mod error;
mod genl;
#[cfg(test)]
mod golden;
pub mod hwsim;
pub mod link;
pub mod lqi;
pub mod namespace;
pub mod nat;
pub mod neighbour;
pub mod netem;
pub mod nl802154;
pub mod radio;
pub mod route;
mod rtnl;
pub mod sysctl;
pub mod xfrm;

pub use address::{AddressState, Dad, InterfaceAddress, WaitError};
pub use data_plane::{DataPlane, Lead, Packets, TunnelEnds};
pub use error::{Errno, Error, Result};
pub use hwsim::{Edge, Hwsim, Radio, RadioId};
pub use link::{Link, Links};
pub use lqi::{HeardFrame, LqiSocket};
pub use namespace::Namespace;
pub use netem::Netem;
pub use nl802154::{InterfaceKind, Nl802154, Phy, PhyIndex, WpanInterface};
pub use radio::{
    NewRadio, create_radio_apart_with_phy, create_radio_with_phy, create_radios_with_phys,
};
pub use xfrm::{Reports, Xfrm};
