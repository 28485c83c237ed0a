//! Mobile IPv6 and its kin in a topology: defaults, prefixes, routes, and what is warned of.

use std::net::Ipv6Addr;
use std::time::Duration;

use topology::kind::GatewayPlan;
use topology::kind::comp::BindingMode;
use topology::kind::mip6::agent::{HomeAgentPlan, MapPlan};
use topology::kind::mip6::protection::ProtectionPlan;
use topology::kind::mip6::{Mode, Order, Plan as Mip6, Start};
use topology::plan::{MobilityPlan, Plan, ServicePlan};
use topology::{Loaded, Overrides, Parameter};

const SHIPPED: &str = include_str!("../../../topologies/mobility.yaml");

/// The shipped topology with these assignments.
fn loaded(set: &[&str]) -> Loaded {
    read(SHIPPED, set)
}

fn read(text: &str, set: &[&str]) -> Loaded {
    let assignments: Vec<Parameter> = set.iter().map(|text| text.parse().unwrap()).collect();
    let overrides = Overrides {
        assignments: Parameter::combinations(&assignments).remove(0),
        ..Overrides::default()
    };
    let mut none = |_: &str| Err("no file".to_owned());
    topology::read("mobility.yaml", text, overrides, &mut none)
        .unwrap_or_else(|error| panic!("{error}"))
}

fn by(word: &str) -> Plan {
    loaded(&[&format!("nodes.sensor.mobility={word}")]).plan
}

fn mip6(plan: &Plan) -> &Mip6 {
    match &plan.nodes["sensor"].mobility {
        Some(MobilityPlan::Mip6(plan)) => plan,
        other => panic!("{other:?}"),
    }
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let all = loaded.warnings.iter();
    all.flat_map(|all| all.problems().iter().map(|p| p.message.clone()))
        .collect()
}

#[test]
fn every_protocol_is_a_word_of_the_shipped_topology_and_none_is_warned_of() {
    for word in ["comp", "mipv6", "mipv6-ro", "hmipv6", "pmipv6", "none"] {
        let set = [
            format!("nodes.sensor.mobility={word}"),
            "backbone.delay=20 ms".into(),
        ];
        let loaded = loaded(&set.each_ref().map(String::as_str));
        assert_eq!(warnings(&loaded), Vec::<String>::new(), "{word}");
        let poll = loaded.plan.nodes["client"].polls().next().unwrap();
        assert_eq!(poll.located, ["comp", "none"].contains(&word), "{word}");
        assert_eq!(poll.address, loaded.plan.nodes["sensor"].address, "{word}");
    }
}

/// What a topology of CoMP's lacks, so that its node can move by any protocol (docs/mobility.md).
const ALSO: [&str; 4] = [
    "nodes.ha={ role: home-agent }",
    "nodes.map={ role: map }",
    "nodes.lma={ role: lma }",
    "nodes.client.services=[{ correspondent: {} }]",
];

#[test]
fn a_topology_of_comps_becomes_one_of_every_protocol_by_settings_alone() {
    for text in [
        include_str!("../../../topologies/walk.yaml"),
        include_str!("../../../topologies/comp-simulation.yaml"),
    ] {
        for word in ["comp", "mipv6", "mipv6-ro", "hmipv6", "pmipv6", "none"] {
            let mobility = format!("nodes.sensor.mobility={word}");
            // Nobody is told of an address, so that it has to be one that is known beforehand.
            let untold = ["none", "pmipv6"].contains(&word);
            let address = untold.then_some("nodes.sensor.handover.address=slaac");
            let set = ALSO.into_iter().chain([mobility.as_str()]).chain(address);
            let loaded = read(text, &set.collect::<Vec<&str>>());
            assert_eq!(warnings(&loaded), Vec::<String>::new(), "{word}");
            let is_comp = matches!(
                loaded.plan.nodes["sensor"].mobility,
                Some(MobilityPlan::Comp(_))
            );
            // Without a protocol it is looked up at the WMMS.
            assert_eq!(is_comp, ["comp", "none"].contains(&word), "{word}");
        }
    }
}

