//! Plan to kernel: namespaces, backbone, radios, addresses and routes.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use anyhow::{Context, Result};
use cleanup::{Claim, Object, Remover};
use ipnet::Ipv6Net;
use mediumd::Shadow;
use netlink::{
    Dad, Hwsim, InterfaceKind, Links, Namespace, Netem, NewRadio, Nl802154, RadioId, nat, sysctl,
};
use topology::Plan;
use topology::plan::{
    BackboneInterface, BackboneKind, BackbonePlan, NodeName, NodePlan, RadioInterface,
};
use units::{EthernetAddress, LossRatio};

use crate::TELL_EVERY;

/// The namespace of the backbone's bridge or core router.
const BACKBONE: &str = "backbone";
const BRIDGE: &str = "br0";

/// The kernel objects of a run.
pub(crate) struct Network {
    /// Every node's namespace.
    pub(crate) namespaces: BTreeMap<NodeName, Namespace>,
    /// Every radio.
    pub(crate) radios: BTreeMap<NodeName, RadioId>,
    /// The hwsim connection, for the medium.
    pub(crate) hwsim: Hwsim,
    /// The shadow radios; with a per-frame air only.
    pub(crate) shadows: Vec<Shadow>,
}

impl Network {
    /// Makes everything that `plan` names, recording each object in `claim`. `made` is told at times
    /// how many nodes there are, 0 first. With `kernel_ends` nothing has to be written down before it
    /// is there.
    pub(crate) async fn up(
        plan: &Plan,
        claim: &mut Claim,
        kernel_ends: bool,
        made: &mut impl FnMut(usize),
    ) -> Result<Network> {
        let mut builder = Builder {
            plan,
            beforehand: VecDeque::new(),
            hwsim: Hwsim::connect().await?,
            host: Nl802154::connect(&Namespace::current()?).await?,
            host_links: Links::connect(&Namespace::current()?).await?,
            namespaces: BTreeMap::new(),
            radios: BTreeMap::new(),
            shadows: Vec::new(),
        };
        if kernel_ends {
            builder.make_radios_beforehand().await?;
        }
        let backbone = builder.namespace(BACKBONE, claim)?;
        let core = Links::connect(&backbone).await?;
        let bridge = prepare_backbone(&plan.backbone, &backbone, &core).await?;
        for (port, (name, node)) in plan.nodes.iter().enumerate() {
            if port.is_multiple_of(TELL_EVERY) {
                made(port);
            }
            let namespace = builder.namespace(name, claim)?;
            let links = Links::connect(&namespace).await?;
            let failed = || format!("node {name}");
            if let Some(interface) = &node.backbone {
                let ends = Ends {
                    backbone: &core,
                    backbone_namespace: &backbone,
                    bridge,
                    node: &links,
                    namespace: &namespace,
                };
                let prefixes: Vec<Ipv6Net> = node.reached_prefixes().collect();
                let port = format!("port{port}");
                ends.join(&plan.backbone, interface, &prefixes, &port)
                    .await
                    .with_context(failed)?;
                if bridge.is_some() {
                    introduce(plan, name, &links).await.with_context(failed)?;
                }
            }
            if let Some(radio) = &node.radio {
                builder
                    .radio(name, radio, &namespace, &links, claim)
                    .await
                    .with_context(failed)?;
                if plan.radio.phy.is_some() {
                    builder
                        .shadows(name, radio, claim)
                        .await
                        .with_context(failed)?;
                }
            }
            if node.forwards() {
                namespace.run(|| sysctl::write("net.ipv6.conf.all.forwarding", "1"))??;
            }
            if let Some(role) = &node.router {
                let lowpan = links.index("lowpan0").await?;
                let address = Ipv6Net::new(role.address, role.prefix.prefix_len())?;
                links
                    .add_address(lowpan, address, Dad::Off)
                    .await
                    .with_context(failed)?;
                if let Some(plan) = role.nat {
                    let translate = || nat::masquerade("lowpan0", "eth0", plan.timeout);
                    namespace.run(translate)?.with_context(failed)?;
                }
            }
            builder.namespaces.insert(name.clone(), namespace);
        }
        Ok(Network {
            namespaces: builder.namespaces,
            radios: builder.radios,
            hwsim: builder.hwsim,
            shadows: builder.shadows,
        })
    }
}

