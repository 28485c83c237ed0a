//! The `edges` medium: attenuation to hwsim edges, LQI and the nodes' signal registers.
//!
//! [`EdgeState`] decides and is pure; [`EdgeMedium`] carries out. A register is what the kernel's
//! edge has: an LQI is set, read back, and read as a signal, as that of a received frame would be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use netlink::{Hwsim, RadioId};
use rundir::control::{Control, Signal};
use topology::plan::{LinkPlan, NodeName, Plan, RadioPlan};
use units::{Channel, Db, Dbm, Lqi, PanId};

/// An unordered pair of radios, smaller name first.
type Pair = (NodeName, NodeName);

fn pair(a: &str, b: &str) -> Pair {
    if a <= b {
        (a.into(), b.into())
    } else {
        (b.into(), a.into())
    }
}

/// What links there are, whatever the kernel knows of them, and what is measured over its edges.
#[derive(Debug)]
struct EdgeState {
    radio: RadioPlan,
    links: BTreeMap<Pair, Link>,
    /// Nodes whose radio neither sends nor hears.
    asleep: BTreeSet<NodeName>,
    /// LQI of the edges that the kernel has, as it says itself: of the first one's frames at the
    /// second.
    edges: BTreeMap<(NodeName, NodeName), Lqi>,
    /// The PAN of each edge router, and which nodes listen for it.
    routers: BTreeMap<NodeName, (Channel, PanId)>,
    listeners: Vec<NodeName>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    attenuation: Option<Db>,
    taken_away: bool,
}

impl EdgeState {
    fn set_attenuation(&mut self, a: &str, b: &str, attenuation: Db) {
        self.links.entry(pair(a, b)).or_default().attenuation = Some(attenuation);
    }

    fn set_up(&mut self, a: &str, b: &str, up: bool) {
        self.links.entry(pair(a, b)).or_default().taken_away = !up;
    }

    /// Power of `a`'s frames at `b`, where they are received now.
    fn received(&self, a: &str, b: &str) -> Option<Dbm> {
        let awake = !self.asleep.contains(a) && !self.asleep.contains(b);
        self.rssi(a, b).filter(|_| awake)
    }

    /// Power of `a`'s frames at `b`, where they are received.
    fn rssi(&self, a: &str, b: &str) -> Option<Dbm> {
        let link = self
            .links
            .get(&pair(a, b))
            .filter(|link| !link.taken_away)?;
        let rssi = self.radio.tx_power - link.attenuation?;
        (rssi >= self.radio.sensitivity).then_some(rssi)
    }

    /// What the register of `listener` says of `router`.
    fn register(&self, router: &str, listener: &str) -> Option<Dbm> {
        let edge = (router.to_owned(), listener.to_owned());
        let lqi = self.edges.get(&edge)?;
        lqi.to_rssi(self.radio.sensitivity, Lqi::SPAN)
    }

    /// The registers of every node that listens and is awake.
    fn signals(&self) -> Vec<(NodeName, Control)> {
        let of_node = |listener: &NodeName| self.signals_of(listener);
        self.listeners.iter().flat_map(of_node).collect()
    }

    /// The registers of `node`: none if it does not listen. A radio that sleeps has no edges, and
    /// measures nothing: to say that it hears nobody would be to say that its links are lost.
    fn signals_of(&self, node: &str) -> Vec<(NodeName, Control)> {
        let listens = self.listeners.iter().any(|listener| listener == node);
        if !listens || self.asleep.contains(node) {
            return Vec::new();
        }
        let of_router = |(router, &(channel, pan_id)): (&NodeName, &(Channel, PanId))| {
            let rssi = self.register(router, node);
            let signal = Signal {
                channel,
                pan_id,
                rssi,
            };
            (node.to_owned(), Control::Signal(signal))
        };
        self.routers.iter().map(of_router).collect()
    }
}

/// The medium on the kernel's own edges.
pub(crate) struct EdgeMedium {
    hwsim: Hwsim,
    radios: BTreeMap<NodeName, RadioId>,
    state: EdgeState,
    /// The LQI that was set for each pair that has edges.
    set: BTreeMap<Pair, Lqi>,
}

