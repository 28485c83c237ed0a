//! What the events of a run say of its nodes at an instant: a fold of changes.
//!
//! An event is a few changes ([`changes`]), and a change needs nothing but itself and what it changes. So whoever
//! has the state at an instant and the changes after it has every later state without knowing what
//! events mean: the page does that.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rundir::event::{Attachment, WENT_BACK};
use rundir::{BindingEvent, Event, EventKind, HandoverEvent};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

/// How many events of a node are kept at hand: its last ones.
pub const LAST: usize = 12;

/// One key of one node becomes another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The node; `scenario` for what the testbed did.
    pub node: String,
    /// The key.
    pub key: &'static str,
    /// Of a key that is a table, which entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What it becomes.
    #[serde(flatten)]
    pub to: To,
}

/// What a key becomes.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum To {
    /// This; null: it is no more, and a table is none with all that is in it.
    Set(Value),
    /// So much more than it was; it was 0 if it was not there.
    Add(u64),
}

/// What is known of a node.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeState {
    keys: BTreeMap<&'static str, Value>,
    /// Keys that are tables; none is empty.
    tables: BTreeMap<&'static str, BTreeMap<String, Value>>,
    /// Where its last events stand in the file: bytes from the beginning, the latest last.
    last: VecDeque<u64>,
}

impl NodeState {
    /// Where its last events stand in the file, at most [`LAST`]: bytes from the beginning, the latest last.
    pub fn last(&self) -> impl Iterator<Item = u64> {
        self.last.iter().copied()
    }

    /// Entries of its tables.
    fn entries(&self) -> usize {
        self.tables.values().map(BTreeMap::len).sum()
    }

    fn apply(&mut self, change: Change) {
        let Change { key, of, to, .. } = change;
        match of {
            None => {
                if to == To::Set(Value::Null) {
                    self.tables.remove(key);
                }
                put(&mut self.keys, key, to);
            }
            Some(of) => {
                let table = self.tables.entry(key).or_default();
                put(table, of, to);
                if table.is_empty() {
                    self.tables.remove(key);
                }
            }
        }
    }
}

fn put<K: Ord>(into: &mut BTreeMap<K, Value>, key: K, to: To) {
    match to {
        To::Set(Value::Null) => {
            into.remove(&key);
        }
        To::Set(value) => {
            into.insert(key, value);
        }
        To::Add(more) => {
            let value = into.entry(key).or_insert_with(|| 0.into());
            *value = value
                .as_u64()
                .unwrap_or_default()
                .saturating_add(more)
                .into();
        }
    }
}

impl Serialize for NodeState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in &self.keys {
            map.serialize_entry(key, value)?;
        }
        for (key, table) in &self.tables {
            map.serialize_entry(key, table)?;
        }
        map.end()
    }
}

/// What is known of all nodes. A copy costs little: two states share the nodes in which they do not differ.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    nodes: BTreeMap<Arc<str>, Arc<NodeState>>,
}

impl Serialize for State {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.nodes.iter().map(|(name, node)| (&**name, &**node)))
    }
}

impl State {
    /// Takes in the event that stands at `offset` of the file.
    pub fn take(&mut self, event: &Event, offset: u64) {
        for change in changes(event) {
            self.node_mut(&change.node).apply(change);
        }
        let last = &mut self.node_mut(&event.node).last;
        last.push_back(offset);
        if last.len() > LAST {
            last.pop_front();
        }
    }

    /// What is known of a node, if anything is.
    pub fn node(&self, name: &str) -> Option<&NodeState> {
        self.nodes.get(name).map(Arc::as_ref)
    }

    /// Nodes, and entries of their tables: what the state's size goes by.
    pub fn entries(&self) -> usize {
        let of_nodes: usize = self.nodes.values().map(|node| node.entries()).sum();
        self.nodes.len() + of_nodes
    }

    fn node_mut(&mut self, name: &str) -> &mut NodeState {
        if !self.nodes.contains_key(name) {
            self.nodes.insert(name.into(), Arc::default());
        }
        let node = self.nodes.get_mut(name).expect("it is there now");
        Arc::make_mut(node)
    }
}

/// What a node that crashed does not do any more: who is ready once more has begun again.
const OF_ONE_LIFE: [&str; 6] = ["handover", "reason", "from", "phases", "held", "asleep"];

