//! Which addresses belong to one node, and which endpoints to one client.
//!
//! A handover is seen as a change of the address that answers, so the addresses of one node
//! have to be told from those of two. In order of authority: what the caller knows; messages
//! that name a permanent and a temporary address side by side; a request that was sent to both;
//! and last the pattern of requests: addresses asked one after the other are one node that
//! moves, addresses asked in turns are two nodes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coap::Code;
use units::SimTime;

use super::binding::{Bindings, Rebinding};
use super::pairing::Exchange;

/// Names of nodes by address.
pub(super) struct Known(BTreeMap<IpAddr, String>);

impl Known {
    /// What the caller knows.
    pub(super) fn new(nodes: &BTreeMap<IpAddr, String>) -> Known {
        Known(nodes.clone())
    }

    /// Takes the addresses that are bound to a permanent one. A node that the caller did not name is
    /// called by that.
    pub(super) fn learn(&mut self, bindings: &Bindings) {
        for (permanent, address) in bindings.pairs() {
            let name = self.0.entry(permanent);
            let name = name.or_insert_with(|| permanent.to_string()).clone();
            self.0.entry(address).or_insert(name);
        }
    }

    pub(super) fn name(&self, address: IpAddr) -> Option<&str> {
        self.0.get(&address).map(String::as_str)
    }
}

/// Where each node went, by its name, in the order of time.
pub(super) fn rebindings(bindings: &Bindings, known: &Known) -> BTreeMap<String, Arc<[Rebinding]>> {
    let mut by_name: BTreeMap<String, Vec<Rebinding>> = BTreeMap::new();
    for (permanent, changes) in bindings.changes() {
        let name = known.name(permanent).map(String::from);
        let name = name.unwrap_or_else(|| permanent.to_string());
        by_name.entry(name).or_default().extend(changes);
    }
    let shared = |mut of_node: Vec<Rebinding>| {
        of_node.sort_by_key(|change| change.time);
        Arc::from(of_node)
    };
    let all = by_name.into_iter();
    all.map(|(name, of_node)| (name, shared(of_node))).collect()
}

/// What a flow is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) client: IpAddr,
    pub(super) node: Option<String>,
    pub(super) method: Code,
    pub(super) resource: String,
}

/// Groups exchanges by client, node and resource.
pub(super) fn flows(exchanges: Vec<Exchange>, known: &Known) -> Vec<(Key, Vec<Exchange>)> {
    let clients = Clients::of(&exchanges);
    let mut subjects: BTreeMap<_, Vec<Exchange>> = BTreeMap::new();
    for exchange in exchanges {
        let client = clients.of_endpoint(exchange.client);
        let subject = (client, exchange.method, exchange.resource.clone());
        subjects.entry(subject).or_default().push(exchange);
    }
    let mut flows = Vec::new();
    for ((_, method, resource), mut exchanges) in subjects {
        exchanges.sort_by_key(Exchange::sent_at);
        let client = exchanges[0].client.ip();
        for (node, exchanges) in by_node(exchanges, known) {
            let key = Key {
                client,
                node,
                method,
                resource: resource.clone(),
            };
            flows.push((key, exchanges));
        }
    }
    flows
}

/// Endpoints of one client program: the same address, and one port after the other. A client
/// that is started anew for every request has a new port each time.
struct Clients(BTreeMap<SocketAddr, usize>);

impl Clients {
    fn of(exchanges: &[Exchange]) -> Clients {
        let mut spans: BTreeMap<SocketAddr, (SimTime, SimTime)> = BTreeMap::new();
        for e in exchanges {
            let last = e.transmissions.last().map(|t| t.time);
            let end = last.max(e.answer.map(|a| a.time)).unwrap_or(e.sent_at());
            let span = spans.entry(e.client).or_insert((e.sent_at(), end));
            span.0 = span.0.min(e.sent_at());
            span.1 = span.1.max(end);
        }
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_by_key(|(endpoint, (start, _))| (*start, *endpoint));
        // Per client, its address and when it was last heard.
        let mut clients: Vec<(IpAddr, SimTime)> = Vec::new();
        let mut assigned = BTreeMap::new();
        for (endpoint, (start, end)) in spans {
            let free = clients
                .iter()
                .position(|(ip, until)| *ip == endpoint.ip() && *until < start);
            let client = free.unwrap_or(clients.len());
            if client == clients.len() {
                clients.push((endpoint.ip(), end));
            }
            clients[client].1 = end;
            assigned.insert(endpoint, client);
        }
        Clients(assigned)
    }

