//! Links: up, down, names, addresses, aliases, veth, bridge, 6LoWPAN.

use std::fmt;
use std::os::fd::{AsFd, AsRawFd};

use rtnetlink::packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::packet_route::link::{
    InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec};

use crate::error::{Errno, Error, Failure, Result};
use crate::namespace::Namespace;
use crate::rtnl::{Rtnl, module_advice};

/// A connection to rtnetlink in one namespace: links, and in other modules the methods for
/// addresses, routes and netem.
#[derive(Clone)]
pub struct Links {
    pub(crate) namespace: Namespace,
    pub(crate) rtnl: Rtnl,
}

/// A network interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its number in its namespace.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its alias: free text, where wpanlab writes whose it is.
    pub alias: Option<String>,
    /// The kind of a virtual link: `veth`, `bridge`, `lowpan`.
    pub kind: Option<String>,
    /// The link-layer address: 6 bytes of a MAC, 8 of an EUI-64.
    pub address: Vec<u8>,
    /// Whether it is administratively up.
    pub up: bool,
    /// The bridge that it is a port of.
    pub master: Option<u32>,
}

impl Links {
    /// Connects in `namespace`. The connection is served by a task of the current runtime.
    pub async fn connect(namespace: &Namespace) -> Result<Links> {
        let (rtnl, _events) = Rtnl::connect(namespace, &[])?;
        Ok(Links {
            namespace: namespace.clone(),
            rtnl,
        })
    }

    /// The number of the link with this name. Equals `ip link show NAME`.
    pub async fn index(&self, name: &str) -> Result<u32> {
        let message = RouteNetlinkMessage::GetLink(LinkUnspec::new_with_name(name).build());
        let failed = |f: Failure| f.at(name, "find link", &[(Errno::ENODEV, "no such link")]);
        let answer = self.rtnl.request(message, 0).await.map_err(failed)?;
        link_messages(answer)
            .next()
            .map(|link| link.header.index)
            .ok_or_else(|| failed(Failure::Malformed("no link in it".into())))
    }

    /// All links of the namespace, by number. Equals `ip link`.
    pub async fn links(&self) -> Result<Vec<Link>> {
        let message = RouteNetlinkMessage::GetLink(LinkMessage::default());
        let answer = self.rtnl.dump(message).await;
        let answer = answer.map_err(|f| f.at("rtnetlink", "list links", &[]))?;
        let mut links: Vec<Link> = link_messages(answer).map(Link::from).collect();
        links.sort_by_key(|link| link.ifindex);
        Ok(links)
    }

    /// Takes a link up. Equals `ip link set DEV up`.
    pub async fn up(&self, ifindex: u32) -> Result<()> {
        self.set(LinkUnspec::new_with_index(ifindex).up(), "set up")
            .await
    }

    /// Takes a link down. Equals `ip link set DEV down`.
    pub async fn down(&self, ifindex: u32) -> Result<()> {
        self.set(LinkUnspec::new_with_index(ifindex).down(), "set down")
            .await
    }

    /// Renames a link that is down. Equals `ip link set DEV name NAME`.
    pub async fn rename(&self, ifindex: u32, name: &str) -> Result<()> {
        let change = LinkUnspec::new_with_index(ifindex).name(name);
        self.set(change, format_args!("rename to {name}")).await
    }

    /// Sets the link-layer address: 6 bytes of a MAC, or 8 of an EUI-64 of an 802.15.4
    /// interface that is down. Equals `ip link set DEV address ADDRESS`.
    pub async fn set_address(&self, ifindex: u32, address: &[u8]) -> Result<()> {
        let change = LinkUnspec::new_with_index(ifindex).address(address.to_vec());
        self.set(change, "set link-layer address").await
    }

    /// Sets the alias, for example as a mark of ownership; at most 255 bytes, an empty text
    /// removes it. Equals `ip link set DEV alias TEXT`.
    pub async fn set_alias(&self, ifindex: u32, text: &str) -> Result<()> {
        let change = LinkUnspec::new_with_index(ifindex).alias(text);
        self.set(change, "set alias").await
    }

    /// Makes a link a port of a bridge. Equals `ip link set DEV master BRIDGE`.
    pub async fn set_master(&self, ifindex: u32, bridge: u32) -> Result<()> {
        let change = LinkUnspec::new_with_index(ifindex).controller(bridge);
        self.set(change, format_args!("join bridge {bridge}")).await
    }

