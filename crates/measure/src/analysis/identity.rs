//! Which addresses belong to one node, and which endpoints to one client.
//!
//! A handover is seen as a change of the address that answers, so the addresses of one node
//! have to be told from those of two. In order of authority: what the caller knows; messages
//! that name a permanent and a temporary address side by side; a request that was sent to both;
//! and last the pattern of requests: addresses asked one after the other are one node that
//! moves, addresses asked in turns are two nodes.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use coap::Code;
use coap::wire::Token;
use units::SimTime;

use super::binding::{Bindings, Rebinding};
use super::exchange::{Exchange, Observation};

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

    /// Whether two endpoints are one node's, if that is known.
    pub(super) fn are_one(&self, a: SocketAddr, b: SocketAddr) -> Option<bool> {
        if a == b {
            return Some(true);
        }
        let (one, other) = (self.name(a.ip())?, self.name(b.ip())?);
        Some(one == other && a.port() == b.port())
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
    pub(super) client_name: Option<String>,
    pub(super) node: Option<String>,
    pub(super) method: Code,
    pub(super) resource: String,
    /// Of an observation whose registration was not captured, in place of the resource.
    pub(super) token: Option<Token>,
}

/// What is in one flow.
pub(super) type Members = (Vec<Exchange>, Vec<Observation>);

/// Whose, and about what; the token of an observation whose registration was not captured.
type Subject = (SocketAddr, Code, Arc<str>, Option<Token>);

/// What an exchange is about.
fn subject(exchange: &Exchange) -> Subject {
    let resource = Arc::clone(exchange.resource());
    (exchange.client(), exchange.method(), resource, None)
}

/// After so many items of a list its memory is given back.
const GIVEN_BACK: usize = 1 << 16;

/// Does `take` with each item, in their order. The memory of what was taken is given back meanwhile: of a long
/// list there are no two copies at any time.
fn each_given_back<T>(mut items: Vec<T>, mut take: impl FnMut(T)) {
    items.reverse();
    while let Some(item) = items.pop() {
        if items.len().is_multiple_of(GIVEN_BACK) {
            items.shrink_to_fit();
        }
        take(item);
    }
}

/// Exchanges and observations by endpoint and resource: what one endpoint asked is put in its place
/// before the next one's is made, since all of them together take the most memory.
#[derive(Default)]
pub(super) struct Subjects {
    all: BTreeMap<Subject, Members>,
    /// From when to when each endpoint was there.
    spans: BTreeMap<SocketAddr, (SimTime, SimTime)>,
}

impl Subjects {
    /// Takes the exchanges of a client.
    pub(super) fn exchanges(&mut self, mut exchanges: Vec<Exchange>) {
        for exchange in &exchanges {
            let last = exchange.last().time;
            let end = exchange.answered_at().map_or(last, |time| time.max(last));
            self.was_there(exchange.client(), exchange.sent_at(), end);
        }
        let mut subjects = exchanges.iter().map(subject);
        let Some(first) = subjects.next() else {
            return;
        };
        // Most clients ask for one thing.
        if subjects.all(|other| other == first) && !self.all.contains_key(&first) {
            exchanges.shrink_to_fit();
            self.all.insert(first, (exchanges, Vec::new()));
            return;
        }
        each_given_back(exchanges, |exchange| {
            // Of many there is one exchange each.
            let of = self.all.entry(subject(&exchange));
            let of = of.or_insert_with(|| (Vec::with_capacity(1), Vec::new()));
            of.0.push(exchange);
        });
    }

    pub(super) fn observation(&mut self, observation: Observation) {
        let (first, last) = (
            observation.notifications.first(),
            observation.notifications.last(),
        );
        if let (Some(first), Some(last)) = (first, last) {
            self.was_there(observation.client, first.time, last.time);
        }
        let token = observation.resource.is_none().then_some(observation.token);
        let resource = observation.resource.clone().unwrap_or_default();
        let subject = (observation.client, Code::GET, resource, token);
        let of = self.all.entry(subject);
        let of = of.or_insert_with(|| (Vec::new(), Vec::with_capacity(1)));
        of.1.push(observation);
    }

    fn was_there(&mut self, endpoint: SocketAddr, start: SimTime, end: SimTime) {
        let span = self.spans.entry(endpoint).or_insert((start, end));
        *span = (span.0.min(start), span.1.max(end));
    }