    fn of_endpoint(&self, endpoint: SocketAddr) -> usize {
        self.0[&endpoint]
    }
}

/// Splits the exchanges of one client about one resource by node.
fn by_node(exchanges: Vec<Exchange>, known: &Known) -> Vec<(Option<String>, Vec<Exchange>)> {
    let mut groups = Groups::default();
    for exchange in &exchanges {
        for transmission in &exchange.transmissions {
            groups.add(transmission.to, known);
        }
        for pair in exchange.transmissions.windows(2) {
            groups.join(groups.find(pair[0].to), groups.find(pair[1].to));
        }
    }
    groups.join_by_pattern(&exchanges);

    let mut nodes: BTreeMap<usize, Vec<Exchange>> = BTreeMap::new();
    for exchange in exchanges {
        let group = groups.find(exchange.transmissions[0].to);
        nodes.entry(group).or_default().push(exchange);
    }
    let nodes = nodes.into_iter();
    nodes
        .map(|(group, exchanges)| (groups.0[group].name.clone(), exchanges))
        .collect()
}

/// Sets of server addresses, one per node as far as is known.
#[derive(Default)]
struct Groups(Vec<Group>);

struct Group {
    name: Option<String>,
    port: u16,
    members: BTreeSet<SocketAddr>,
}

impl Groups {
    fn add(&mut self, address: SocketAddr, known: &Known) {
        if self.0.iter().any(|g| g.members.contains(&address)) {
            return;
        }
        let name = known.name(address.ip()).map(String::from);
        let port = address.port();
        let same = |g: &&mut Group| name.is_some() && g.name == name && g.port == port;
        match self.0.iter_mut().find(same) {
            Some(group) => {
                group.members.insert(address);
            }
            None => self.0.push(Group {
                name,
                port,
                members: BTreeSet::from([address]),
            }),
        }
    }

    /// The group of an address that was added.
    fn find(&self, address: SocketAddr) -> usize {
        let group = self.0.iter().position(|g| g.members.contains(&address));
        group.unwrap_or_default()
    }

    /// Makes one group of two, unless they are known as two nodes.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (a.min(b), a.max(b));
        if a == b || self.are_distinct(a, b) {
            return;
        }
        let members = std::mem::take(&mut self.0[b].members);
        let name = self.0[b].name.take();
        self.0[a].members.extend(members);
        self.0[a].name = self.0[a].name.take().or(name);
    }

    fn are_distinct(&self, a: usize, b: usize) -> bool {
        let names = (&self.0[a].name, &self.0[b].name);
        matches!(names, (Some(a), Some(b)) if a != b)
    }

    /// Joins groups whose requests come one after the other.
    fn join_by_pattern(&mut self, exchanges: &[Exchange]) {
        for a in 0..self.0.len() {
            for b in a + 1..self.0.len() {
                if self.0[a].port == self.0[b].port
                    && !self.are_distinct(a, b)
                    && self.take_turns(a, b, exchanges) == Some(false)
                {
                    self.join(a, b);
                }
            }
        }
    }

    /// Whether the two are asked in turns; nothing if one of them is not asked.
    fn take_turns(&self, a: usize, b: usize, exchanges: &[Exchange]) -> Option<bool> {
        let (mut counts, mut changes, mut last) = ([0_usize; 2], 0_usize, None);
        for exchange in exchanges {
            let group = self.find(exchange.transmissions[0].to);
            if group != a && group != b {
                continue;
            }
            counts[usize::from(group == b)] += 1;
            changes += usize::from(last.is_some_and(|l| l != group));
            last = Some(group);
        }
        let fewer = counts[0].min(counts[1]);
        // Two nodes asked periodically: every request to the one asked less often is between
        // requests to the other, two changes each. A node that moves is asked many times
        // before the address changes again.
        (fewer > 0).then_some(changes > 2 && changes * 2 > fewer)
    }
}
