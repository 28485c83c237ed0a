//! Signal strength with the trigger, and energy.

use measure::phases::{ByPhase, all_phases};
use measure::result::{Handover, RadioUse};
use topology::Plan;
use topology::plan::{Action, LinkPlan, NodePlan};

use super::{Block, Chart, Figure, Section, figures, median, phase_name, phase_style, table};
use crate::air::Heard;
use crate::chart::bars::{Bars, Row, stacked};
use crate::chart::plot::{Axis, Mark, Plot, Series, Shape};
use crate::chart::values::Clock;
use crate::load::Run;

/// As many nodes have a figure of their signal.
const NODES: usize = 12;

/// Signal strength over time at every mobile node.
pub fn signal(run: &Run) -> Section {
    let mut blocks = Vec::new();
    match &run.plan {
        None => blocks.push(Block::Missing(
            "Signal strength: plan.yaml is not there or cannot be understood.".into(),
        )),
        Some(plan) => {
            let movers = || plan.nodes.iter().filter(|(_, n)| n.handover().is_some());
            if movers().count() > NODES {
                blocks.push(Block::Text(format!(
                    "Of {} mobile nodes the first {NODES} are drawn.",
                    movers().count()
                )));
            }
            for (i, (name, node)) in movers().take(NODES).enumerate() {
                let block = of_node(run, plan, name, node);
                match (i, block) {
                    (0, block) => blocks.push(block),
                    (_, block) => blocks.push(Block::Folded(name.clone(), vec![block])),
                }
            }
        }
    }
    Section {
        id: "signal",
        title: "Signal strength and trigger",
        blocks,
    }
}

fn of_node(run: &Run, plan: &Plan, name: &str, node: &NodePlan) -> Block {
    let phy = plan.radio.phy.is_some();
    let heard: Vec<Heard> = match phy {
        true => run
            .heard
            .iter()
            .filter(|h| h.node == name)
            .cloned()
            .collect(),
        false => registers(plan, name),
    };
    if heard.is_empty() {
        return Block::Missing(match phy {
            true => format!(
                "Signal strength at {name}: captures/air.pcapng shows no frame of a router that is known to have been received there."
            ),
            false => format!("Signal strength at {name}: the plan joins it with no router."),
        });
    }
    let end = run.duration_s();
    let mut plot = Plot::new(
        Axis {
            range: end.map(|end| (0.0, end)),
            clock: Some(Clock::SCENARIO),
            ..Axis::new("time in the scenario (s)")
        },
        Axis::new("strength at the node (dBm)"),
    );
    for (colour, heard) in heard.into_iter().enumerate() {
        plot.series.push(Series {
            name: heard.router,
            shape: if phy { Shape::Dots } else { Shape::Steps },
            colour: [0, 1, 2, 3, 4, 7][colour % 6],
            points: heard
                .points
                .into_iter()
                .filter(|p| (0.0..=end.unwrap_or(f64::INFINITY)).contains(&p.0))
                .collect(),
        });
    }
    if let Some(handover) = node.handover() {
        let trigger = &handover.trigger;
        plot.horizontals.push(Mark {
            at: trigger.threshold.0,
            text: format!("trigger under {}", trigger.threshold),
        });
    }
    let sensitivity = node
        .radio
        .as_ref()
        .and_then(|r| r.profile.as_ref())
        .map_or(plan.radio.sensitivity, |p| p.sensitivity);
    plot.horizontals.push(Mark {
        at: sensitivity.0,
        text: format!("sensitivity {sensitivity}"),
    });
    let started: Vec<f64> = run
        .records
        .iter()
        .filter(|r| r.node == name)
        .filter_map(|r| r.started)
        .map(|t| run.seconds(t))
        .collect();
    let few = started.len() <= 4;
    plot.verticals = started
        .into_iter()
        .map(|at| Mark {
            at,
            text: if few { "trigger".into() } else { String::new() },
        })
        .collect();
    let source = match phy {
        true => {
            "Each dot is a frame of a router as the node received it, out of the capture of the air; frames that it did not receive have no strength there."
        }
        false => {
            "The signal registers as the scenario sets them: transmit power less attenuation, and nothing where that is under the sensitivity or the link is down. Not measured."
        }
    };
    Block::Figure(Figure {
        id: format!("signal-{name}"),
        title: format!("Strength of the routers at {name}"),
        caption: format!("{source} Vertical: the instants at which the trigger fired."),
        chart: Chart::Plot(plot),
    })
}

/// What the signal registers of a node say under `medium: edges`, by router.
fn registers(plan: &Plan, node: &str) -> Vec<Heard> {
    let routers = plan.nodes.iter().filter(|(_, n)| n.is_router());
    let mut heard = Vec::new();
    for (router, _) in routers {
        let joins = |a: &str, b: &str| (a == node && b == router) || (b == node && a == router);
        let strength = |link: &LinkPlan| plan.radio.tx_power.0 - link.attenuation.0;
        let mut power = plan.links.iter().find(|l| joins(&l.a, &l.b)).map(strength);
        let (mut up, mut points) = (true, Vec::new());
        let mut note = |at: f64, power: Option<f64>, up: bool| {
            let heard = power.filter(|dbm| up && *dbm >= plan.radio.sensitivity.0);
            points.push((at, heard.unwrap_or(f64::NAN)));
        };
        note(0.0, power, up);
        for step in &plan.scenario.steps {
            match &step.action {
                Action::Attenuate(link) if joins(&link.a, &link.b) => power = Some(strength(link)),
                Action::Link { a, b, up: now } if joins(a, b) => up = *now,
                _ => continue,
            }
            note(step.at.as_secs_f64(), power, up);
        }
        note(plan.scenario.duration.as_secs_f64(), power, up);
        if points.iter().any(|p| !p.1.is_nan()) {
            heard.push(Heard {
                node: node.to_owned(),
                router: router.clone(),
                points,
            });
        }
    }
    heard
}

