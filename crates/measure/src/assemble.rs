//! Captures, events and plan to a [`RunResult`].

mod client;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use capture::Capture;
use coap::Code;
use rundir::air::Facts;
use rundir::{Event, RunFacts};
use topology::Plan;
use topology::plan::{NodeName, NodePlan};
use units::SimTime;

use crate::air::{self, Readings};
use crate::analysis::{self, Analysis, Notified, Options, method_name, notified};
use crate::applications::{Application, applications};
use crate::attachment::{By, Joined, Unseen, join};
use crate::calls;
use crate::expect::{Evidence, Failures};
use crate::http::Measured;
use crate::mobility::{self, GivenUp, NodeHandover};
use crate::phases::ByPhase;
use crate::result::{Flow, Handover, RadioUse, Requests, RunResult, SCHEMA, Scenario, seconds};
use crate::signalling::Traffic;
use crate::text::{self, counted};
pub use client::analysis;
use client::{analysis_with, home, is_own};

/// The capture of an interface.
#[derive(Debug)]
pub struct InterfaceCapture {
    /// Whose it is.
    pub node: NodeName,
    /// `eth0` or `lowpan0`.
    pub interface: String,
    /// What it saw.
    pub capture: Capture,
}

impl InterfaceCapture {
    /// That of an interface of a node among `all`.
    pub fn find<'c>(all: &'c [Self], node: &str, interface: &str) -> Option<&'c Capture> {
        let same = |c: &&Self| c.node == node && c.interface == interface;
        all.iter().find(same).map(|c| &c.capture)
    }

    /// Those of all interfaces of `node`, unless one is not among `all`.
    fn of_node<'c>(all: &'c [Self], name: &str, node: &NodePlan) -> Option<Vec<&'c Capture>> {
        let interfaces = client_interfaces(node);
        interfaces.map(|i| Self::find(all, name, i)).collect()
    }
}

/// The interfaces on which a client's requests cross, by the names that their captures have.
pub fn client_interfaces(node: &NodePlan) -> impl Iterator<Item = &'static str> {
    let wired = node.backbone.as_ref().map(|_| "eth0");
    let radio = node.radio.as_ref().map(|_| "lowpan0");
    wired.into_iter().chain(radio)
}

/// Puts the result of a run together.
///
/// Delays, losses and round-trip times come from the captures of the clients alone; the events say
/// which node had which address, which routers a handover was between, how long its phases took
/// and what radios used. The captures of all interfaces together give the cost in messages. `air` is what the per-frame air counted, if the plan has one.
pub fn build(
    plan: &Plan,
    facts: &RunFacts,
    events: &[Event],
    captures: &[InterfaceCapture],
    air: Option<&Facts>,
) -> RunResult {
    let (addresses, notes) = mobility::addresses(plan, events);
    let start = mobility::scenario_start(events);
    let of_interface = |node: &str, name: &str| InterfaceCapture::find(captures, node, name);
    let traffic = Traffic::of(plan, &addresses, of_interface);
    let scenario = Scenario {
        start_unix_ns: start.unwrap_or_else(|| earliest(captures)).as_nanos(),
        duration_s: seconds(plan.scenario.duration),
    };
    let records = mobility::handovers(events);
    let mut assembly = Assembly {
        plan,
        scenario,
        asking: clients(plan)
            .iter()
            .map(|(name, _)| (*name).clone())
            .collect(),
        addresses,
        notified: BTreeMap::new(),
        given_up: mobility::given_up(&records, &scenario),
        records,
        readings: plan.radio.phy.as_ref().map(|_| Readings::of(events)),
        traffic,
        handovers: Vec::new(),
        exchanges: Vec::new(),
        signalling: Vec::new(),
        flows: Vec::new(),
        traffic_gap: None,
        notes,
    };
    if start.is_none() {
        let note = "the event log has no start of the scenario: times count from the first packet";
        assembly.notes.push(note.into());
    }
    let clients = clients(plan);
    for (name, node) in &clients {
        assembly.client(name, node, captures);
    }
    assembly.note_handovers();
    let faults = assembly.traffic.iter().flat_map(Traffic::faults);
    let faults: Vec<String> = faults.collect();
    assembly.notes.extend(faults);
    let limit = plan.radio.phy.as_ref().map(|phy| phy.lateness_limit);
    let limit = limit.map(seconds);
    let radios = assembly.radios(plan, events);
    assembly.note_lateness(air, limit);
    let may_have = assembly.traffic.as_ref();
    let applications = match may_have.is_none_or(Traffic::has_applications) {
        true => {
            let start = SimTime::from_nanos(assembly.scenario.start_unix_ns);
            applications(plan, start, &assembly.addresses, of_interface)
        }
        false => Default::default(),
    };
    assembly.notes.extend(applications.1);
    let mut http = Measured::of(
        plan,
        &assembly.scenario,
        (&assembly.records, events),
        of_interface,
    );
    assembly.notes.append(&mut http.notes);
    let result = assembly.finish(plan, facts, events, start, (radios, applications.0, http));
    RunResult {
        air: limit.and(air).cloned(),
        lateness_limit_s: limit,
        ..result
    }
}