    /// Deletes a virtual link; of a veth pair, both ends. Equals `ip link del DEV`.
    pub async fn delete(&self, ifindex: u32) -> Result<()> {
        let message = LinkUnspec::new_with_index(ifindex).build();
        let answer = self.rtnl.request(RouteNetlinkMessage::DelLink(message), 0);
        match answer.await {
            Ok(_) => Ok(()),
            Err(failure) => Err(self.explain(failure, ifindex, "delete", &[]).await),
        }
    }

    /// Makes a veth pair, its other end in `peer_namespace`, both down; returns the number of
    /// this end. Equals
    /// `ip link add NAME address MAC type veth peer name PEER address MAC netns NS`.
    pub async fn add_veth(
        &self,
        name: &str,
        peer_name: &str,
        peer_namespace: &Namespace,
        mac: [u8; 6],
        peer_mac: [u8; 6],
    ) -> Result<u32> {
        let peer = LinkMessageBuilder::<LinkUnspec>::new()
            .name(peer_name)
            .address(peer_mac.to_vec())
            .setns_by_fd(peer_namespace.as_fd().as_raw_fd())
            .build();
        let link = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Veth)
            .name(name)
            .address(mac.to_vec())
            .set_info_data(InfoData::Veth(InfoVeth::Peer(peer)));
        self.add(name, "veth", link).await
    }

    /// Makes a bridge, down, without spanning tree; returns its number. Equals
    /// `ip link add NAME type bridge`.
    pub async fn add_bridge(&self, name: &str) -> Result<u32> {
        let link =
            LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge).name(name);
        self.add(name, "bridge", link).await
    }

    /// Makes a 6LoWPAN link (RFC 4944) on an 802.15.4 interface, down; returns its number.
    /// Equals `ip link add link WPAN name NAME type lowpan`.
    pub async fn add_lowpan(&self, name: &str, wpan_ifindex: u32) -> Result<u32> {
        let kind = InfoKind::Other("lowpan".into());
        let link = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(kind)
            .name(name)
            .link(wpan_ifindex);
        self.add(name, "lowpan", link).await
    }

    async fn add(
        &self,
        name: &str,
        kind: &str,
        link: LinkMessageBuilder<LinkUnspec>,
    ) -> Result<u32> {
        let advice = module_advice(match kind {
            "veth" => "load the kernel module veth",
            "bridge" => "load the kernel module bridge",
            _ => "load the kernel module ieee802154_6lowpan",
        });
        let message = RouteNetlinkMessage::NewLink(link.build());
        let answer = self.rtnl.request(message, NLM_F_CREATE | NLM_F_EXCL).await;
        answer.map_err(|f| f.at(name, format_args!("create {kind} link"), &advice))?;
        self.index(name).await
    }

    async fn set(
        &self,
        change: LinkMessageBuilder<LinkUnspec>,
        operation: impl fmt::Display,
    ) -> Result<()> {
        let message = change.build();
        let ifindex = message.header.index;
        let answer = self.rtnl.request(RouteNetlinkMessage::SetLink(message), 0);
        match answer.await {
            Ok(_) => Ok(()),
            Err(failure) => {
                let advice = [(Errno::EBUSY, "device is up, or its lowpan link is")];
                Err(self.explain(failure, ifindex, operation, &advice).await)
            }
        }
    }

    /// The error, with the link's name instead of its number where it still exists.
    pub(crate) async fn explain(
        &self,
        failure: Failure,
        ifindex: u32,
        operation: impl fmt::Display,
        advice: &[(Errno, &'static str)],
    ) -> Error {
        let links = self.links().await.unwrap_or_default();
        let name = links.into_iter().find(|link| link.ifindex == ifindex);
        let object = name.map_or_else(|| format!("interface {ifindex}"), |link| link.name);
        failure.at(object, operation, advice)
    }
}

fn link_messages(answer: Vec<RouteNetlinkMessage>) -> impl Iterator<Item = LinkMessage> {
    answer.into_iter().filter_map(|message| match message {
        RouteNetlinkMessage::NewLink(link) => Some(link),
        _ => None,
    })
}

impl From<LinkMessage> for Link {
    fn from(message: LinkMessage) -> Link {
        let mut link = Link {
            ifindex: message.header.index,
            name: String::new(),
            alias: None,
            kind: None,
            address: Vec::new(),
            up: message.header.flags.contains(LinkFlags::Up),
            master: None,
        };
        for attribute in message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name = name,
                LinkAttribute::IfAlias(alias) => link.alias = Some(alias),
                LinkAttribute::Address(address) => link.address = address,
                LinkAttribute::Controller(master) => link.master = Some(master),
                LinkAttribute::LinkInfo(infos) => {
                    link.kind = infos.into_iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.to_string()),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        link
    }
}