#[test]
fn a_node_without_mobility_is_looked_up_at_the_wmms_which_tells_nobody_of_it() {
    let plan = by("none");
    let sensor = &plan.nodes["sensor"];
    let Some(MobilityPlan::Comp(own)) = &sensor.mobility else {
        panic!("{:?}", sensor.mobility);
    };
    let handed = own.handover.as_ref().unwrap();
    assert_eq!((handed.hold, handed.binding), (false, BindingMode::Nobody));
    assert_eq!(own.p_addr, sensor.address);
    let wmms = plan.nodes["wmms"].services.iter();
    let untold = wmms.filter_map(|service| match service {
        ServicePlan::Wmms(wmms) => Some(&wmms.untold),
        _ => None,
    });
    assert_eq!(untold.collect::<Vec<_>>(), [&vec![sensor.address]]);
    // Who does not speak with the WMMS asks at the address that it knows.
    let set = ["nodes.sensor.mobility=none", "nodes.client.mobility=none"];
    let loaded = loaded(&set);
    assert!(!loaded.plan.nodes["client"].polls().next().unwrap().located);
    // CoMP can be told to do the same.
    let set = ["nodes.sensor.comp.binding=nobody"];
    let comp = self::loaded(&set).plan;
    assert_eq!(comp.nodes["sensor"].mobility, sensor.mobility);
    assert_eq!(comp.nodes["wmms"].services, plan.nodes["wmms"].services);
}

#[test]
fn a_node_is_asked_at_a_home_address_that_its_home_agents_prefix_and_its_eui64_make() {
    let plan = by("mipv6");
    let sensor = &plan.nodes["sensor"];
    let own = mip6(&plan);
    assert_eq!(own.mode, Mode::Tunnel);
    assert_eq!(own.home_prefix.to_string(), "2001:db8:a000::/64");
    let eui64 = sensor.radio.as_ref().unwrap().eui64;
    assert_eq!(
        own.home_address,
        eui64.address_in(own.home_prefix.network())
    );
    assert_eq!(sensor.address, own.home_address);
    let agent = plan.nodes["ha"].backbone.as_ref().unwrap();
    assert_eq!(own.home_agent, agent.address.addr());
    assert_eq!(own.lifetime, Duration::from_secs(3600));
    assert!(own.route_optimization.is_none() && own.maps.is_empty());
    assert_eq!(own.correspondents, Vec::<Ipv6Addr>::new());
    assert!(sensor.needs_others() && sensor.has_daemon());
}

#[test]
fn with_route_optimization_who_asks_and_is_a_correspondent_is_told() {
    let plan = by("mipv6-ro");
    let own = mip6(&plan);
    let client = plan.nodes["client"].backbone.as_ref().unwrap();
    assert_eq!(own.correspondents, [client.address.addr()]);
    let how = own.route_optimization.as_ref().unwrap();
    assert_eq!((how.order, how.start), (Order::Parallel, Start::WithHomeBu));
    assert!(how.acknowledge && !how.reuse_home_token);
    assert_eq!(how.lifetime, Duration::from_secs(420));
    let paper = loaded(&[
        "nodes.sensor.mobility=mipv6-ro",
        "nodes.sensor.mipv6.return_routability=serial",
        "nodes.sensor.mipv6.start=after-home-ba",
    ]);
    let how = mip6(&paper.plan).route_optimization.clone().unwrap();
    assert_eq!((how.order, how.start), (Order::Serial, Start::AfterHomeBa));
}

#[test]
fn below_a_mobility_anchor_point_a_node_has_a_regional_address() {
    let plan = by("hmipv6");
    let own = mip6(&plan);
    let [map] = &own.maps[..] else {
        panic!("{own:?}");
    };
    assert_eq!(map.prefix.to_string(), "2001:db8:b000::/64");
    assert!(map.prefix.contains(&map.regional_address));
    let iid = |address: Ipv6Addr| address.to_bits() as u64;
    assert_eq!(iid(map.regional_address), iid(own.home_address));
    // Of what routers advertise the regional address is formed.
    assert_eq!(map.address.to_string(), "2001:db8:b000::1");
    for router in ["er1", "er2"] {
        let advertised = plan.nodes[router].router.as_ref().unwrap().anchor_point;
        assert_eq!(advertised, Some(map.address));
        let others = by("mipv6").nodes[router].router.clone().unwrap();
        assert_eq!(others.anchor_point, None, "nobody has any use for it");
    }
    assert!(own.route_optimization.is_none() && own.correspondents.is_empty());
    let told = loaded(&[
        "nodes.sensor.mobility=hmipv6",
        "nodes.sensor.mipv6.route_optimization=true",
    ]);
    assert_eq!(mip6(&told.plan).correspondents.len(), 1);
}