struct Builder<'a> {
    plan: &'a Plan,
    /// Radios that no node has yet, in the order in which nodes want them; only where they go with the kernel.
    beforehand: VecDeque<NewRadio>,
    hwsim: Hwsim,
    host: Nl802154,
    host_links: Links,
    namespaces: BTreeMap<NodeName, Namespace>,
    radios: BTreeMap<NodeName, RadioId>,
    shadows: Vec<Shadow>,
}

impl Builder<'_> {
    /// A namespace that `nsenter --net=CLAIM/NAME` can enter while the run lives.
    fn namespace(&self, name: &str, claim: &mut Claim) -> Result<Namespace> {
        let path = claim.dir().join(name);
        claim.own(Object::Namespace { path: path.clone() })?;
        let namespace = Namespace::create()?;
        namespace.bind_to(&path)?;
        // Nothing here configures itself: what the plan says is all there is.
        namespace.run(|| {
            sysctl::write("net.ipv6.conf.default.accept_ra", "0")?;
            sysctl::write("net.ipv6.conf.default.autoconf", "0")?;
            sysctl::write("net.ipv6.conf.default.accept_dad", "0")
        })??;
        Ok(namespace)
    }

    /// Makes all radios of the network at once. One at a time each would list all those before it.
    async fn make_radios_beforehand(&mut self) -> Result<()> {
        let plan = self.plan;
        let per_frame = plan.radio.phy.is_some();
        let wanted = plan.nodes.values().filter(|node| node.radio.is_some());
        let wanted = wanted.map(|node| 1 + if per_frame { node.channels().len() } else { 0 });
        let made = netlink::create_radios_with_phys(&self.hwsim, &self.host, wanted.sum(), |_| {});
        self.beforehand = made.await?.into();
        Ok(())
    }

    /// Makes a radio, or takes one that was made beforehand. Else `claim` owns it from then on, also if this process is
    /// killed meanwhile.
    async fn make_radio(&mut self, claim: &mut Claim) -> Result<NewRadio> {
        if let Some(radio) = self.beforehand.pop_front() {
            return Ok(radio);
        }
        let mut made = Vec::new();
        let write_down = |radio: RadioId| claim.write_radio(radio.0);
        let own = |radio: RadioId| made.push(radio);
        let radio =
            netlink::create_radio_apart_with_phy(&self.hwsim, &self.host, write_down, own).await;
        for RadioId(id) in made {
            claim.adopt_radio(id);
        }
        Ok(radio?)
    }

    /// Makes a radio, gives it the node's identity and moves it into the node's namespace.
    async fn radio(
        &mut self,
        name: &str,
        plan: &RadioInterface,
        namespace: &Namespace,
        links: &Links,
        claim: &mut Claim,
    ) -> Result<()> {
        let made = self.make_radio(claim).await?;
        self.radios.insert(name.to_owned(), made.radio);
        let mark = format!("wpanlab {} {name}", claim.dir().display());
        self.host_links.set_alias(made.wpan_ifindex, &mark).await?;
        self.host.move_phy(made.phy, namespace).await?;
        let radio = Nl802154::connect(namespace).await?;
        let wpan = radio.interface_of(made.phy).await?;
        links.down(wpan.ifindex).await?;
        links.rename(wpan.ifindex, "wpan0").await?;
        links.set_address(wpan.ifindex, &plan.eui64.0).await?;
        radio.set_pan_id(wpan.ifindex, plan.pan_id).await?;
        if let Some(short) = plan.short_address {
            radio.set_short_address(wpan.ifindex, short).await?;
        }
        radio.set_channel(made.phy, plan.channel).await?;
        if let Some(phy) = &self.plan.radio.phy {
            radio.set_ackreq_default(wpan.ifindex, phy.mac.acks).await?;
        }
        let lowpan = links.add_lowpan("lowpan0", wpan.ifindex).await?;
        // Mode 1: no address of its own making; the link-local one is added below.
        namespace.run(|| sysctl::write("net.ipv6.conf.lowpan0.addr_gen_mode", "1"))??;
        if self.plan.nodes[name].host.is_some() {
            // Its daemon checks its addresses as the plan says.
            namespace.run(|| sysctl::write("net.ipv6.conf.lowpan0.accept_dad", "1"))??;
        }
        links.up(wpan.ifindex).await?;
        links.up(lowpan).await?;
        let link_local = Ipv6Net::new(plan.eui64.link_local(), 64)?;
        links.add_address(lowpan, link_local, Dad::Off).await?;
        Ok(())
    }
}

