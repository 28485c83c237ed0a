//! Figures 15 to 17 of the CoMP paper: the model's curves, and the run in them.

use std::time::Duration;

use measure::result::Handover;
use model::{FigureNumber, Model, PacketRate, Protocol};
use rundir::Phase;
use topology::Plan;
use topology::plan::Role;

use super::{Block, Chart, Figure, Section, figures, median, ms, table};
use crate::chart::plot::{Axis, Plot, Series, Shape};

/// What the model's parameters are in what was measured.
#[derive(Debug)]
struct Measured {
    /// Delay that clients saw, seconds, one per handover.
    delays: Vec<f64>,
    /// Sum of the phases that the model has: tL2 + tMD + tAC + tBU.
    sums: Vec<f64>,
    /// Lost Message IDs per handover.
    losses: Vec<f64>,
    wireless_delay_s: Option<f64>,
    wired_delay_s: f64,
    rate_per_s: f64,
    hold: bool,
}

/// The phases of the model's terms.
const TERMS: [(&str, &[Phase]); 4] = [
    ("tL2", &[Phase::Link]),
    ("tMD", &[Phase::MovementDetection]),
    ("tAC", &[Phase::Address, Phase::Dad]),
    ("tBU", &[Phase::Binding]),
];

/// The section, for the handovers of one run or of many with the same plan.
pub fn section(
    plan: Option<&Plan>,
    handovers: Option<&[Handover]>,
    wireless_delays_s: &[f64],
) -> Section {
    let measured = plan
        .zip(handovers)
        .map(|(plan, handovers)| Measured::of(plan, handovers, wireless_delays_s));
    let mut blocks = Vec::new();
    match &measured {
        None => blocks.push(Block::Missing("The run in the paper's figures: plan.yaml or the handovers of result.json are not there. The model's curves stand alone.".into())),
        Some(m) if m.delays.is_empty() => blocks.push(Block::Text("No handover was measured: the model's curves stand alone.".into())),
        Some(m) => {
            blocks.push(terms(m, handovers.unwrap_or_default()));
            blocks.push(Block::Text(explanation(m, plan)));
        }
    }
    let measured = measured.filter(|m| !m.delays.is_empty());
    for number in FigureNumber::ALL {
        blocks.push(Block::Figure(figure(number, measured.as_ref())));
    }
    Section {
        id: "paper",
        title: "Beside the CoMP paper's model",
        blocks,
    }
}