/// The node below one of two mobility anchor points at each router but the last one.
const DOMAINS: [&str; 5] = [
    "nodes.sensor.mobility=hmipv6",
    "nodes.er3={ role: edge-router }",
    "nodes.map.routers=[er1]",
    "nodes.south={ role: map, routers: [er2], restricted: true }",
    "nodes.sensor.handover.proxy_advertisements=true",
];

#[test]
fn each_edge_router_advertises_the_anchor_point_that_it_is_below_also_for_the_others() {
    let loaded = loaded(&DOMAINS);
    assert_eq!(warnings(&loaded), Vec::<String>::new());
    let plan = loaded.plan;
    let router = |name: &str| plan.nodes[name].router.clone().unwrap();
    let above = |name: &str| router(name).anchor_point.map(|address| address.to_string());
    let (north, south) = ("2001:db8:b000::1", "2001:db8:b001::1");
    assert_eq!(above("er1").as_deref(), Some(north));
    assert_eq!(above("er2").as_deref(), Some(south));
    assert_eq!(above("er3"), None);
    let of_others: Vec<(String, Option<Ipv6Addr>)> = (router("er1").neighbours.into_iter())
        .map(|other| (other.router, other.anchor_point))
        .collect();
    let expected = [
        ("er2".to_owned(), router("er2").anchor_point),
        ("er3".to_owned(), None),
    ];
    assert_eq!(of_others, expected);
    // The node may register with both, and the second one takes it on its own link alone.
    let maps: Vec<String> = (mip6(&plan).maps.iter())
        .map(|map| map.address.to_string())
        .collect();
    assert_eq!(maps, [north, south]);
    let links = |name: &str| match &plan.nodes[name].services[..] {
        [ServicePlan::Map(map)] => map.0.links.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(links("map"), []);
    assert_eq!(links("south"), [router("er2").prefix]);
}

#[test]
fn a_node_that_names_an_anchor_point_registers_with_no_other_one() {
    let named = |name: &str, routers: &str| {
        let (map, candidates) = (
            format!("nodes.sensor.mipv6.map={name}"),
            format!("nodes.sensor.candidates={routers}"),
        );
        let set = DOMAINS.into_iter().chain([&*map, &*candidates]);
        loaded(&set.collect::<Vec<_>>())
    };
    let south = named("south", "[er1, er2]");
    assert_eq!(mip6(&south.plan).maps.len(), 1);
    assert_eq!(warnings(&south), Vec::<String>::new());
    let nowhere = named("south", "[er1, er3]");
    let expected = "`nodes.sensor`: no edge router that it may come to is below a mobility anchor \
                    point of its, so that it registers with its home agent alone; name one in \
                    `routers` of a `map`";
    assert_eq!(warnings(&nowhere), [expected]);
}

#[test]
fn prefixes_of_home_agents_and_anchor_points_are_reached_through_them_which_forward() {
    for kind in ["bridge", "routed"] {
        let plan = loaded(&[
            "nodes.sensor.mobility=mipv6",
            &format!("backbone.kind={kind}"),
        ])
        .plan;
        let route = |from: &str, to: &str| {
            let own = plan.nodes[from].backbone.as_ref().unwrap();
            let found = own.routes.iter().find(|route| route.to.to_string() == to);
            found.map(|route| route.via)
        };
        let next = |node: &str, from: &str| match kind {
            "bridge" => plan.nodes[node].address,
            _ => plan.nodes[from].backbone.as_ref().unwrap().gateway.unwrap(),
        };
        for from in ["client", "er1", "map"] {
            let via = route(from, "2001:db8:a000::/64");
            assert_eq!(via, Some(next("ha", from)), "{kind}, {from}");
        }
        assert_eq!(route("ha", "2001:db8:a000::/64"), None, "{kind}: its own");
        assert!(route("ha", "2001:db8:1::/64").is_some());
        assert!(plan.nodes["ha"].forwards() && plan.nodes["er1"].forwards());
        assert!(!plan.nodes["client"].forwards());
        let modules = |node: &str| plan.nodes[node].kernel_modules();
        for node in ["ha", "map", "sensor", "client"] {
            assert!(modules(node).contains("xfrm_user"), "{node}");
        }
        assert!(modules("er1").is_empty() && modules("wmms").is_empty());
    }
}

#[test]
fn a_client_that_is_no_correspondent_is_told_of_where_route_optimization_needs_one() {
    let text = SHIPPED.replace("    services: [{ correspondent: {} }]\n", "");
    let with = |word: &str| read(&text, &[&format!("nodes.sensor.mobility={word}")]);
    let said = warnings(&with("mipv6-ro"));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].starts_with("`nodes.sensor`: `client` asks it and is no correspondent"),
        "{said:?}"
    );
    for word in ["comp", "mipv6", "hmipv6", "pmipv6", "none"] {
        assert_eq!(warnings(&with(word)), Vec::<String>::new(), "{word}");
    }
}

