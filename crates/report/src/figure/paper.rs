//! Figures 15 to 17 of the CoMP paper: the model's curves, and the run, or the points of a sweep,
//! in them.

use std::time::Duration;

use comp_model::reading::CompLoss;
use comp_model::{FigureNumber, Model, PacketRate, Protocol};
use measure::distribution::HandoverRow;
use measure::phases::ByPhase;
use measure::result::Handover;
use rundir::Phase;
use topology::Plan;
use topology::plan::{DadMode, NodePlan};

use super::{Block, Chart, Figure, Section, figures, median, ms, table};
use crate::chart::plot::{Axis, Plot, Series, Shape};

/// What a handover has for the model, in a run's result or in a sweep's table.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    delay_s: Option<f64>,
    lost: usize,
    phases: &'a ByPhase<f64>,
}

impl<'a> From<&'a Handover> for Seen<'a> {
    fn from(handover: &'a Handover) -> Seen<'a> {
        Seen {
            delay_s: handover.delay_s,
            lost: handover.lost_message_ids.len(),
            phases: &handover.phases,
        }
    }
}

impl<'a> From<&'a HandoverRow> for Seen<'a> {
    fn from(handover: &'a HandoverRow) -> Seen<'a> {
        Seen {
            delay_s: handover.delay_s,
            lost: handover.lost,
            phases: &handover.phases,
        }
    }
}

/// Handovers with one plan: a run's, or those of a sweep's point.
#[derive(Debug)]
pub struct Measured<'a> {
    plan: &'a Plan,
    handovers: Vec<Seen<'a>>,
    /// Delay that clients saw, seconds, one per handover.
    delays: Vec<f64>,
    /// Sum of the phases that the model has: tL2 + tMD + tAC + tBU.
    sums: Vec<f64>,
    /// Lost Message IDs per handover that a client saw, mean.
    lost: f64,
    wireless_delay_s: Option<f64>,
    /// Lw: the model has two hops between router, WMMS and client, which are the backbone.
    wired_delay_s: f64,
    rate_per_s: f64,
    hold: bool,
    /// The word of `mobility` of the node that moves.
    mobility: &'a str,
}

/// The phases of the model's terms.
const TERMS: [(&str, &[Phase]); 4] = [
    ("tL2", &[Phase::LINK]),
    ("tMD", &[Phase::MOVEMENT_DETECTION]),
    ("tAC", &[Phase::ADDRESS, Phase::DAD]),
    ("tBU", &[Phase::BINDING]),
];

/// Whether the model is about such a topology: a node of it moves, and keeps its address known.
pub fn is_about(plan: &Plan) -> bool {
    moving(plan).is_some_and(|node| node.mobility.is_some())
}

/// The node that moves; of several one that keeps its address known, if there is one.
fn moving(plan: &Plan) -> Option<&NodePlan> {
    let moving = plan.nodes.values().filter(|node| node.handover().is_some());
    moving.max_by_key(|node| node.mobility.is_some())
}

/// The section, for one run or for the points of a sweep. `None` stands for what has no plan or
/// no handovers in its files.
pub fn section(measured: Option<&[Measured]>) -> Section {
    let mut blocks = Vec::new();
    let seen: Vec<&Measured> = measured
        .iter()
        .flat_map(|m| m.iter())
        .filter(|m| !m.delays.is_empty())
        .collect();
    match (measured, &seen[..]) {
        (None, _) => blocks.push(Block::Missing("What was measured in the paper's figures: plan.yaml or the handovers are not there. The model's curves stand alone.".into())),
        (_, []) => blocks.push(Block::Text("No handover was measured: the model's curves stand alone.".into())),
        (_, [m]) => blocks.extend([terms(m), Block::Text(explanation(&seen))]),
        _ => blocks.push(Block::Text(explanation(&seen))),
    }
    for number in FigureNumber::ALL {
        // A sweep stands in the figures along which its points differ.
        if seen.len() > 1 && !differ(number, &seen) {
            blocks.push(Block::Text(format!(
                "Figure {} is left out: {}.",
                number.number(),
                why_not(number)
            )));
        } else {
            blocks.push(Block::Figure(figure(number, &seen)));
        }
    }
    Section {
        id: "paper",
        title: "Beside the CoMP paper's model",
        blocks,
    }
}