/// Whoever asks.
fn clients(plan: &Plan) -> Vec<(&NodeName, &NodePlan)> {
    plan.nodes.iter().filter(|(_, node)| node.asks()).collect()
}

fn earliest(captures: &[InterfaceCapture]) -> SimTime {
    let packets = captures.iter().flat_map(|c| &c.capture.packets);
    packets.map(|p| p.time).min().unwrap_or(SimTime::ZERO)
}

struct Assembly<'p> {
    plan: &'p Plan,
    scenario: Scenario,
    /// Whose captures are read.
    asking: BTreeSet<NodeName>,
    addresses: BTreeMap<IpAddr, NodeName>,
    /// What nodes notified, of those that were looked at.
    notified: BTreeMap<NodeName, Vec<Notified>>,
    records: Vec<NodeHandover>,
    given_up: Vec<GivenUp>,
    /// Of the radios on the per-frame air, if there is one.
    readings: Option<Readings>,
    /// Unless a capture is missing.
    traffic: Option<Traffic<'p>>,
    /// With the time to sort by, and why there is no delay.
    handovers: Vec<(SimTime, Handover, Option<Unseen>)>,
    /// The exchanges of each of `flows`.
    exchanges: Vec<Vec<analysis::Exchange>>,
    signalling: Vec<analysis::Exchange>,
    flows: Vec<Flow>,
    /// The first reason why the traffic is not known completely.
    traffic_gap: Option<String>,
    notes: Vec<String>,
}

/// Who asks whom for what, and how.
struct Asked<'a> {
    client: &'a NodeName,
    node: &'a NodeName,
    method: String,
    resource: &'a str,
}