#[test]
fn requests_that_get_through_no_tunnel_are_told_of() {
    let option = format!("options: [{{ number: 2053, value: {} }}]", "v".repeat(1000));
    let text = SHIPPED.replace("every: 1 ms", &format!("every: 1 ms, {option}"));
    let text = text.replace("confirmable", "method: GET, payload: ppp, confirmable");
    // 1000 octets of option, payload, and headers.
    let fits = read(&text, &["nodes.sensor.mobility=hmipv6"]);
    assert_eq!(warnings(&fits), Vec::<String>::new());
    let long = text.replace("payload: ppp", &format!("payload: {}", "p".repeat(120)));
    let said = warnings(&read(&long, &["nodes.sensor.mobility=hmipv6"]));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(said[0].contains("longer than 1200 B gets through no tunnel"));
    let tunnel = warnings(&read(&long, &["nodes.sensor.mobility=mipv6"]));
    assert_eq!(tunnel, Vec::<String>::new(), "one tunnel takes 40 B");
    let one = text.replace("payload: ppp", &format!("payload: {}", "p".repeat(200)));
    let said = warnings(&read(&one, &["nodes.sensor.mobility=mipv6"]));
    assert!(said[0].contains("longer than 1240 B"), "{said:?}");
    assert_eq!(
        warnings(&read(&one, &[])),
        Vec::<String>::new(),
        "no tunnel"
    );
}

#[test]
fn nodes_may_be_farther_away_than_others() {
    let plan = loaded(&["nodes.ha.delay=80 ms", "nodes.er1.delay=1 ms"]).plan;
    let of = |node: &str| plan.nodes[node].backbone.as_ref().unwrap().delay;
    assert_eq!(of("ha"), Some(Duration::from_millis(80)));
    assert_eq!(of("er1"), Some(Duration::from_millis(1)));
    assert_eq!(of("client"), None);
    assert_eq!(plan.backbone.delay, Duration::from_millis(5));
}

#[test]
fn what_is_checked_and_finds_nothing_is_remarked() {
    assert_eq!(loaded(&[]).plan.remarks(), Vec::<String>::new());
    let checked = loaded(&["nodes.sensor.handover.dad=optimistic"]).plan;
    let remarks = checked.remarks();
    assert_eq!(remarks.len(), 1);
    assert!(remarks[0].ends_with(": sensor"), "{remarks:?}");
}

/// Associations of the agent `name`, and whether others may register there.
fn of_agent(plan: &Plan, name: &str) -> (Vec<ProtectionPlan>, bool) {
    let mut services = plan.nodes[name].services.iter();
    let agent = services.find_map(|service| match service {
        ServicePlan::HomeAgent(HomeAgentPlan(agent)) | ServicePlan::Map(MapPlan(agent)) => {
            Some(agent)
        }
        _ => None,
    });
    let agent = agent.unwrap();
    (agent.protected.clone(), agent.protected_only)
}

