//! A node in the net: how it gets somewhere, what is asked of it, what it was told.

use std::time::Duration;

use super::{AGENT, CORRESPONDENT, HOME, Net, Sent, at_router, away, secs};
use machine::Machine;
use mip6::codec::{ErrorStatus, Message};
use mip6::mobile::{self, Event, Peer, RouteOptimization};
use mip6::{Headers, Ignored};

pub const CN: Peer = Peer::Correspondent(CORRESPONDENT);

pub fn update_of(sent: &Sent) -> &mip6::codec::BindingUpdate {
    match &sent.message {
        Message::BindingUpdate(update) => update,
        other => panic!("{other:?}"),
    }
}

pub fn to(sent: &[&Sent], receiver: std::net::Ipv6Addr) -> Vec<Sent> {
    let sent = sent
        .iter()
        .filter(|sent| sent.headers.receiver() == receiver);
    sent.map(|sent| (*sent).clone()).collect()
}

/// A net in which the node is bound at its home agent and at the correspondent.
pub fn optimised(config: RouteOptimization) -> Net {
    let mut net = Net::new(mobile::Config {
        route_optimization: config,
        ..mobile::Config::new(HOME, AGENT)
    });
    net.move_to(away(1));
    net.run(secs(1));
    net.correspond();
    net.run(secs(1));
    assert_eq!(net.node.bound_at(CN), Some(at_router(1)));
    forget(&mut net);
    net
}

/// What has happened so far is not looked at.
pub fn forget(net: &mut Net) {
    net.log.clear();
    net.node_events.clear();
    net.ignored.clear();
}

pub fn events(net: &Net) -> Vec<Event> {
    net.node_events.iter().map(|(_, event)| *event).collect()
}

/// A message to the node that nobody in the net has sent.
pub fn forge(net: &mut Net, headers: Headers, message: &Message) -> Result<(), Ignored> {
    let payload = message.encode(&headers).unwrap();
    let result = net.node.handle_datagram(net.now, headers, &payload);
    net.run(Duration::ZERO);
    result
}

pub fn error(status: ErrorStatus) -> Message {
    Message::BindingError {
        status,
        home_address: HOME,
    }
}