/// Where measured handovers stand in a figure, in its unit; `None` if their parameters do not fit.
fn abscissa(number: FigureNumber, m: &Measured) -> Option<f64> {
    match number {
        FigureNumber::Fifteen => m.wireless_delay_s.map(|s| s * 1e3),
        FigureNumber::Sixteen => Some(m.rate_per_s).filter(|rate| rate.is_finite()),
        FigureNumber::Seventeen => {
            // The rate at which the paper holds the figure.
            ((m.rate_per_s - 10.0).abs() < 1e-6).then_some(m.wired_delay_s * 1e3)
        }
    }
}

fn differ(number: FigureNumber, seen: &[&Measured]) -> bool {
    let mut places: Vec<f64> = seen.iter().filter_map(|m| abscissa(number, m)).collect();
    places.sort_by(f64::total_cmp);
    let first_and_last = places.first().zip(places.last());
    // Measured delays are never quite the same.
    first_and_last.is_some_and(|(first, last)| last - first > 0.02 * last)
}

/// Why measured handovers have no [`abscissa`].
fn why_none(number: FigureNumber) -> &'static str {
    match number {
        FigureNumber::Fifteen => "no captures show how long the wireless link took",
        FigureNumber::Sixteen => "no client polls",
        FigureNumber::Seventeen => "the figure holds the rate at 10/s, and theirs is another",
    }
}

/// Why the points of a sweep do not [`differ`].
fn why_not(number: FigureNumber) -> &'static str {
    match number {
        FigureNumber::Fifteen => {
            "the points do not differ in the delay of their wireless link, or no captures show it (a sweep keeps them with --captures)"
        }
        FigureNumber::Sixteen => "the points do not differ in the rate of requests",
        FigureNumber::Seventeen => {
            "the points do not differ in the delay of the backbone, or not at the figure's 10 requests a second"
        }
    }
}

/// Seconds of a handover in some phases; `None` if it has none of them.
fn length(handover: &Seen, phases: &[Phase]) -> Option<f64> {
    let found: Vec<f64> = phases
        .iter()
        .filter_map(|p| handover.phases.get(p).copied())
        .collect();
    (!found.is_empty()).then(|| found.iter().sum())
}

impl<'a> Measured<'a> {
    /// `wireless_delays_s`: see [`crate::load::Run`].
    pub fn of<H: Into<Seen<'a>>>(
        plan: &'a Plan,
        handovers: impl IntoIterator<Item = H>,
        wireless_delays_s: &[f64],
    ) -> Measured<'a> {
        let handovers: Vec<Seen> = handovers.into_iter().map(Into::into).collect();
        let all: Vec<Phase> = TERMS.iter().flat_map(|t| t.1).cloned().collect();
        let mut rates: Vec<f64> = Vec::new();
        for node in plan.nodes.values() {
            rates.extend(node.polls().map(|p| 1.0 / p.every.as_secs_f64()));
        }
        let delays: Vec<f64> = handovers.iter().filter_map(|h| h.delay_s).collect();
        let of_seen = handovers.iter().filter(|h| h.delay_s.is_some());
        let lost = of_seen.map(|h| h.lost as f64).sum::<f64>() / delays.len() as f64;
        Measured {
            plan,
            sums: handovers.iter().filter_map(|h| length(h, &all)).collect(),
            handovers,
            delays,
            lost,
            wireless_delay_s: median(wireless_delays_s),
            wired_delay_s: plan.backbone.delay.as_secs_f64() / 2.0,
            // A handover of the result is what one poll saw; none where nobody polls by CoAP.
            rate_per_s: median(&rates).unwrap_or(f64::NAN),
            hold: plan.nodes.values().any(NodePlan::holds),
            mobility: moving(plan).map_or("none", NodePlan::mobility_word),
        }
    }
}