impl Builder<'_> {
    /// Makes the shadow radios of a node, one on each channel that it may use, joined to it alone.
    async fn shadows(
        &mut self,
        name: &str,
        plan: &RadioInterface,
        claim: &mut Claim,
    ) -> Result<()> {
        let node = self.radios[name];
        for channel in self.plan.nodes[name].channels() {
            let made = self.make_radio(claim).await?;
            self.host.delete_interface(made.wpan_ifindex).await?;
            let monitor = format!("mon{}", made.phy.0);
            self.host
                .add_interface(made.phy, &monitor, InterfaceKind::Monitor, plan.eui64)
                .await?;
            let ifindex = self.host_links.index(&monitor).await?;
            let mark = format!("wpanlab {} {name} {channel}", claim.dir().display());
            self.host_links.set_alias(ifindex, &mark).await?;
            self.host.set_channel(made.phy, channel).await?;
            self.host_links.up(ifindex).await?;
            for (from, to) in [(node, made.radio), (made.radio, node)] {
                self.hwsim.add_edge(from, to).await?;
            }
            self.shadows.push(Shadow {
                node: name.to_owned(),
                channel,
                ifindex,
            });
        }
        Ok(())
    }
}

/// The bridge's index, or none where the backbone routes.
async fn prepare_backbone(
    plan: &BackbonePlan,
    namespace: &Namespace,
    links: &Links,
) -> Result<Option<u32>> {
    match plan.kind {
        BackboneKind::Bridge => {
            let bridge = links.add_bridge(BRIDGE).await?;
            links.up(bridge).await?;
            Ok(Some(bridge))
        }
        BackboneKind::Routed => {
            namespace.run(|| sysctl::write("net.ipv6.conf.all.forwarding", "1"))??;
            Ok(None)
        }
    }
}

/// Makes the neighbours of a wired node known to it, if the topology has home agents or the like. To find
/// one takes two ways over the backbone, once for each pair of them, and a run has so few handovers that
/// this would be most of what is measured: in a network that has been up for a while all know each
/// other. Two that forward nothing say little to each other.
async fn introduce(plan: &Plan, name: &str, links: &Links) -> Result<()> {
    let is_agent = |node: &NodePlan| node.forwards() && !node.is_router();
    if !plan.nodes.values().any(is_agent) {
        return Ok(());
    }
    let eth0 = links.index("eth0").await?;
    let forwards = plan.nodes[name].forwards();
    let others = plan.nodes.iter().filter(|(other, _)| *other != name);
    for (_, node) in others.filter(|(_, node)| forwards || node.forwards()) {
        if let Some(interface) = &node.backbone {
            let address = interface.address.addr();
            links.add_neighbour(eth0, address, interface.mac.0).await?;
        }
    }
    Ok(())
}

/// The two ends of a wired node's link.
struct Ends<'a> {
    backbone: &'a Links,
    backbone_namespace: &'a Namespace,
    bridge: Option<u32>,
    node: &'a Links,
    namespace: &'a Namespace,
}