#[test]
fn both_ends_of_a_protected_registration_have_its_associations_and_others_are_remarked() {
    for word in ["mipv6", "mipv6-ro", "hmipv6"] {
        let mobility = format!("nodes.sensor.mobility={word}");
        let open = loaded(&[&mobility]).plan;
        assert_eq!(of_agent(&open, "ha"), (vec![], false), "{word}");
        let [remark] = &open.remarks()[..] else {
            panic!("{:?}", open.remarks());
        };
        assert!(remark.starts_with("without `ipsec: esp`") && remark.ends_with(": sensor"));
        assert!(!open.nodes["ha"].kernel_modules().contains("esp6"));

        let plan = loaded(&[&mobility, "nodes.sensor.mipv6.ipsec=esp"]).plan;
        assert_eq!(plan.remarks(), Vec::<String>::new());
        let own = mip6(&plan);
        let home = *own.protection.clone().unwrap();
        assert_eq!(
            (home.address, home.agent),
            (own.home_address, own.home_agent)
        );
        assert_eq!((home.update.spi, home.acknowledgement.spi), (0x100, 0x101));
        assert_ne!(home.update.key, home.acknowledgement.key);
        assert_eq!(of_agent(&plan, "ha"), (vec![home], true));
        let maps = own.maps.iter().map(|map| {
            let protection = *map.protection.clone().unwrap();
            assert_eq!(protection.address, map.regional_address);
            assert_eq!(protection.agent, map.address);
            protection
        });
        let maps: Vec<ProtectionPlan> = maps.collect();
        let pairs = 1 + maps.len();
        let expected = (maps, pairs > 1);
        assert_eq!(of_agent(&plan, "map"), expected, "{word}");
        for node in ["ha", "sensor"] {
            let modules = plan.nodes[node].kernel_modules();
            assert!(modules.contains("esp6") && modules.contains("xfrm_user"));
        }
        assert_eq!(plan.nodes["sensor"].associations().len(), 2 * pairs);
        assert_eq!(plan.nodes["ha"].associations(), []);
        assert_eq!(Plan::from_yaml(&plan.to_yaml()).unwrap(), plan);
    }
}

#[test]
fn associations_are_the_seeds_and_a_pairs_own_and_one_who_is_unprotected_leaves_the_agent_open() {
    let other = SHIPPED.replace(
        "  client:\n",
        "  other: { role: mobile-node, attached_to: er2, mobility: mipv6 }\n  client:\n",
    );
    let of = |set: &[&str]| {
        let always = [
            "nodes.sensor.mobility=mipv6",
            "nodes.sensor.mipv6.ipsec=esp",
        ];
        read(&other, &[&always, set].concat()).plan
    };
    let mixed = of(&[]);
    let (protected, only) = of_agent(&mixed, "ha");
    assert_eq!((protected.len(), only), (1, false));
    assert_eq!(mixed.remarks().len(), 2, "of it, and of its dad");
    let both = of(&["nodes.other.mipv6.ipsec=esp"]);
    let (protected, only) = of_agent(&both, "ha");
    let [first, second] = &protected[..] else {
        panic!("{protected:?}");
    };
    assert!(only && first.address != second.address);
    assert_eq!([first.update.spi, second.update.spi], [0x100, 0x102]);
    assert_ne!(first.update.key, second.update.key);
    // Of `sensor`, which keeps its keys beside others, and has others with another seed.
    assert_eq!(second.update.key, of_agent(&mixed, "ha").0[0].update.key);
    let again = of(&["seed=2"]);
    assert_ne!(of_agent(&again, "ha").0[0].update.key, second.update.key);
}

fn gateway<'p>(plan: &'p Plan, router: &str) -> &'p GatewayPlan {
    let router = plan.nodes[router].router.as_ref().unwrap();
    router.gateway.as_ref().expect("a mobile access gateway")
}

