//! What of a run does not change while it is played, as the page reads it.

use measure::RunResult;
use serde::Serialize;
use serde_json::{Value, json};
use topology::Plan;
use topology::plan::{Action, LinkPlan, Medium, NodePlan, StepPlan};

/// A node.
#[derive(Debug, Serialize)]
struct Node<'p> {
    name: &'p str,
    /// `wired`, `router` or `radio`.
    place: &'static str,
    /// What it is, in words.
    lines: Vec<String>,
    /// The address by which others know it.
    address: String,
    /// The router that it is attached to when the scenario starts.
    #[serde(skip_serializing_if = "Option::is_none")]
    attached: Option<&'p str>,
    /// It looks for other routers.
    moves: bool,
    /// Seconds of the scenario, and metres: straight on between them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    track: Vec<[f64; 3]>,
}

impl<'p> Node<'p> {
    fn of(name: &'p str, plan: &'p NodePlan) -> Node<'p> {
        let place = match (&plan.host, plan.is_router()) {
            (_, true) => "router",
            (Some(_), _) => "radio",
            (None, _) => "wired",
        };
        let track = plan.radio.iter().flat_map(|radio| &radio.track);
        Node {
            name,
            place,
            lines: plan.describe(),
            address: plan.address.to_string(),
            attached: plan.host.as_ref().map(|host| host.attached_to.as_str()),
            moves: plan.handover().is_some(),
            track: track
                .map(|w| [w.at.as_secs_f64(), w.position.x_m, w.position.y_m])
                .collect(),
        }
    }
}

/// The plan, as far as it is drawn. `name` is the directory's.
///
/// `links` have attenuations in dB, and `steps` stand in the order in which `scenario` counts them. Under the
/// per-frame air a link has what the plan sets; what distance costs is not in it.
pub fn plan(name: &str, plan: &Plan) -> Value {
    let nodes = plan.nodes.iter().map(|(name, node)| Node::of(name, node));
    let link = |link: &LinkPlan| json!({ "a": link.a, "b": link.b, "db": link.attenuation.0 });
    json!({
        "name": name,
        "topology": plan.name,
        "summary": plan.summary,
        "seed": plan.seed,
        "medium": match plan.radio.medium { Medium::Edges => "edges", Medium::Phy => "phy" },
        "budget_db": plan.radio.tx_power.0 - plan.radio.sensitivity.0,
        "duration_s": plan.scenario.duration.as_secs_f64(),
        "nodes": nodes.collect::<Vec<_>>(),
        "links": plan.links.iter().map(link).collect::<Vec<_>>(),
        "steps": plan.scenario.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &StepPlan) -> Value {
    match &step.action {
        Action::Attenuate(link) => {
            json!({ "do": "attenuate", "a": link.a, "b": link.b, "db": link.attenuation.0 })
        }
        Action::Link { a, b, up } => json!({ "do": "link", "a": a, "b": b, "up": up }),
        Action::Crash { node } => json!({ "do": "crash", "node": node }),
        Action::Restart { node } => json!({ "do": "restart", "node": node }),
        // What follows from these the nodes tell.
        Action::Wake { .. } | Action::Operate(_) => json!({ "do": "other" }),
    }
}

/// What was measured, as far as it is listed.
pub fn result(result: &RunResult) -> Value {
    let handover = |h: &measure::result::Handover| {
        json!({
            "node": h.node,
            "number": h.number,
            "client": h.client,
            "from": h.from,
            "to": h.to,
            "started_s": h.started_s,
            "delay_s": h.delay_s,
            "lost": h.lost_message_ids.len(),
        })
    };
    let all = &result.calls.all;
    json!({
        "backend": result.backend,
        "passed": result.passed,
        "partial": result.partial,
        "uncovered": result.uncovered,
        "handovers": result.handovers.iter().map(handover).collect::<Vec<_>>(),
        "requests": {
            "sent": result.requests.sent,
            "lost": result.requests.lost,
        },
        "asked": all.asked,
        "answered": all.answered,
        "reasons": all.reasons,
        "never_sent": all.never_sent,
    })
}