/// What an event changes.
///
/// | key | is |
/// | --- | --- |
/// | `ready`, `started`, `ended` | true from then on; the last two of `scenario` |
/// | `steps`, `what` | of `scenario`: how many steps of the plan were carried out, and the last one in words |
/// | `attached` | the router that a handover led to; absent before the first one: that of the plan |
/// | `from`, `away` | the router that a handover leaves; whether the node has no router now |
/// | `handover`, `reason`, `phases` | the number and reason of the handover that goes on, and its phases, each with the number |
/// | `completed`, `given_up`, `failure` | how many handovers were; why the last one was given up |
/// | `address`, `unserved` | the last address that it leased or handed over to; why it was given none |
/// | `bindings`, `held` | permanent addresses that it knows, with their temporary ones; those whose requests it keeps back |
/// | `failed` | requests without a response, by reason |
/// | `channel`, `pan_id`, `asleep`, `millijoules` | of its radio |
/// | `left_out`, `passed_over`, `exited` | events not told; datagrams not looked at; its program's exit status |
/// | `asked` | at the end: `requested`, `answered`, `failed` |
pub fn changes(event: &Event) -> Vec<Change> {
    let to = |key, of, to| Change {
        node: event.node.clone(),
        key,
        of,
        to,
    };
    let set = |key, value: Value| to(key, None, To::Set(value));
    let unset = |key| to(key, None, To::Set(Value::Null));
    let mut changes = match &event.kind {
        EventKind::Handover(event) => handover(event, &to),
        EventKind::Binding(event) => binding(event, &to),
        EventKind::Ready => {
            let forgotten = OF_ONE_LIFE.iter().map(|key| unset(key));
            forgotten.chain([set("ready", true.into())]).collect()
        }
        EventKind::ScenarioStarted => vec![set("started", true.into())],
        EventKind::ScenarioEnded => vec![set("ended", true.into())],
        EventKind::ScenarioStep { what } => vec![
            to("steps", None, To::Add(1)),
            set("what", what.as_str().into()),
        ],
        EventKind::RequestFailed { reason, .. } => {
            vec![to("failed", Some(reason.clone()), To::Add(1))]
        }
        EventKind::Leased { address } => {
            vec![set("address", json!(address)), unset("unserved")]
        }
        EventKind::Unserved { reason } => vec![set("unserved", reason.as_str().into())],
        EventKind::Tuned { channel, pan_id } => {
            vec![set("channel", json!(channel)), set("pan_id", json!(pan_id))]
        }
        EventKind::SleepStarted { .. } => vec![set("asleep", true.into())],
        EventKind::SleepEnded { .. } => vec![unset("asleep")],
        EventKind::RadioEnergy { millijoules, .. } => {
            vec![set("millijoules", json!(millijoules))]
        }
        EventKind::LeftOut { events } => vec![to("left_out", None, To::Add(*events))],
        EventKind::PassedOver { datagrams } => {
            vec![to("passed_over", None, To::Add(*datagrams))]
        }
        EventKind::ProgramExited { status } => vec![set("exited", (*status).into())],
        EventKind::Drained {
            requested,
            answered,
            failed,
            ..
        } => vec![set(
            "asked",
            json!({ "requested": requested, "answered": answered, "failed": failed }),
        )],
        EventKind::HttpDrained {
            asked, answered, ..
        } => vec![set(
            "asked_by_http",
            json!({ "asked": asked, "answered": answered }),
        )],
    };
    match Attachment::told_by(&event.kind) {
        Some(Attachment::Away) => changes.push(set("away", true.into())),
        Some(Attachment::Back) => changes.push(unset("away")),
        Some(Attachment::At(router)) => {
            changes.extend([set("attached", router.into()), unset("away")]);
        }
        None => {}
    }
    changes
}

fn handover(
    event: &HandoverEvent,
    to: &dyn Fn(&'static str, Option<String>, To) -> Change,
) -> Vec<Change> {
    let set = |key, value: Value| to(key, None, To::Set(value));
    let unset = |key| to(key, None, To::Set(Value::Null));
    match event {
        HandoverEvent::Started {
            handover,
            from,
            reason,
        } => {
            vec![
                set("handover", (*handover).into()),
                set("from", from.as_str().into()),
                set("reason", json!(reason)),
            ]
        }
        HandoverEvent::PhaseStarted { handover, phase } => {
            let of = Some(phase.name().to_owned());
            vec![to("phases", of, To::Set((*handover).into()))]
        }
        HandoverEvent::PhaseEnded { phase, .. } => {
            let of = Some(phase.name().to_owned());
            vec![to("phases", of, To::Set(Value::Null))]
        }
        HandoverEvent::Completed { t_addr, .. } => vec![
            set("address", json!(t_addr)),
            to("completed", None, To::Add(1)),
            unset("handover"),
            unset("from"),
            unset("reason"),
        ],
        HandoverEvent::Failed { reason, .. } => {
            let mut changes = vec![
                set("failure", reason.as_str().into()),
                to("given_up", None, To::Add(1)),
                unset("handover"),
                unset("reason"),
            ];
            if reason == WENT_BACK {
                changes.push(unset("from"));
            }
            changes
        }
    }
}

fn binding(
    event: &BindingEvent,
    to: &dyn Fn(&'static str, Option<String>, To) -> Change,
) -> Vec<Change> {
    let (p_addr, t_addr, held) = match event {
        BindingEvent::Registered { p_addr, t_addr } => (p_addr, Some(t_addr), false),
        BindingEvent::Changed {
            p_addr,
            t_addr,
            held,
        } => (p_addr, Some(t_addr), *held),
        BindingEvent::Removed { p_addr, .. } => (p_addr, None, false),
        // What was kept back is no more; where the node is was told before.
        BindingEvent::Resumed { p_addr, .. } => {
            return vec![to("held", Some(p_addr.to_string()), To::Set(Value::Null))];
        }
    };
    let held = if held { true.into() } else { Value::Null };
    let t_addr = t_addr.map_or(Value::Null, |t_addr| json!(t_addr));
    vec![
        to("bindings", Some(p_addr.to_string()), To::Set(t_addr)),
        to("held", Some(p_addr.to_string()), To::Set(held)),
    ]
}

#[cfg(test)]
mod tests;
