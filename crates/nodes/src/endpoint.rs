//! A node's CoAP endpoint, as its plan has it.

use std::net::{Ipv6Addr, SocketAddrV6};

use coap::message::PORT;
use coap::{TokenLength, Tokens};
use topology::plan::{CoapPlan, CongestionControl, NodePlan};

/// The CoAP endpoint of a node.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    /// Where it is bound. A router's is at the address by which others know it: it has one on
    /// either side, and an answer has to come from where it was asked. Port 0, any, of a node that
    /// speaks no CoAP: nobody finds it there, and a program of the user's may have CoAP's own port.
    pub(crate) at: SocketAddrV6,
    /// Its transmission parameters.
    pub(crate) params: coap::Params,
}

impl Endpoint {
    /// That of the plan, of a daemon in a run or alone.
    pub(crate) fn of(node: &NodePlan, alone: bool) -> Endpoint {
        let address = match node.is_router() {
            true => node.address,
            false => Ipv6Addr::UNSPECIFIED,
        };
        let port = if node.speaks_coap() { PORT } else { 0 };
        let mut params = node
            .coap
            .as_ref()
            .map(|coap| params(coap, alone))
            .unwrap_or_default();
        params.default_max_age = node.patience().unwrap_or(params.default_max_age);
        Endpoint {
            at: SocketAddrV6::new(address, port, 0, 0),
            params,
        }
    }
}

/// The transmission parameters of a plan for an endpoint, in a run or alone. Alone, where there are
/// strangers, tokens are what nobody can guess, and sources show where they are if the plan does not
/// say otherwise; in a run messages are as short as the papers have them.
pub(crate) fn params(plan: &CoapPlan, alone: bool) -> coap::Params {
    let verify_sources = plan.verify_sources.unwrap_or(alone);
    coap::Params {
        ack_timeout: plan.ack_timeout,
        ack_random_factor: plan.ack_random_factor,
        max_retransmit: plan.max_retransmit,
        nstart: plan.nstart,
        response_timeout: plan.response_timeout,
        block_size: usize::try_from(plan.block_size.0)
            .ok()
            .and_then(coap::BlockSize::new)
            .unwrap_or(coap::BlockSize::MAX),
        congestion_control: match plan.congestion_control {
            CongestionControl::Fixed => coap::CongestionControl::Fixed,
            CongestionControl::Cocoa => coap::CongestionControl::Cocoa,
        },
        block_etags: plan.block_etags,
        token_length: (plan.token_length)
            .and_then(|length| TokenLength::new(usize::try_from(length.0).ok()?)),
        confirm_notifications: plan.confirm_notifications,
        tokens: match alone || verify_sources {
            true => Tokens::Random,
            false => Tokens::Counted,
        },
        verify_sources,
        ..coap::Params::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(coap: &str) -> CoapPlan {
        let text = format!(
            "version: 1\nname: wary\n{coap}nodes:\n  er1: {{ role: edge-router }}\n  wall: {{ role: sensor, \
             attached_to: er1 }}\nscenario: {{ duration: 5 s }}\n"
        );
        let plan = topology::load("wary.yaml", &text, topology::Overrides::default());
        let plan = plan.unwrap_or_else(|error| panic!("{error}"));
        plan.nodes["wall"].coap.clone().expect("it speaks CoAP")
    }

    #[test]
    fn strangers_are_met_outside_a_run_unless_the_plan_says_otherwise() {
        let of = |coap: &str, alone| {
            let params = params(&plan(coap), alone);
            (params.verify_sources, params.tokens)
        };
        assert_eq!(of("", false), (false, Tokens::Counted));
        assert_eq!(of("", true), (true, Tokens::Random));
        let never = "coap: { verify_sources: false }\n";
        assert_eq!(of(never, true), (false, Tokens::Random));
        let always = "coap: { verify_sources: true }\n";
        assert_eq!(of(always, false), (true, Tokens::Random));
    }

    #[test]
    fn tokens_are_as_long_and_blocks_as_bare_as_the_plan_has_them() {
        let of = |coap: &str, alone| {
            let params = params(&plan(coap), alone);
            let length = params.token_length.map(TokenLength::bytes);
            (params.tokens, length, params.block_etags)
        };
        assert_eq!(of("", false), (Tokens::Counted, None, true));
        let short = "coap: { token_length: 0 B, block_etags: false }\n";
        assert_eq!(of(short, false), (Tokens::Counted, Some(0), false));
        let long = "coap: { token_length: 8 B }\n";
        assert_eq!(of(long, true), (Tokens::Random, Some(8), true));
    }
}