impl Ends<'_> {
    async fn join(
        &self,
        plan: &BackbonePlan,
        interface: &BackboneInterface,
        prefixes: &[Ipv6Net],
        name: &str,
    ) -> Result<()> {
        let mac = interface.mac.0;
        // The port's own address differs from its node's in one bit, and stays local.
        let mut port_mac = mac;
        port_mac[0] ^= 0x04;
        let port = self
            .backbone
            .add_veth(name, "eth0", self.namespace, port_mac, mac)
            .await?;
        let own_delay = interface.delay.unwrap_or_default();
        let joint = match own_delay.is_zero() {
            true => port,
            false => self.far_away(port, name, interface.mac, own_delay).await?,
        };
        if let Some(bridge) = self.bridge {
            self.backbone.set_master(joint, bridge).await?;
        } else if let Some(gateway) = interface.gateway {
            let address = Ipv6Net::new(gateway, interface.address.prefix_len())?;
            self.backbone.add_address(joint, address, Dad::Off).await?;
        }
        // The delay sits where the backbone sends to the node: both directions of a path
        // cross exactly one such queue, and the node's own capture stamps what it sends
        // before the delay and what it receives after it.
        let netem = Netem {
            jitter: plan.jitter.unwrap_or_default(),
            loss: plan.loss.unwrap_or(LossRatio::NONE),
            ..Netem::new(plan.delay + own_delay, plan.rate)
        };
        self.backbone.netem(port, netem).await?;
        self.backbone.up(port).await?;
        let eth0 = self.node.index("eth0").await?;
        self.node.up(eth0).await?;
        self.node
            .add_address(eth0, interface.address, Dad::Off)
            .await?;
        for route in &interface.routes {
            self.node.add_route(route.to, route.via, eth0).await?;
        }
        // A bridge routes nothing.
        for prefix in prefixes.iter().filter(|_| self.bridge.is_none()) {
            self.backbone
                .add_route(*prefix, interface.address.addr(), joint)
                .await?;
        }
        Ok(())
    }

    /// Puts a link with a delay between the port of a node and the others, for what the node sends: the
    /// delay of what it gets is at its port. Returns the end that the others are joined to.
    async fn far_away(
        &self,
        port: u32,
        name: &str,
        mac: EthernetAddress,
        delay: Duration,
    ) -> Result<u32> {
        let (far, near) = (format!("{name}-far"), format!("{name}-near"));
        // Further addresses that differ in a bit or two, and stay local.
        let mac = |bits: u8| {
            let mut mac = mac.0;
            mac[0] ^= bits;
            mac
        };
        let bridge = self.backbone.add_bridge(&format!("{name}-br")).await?;
        let near = self
            .backbone
            .add_veth(&near, &far, self.backbone_namespace, mac(0x08), mac(0x0c))
            .await?;
        let far = self.backbone.index(&far).await?;
        for end in [port, far] {
            self.backbone.set_master(end, bridge).await?;
        }
        self.backbone.netem(far, Netem::new(delay, None)).await?;
        for link in [bridge, far, near] {
            self.backbone.up(link).await?;
        }
        Ok(near)
    }
}

/// Deletes radios over its own netlink connection, from wherever it is called.
#[derive(Debug)]
pub struct RadioRemover;

impl Remover for RadioRemover {
    fn remove_radio(&mut self, id: u32) -> Result<(), String> {
        let work = || -> Result<()> {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async {
                let hwsim = Hwsim::connect().await?;
                if hwsim
                    .radios()
                    .await?
                    .iter()
                    .any(|radio| radio.id == RadioId(id))
                {
                    hwsim.delete_radio(RadioId(id)).await?;
                }
                Ok(())
            })
        };
        // The caller may be inside a runtime, where another cannot be driven.
        let done = std::thread::scope(|scope| scope.spawn(work).join());
        match done {
            Ok(result) => result.map_err(|error| format!("{error:#}")),
            Err(_) => Err("the removing thread panicked".into()),
        }
    }
}