impl Assembly<'_> {
    fn client(&mut self, name: &NodeName, node: &NodePlan, captures: &[InterfaceCapture]) {
        let Some(own) = InterfaceCapture::of_node(captures, name, node) else {
            self.incomplete(format!("there is no capture of {name}"));
            return;
        };
        for damage in own.iter().filter_map(|capture| capture.damage.as_ref()) {
            self.incomplete(format!("the capture of {name} is damaged: {damage}"));
        }
        let start = SimTime::from_nanos(self.scenario.start_unix_ns);
        let end = start + Duration::from_secs_f64(self.scenario.duration_s);
        let mut analysis = analysis_with(self.plan, &self.addresses, name, &own, Some(end));
        self.note_oddities(name, &analysis);
        self.learn_tails(name, &mut analysis, captures, end);
        let signalling = analysis.signalling.iter();
        let here = signalling.filter(|exchange| !self.is_in_another_capture(name, exchange));
        self.signalling.extend(here.cloned().collect::<Vec<_>>());

        let (known, unknown): (Vec<_>, Vec<_>) = analysis
            .flows
            .iter()
            .filter(|flow| is_own(name, flow))
            .partition(|f| self.addresses.values().any(|n| f.node.as_ref() == Some(n)));
        for flow in unknown {
            let Some(first) = flow.exchanges.first() else {
                continue;
            };
            let to = first.first().to;
            let sent = flow.exchanges.len();
            let resource = &flow.resource;
            self.notes.push(format!(
                "{name} sent {sent} requests for {resource} to {to}, which no node had: they are not counted"
            ));
        }
        for poll in node.polls() {
            let resource = poll.resource();
            let asked = |f: &&analysis::Flow| {
                f.node.as_ref() == Some(&poll.node)
                    && f.resource == resource
                    && f.method == Code(poll.method.code())
            };
            if !known.iter().any(asked) {
                let what = format!("{}{resource}", poll.node);
                self.incomplete(format!("{name} sent no request for {what}"));
                let of = Asked {
                    client: name,
                    node: &poll.node,
                    method: method_name(Code(poll.method.code())),
                    resource: &resource,
                };
                self.handovers_of(&of, None);
            }
        }
        for flow in known {
            self.flow(name, flow);
        }
    }

    /// Tells the observations of `client` what their nodes sent until `end`, which the nodes' own captures
    /// have: what a client received last does not say what was sent after it.
    fn learn_tails(
        &mut self,
        client: &NodeName,
        analysis: &mut Analysis,
        captures: &[InterfaceCapture],
        end: SimTime,
    ) {
        for flow in &mut analysis.flows {
            let node = flow
                .node
                .as_ref()
                .filter(|_| flow.notifications().is_some());
            let Some((name, node)) = node.and_then(|node| self.plan.nodes.get_key_value(node))
            else {
                continue;
            };
            let addresses = &self.addresses;
            let is_of = |address: IpAddr, who: &NodeName| {
                let home = || self.plan.nodes.get(who).and_then(home);
                addresses.get(&address) == Some(who) || home() == Some(address)
            };
            let sent = self.notified.entry(name.clone()).or_insert_with(|| {
                let own = InterfaceCapture::of_node(captures, name, node).unwrap_or_default();
                notified(&own, &Options::default(), |from| is_of(from, name))
            });
            let sent = sent.iter().filter(|n| n.sent.time <= end);
            flow.learn_of(sent.filter(|n| is_of(n.to.ip(), client)));
        }
    }

    /// Whether what the capture of `name` has was begun by another one that asks, whose own capture
    /// has it, too.
    fn is_in_another_capture(&self, name: &str, exchange: &analysis::Exchange) -> bool {
        let who = self.addresses.get(&exchange.client().ip());
        who.is_some_and(|who| who != name && self.asking.contains(who))
    }

    fn flow(&mut self, client: &NodeName, flow: &analysis::Flow) {
        let node = flow.node.clone().unwrap_or_default();
        let of = Asked {
            client,
            node: &node,
            method: method_name(flow.method),
            resource: &flow.resource,
        };
        self.handovers_of(&of, Some(flow));
        self.flows.push(Flow {
            client: client.clone(),
            method: Some(of.method),
            node,
            resource: flow.resource.clone(),
            addresses: flow.addresses().into_iter().map(|(a, _)| a).collect(),
            requests: Requests::from(&flow.requests()),
            lost_message_ids: flow.lost(),
            largest_gap_s: flow.largest_gap().map(|g| seconds(g.duration())),
            notifications: flow.notifications().map(Into::into),
        });
        self.exchanges.push(flow.exchanges.clone());
    }

    /// Joins what the capture shows with what the node's events tell.
    fn handovers_of(&mut self, of: &Asked<'_>, flow: Option<&analysis::Flow>) {
        let records = self.records.iter().filter(|r| r.node == *of.node);
        let records: Vec<&NodeHandover> = records.collect();
        let handovers = join(flow, &records).into_iter().map(|joined| {
            let completed = joined.record.and_then(|r| r.completed);
            let time = match &joined.gap {
                Ok(gap) => gap.after.received,
                Err(_) => completed.unwrap_or_default(),
            };
            (time, self.handover(of, &joined), joined.gap.err())
        });
        let handovers: Vec<_> = handovers.collect();
        self.handovers.extend(handovers);
    }

    fn handover(&self, of: &Asked<'_>, joined: &Joined<'_>) -> Handover {
        let (record, gap) = (joined.record, joined.gap.as_ref().ok());
        let time = |t: Option<SimTime>| t.map(|t| self.scenario.seconds(t));
        let phases = record.map(NodeHandover::phases);
        Handover {
            node: of.node.clone(),
            number: record.map(|r| r.number),
            client: of.client.clone(),
            method: Some(of.method.clone()),
            resource: of.resource.to_owned(),
            by: joined.by,
            from: record.and_then(|r| r.from.clone()),
            to: record.and_then(|r| r.to.clone()),
            started_s: time(record.and_then(|r| r.started)),
            completed_s: time(record.and_then(|r| r.completed)),
            delay_s: gap.map(|g| seconds(g.duration())),
            last_before: gap.map(|g| self.scenario.response(&g.before)),
            first_after: gap.map(|g| self.scenario.response(&g.after)),
            lost_message_ids: gap.map(|g| g.lost.clone()).unwrap_or_default(),
            phases: phases
                .iter()
                .flat_map(ByPhase::iter)
                .map(|(phase, duration)| (phase.clone(), seconds(*duration)))
                .collect(),
            energy_mj: self
                .readings
                .as_ref()
                .map(|readings| record.map(|r| readings.phases(r)).unwrap_or_default()),
            energy_total_mj: self
                .readings
                .as_ref()
                .zip(record)
                .and_then(|(r, of)| r.of_handover(of)),
            signalling: self.traffic.as_ref().and_then(|traffic| {
                let record = record?;
                Some(traffic.between(of.node, record.started?, record.completed?))
            }),
        }
    }

    /// The traffic is not known completely.
    fn incomplete(&mut self, reason: String) {
        self.notes.push(reason.clone());
        self.traffic_gap.get_or_insert(reason);
    }

    fn note_oddities(&mut self, client: &str, analysis: &Analysis) {
        let other = &analysis.other;
        self.notes
            .extend(other.stepped.iter().map(text::stepped_text));
        let mut note = |count: u64, what: &str, more: &str| {
            if count > 0 {
                let what = counted(count, what);
                self.notes
                    .push(format!("capture of {client}: {count} {what}{more}"));
            }
        };
        let fragments = "{datagrams|datagram} with a missing fragment";
        note(other.incomplete, fragments, "");
        let stray = "{responses|response} to no request of the capture";
        note(other.stray, stray, "");
        let after = "of the lost requests {were|was} first sent after the end of the scenario";
        note(other.after_end, after, "");
        let reserved = "{messages|message} with a code that is reserved, or that {their|its} type must not have";
        note(other.reserved, reserved, "");
        let first = other.first_undecodable.as_deref().unwrap_or_default();
        let not_coap = "{datagrams that are|datagram that is} not CoAP";
        note(other.undecodable, not_coap, &format!(", the first {first}"));
    }

    fn note_handovers(&mut self) {
        self.notes.extend(mobility::given_up_text(&self.given_up));
        for (_, h, unseen) in &self.handovers {
            let (node, client) = (&h.node, &h.client);
            if let (Some(completed), Some(unseen)) = (h.completed_s, unseen) {
                let what = format!("the handover that {node} completed at {completed} s");
                self.notes.push(match unseen {
                    Unseen::Shared(other) => {
                        let other = self.scenario.seconds(*other);
                        format!(
                            "{what} lies in one pause with the one completed at {other} s in the capture of {client}, which has it"
                        )
                    }
                    _ => format!("{what} is not in the capture of {client}: {unseen}"),
                });
            } else if let (None, Some(after)) = (h.completed_s, h.first_after) {
                let what = match h.by {
                    By::Address | By::Events => "address",
                    By::Binding => "binding",
                    By::Router => "router",
                };
                self.notes.push(format!(
                    "the {what} of {node} changed at {} s in the capture of {client} without a handover in its events",
                    after.time_s
                ));
            }
        }
    }

    /// What every radio used, with notes on what is not known of that.
    fn radios(&mut self, plan: &Plan, events: &[Event]) -> Option<Vec<RadioUse>> {
        let readings = self.readings.as_ref()?;
        let (mut radios, notes) = readings.radios(plan, events);
        for radio in &mut radios {
            let scenario = air::scenario(events);
            let each = |span| self.energy_per_request(readings, &radio.node, span);
            radio.mj_per_request = scenario.and_then(each);
        }
        self.notes.extend(notes);
        let completed = self.records.iter().filter(|r| r.completed.is_some());
        let notes = completed.flat_map(|record| readings.note_phases(record));
        self.notes.extend(notes);
        Some(radios)
    }

    /// Millijoules of frames for each request that `node` answered, both outside of its handovers.
    fn energy_per_request(
        &self,
        readings: &Readings,
        node: &str,
        (start, end): (SimTime, SimTime),
    ) -> Option<f64> {
        let of_node = self.records.iter().filter(|record| record.node == node);
        let phases = of_node.flat_map(|record| record.spans.values().flatten().copied());
        let within = phases.map(|(a, b)| (a.max(start), b.min(end)));
        let handovers = air::merged(within.filter(|(a, b)| a < b));
        let is_in_one = |time: SimTime| {
            let before = handovers.partition_point(|(_, ends)| *ends < time);
            handovers
                .get(before)
                .is_some_and(|(began, _)| *began <= time)
        };
        let flows = self.flows.iter().zip(&self.exchanges);
        let of_node = flows.filter(|(flow, _)| flow.node == node);
        let exchanges = of_node.flat_map(|(_, exchanges)| exchanges);
        let counted = exchanges.filter(|exchange| {
            let at = exchange.answered_at().unwrap_or_else(|| exchange.sent_at());
            (start..=end).contains(&at) && !is_in_one(at)
        });
        let answered = analysis::Requests::of(counted).answered;
        let frames = readings.frames(self.plan, node, (start, end), &handovers)?;
        (answered > 0).then(|| air::picojoules(frames / answered as f64))
    }

    fn note_lateness(&mut self, air: Option<&Facts>, limit_s: Option<f64>) {
        let late = air.zip(limit_s);
        let late = late.and_then(|(air, limit_s)| air::late(air, limit_s));
        self.notes.extend(late);
    }

    fn finish(
        mut self,
        plan: &Plan,
        facts: &RunFacts,
        events: &[Event],
        start: Option<SimTime>,
        (radios, applications, http): (Option<Vec<RadioUse>>, Vec<Application>, Measured),
    ) -> RunResult {
        self.handovers.sort_by_key(|(time, ..)| *time);
        let handovers: Vec<Handover> = self.handovers.into_iter().map(|(_, h, _)| h).collect();
        let requests = analysis::Requests::of(self.exchanges.iter().flatten());
        let captured = self.traffic_gap.is_none().then_some(&self.flows[..]);
        let calls = calls::calls(plan, events, captured);
        let evidence = Evidence {
            plan,
            handovers: &handovers,
            records: start.map(|_| &self.records[..]),
            given_up: &self.given_up,
            flows: &self.flows,
            exchanges: &self.exchanges,
            calls: &calls,
            failures: &Failures::of(plan, events, &calls),
            radios: radios.as_deref(),
            applications: self.traffic.is_some().then_some(&applications[..]),
            http: &http,
            traffic_gap: self.traffic_gap.as_deref(),
        };
        let asked = |node: &str| {
            let flows = self.flows.iter().filter(|flow| flow.node == node);
            flows.map(|flow| flow.requests.sent).sum()
        };
        let overhead = (self.traffic.as_ref()).map_or_else(Vec::new, |t| t.overhead(asked));
        let expectations: Vec<_> = plan.expect.iter().map(|e| evidence.judge(e)).collect();
        let passed = |e: &crate::result::Expectation| e.outcome == crate::result::Outcome::Passed;
        RunResult {
            schema: SCHEMA,
            wpanlab_version: facts.wpanlab_version.clone(),
            topology: plan.name.clone(),
            seed: plan.seed,
            backend: facts.backend.clone(),
            clock: facts.clock.clone(),
            kernel: facts.kernel.clone(),
            qemu: facts.qemu.clone(),
            processor: facts.processor.clone(),
            scenario: self.scenario,
            partial: None,
            passed: expectations.iter().all(passed),
            uncovered: evidence.uncovered(&plan.expect),
            requests: Requests::from(&requests),
            given_up: self.given_up,
            flows: self.flows,
            signalling: Requests::from(&analysis::Requests::of(&self.signalling)),
            calls,
            handovers,
            overhead,
            applications,
            http: http.clients,
            radios,
            air: None,
            lateness_limit_s: None,
            expectations,
            notes: self.notes,
        }
    }
}