impl EdgeMedium {
    /// The medium of `plan` between `radios`, its initial links in force.
    pub(crate) async fn new(
        plan: &Plan,
        hwsim: Hwsim,
        radios: BTreeMap<NodeName, RadioId>,
    ) -> Result<EdgeMedium> {
        let mut routers = BTreeMap::new();
        let mut listeners = Vec::new();
        for (name, node) in &plan.nodes {
            if let (true, Some(radio)) = (node.is_router(), &node.radio) {
                routers.insert(name.clone(), (radio.channel, radio.pan_id));
            }
            if node.hears_signals() {
                listeners.push(name.clone());
            }
        }
        let state = EdgeState {
            radio: plan.radio.clone(),
            links: BTreeMap::new(),
            asleep: BTreeSet::new(),
            edges: BTreeMap::new(),
            routers,
            listeners,
        };
        let mut medium = EdgeMedium {
            hwsim,
            radios,
            state,
            set: BTreeMap::new(),
        };
        for link in &plan.links {
            medium.attenuate(link).await?;
        }
        Ok(medium)
    }

    /// Sets the attenuation between two radios.
    pub(crate) async fn attenuate(&mut self, link: &LinkPlan) -> Result<()> {
        self.state
            .set_attenuation(&link.a, &link.b, link.attenuation);
        self.apply(&link.a, &link.b).await
    }

    /// Takes a link away or gives it back.
    pub(crate) async fn set_up(&mut self, a: &str, b: &str, up: bool) -> Result<()> {
        self.state.set_up(a, b, up);
        self.apply(a, b).await
    }

    /// Puts a node's radio to sleep, or wakes it. What it measures then is in
    /// [`EdgeMedium::signals_of`].
    pub(crate) async fn set_awake(&mut self, node: &str, awake: bool) -> Result<()> {
        match awake {
            true => self.state.asleep.remove(node),
            false => self.state.asleep.insert(node.to_owned()),
        };
        let of_node = |(a, b): &&Pair| a == node || b == node;
        let links: Vec<Pair> = self.state.links.keys().filter(of_node).cloned().collect();
        for (a, b) in links {
            self.apply(&a, &b).await?;
        }
        Ok(())
    }

    /// Makes the kernel's edges between `a` and `b` what the state says, both ways.
    async fn apply(&mut self, a: &str, b: &str) -> Result<()> {
        let rssi = self.state.received(a, b);
        let lqi = rssi.map(|rssi| Lqi::from_rssi(rssi, self.state.radio.sensitivity));
        let key = pair(a, b);
        let before = self.set.get(&key).copied();
        if before == lqi {
            return Ok(());
        }
        let ends = [(a, self.radio(a)?), (b, self.radio(b)?)];
        for [(from_name, from), (to_name, to)] in [[ends[0], ends[1]], [ends[1], ends[0]]] {
            let edge = (from_name.to_owned(), to_name.to_owned());
            let Some(lqi) = lqi else {
                self.hwsim.delete_edge(from, to).await?;
                self.state.edges.remove(&edge);
                continue;
            };
            if before.is_none() {
                self.hwsim.add_edge(from, to).await?;
            }
            self.hwsim.set_lqi(from, to, lqi).await?;
            let held = self.hwsim.radio(from).await?.lqi_at(to);
            let held = held.with_context(|| {
                format!("the kernel lists no edge from {from_name} to {to_name}, just made")
            })?;
            self.state.edges.insert(edge, held);
        }
        match lqi {
            Some(lqi) => self.set.insert(key, lqi),
            None => self.set.remove(&key),
        };
        Ok(())
    }

    fn radio(&self, node: &str) -> Result<RadioId> {
        self.radios
            .get(node)
            .copied()
            .with_context(|| format!("node {node} has no radio"))
    }

    /// The registers of every listening node that is awake: who is told what.
    pub(crate) fn signals(&self) -> Vec<(NodeName, Control)> {
        self.state.signals()
    }