    /// By client, node and resource.
    pub(super) fn flows(self, known: &Known) -> Vec<(Key, Members)> {
        let clients = Clients::of(self.spans, known);
        let mut subjects: BTreeMap<_, Members> = BTreeMap::new();
        for ((endpoint, method, resource, token), members) in self.all {
            let subject = (clients.of_endpoint(endpoint), method, resource, token);
            let (exchanges, observations) = subjects.entry(subject).or_default();
            if exchanges.is_empty() {
                *exchanges = members.0;
            } else {
                exchanges.extend(members.0);
            }
            observations.extend(members.1);
        }
        let mut flows = Vec::new();
        for ((client, method, resource, token), mut members) in subjects {
            members.0.sort_by_key(Exchange::sent_at);
            for (node, members) in by_node(members, known) {
                let address = clients.address(client);
                let key = Key {
                    client: address,
                    client_name: known.name(address).map(String::from),
                    node,
                    method,
                    resource: resource.to_string(),
                    token,
                };
                flows.push((key, members));
            }
        }
        flows
    }
}

/// Endpoints of one client program: the same address, and one port after the other. A client
/// that is started anew for every request has a new port each time. Of a node that is known the other
/// addresses are its, too, at any time and whatever the port.
#[derive(Default)]
struct Clients {
    of: BTreeMap<SocketAddr, usize>,
    addresses: Vec<IpAddr>,
}

/// A client, and when it was last heard at each of its addresses.
struct Heard {
    client: usize,
    until: BTreeMap<IpAddr, SimTime>,
}

impl Clients {
    /// `spans`: from when to when each endpoint was there.
    fn of(spans: BTreeMap<SocketAddr, (SimTime, SimTime)>, known: &Known) -> Clients {
        let mut spans: Vec<_> = spans.into_iter().collect();
        spans.sort_by_key(|(endpoint, (start, _))| (*start, *endpoint));
        let mut clients = Clients::default();
        // Per node if it is known, else per address.
        let mut at: HashMap<(Option<&str>, Option<IpAddr>), Vec<Heard>> = HashMap::new();
        for (endpoint, (start, end)) in spans {
            let address = endpoint.ip();
            let name = known.name(address);
            let here = (name, name.is_none().then_some(address));
            let here = at.entry(here).or_default();
            let is_free = |heard: &Heard| heard.until.get(&address).is_none_or(|t| *t < start);
            let at = here.iter().position(is_free).unwrap_or_else(|| {
                here.push(Heard {
                    client: clients.addresses.len(),
                    until: BTreeMap::new(),
                });
                clients.addresses.push(address);
                here.len() - 1
            });
            let heard = &mut here[at];
            heard.until.insert(address, end);
            clients.of.insert(endpoint, heard.client);
        }
        clients
    }

    fn of_endpoint(&self, endpoint: SocketAddr) -> usize {
        self.of[&endpoint]
    }

    fn address(&self, client: usize) -> IpAddr {
        self.addresses[client]
    }
}

/// Splits what one client asked about one resource by node.
fn by_node((exchanges, observations): Members, known: &Known) -> Vec<(Option<String>, Members)> {
    let mut groups = Groups::default();
    for exchange in &exchanges {
        for transmission in exchange.transmissions() {
            groups.add(transmission.to, known);
        }
        for (before, after) in exchange.transmissions().zip(exchange.again()) {
            groups.join(groups.find(before.to), groups.find(after.to));
        }
    }
    for observation in &observations {
        groups.add(observation.server, known);
    }
    if let [one] = &mut groups.all[..] {
        return vec![(one.name.take(), (exchanges, observations))];
    }

    let mut heard: Vec<(SimTime, SocketAddr)> = Vec::new();
    for exchange in &exchanges {
        let to = exchange.first().to;
        let notified = exchange.notifications().iter().map(|n| n.time);
        heard.extend(
            std::iter::once(exchange.sent_at())
                .chain(notified)
                .map(|time| (time, to)),
        );
    }
    for observation in &observations {
        let times = observation.notifications.iter().map(|n| n.time);
        heard.extend(times.map(|time| (time, observation.server)));
    }
    heard.sort_by_key(|(time, _)| *time);
    groups.join_by_pattern(&heard);

    let mut nodes: BTreeMap<usize, Members> = BTreeMap::new();
    for exchange in exchanges {
        let group = groups.find(exchange.first().to);
        nodes.entry(group).or_default().0.push(exchange);
    }
    for observation in observations {
        let group = groups.find(observation.server);
        nodes.entry(group).or_default().1.push(observation);
    }
    let nodes = nodes.into_iter();
    nodes
        .map(|(group, members)| (groups.all[group].name.clone(), members))
        .collect()
}

