//! The sessions of a local mobility anchor, and which of them a Proxy Binding Update is about (RFC 5213
//! §5.1, §5.4.1).

use std::collections::BTreeMap;
use std::net::Ipv6Addr;

use ipnet::Ipv6Net;
use units::{Sequence, SimTime};

use crate::codec::{
    AccessTechnology, BindingUpdate, HandoffIndicator, LinkLayerId, NodeId, ProxyOptions, Status,
    Timestamp,
};
use crate::headers::Headers;

/// A mobility session: a node by one of its interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose it is.
    pub node: NodeId,
    /// The gateway where the node is (Proxy-CoA).
    pub gateway: Ipv6Addr,
    /// What the node is attached by.
    pub access_technology: AccessTechnology,
    /// Which interface it is attached by, if that is known.
    pub link_layer: Option<LinkLayerId>,
    /// The gateway's link-local address on the node's link, if it asked for one or told it.
    pub link_local: Option<Ipv6Addr>,
    /// When it ends: its lifetime, or the wait after it was deregistered.
    pub ends: SimTime,
    /// Whether it was deregistered, and waits for the node to come back.
    pub is_leaving: bool,
    /// The number of the last update that was taken.
    pub(super) sequence: Sequence,
    /// The timestamp of the last update that was taken, if it had one.
    pub(super) timestamp: Option<Timestamp>,
}

/// Sessions by home network prefix.
pub(super) type Sessions = BTreeMap<Ipv6Net, Session>;

/// What an update is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// This session.
    Session(Ipv6Net),
    /// A session to be made.
    New,
    /// This session, as soon as it is deregistered, or else a new one.
    Wait(Ipv6Net),
    /// It is refused.
    Refused(Status),
}

/// What an update must have to be looked up.
pub(super) struct Request<'a> {
    pub(super) node: &'a NodeId,
    pub(super) gateway: Ipv6Addr,
    pub(super) handoff: HandoffIndicator,
    pub(super) access_technology: AccessTechnology,
    pub(super) update: &'a BindingUpdate,
}

/// The gateway that an update is about: an Alternate Care-of Address names it, or else its source.
pub(super) fn gateway_of(headers: &Headers, update: &BindingUpdate) -> Ipv6Addr {
    update.alternate_care_of().unwrap_or(headers.source)
}

impl<'u> Request<'u> {
    /// What an update asks for, if it has all that it must (§5.3.1).
    pub(super) fn of(headers: &Headers, update: &'u BindingUpdate) -> Result<Request<'u>, Status> {
        let node = update.node_id().ok_or(Status::NO_NODE_ID)?;
        update.prefixes().next().ok_or(Status::NO_PREFIX)?;
        Ok(Request {
            node,
            gateway: gateway_of(headers, update),
            handoff: update.handoff().ok_or(Status::NO_HANDOFF)?,
            access_technology: (update.access_technology()).ok_or(Status::NO_ACCESS_TECHNOLOGY)?,
            update,
        })
    }

    /// The prefixes that it names, without ALL_ZERO.
    pub(super) fn prefixes(&self) -> Vec<Ipv6Net> {
        let all = self.update.prefixes();
        all.filter(|prefix| !prefix.network().is_unspecified())
            .collect()
    }

    /// The Binding Cache entry existence test (§5.4.1).
    pub(super) fn about(&self, sessions: &Sessions) -> About {
        let prefixes = self.prefixes();
        if !prefixes.is_empty() {
            return self.by_prefix(sessions, &prefixes);
        }
        match self.update.link_layer_id() {
            Some(link_layer) => self.by_link_layer(sessions, link_layer),
            None => self.by_node(sessions),
        }
    }

    /// §5.4.1.1.
    fn by_prefix(&self, sessions: &Sessions, prefixes: &[Ipv6Net]) -> About {
        let found = prefixes
            .iter()
            .find_map(|prefix| sessions.get_key_value(prefix));
        let Some((prefix, session)) = found else {
            return About::New;
        };
        if session.node != *self.node {
            return About::Refused(Status::PREFIX_NOT_AUTHORIZED);
        }
        if prefixes != [*prefix] {
            return About::Refused(Status::PREFIX_SET);
        }
        let link_layer = self.update.link_layer_id();
        let same_technology = session.access_technology == self.access_technology;
        let same_interface = link_layer.is_some() && link_layer == session.link_layer.as_ref();
        let between_gateways = link_layer.is_none()
            && session.link_layer.is_none()
            && self.handoff == HandoffIndicator::BETWEEN_GATEWAYS;
        let same_gateway = session.gateway == self.gateway;
        let is_it = self.handoff == HandoffIndicator::BETWEEN_INTERFACES
            || (same_technology && (same_interface || between_gateways || same_gateway));
        match is_it {
            true => About::Session(*prefix),
            // It cannot be had: the prefix is in use.
            false => About::New,
        }
    }

    /// §5.4.1.2.
    fn by_link_layer(&self, sessions: &Sessions, link_layer: &LinkLayerId) -> About {
        let mut all = self.of_node(sessions);
        let same = all.find(|(_, session)| {
            session.access_technology == self.access_technology
                && session.link_layer.as_ref() == Some(link_layer)
        });
        match (same, self.handoff) {
            (Some((prefix, _)), _) => About::Session(prefix),
            (None, HandoffIndicator::BETWEEN_INTERFACES) => {
                self.only(sessions).map_or(About::New, About::Session)
            }
            (None, HandoffIndicator::UNKNOWN) => self.wait(sessions),
            (None, _) => About::New,
        }
    }

    /// §5.4.1.3.
    fn by_node(&self, sessions: &Sessions) -> About {
        match self.handoff {
            HandoffIndicator::BETWEEN_INTERFACES | HandoffIndicator::BETWEEN_GATEWAYS => {
                self.only(sessions).map_or(About::New, About::Session)
            }
            HandoffIndicator::UNKNOWN => self.wait(sessions),
            _ => About::New,
        }
    }

    /// "The local mobility anchor SHOULD wait until the existing Binding Cache entry is de-registered."
    fn wait(&self, sessions: &Sessions) -> About {
        match self.only(sessions) {
            None => About::New,
            // The gateway that has it deregisters it, or it has nothing to wait for.
            Some(prefix) if self.is_settled(&sessions[&prefix]) => About::Session(prefix),
            Some(prefix) => About::Wait(prefix),
        }
    }

    fn is_settled(&self, session: &Session) -> bool {
        session.is_leaving || session.gateway == self.gateway
    }

    /// The session of the node, if it has one and only one.
    fn only(&self, sessions: &Sessions) -> Option<Ipv6Net> {
        let mut all = self.of_node(sessions);
        let first = all.next().map(|(prefix, _)| prefix);
        first.filter(|_| all.next().is_none())
    }

    fn of_node<'a>(
        &'a self,
        sessions: &'a Sessions,
    ) -> impl Iterator<Item = (Ipv6Net, &'a Session)> {
        let all = sessions.iter();
        all.filter(|(_, session)| session.node == *self.node)
            .map(|(prefix, session)| (*prefix, session))
    }
}