/// The paper's constants beside what was measured.
fn terms(m: &Measured) -> Block {
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
        let q = measure::distribution::Percentiles::of(values);
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
        let values: Vec<f64> = m
            .handovers
            .iter()
            .filter_map(|h| length(h, phases))
            .collect();
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

fn explanation(seen: &[&Measured]) -> String {
    let waits = |node: &NodePlan| {
        let moves = node.host.as_ref().filter(|host| host.handover.is_some());
        moves.is_some_and(|host| host.dad == DadMode::Normal)
    };
    let dad = seen.iter().any(|m| m.plan.nodes.values().any(waits));
    let mut text = String::from(
        "Why the measured figures differ: the model takes tL2, tMD and tAC as constants (50, 100 and 500 ms), here they are measured and follow from the topology's timers, channels and advertisements. ",
    );
    if !dad {
        text.push_str("The paper's tAC waits for duplicate address detection; no node here waits for it before it uses its address. ");
    }
    text.push_str("The model counts three messages of 50 bytes over a link with a fixed delay and without loss; here messages have their real size, are fragmented, wait for a free channel, are sent again where that happens, and are processed by real programs. ");
    text.push_str("The delay that a client sees also holds what the model leaves out: the wait for the next request");
    if let [m] = seen
        && m.rate_per_s.is_finite()
    {
        text.push_str(&format!(
            " ({} between requests here)",
            ms(1.0 / m.rate_per_s)
        ));
    }
    text.push_str(", its round trip, and with hold the hold before the link is left and the resumption after it.");
    if seen.iter().any(|m| m.hold) {
        text.push_str(" With hold no request is sent into the gap: what is lost is expected to be 0, as in table 4.");
    }
    if seen.iter().any(|m| !m.hold) {
        text.push_str(" Without hold, table 4's 0 does not apply: each request of the gap can be lost, lambda times D of them, unless CoAP sends it again in time.");
    }
    text
}

fn figure(number: FigureNumber, seen: &[&Measured]) -> Figure {
    let data = Model::default().figure(number);
    let ways = ways(seen);
    // Between measured curves what is computed stands back.
    let (shape, lines) = match ways.len() {
        ..=1 => (Shape::Line, "Lines"),
        _ => (Shape::Dashes, "Dashed lines"),
    };
    let of = |name: &str, colour, pick: fn(&comp_model::figure::Point) -> f64| Series {
        name: format!("{name} (model)"),
        shape,
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
    if number != FigureNumber::Fifteen && seen.iter().any(|m| !m.hold) {
        let mut model = Model::default();
        model.readings.comp_loss = CompLoss::LambdaD;
        let points = model.figure(number).points;
        plot.series.push(Series {
            name: "CoMP without hold (model, lambda * D)".into(),
            shape,
            colour: 4,
            points: points.iter().map(|p| (p.x, p.comp)).collect(),
        });
    }
    let placed: Vec<(f64, &Measured)> = seen
        .iter()
        .filter_map(|m| Some((abscissa(number, m)?, *m)))
        .collect();
    let note = match (&ways[..], number) {
        ([_, _, ..], _) => place_ways(number, &ways, &placed, &mut plot),
        (_, FigureNumber::Fifteen) => place_delays(&placed, &mut plot),
        _ => place_losses(number, &placed, &mut plot),
    };
    let missing = seen.len() - placed.len();
    let left_out = match seen.len() {
        _ if missing == 0 => String::new(),
        1 => format!(
            " The measured handovers are not in it: {}.",
            why_none(number)
        ),
        all => format!(
            " {missing} of {all} points are not in it: {}.",
            why_none(number)
        ),
    };
    Figure {
        id: format!("figure-{}", number.number()),
        title: format!(
            "Figure {} of the CoMP paper: {}",
            number.number(),
            data.title.to_lowercase()
        ),
        caption: format!("{lines}: the paper's model with its defaults.{note}{left_out}"),
        chart: Chart::Plot(plot),
    }
}

/// Adds a series if it has a point, from left to right.
fn place(plot: &mut Plot, name: &str, shape: Shape, colour: usize, mut points: Vec<(f64, f64)>) {
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    if !points.is_empty() {
        plot.series.push(Series {
            name: name.into(),
            shape,
            colour,
            points,
        });
    }
}

/// How a node stays reachable, of protocols that are compared: the word of `mobility`, and whether there
/// is a hold.
type Way<'a> = (&'a str, bool);

/// The ways of the protocols that were measured, in the order in which they came up; none if it is one
/// protocol.
fn ways<'a>(seen: &[&Measured<'a>]) -> Vec<Way<'a>> {
    let mut ways: Vec<Way> = Vec::new();
    for way in seen.iter().map(|m| (m.mobility, m.hold)) {
        if !ways.contains(&way) {
            ways.push(way);
        }
    }
    let one = ways.iter().all(|way| way.0 == ways[0].0);
    if one { Vec::new() } else { ways }
}

/// The colour of a way: that of the model's curve for it, where there is one.
fn colour_of(way: Way) -> usize {
    match way {
        ("mipv6", _) => 0,
        ("comp", true) => 1,
        ("hmipv6", _) => 2,
        ("pmipv6", _) => 3,
        ("comp", false) => 4,
        ("mipv6-ro", _) => 5,
        ("none", _) => 6,
        _ => 7,
    }
}

