//! Message security stands below CoMP: at a node as at its WMMS.

use std::mem;
use std::net::SocketAddrV6;
use std::time::Duration;

use crate::support::*;
use coap::protection::{Association, Protection, Refusal, Unprotectable, Unverified};
use coap::{Code, Options, Params, Request, Response};
use comp::client::HoldQueue;
use comp::node::{self, Node};
use comp::wmms::{self, Wmms};
use handover::Step;
use units::{Seed, SimTime};

/// An elective option that nobody else has.
const SEAL: u16 = 65_000;

/// Lets in what has the seal.
#[derive(Debug, Default)]
struct Sealed {
    sealed: usize,
}

impl Protection for Sealed {
    fn protect_request(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Unprotectable> {
        request.options.push(SEAL, b"seal");
        self.sealed += 1;
        Ok(None)
    }

    fn verify_request(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        request: &mut Request,
    ) -> Result<Option<Association>, Refusal> {
        if request.options.get(SEAL).is_none() {
            let why = "no seal";
            return Err(Refusal::answered(Response::diagnostic(
                Code::UNAUTHORIZED,
                why,
            )));
        }
        let mut inner = Options::new();
        for (number, value) in request.options.iter().filter(|(n, _)| *n != SEAL) {
            inner.push(number, value);
        }
        request.options = inner;
        Ok(None)
    }

    fn protect_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Association,
        _: &mut Response,
    ) -> Result<(), Unprotectable> {
        Ok(())
    }

    fn verify_response(
        &mut self,
        _: SimTime,
        _: SocketAddrV6,
        _: &mut Association,
        _: &mut Response,
    ) -> Result<(), Unverified> {
        Ok(())
    }

    fn moved(&mut self, _: SocketAddrV6, _: SocketAddrV6) {}
}

fn node() -> Node {
    let config = node::Config {
        p_addr: P,
        wmms: socket(W),
        hold: true,
        binding: comp::BindingMode::Relayed,
        lifetime: Duration::from_secs(3600),
        hold_queue: HoldQueue::default(),
        coap: Params::default(),
    };
    Node::new(config, Seed(5).rng(&["node"]))
}

fn protect_wmms(net: &mut Net) {
    let config = wmms::Config {
        hold_timeout: Duration::from_secs(5),
        binding: comp::BindingMode::Relayed,
        limits: comp::Limits::default(),
        coap: Params::default(),
    };
    net.wmms = Wmms::new(config, Seed(6).rng(&["wmms"])).with_protection(Sealed::default());
}

#[test]
fn a_node_that_seals_its_messages_registers_where_only_those_count() {
    let mut net = Net::new(Setup::default());
    protect_wmms(&mut net);
    net.node = node().with_protection(Sealed::default());
    net.node.register(net.now, T1);
    net.run_until(1000);
    assert!(net.wmms.mmt().get(P).is_some());
    let steps = mem::take(&mut net.node_steps);
    assert!(
        matches!(steps[..], [(_, Step::Attached { .. })]),
        "{steps:?}"
    );
    let of_node = net.node.protection::<Sealed>().unwrap();
    assert_eq!(of_node.sealed, 1);
    assert!(net.wmms.protection::<Sealed>().is_some());
}

#[test]
fn a_node_that_does_not_is_refused() {
    let mut net = Net::new(Setup::default());
    protect_wmms(&mut net);
    net.node = node();
    net.node.register(net.now, T1);
    net.run_until(1000);
    assert!(net.wmms.mmt().get(P).is_none());
    assert!(net.node_steps.is_empty());
}