/// Seconds of a handover in some phases; `None` if it has none of them.
fn length(handover: &Handover, phases: &[Phase]) -> Option<f64> {
    let found: Vec<f64> = phases
        .iter()
        .filter_map(|p| handover.phases.get(p).copied())
        .collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

impl Measured {
    fn of(plan: &Plan, handovers: &[Handover], wireless_delays_s: &[f64]) -> Measured {
        let all: Vec<Phase> = TERMS.iter().flat_map(|t| t.1).copied().collect();
        let mut rates: Vec<f64> = Vec::new();
        for node in plan.nodes.values() {
            if let Role::Client(client) = &node.role {
                rates.extend(client.polls.iter().map(|p| 1.0 / p.every.as_secs_f64()));
            }
        }
        let hold = plan
            .nodes
            .values()
            .any(|n| matches!(&n.role, Role::MobileNode(m) if m.handover.hold));
        Measured {
            delays: handovers.iter().filter_map(|h| h.delay_s).collect(),
            sums: handovers.iter().filter_map(|h| length(h, &all)).collect(),
            losses: handovers
                .iter()
                .filter(|h| h.delay_s.is_some())
                .map(|h| h.lost_message_ids.len() as f64)
                .collect(),
            wireless_delay_s: median(wireless_delays_s),
            wired_delay_s: plan.backbone.delay.as_secs_f64(),
            // A handover of the result is what one poll saw.
            rate_per_s: median(&rates).unwrap_or(f64::NAN),
            hold,
        }
    }
}

/// The paper's constants beside what was measured.
fn terms(m: &Measured, handovers: &[Handover]) -> Block {
    let paper = Model::default();
    let p = &paper.parameters;
    let binding =
        paper.delay(Protocol::Comp) - p.l2_delay - p.movement_detection_delay - p.address_delay;
    let constants = [
        p.l2_delay,
        p.movement_detection_delay,
        p.address_delay,
        binding,
    ];
    let spread = |values: &[f64]| {
        let q = measure::distribution::Quartiles::of(values);
        q.map_or_else(
            || "not measured".into(),
            |q| match q.count {
                1 => ms(q.median),
                n => format!(
                    "{} (median of {n}; {} to {})",
                    ms(q.median),
                    ms(q.min),
                    ms(q.max)
                ),
            },
        )
    };
    let mut rows: Vec<[String; 4]> = Vec::new();
    for ((symbol, phases), constant) in TERMS.iter().zip(constants) {
        let values: Vec<f64> = handovers.iter().filter_map(|h| length(h, phases)).collect();
        let names: Vec<&str> = phases.iter().map(|p| p.name()).collect();
        rows.push([
            (*symbol).into(),
            names.join(" + ").replace('_', " "),
            ms(constant.as_secs_f64()),
            spread(&values),
        ]);
    }
    let total = ms(paper.delay(Protocol::Comp).as_secs_f64());
    rows.push([
        "D(CoMP)".into(),
        "sum of these".into(),
        total,
        spread(&m.sums),
    ]);
    rows.push([
        "".into(),
        "delay that the client saw".into(),
        "not in the model".into(),
        spread(&m.delays),
    ]);
    table(
        ["term", "phases", "paper (tables 3 and 5)", "measured"],
        rows,
    )
}

fn explanation(m: &Measured, plan: Option<&Plan>) -> String {
    let dad = plan.is_some_and(|plan| plan.nodes.values().any(|n| matches!(&n.role, Role::MobileNode(m) if m.handover.dad == topology::plan::DadMode::Normal)));
    let mut text = String::from(
        "Why the measured figures differ: the model takes tL2, tMD and tAC as constants (50, 100 and 500 ms), here they are measured and follow from the topology's timers, channels and advertisements. ",
    );
    if !dad {
        text.push_str("The paper's tAC waits for duplicate address detection; no node here waits for it before it uses its address. ");
    }
    text.push_str("The model counts three messages of 50 bytes over a link with a fixed delay and without loss; here messages have their real size, are fragmented, wait for a free channel, are sent again where that happens, and are processed by real programs. ");
    text.push_str(&format!(
        "The delay that a client sees also holds what the model leaves out: the wait for the next request ({} between requests here), its round trip",
        ms(1.0 / m.rate_per_s)
    ));
    text.push_str(match m.hold {
        true => ", the hold before the link is left, and the resumption after it. With hold no request is sent into the gap: what is lost is expected to be 0, as in table 4.",
        false => ". Without hold, table 4's 0 does not apply: each request of the gap can be lost, lambda times D of them, unless CoAP sends it again in time.",
    });
    text
}

fn figure(number: FigureNumber, measured: Option<&Measured>) -> Figure {
    let data = Model::default().figure(number);
    let of = |name: &str, colour, pick: fn(&model::figure::Point) -> f64| Series {
        name: format!("{name} (model)"),
        shape: Shape::Line,
        colour,
        points: data.points.iter().map(|p| (p.x, pick(p))).collect(),
    };
    let (x, y) = match number {
        FigureNumber::Fifteen => ("delay of the wireless link Lwl (ms)", "handover delay (ms)"),
        FigureNumber::Sixteen => ("packet arrival rate (1/s)", "packets lost in a handover"),
        FigureNumber::Seventeen => (
            "delay of a wired link Lw (ms)",
            "packets lost in a handover",
        ),
    };
    let mut plot = Plot::new(
        Axis::new(x),
        Axis {
            include: vec![0.0],
            ..Axis::new(y)
        },
    );
    plot.series = vec![
        of("MIPv6", 0, |p| p.mipv6),
        of("HMIPv6", 2, |p| p.hmipv6),
        of("CoMP", 1, |p| p.comp),
    ];
    let note = measured.map_or_else(String::new, |m| place_run(number, m, &mut plot));
    Figure {
        id: format!("figure-{}", number.number()),
        title: format!(
            "Figure {} of the CoMP paper: {}",
            number.number(),
            data.title.to_lowercase()
        ),
        caption: format!("Lines: the paper's model with its defaults. {note}"),
        chart: Chart::Plot(plot),
    }
}

/// Puts the run into a figure if its parameters fit; says how, or why not.
fn place_run(number: FigureNumber, m: &Measured, plot: &mut Plot) -> String {
    let mut add = |name: &str, shape, colour, points: Vec<(f64, f64)>| {
        plot.series.push(Series {
            name: name.into(),
            shape,
            colour,
            points,
        });
    };
    match number {
        FigureNumber::Fifteen => {
            let Some(x) = m.wireless_delay_s.map(|s| s * 1e3) else {
                return "The run is not marked: the captures do not show how long its wireless link took.".into();
            };
            let column = |values: &[f64]| values.iter().map(|s| (x, s * 1e3)).collect::<Vec<_>>();
            add(
                "every handover measured (delay seen)",
                Shape::Dots,
                3,
                column(&m.delays),
            );
            add(
                "median delay seen",
                Shape::Diamonds,
                3,
                column(median(&m.delays).as_slice()),
            );
            add(
                "median of tL2 + tMD + tAC + tBU",
                Shape::Rings,
                7,
                column(median(&m.sums).as_slice()),
            );
            let own = own_model(m, x);
            let own = own.map_or_else(String::new, |d| format!(" With the run's own wireless and wired delay, one wired hop, and the paper's tL2, tMD and tAC the model gives {}.", ms(d)));
            format!(
                "The run stands at its measured wireless delay, {} (median, from the router's wired interface to the node's 6LoWPAN interface: airtime, channel access and retries included, which the model counts apart as S/Bwl).{own}",
                ms(x / 1e3)
            )
        }
        FigureNumber::Sixteen => {
            let mean = m.losses.iter().sum::<f64>() / m.losses.len() as f64;
            add(
                "measured, mean per handover",
                Shape::Diamonds,
                3,
                vec![(m.rate_per_s, mean)],
            );
            format!(
                "The run stands at its {} requests per second and poll: {} lost per handover, mean of {}.{}",
                figures(m.rate_per_s),
                figures(mean),
                m.losses.len(),
                if (5.0..=55.0).contains(&m.rate_per_s) {
                    ""
                } else {
                    " That rate is outside the paper's range, where the curves end."
                }
            )
        }
        FigureNumber::Seventeen => {
            if (m.rate_per_s - 10.0).abs() > 1e-6 {
                return format!(
                    "The run is not marked: the figure holds the rate at 10/s, and the run has {}/s.",
                    figures(m.rate_per_s)
                );
            }
            let mean = m.losses.iter().sum::<f64>() / m.losses.len() as f64;
            add(
                "measured, mean per handover",
                Shape::Diamonds,
                3,
                vec![(m.wired_delay_s * 1e3, mean)],
            );
            let wireless = m.wireless_delay_s.map_or_else(|| "not measured".into(), ms);
            format!(
                "The run stands at its wired delay, {}; the figure holds the wireless delay at 2 ms, the run's is {wireless}.",
                ms(m.wired_delay_s)
            )
        }
    }
}

/// D(CoMP) in seconds with the wired and wireless delay of the run, whose wired nodes are one hop
/// apart.
fn own_model(m: &Measured, wireless_ms: f64) -> Option<f64> {
    let mut model = Model::default();
    let p = &mut model.parameters;
    p.wireless_delay = Duration::try_from_secs_f64(wireless_ms / 1e3).ok()?;
    p.wired_delay = Duration::try_from_secs_f64(m.wired_delay_s).ok()?;
    p.packet_rate = PacketRate {
        per_s: m.rate_per_s,
    };
    (p.router_wmms_hops, p.router_correspondent_hops) = (1, 1);
    Some(model.delay(Protocol::Comp).as_secs_f64())
}