#[test]
fn with_proxy_mobile_ipv6_every_router_that_a_node_may_come_to_is_its_gateway() {
    let plan = by("pmipv6");
    let sensor = &plan.nodes["sensor"];
    let Some(MobilityPlan::Proxy(own)) = &sensor.mobility else {
        panic!("{:?}", sensor.mobility);
    };
    assert_eq!(own.prefix.to_string(), "2001:db8:c000:1::/64");
    let radio = sensor.radio.as_ref().unwrap();
    assert_eq!(sensor.address, radio.eui64.address_in(own.prefix.network()));
    assert_eq!(own.anchor, plan.nodes["lma"].address);
    assert_eq!(own.lifetime, Duration::from_secs(3600));
    let host = sensor.host.as_ref().unwrap();
    for router in ["er1", "er2"] {
        let gateway = gateway(&plan, router);
        let eth = plan.nodes[router].backbone.as_ref().unwrap();
        assert_eq!(gateway.address, eth.address.addr());
        assert_eq!(
            (gateway.anchor, gateway.pool.to_string()),
            (own.anchor, "2001:db8:c000::/48".into())
        );
        assert_eq!(
            Some(gateway.link_local),
            host.gateway,
            "the same at every router"
        );
        let [visitor] = &gateway.nodes[..] else {
            panic!("{gateway:?}");
        };
        assert_eq!((&*visitor.node, visitor.eui64), ("sensor", radio.eui64));
        assert_eq!(
            (visitor.prefix, visitor.lifetime),
            (own.prefix, own.lifetime)
        );
    }
    let mut services = plan.nodes["lma"].services.iter();
    let Some(ServicePlan::Lma(anchor)) = services.next() else {
        panic!("an anchor");
    };
    let nodes: Vec<_> = anchor.nodes.iter().map(|n| (&*n.node, n.prefix)).collect();
    assert_eq!(nodes, [("sensor", own.prefix)]);
    let gateways = ["er1", "er2"].map(|router| gateway(&plan, router).address);
    assert_eq!(anchor.gateways, gateways);
    assert!(plan.nodes["lma"].forwards() && sensor.needs_others());
    let client = plan.nodes["client"].backbone.as_ref().unwrap();
    let pool = client.routes.iter().find(|route| route.to == anchor.prefix);
    assert_eq!(
        pool.unwrap().via,
        own.anchor,
        "the anchor is the way to its nodes"
    );
    assert!(
        by("comp").nodes["er1"]
            .router
            .as_ref()
            .unwrap()
            .gateway
            .is_none()
    );
}

#[test]
fn a_router_that_no_such_node_may_come_to_is_no_gateway_and_nodes_have_prefixes_of_their_own() {
    let text = "
version: 1
name: two
nodes:
  er1: { role: edge-router }
  er2: { role: edge-router }
  lma: { role: lma }
  sensor: { role: mobile-node, attached_to: er1, candidates: [er1], mobility: pmipv6, count: 2 }
  client: { role: client, mobility: none, polls: [{ node: sensor }] }
scenario: { duration: 5 s }
";
    let plan = read(text, &[]).plan;
    assert!(plan.nodes["er2"].router.as_ref().unwrap().gateway.is_none());
    let prefixes: Vec<String> = gateway(&plan, "er1")
        .nodes
        .iter()
        .map(|visitor| visitor.prefix.to_string())
        .collect();
    assert_eq!(prefixes, ["2001:db8:c000:1::/64", "2001:db8:c000:2::/64"]);
}

#[test]
fn a_way_on_which_timestamps_grow_too_old_is_told_of() {
    let far = ["nodes.sensor.mobility=pmipv6", "nodes.lma.delay=296 ms"];
    let said = warnings(&loaded(&far));
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("takes up to 301 ms to `lma`, which takes what is 300 ms old for wrong"),
        "{said:?}"
    );
    let wide = [far[0], far[1], "nodes.lma.timestamp_validity=1 s"];
    assert_eq!(warnings(&loaded(&wide)), Vec::<String>::new());
    let near = [far[0], "nodes.lma.delay=290 ms"];
    assert_eq!(warnings(&loaded(&near)), Vec::<String>::new());
}