/// Energy per node and per phase.
pub fn energy(run: &Run) -> Section {
    let mut blocks = Vec::new();
    let phy = run.plan.as_ref().map(|p| p.radio.phy.is_some());
    match (&run.result.radios, phy) {
        (Some(radios), _) => blocks.extend(by_node(run, radios)),
        (None, Some(false)) => blocks.push(Block::Text("Radios joined by edges (medium: edges) have no model of energy. Under medium: phy there is one.".into())),
        (None, _) => blocks.push(Block::Missing("Energy: result.json does not tell it.".into())),
    }
    blocks.extend(run.result.handovers.as_ref().and_then(|h| by_phase(h)));
    Section {
        id: "energy",
        title: "Energy",
        blocks,
    }
}

fn by_node(run: &Run, radios: &[RadioUse]) -> Vec<Block> {
    let states = |r: &RadioUse| {
        [
            (1, "transmitting", r.tx_s),
            (0, "receiving", r.rx_s),
            (5, "listening", r.listen_s),
            (6, "asleep", r.sleep_s),
        ]
    };
    let profile = |r: &RadioUse| {
        let plan = run.plan.as_ref()?;
        let own = plan.nodes.get(&r.node)?.radio.as_ref()?.profile.as_ref();
        own.or(plan.radio.phy.as_ref().map(|phy| &phy.profile))
    };
    // Time by current by voltage, as the run's own model of energy has it.
    let split = |r: &RadioUse| {
        let p = profile(r)?;
        let currents = [p.tx_ma, p.rx_ma, p.listen_ma, p.sleep_ma];
        let parts = states(r).into_iter().zip(currents);
        let parts: Vec<(usize, &str, f64)> = parts
            .map(|((c, name, s), ma)| (c, name, s * ma * p.supply_v))
            .collect();
        let sum: f64 = parts.iter().map(|p| p.2).sum();
        // A split that does not add up to what was measured is none.
        ((sum - r.millijoules).abs() <= 1e-6 * r.millijoules.max(1.0)).then_some(parts)
    };
    let row = |r: &RadioUse| Row {
        name: r.node.clone(),
        parts: stacked(
            &split(r).unwrap_or_else(|| vec![(6, "all states", r.millijoules)]),
            |state, mj| format!("{state}: {} mJ", figures(mj)),
        ),
        value: format!("{} mJ", figures(r.millijoules)),
    };
    let mut sources: Vec<String> = radios
        .iter()
        .filter_map(profile)
        .map(|p| format!("{} ({})", p.part, p.source))
        .collect();
    sources.sort();
    sources.dedup();
    let cells = |r: &RadioUse| {
        let times = states(r).map(|(.., s)| format!("{s:.3}"));
        let [tx, rx, listen, sleep] = times;
        [
            r.node.clone(),
            tx,
            rx,
            listen,
            sleep,
            figures(r.millijoules),
        ]
    };
    vec![
        Block::Figure(Figure {
            id: "energy".into(),
            title: "Energy of every radio over the scenario".into(),
            caption: format!(
                "Time in each state by its current by the supply voltage. Parts: {}.",
                sources.join("; ")
            ),
            chart: Chart::Bars(Bars {
                title: "energy (mJ)".into(),
                rows: radios.iter().map(row).collect(),
                keys: vec![
                    (1, "transmitting".into()),
                    (0, "receiving".into()),
                    (5, "listening".into()),
                    (6, "asleep".into()),
                ],
                shade: None,
                marks: vec![],
                clock: None,
            }),
        }),
        table(
            [
                "node",
                "transmitting (s)",
                "receiving (s)",
                "listening (s)",
                "asleep (s)",
                "energy (mJ)",
            ],
            radios.iter().map(cells).collect(),
        ),
    ]
}

/// Energy of the moving nodes' radios by phase: the median over handovers, each counted once.
fn by_phase(handovers: &[Handover]) -> Option<Block> {
    let mut seen: Vec<&ByPhase<f64>> = Vec::new();
    let mut counted: Vec<(&str, Option<f64>)> = Vec::new();
    for handover in handovers {
        let which = (handover.node.as_str(), handover.started_s);
        if counted.contains(&which) {
            continue;
        }
        counted.push(which);
        seen.extend(&handover.energy_mj);
    }
    let rows = all_phases(seen.iter().copied())
        .into_iter()
        .filter_map(|phase| {
            let values: Vec<f64> = seen
                .iter()
                .filter_map(|of| of.get(&phase).copied())
                .collect();
            let middle = median(&values)?;
            let (colour, _) = phase_style(&phase);
            let name = phase_name(&phase);
            Some(Row {
                parts: stacked(&[(colour, name.as_str(), middle)], |name, mj| {
                    format!("{name}: {} mJ", figures(mj))
                }),
                name,
                value: format!("{} mJ", figures(middle)),
            })
        });
    let rows: Vec<Row> = rows.collect();
    (!rows.is_empty()).then(|| {
        Block::Figure(Figure {
            id: "energy-phases".into(),
            title: "Energy of the moving node's radio per phase".into(),
            caption: format!("Median over {} handovers.", counted.len()),
            chart: Chart::Bars(Bars {
                title: "energy (mJ)".into(),
                rows,
                keys: vec![],
                shade: None,
                marks: vec![],
                clock: None,
            }),
        })
    })
}
