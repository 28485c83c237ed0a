//! `wpanlab gateway`: the gateway from HTTP and WebSockets (docs/gateway.md) for nodes of a real network.

use std::net::{Ipv6Addr, TcpListener};
use std::path::PathBuf;

use anyhow::{Context, Result};
use testbed::privileges;
use topology::kind::http::{HttpAddress, HttpPlan};
use topology::plan::{MobilityPlan, ServicePlan};
use topology::{Overrides, Plan};

use crate::Outcome;
use crate::cli::GatewayArgs;
use crate::failure::Refused;
use crate::view::interrupted;

/// Its name among the nodes of its plan.
const NAME: &str = "gateway";

/// A gateway as a testbed has one; where everything is comes from the command line.
const TOPOLOGY: &str = "\
version: 1
name: gateway
nodes:
  er1: { role: edge-router }
  wmms: { role: wmms }
  gateway: { place: wired, mobility: MOBILITY, services: [{ gateway: { http: 8080 } }] }
scenario: { duration: 1 s }
";

/// Serves until it is told to stop.
///
/// # Errors
/// A port is not to be had, or there is no WMMS.
pub async fn gateway(args: GatewayArgs) -> Result<Outcome> {
    privileges::keep_only(privileges::OF_GATEWAY).context("give up privileges")?;
    let plan = plan(&args)?;
    check_port(args.port)?;
    errln!(
        "wpanlab: the gateway's page is http://localhost:{}/; Ctrl-C ends it",
        args.port
    );
    let interrupted = interrupted()?;
    let serving = nodes::run(nodes::Config {
        plan,
        node: NAME.into(),
        controlled: false,
        crashes: 0,
        interfaces: nodes::Interfaces::default(),
        // What it knows it learns anew.
        state: PathBuf::new(),
        shared: None,
        signal: nodes::SignalSource::Control,
    });
    tokio::select! {
        served = serving => served?,
        () = interrupted => {}
    }
    Ok(Outcome::Passed)
}

/// Whether the page's port is to be had, before anybody is told where it is.
fn check_port(port: u16) -> Result<()> {
    let at = (Ipv6Addr::LOCALHOST, port);
    TcpListener::bind(at)
        .map(drop)
        .with_context(|| format!("port {port} of HTTP is not to be had: give another to --port"))
}

/// The plan of the gateway that is asked for.
fn plan(args: &GatewayArgs) -> Result<Plan> {
    let mobility = if args.wmms.is_some() { "comp" } else { "none" };
    let text = TOPOLOGY.replace("MOBILITY", mobility);
    let mut plan = topology::load("gateway", &text, Overrides::default())?;
    let address = args.address.unwrap_or(Ipv6Addr::LOCALHOST);
    let node = plan.nodes.get_mut(NAME).context("the gateway")?;
    node.address = address;
    for service in &mut node.services {
        let ServicePlan::HttpGateway(gateway) = service else {
            continue;
        };
        gateway.http = HttpPlan {
            port: args.port,
            write: args.write,
            address: match args.everywhere {
                true => HttpAddress::Any,
                false => HttpAddress::Loopback,
            },
        };
        gateway.wait = args.wait;
        gateway.address = address;
        for named in &args.nodes {
            let before = gateway.nodes.insert(named.name.clone(), named.address);
            if before.is_some() {
                return Err(Refused(format!("{}: there are two of this name", named.name)).into());
            }
        }
        gateway.located = match args.wmms {
            Some(_) => gateway.nodes.values().copied().collect(),
            None => Vec::new(),
        };
    }
    if let (Some(MobilityPlan::Comp(comp)), Some(wmms)) = (&mut node.mobility, args.wmms) {
        (comp.p_addr, comp.wmms) = (address, wmms);
    }
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn args(words: &[&str]) -> GatewayArgs {
        use clap::Parser;
        #[derive(Parser)]
        struct Only {
            #[command(flatten)]
            args: GatewayArgs,
        }
        Only::parse_from([&["gateway"], words].concat()).args
    }

    #[test]
    fn nodes_are_asked_as_they_are_or_found_by_comp() {
        let named = ["lamp=2001:db8::7", "--wait", "2s"];
        let alone = plan(&args(&named)).unwrap();
        let of = |plan: &Plan| match &plan.nodes[NAME].services[..] {
            [ServicePlan::HttpGateway(gateway)] => gateway.clone(),
            other => panic!("{other:?}"),
        };
        let gateway = of(&alone);
        assert_eq!((gateway.located.len(), gateway.nodes.len()), (0, 1));
        assert_eq!((gateway.http.port, gateway.http.write), (8080, false));
        assert_eq!(gateway.wait, Duration::from_secs(2));
        assert!(alone.nodes[NAME].mobility.is_none());
        let comp = ["--wmms", "2001:db8::1", "--address", "2001:db8::2"];
        let with = plan(&args(&[&named[..], &comp].concat())).unwrap();
        assert_eq!(
            of(&with).located,
            ["2001:db8::7".parse::<Ipv6Addr>().unwrap()]
        );
        let Some(MobilityPlan::Comp(comp)) = &with.nodes[NAME].mobility else {
            panic!("{:?}", with.nodes[NAME]);
        };
        assert_eq!(comp.wmms.to_string(), "2001:db8::1");
        assert_eq!(comp.p_addr.to_string(), "2001:db8::2");
        let twice = plan(&args(&["a=::1", "a=::2"])).unwrap_err();
        assert!(format!("{twice:#}").contains("two of this name"));
    }
}
