//! A node's CoAP endpoint, as its plan has it.

use std::net::{Ipv6Addr, SocketAddrV6};

use coap::Tokens;
use coap::message::PORT;
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
    /// That of the plan.
    pub(crate) fn of(node: &NodePlan, tokens: Tokens) -> Endpoint {
        let address = match node.is_router() {
            true => node.address,
            false => Ipv6Addr::UNSPECIFIED,
        };
        let port = if node.speaks_coap() { PORT } else { 0 };
        Endpoint {
            at: SocketAddrV6::new(address, port, 0, 0),
            params: (node.coap.as_ref())
                .map(|coap| params(coap, tokens))
                .unwrap_or_default(),
        }
    }
}

/// The transmission parameters of a plan for an endpoint.
pub(crate) fn params(plan: &CoapPlan, tokens: Tokens) -> coap::Params {
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
        confirm_notifications: plan.confirm_notifications,
        tokens,
        ..coap::Params::default()
    }
}