    /// The registers of one node, as [`EdgeMedium::signals`].
    pub(crate) fn signals_of(&self, node: &str) -> Vec<(NodeName, Control)> {
        self.state.signals_of(node)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use topology::plan::Medium;

    fn state() -> EdgeState {
        let radio = RadioPlan {
            medium: Medium::Edges,
            tx_power: Dbm(0.0),
            sensitivity: Dbm(-85.0),
            phy: None,
        };
        EdgeState {
            radio,
            links: BTreeMap::new(),
            asleep: BTreeSet::new(),
            edges: BTreeMap::new(),
            routers: BTreeMap::new(),
            listeners: Vec::new(),
        }
    }

    /// What each node is told.
    fn told(signals: Vec<(NodeName, Control)>) -> Vec<(String, Option<Dbm>)> {
        let rssi = |(node, control)| match control {
            Control::Signal(signal) => (node, signal.rssi.map(|rssi| Dbm(rssi.0.round()))),
            other => panic!("{other:?}"),
        };
        signals.into_iter().map(rssi).collect()
    }

    #[test]
    fn a_sleeping_radio_measures_nothing_and_then_what_the_link_is() {
        let mut state = state();
        let channel = Channel::try_from(15).unwrap();
        state.routers.insert("er1".into(), (channel, PanId(1)));
        state.listeners = vec!["m".into(), "n".into()];
        let lqi = |rssi| Lqi::from_rssi(Dbm(rssi), Dbm(-85.0));
        for listener in ["m", "n"] {
            let edge = ("er1".into(), listener.into());
            state.edges.insert(edge, lqi(-50.0));
        }
        let heard = |node: &str, rssi| (node.to_owned(), Some(Dbm(rssi)));
        let both = [heard("m", -50.0), heard("n", -50.0)];
        assert_eq!(told(state.signals()), both);

        state.asleep.insert("m".into());
        state.edges.remove(&("er1".into(), "m".into()));
        assert_eq!(told(state.signals()), [heard("n", -50.0)]);
        assert_eq!(state.signals_of("m"), []);

        state.asleep.remove("m");
        assert_eq!(told(state.signals_of("m")), [("m".to_owned(), None)]);
        state.edges.insert(("er1".into(), "m".into()), lqi(-60.0));
        assert_eq!(told(state.signals_of("m")), [heard("m", -60.0)]);
        assert_eq!(state.signals_of("er1"), [], "routers do not listen");
    }

    #[test]
    fn a_sleeping_radio_has_no_link_and_its_attenuation_stays() {
        let mut state = state();
        state.set_attenuation("a", "b", Db(50.0));
        state.asleep.insert("b".into());
        assert_eq!(state.received("a", "b"), None);
        assert_eq!(state.received("b", "a"), None);
        assert_eq!(state.rssi("a", "b"), Some(Dbm(-50.0)));
        state.asleep.remove("b");
        assert_eq!(state.received("a", "b"), Some(Dbm(-50.0)));
    }

    #[test]
    fn a_link_is_there_down_to_the_sensitivity_and_both_ways() {
        let mut state = state();
        assert_eq!(
            state.rssi("a", "b"),
            None,
            "a pair not listed does not hear each other"
        );
        state.set_attenuation("b", "a", Db(85.0));
        assert_eq!(state.rssi("a", "b"), Some(Dbm(-85.0)));
        assert_eq!(state.rssi("b", "a"), Some(Dbm(-85.0)));
        state.set_attenuation("a", "b", Db(85.1));
        assert_eq!(state.rssi("a", "b"), None);
    }

    #[test]
    fn a_link_taken_away_comes_back_with_its_attenuation() {
        let mut state = state();
        state.set_attenuation("a", "b", Db(50.0));
        state.set_up("a", "b", false);
        assert_eq!(state.rssi("a", "b"), None);
        state.set_up("a", "b", true);
        assert_eq!(state.rssi("a", "b"), Some(Dbm(-50.0)));
    }
}