/// So many addresses are no one's that moves, and would take too long to compare each with each.
const MOST_BY_PATTERN: usize = 1024;

/// Sets of server addresses, one per node as far as is known.
#[derive(Default)]
struct Groups {
    all: Vec<Group>,
    of: HashMap<SocketAddr, usize>,
    /// By name and port.
    named: HashMap<(String, u16), usize>,
}

struct Group {
    name: Option<String>,
    port: u16,
    members: Vec<SocketAddr>,
}

impl Groups {
    fn add(&mut self, address: SocketAddr, known: &Known) {
        if self.of.contains_key(&address) {
            return;
        }
        let name = known.name(address.ip()).map(String::from);
        let port = address.port();
        let new = self.all.len();
        let group = match &name {
            Some(name) => *self.named.entry((name.clone(), port)).or_insert(new),
            None => new,
        };
        self.of.insert(address, group);
        match self.all.get_mut(group) {
            Some(group) => group.members.push(address),
            None => self.all.push(Group {
                name,
                port,
                members: vec![address],
            }),
        }
    }

    /// The group of an address that was added.
    fn find(&self, address: SocketAddr) -> usize {
        self.of.get(&address).copied().unwrap_or_default()
    }

    /// Makes one group of two, unless they are known as two nodes.
    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (a.min(b), a.max(b));
        if a == b || self.are_distinct(a, b) {
            return;
        }
        let members = std::mem::take(&mut self.all[b].members);
        for member in &members {
            self.of.insert(*member, a);
        }
        let name = self.all[b].name.take();
        self.all[a].members.extend(members);
        if let (None, Some(name)) = (&self.all[a].name, name) {
            self.named.insert((name.clone(), self.all[a].port), a);
            self.all[a].name = Some(name);
        }
    }

    fn are_distinct(&self, a: usize, b: usize) -> bool {
        let names = (&self.all[a].name, &self.all[b].name);
        matches!(names, (Some(a), Some(b)) if a != b)
    }

    /// Joins groups whose requests come one after the other. `heard` are the addresses that were
    /// asked, or by whose registrations was notified, in the order of time.
    fn join_by_pattern(&mut self, heard: &[(SimTime, SocketAddr)]) {
        if self.all.len() > MOST_BY_PATTERN {
            return;
        }
        // When each group was heard, as places in `heard`.
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.all.len()];
        for (place, (_, address)) in heard.iter().enumerate() {
            places[self.find(*address)].push(place);
        }
        for a in 0..self.all.len() {
            if places[a].is_empty() {
                continue;
            }
            for b in a + 1..self.all.len() {
                if self.all[a].port == self.all[b].port
                    && !self.are_distinct(a, b)
                    && take_turns(&places[a], &places[b]) == Some(false)
                {
                    let of_b = std::mem::take(&mut places[b]);
                    let in_order = places[a].last() < of_b.first();
                    places[a].extend(of_b);
                    if !in_order {
                        places[a].sort_unstable();
                    }
                    self.join(a, b);
                }
            }
        }
    }
}

/// Whether two are heard in turns; nothing if one of them is not heard.
///
/// Two nodes asked periodically: every request to the one asked less often is between requests to
/// the other, two changes each. A node that moves is asked many times before the address changes
/// again.
fn take_turns(a: &[usize], b: &[usize]) -> Option<bool> {
    let fewer = a.len().min(b.len());
    if fewer == 0 {
        return None;
    }
    let most = (fewer / 2).max(2);
    let (mut now, mut then) = if a[0] < b[0] { (a, b) } else { (b, a) };
    let mut changes = 0;
    // From the first place of the one to the first place of the other after it.
    while let Some(next) = then.first() {
        changes += 1;
        if changes > most {
            return Some(true);
        }
        now = &now[now.partition_point(|place| place < next)..];
        (now, then) = (then, now);
    }
    Some(false)
}