/// Puts a curve for each way into a figure; says how.
fn place_ways(
    number: FigureNumber,
    ways: &[Way],
    placed: &[(f64, &Measured)],
    plot: &mut Plot,
) -> String {
    for way in ways {
        let of_way = placed.iter().filter(|(_, m)| (m.mobility, m.hold) == *way);
        let points = of_way.map(|(x, m)| match number {
            FigureNumber::Fifteen => (
                *x,
                1e3 * m.delays.iter().sum::<f64>() / m.delays.len() as f64,
            ),
            _ => (*x, m.lost),
        });
        let name = match way {
            (word, true) => format!("{word} with hold, measured"),
            (word, false) => format!("{word}, measured"),
        };
        place(
            plot,
            &name,
            Shape::Joined,
            colour_of(*way),
            points.collect(),
        );
    }
    match number {
        FigureNumber::Fifteen => " Measured: the mean of the delays that the client saw, which have up to a period between requests in them, at the wireless delay of the captures.",
        FigureNumber::Sixteen => " Measured: requests lost, mean per handover, at the requests per second of the poll.",
        FigureNumber::Seventeen => " Measured: requests lost, mean per handover, at half of the backbone's delay, because the model has two hops between wired nodes.",
    }
    .into()
}

/// Puts delays into figure 15; says how.
fn place_delays(placed: &[(f64, &Measured)], plot: &mut Plot) -> String {
    let column = |of: &dyn Fn(&Measured) -> Vec<f64>| {
        let placed = placed.iter();
        placed
            .flat_map(|(x, m)| of(m).into_iter().map(|s| (*x, s * 1e3)))
            .collect()
    };
    let median_of = |values: &[f64]| median(values).into_iter().collect();
    for (name, shape, colour, points) in [
        (
            "every handover measured (delay seen)",
            Shape::Dots,
            3,
            column(&|m| m.delays.clone()),
        ),
        (
            "median delay seen",
            Shape::Diamonds,
            3,
            column(&|m| median_of(&m.delays)),
        ),
        (
            "median of tL2 + tMD + tAC + tBU",
            Shape::Rings,
            7,
            column(&|m| median_of(&m.sums)),
        ),
    ] {
        place(plot, name, shape, colour, points);
    }
    if placed.is_empty() {
        return String::new();
    }
    let mut note = String::from(
        " Measured: at the wireless delay of the captures (median, from the router's wired interface to the node's 6LoWPAN interface: airtime, channel access and retries included, which the model counts apart as S/Bwl).",
    );
    if let [(x, m)] = placed {
        note.push_str(&format!(" Here it is {}.", ms(x / 1e3)));
        if let Some(own) = own_model(m, *x) {
            note.push_str(&format!(" With the run's own wireless and wired delay, and the paper's tL2, tMD and tAC, the model gives {}.", ms(own)));
        }
    }
    note
}

/// Puts losses into figure 16 or 17; says how.
fn place_losses(number: FigureNumber, placed: &[(f64, &Measured)], plot: &mut Plot) -> String {
    for (hold, name, shape, colour) in [
        (
            true,
            "measured with hold, mean per handover",
            Shape::Diamonds,
            3,
        ),
        (
            false,
            "measured without hold, mean per handover",
            Shape::Rings,
            7,
        ),
    ] {
        let points = placed
            .iter()
            .filter(|(_, m)| m.hold == hold)
            .map(|(x, m)| (*x, m.lost))
            .collect();
        place(plot, name, shape, colour, points);
    }
    let what = match number {
        FigureNumber::Seventeen => {
            "at its Lw, half of the backbone's delay, because the model has two hops between wired nodes; the figure holds the wireless delay at 2 ms"
        }
        _ => "at its requests per second and poll",
    };
    match placed {
        [] => String::new(),
        [(x, m)] => format!(
            " Measured: {what}. Here that is {}: {} lost per handover, mean of {}.",
            match number {
                FigureNumber::Seventeen => ms(x / 1e3),
                _ => format!("{}/s", figures(*x)),
            },
            figures(m.lost),
            m.delays.len()
        ),
        _ => format!(" Measured: each point of the sweep {what}."),
    }
}

/// D(CoMP) in seconds with the wired and wireless delay of the run.
fn own_model(m: &Measured, wireless_ms: f64) -> Option<f64> {
    let mut model = Model::default();
    let p = &mut model.parameters;
    p.wireless_delay = Duration::try_from_secs_f64(wireless_ms / 1e3).ok()?;
    p.wired_delay = Duration::try_from_secs_f64(m.wired_delay_s).ok()?;
    p.packet_rate = PacketRate {
        per_s: m.rate_per_s,
    };
    Some(model.delay(Protocol::Comp).as_secs_f64())
}
