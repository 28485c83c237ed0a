//! The topology drawn: who is joined with whom, and, with positions, the area to scale.

use maud::html;
use serde_json::{Value, json};
use topology::Plan;
use topology::plan::{Medium, NodeName, NodePlan};

use super::{Block, Chart, Figure, Section, figures};
use crate::chart::scale::{Scale, labels};
use crate::chart::values::{Extent, Table};
use crate::chart::{Axes, Drawing, Key, legend, place, shortened, symbol};
use crate::load::Run;

/// As many mobile nodes are drawn in the scheme.
const HOSTS: usize = 24;

/// A node of the scheme.
#[derive(Clone, Debug)]
pub struct Site {
    name: NodeName,
    lines: Vec<String>,
}

/// Who is joined with whom.
#[derive(Clone, Debug)]
pub struct Network {
    backbone: String,
    servers: Vec<Site>,
    routers: Vec<Site>,
    hosts: Vec<Site>,
    /// Indices of a router and a host, and what the link is like.
    links: Vec<(usize, usize, String)>,
}

/// The section of the topology.
pub fn section(run: &Run) -> Section {
    let mut blocks = Vec::new();
    match &run.plan {
        None => blocks.push(Block::Missing(
            "The topology: plan.yaml is not there or cannot be understood.".into(),
        )),
        Some(plan) => {
            blocks.push(Block::Text(plan.summary.clone()));
            blocks.push(scheme(plan));
            blocks.extend(area(plan));
        }
    }
    Section {
        id: "topology",
        title: "Topology",
        blocks,
    }
}

fn scheme(plan: &Plan) -> Block {
    let of = |wanted: fn(&NodePlan) -> bool| plan.nodes.iter().filter(move |(_, n)| wanted(n));
    let servers = of(|node| node.radio.is_none());
    let routers: Vec<_> = of(NodePlan::is_router).collect();
    let hosts: Vec<_> = of(|node| node.host.is_some()).collect();
    let joined = |a: &str, b: &str| {
        let link = plan
            .links
            .iter()
            .find(|l| (l.a == a && l.b == b) || (l.a == b && l.b == a));
        link.map(|l| format!("{} dB", figures(l.attenuation.0)))
    };
    let mut links = Vec::new();
    for (m, (name, node)) in hosts.iter().take(HOSTS).enumerate() {
        for (r, (router, _)) in routers.iter().enumerate() {
            let host = node.host.as_ref();
            let attached = host.is_some_and(|host| host.attached_to == **router);
            match joined(name, router) {
                Some(text) => links.push((r, m, text)),
                None if attached => links.push((r, m, String::new())),
                None => {}
            }
        }
    }
    let rate = plan
        .backbone
        .rate
        .map_or_else(|| "unlimited".into(), |r| r.to_string());
    let kind = format!("{:?}", plan.backbone.kind).to_lowercase();
    let network = Network {
        backbone: format!(
            "backbone ({kind}): {} one way, {rate}",
            units::quantity::format_duration(plan.backbone.delay)
        ),
        servers: servers.map(|(name, node)| site(name, node)).collect(),
        routers: routers
            .iter()
            .map(|(name, node)| site(name, node))
            .collect(),
        hosts: hosts
            .iter()
            .take(HOSTS)
            .map(|(name, node)| site(name, node))
            .collect(),
        links,
    };
    let medium = match plan.radio.medium {
        Medium::Edges => "edges: a frame passes while the attenuation allows it",
        Medium::Phy => "the per-frame air",
    };
    let more = match hosts.len() > HOSTS {
        true => format!(" Of {} nodes with a radio {HOSTS} are drawn.", hosts.len()),
        false => String::new(),
    };
    Block::Figure(Figure {
        id: "topology".into(),
        title: "Nodes and what joins them when the scenario starts".into(),
        caption: format!(
            "Radio medium: {medium}. Dashed: radio links, with their attenuation where the plan sets one, and of each node to the router that it is attached to.{more}"
        ),
        chart: Chart::Network(network),
    })
}

fn site(name: &NodeName, node: &NodePlan) -> Site {
    let radio = node
        .radio
        .as_ref()
        .map(|r| format!("channel {}, PAN {}", r.channel.number(), r.pan_id));
    let lines = node.describe();
    let lines = lines.iter().map(|line| shortened(line, LINE)).take(LINES);
    Site {
        name: name.clone(),
        lines: lines.chain(radio.filter(|_| node.is_router())).collect(),
    }
}

/// Lines beside the name that fit into a box, and characters that fit into a line.
const LINES: usize = 3;
const LINE: usize = 26;

const BOX: (f64, f64) = (158.0, 66.0);

/// Left edges of `count` boxes in rows, and the row of each.
fn rows(count: usize, width: f64) -> Vec<(f64, usize)> {
    let per_row = (((width - 4.0) / (BOX.0 + 8.0)) as usize).max(1);
    let place = |i: usize| {
        let row = i / per_row;
        let in_row = (count - row * per_row).min(per_row);
        let gap = width / in_row as f64;
        (gap * ((i % per_row) as f64 + 0.5) - BOX.0 / 2.0, row)
    };
    (0..count).map(place).collect()
}

fn height(placed: &[(f64, usize)]) -> f64 {
    placed
        .last()
        .map_or(0.0, |(_, row)| (*row + 1) as f64 * (BOX.1 + 12.0))
}

impl Network {
    /// The drawing at a width in pixels.
    pub fn draw(&self, width: f64) -> Drawing {
        let (servers, routers, hosts) = (
            rows(self.servers.len(), width),
            rows(self.routers.len(), width),
            rows(self.hosts.len(), width),
        );
        let top = 4.0;
        let line = top + height(&servers) + 14.0;
        let routers_top = line + 30.0;
        let hosts_top = routers_top + height(&routers) + 48.0;
        let y = |top: f64, row: usize| top + row as f64 * (BOX.1 + 12.0);
        let center = |(x, _): &(f64, usize)| x + BOX.0 / 2.0;
        let labelled = self.links.len() <= 8;
        let body = html! {
            @for at in &servers {
                path.wire d={ "M" (place(center(at))) " " (place(y(top, at.1) + BOX.1)) "V" (place(line)) } {}
            }
            @for at in &routers {
                path.wire d={ "M" (place(center(at))) " " (place(line)) "V" (place(y(routers_top, at.1))) } {}
            }
            path.wire d={ "M8 " (place(line)) "H" (place(width - 8.0)) } {}
            text.soft.halo x="10" y=(place(line + 16.0)) { (shortened(&self.backbone, (width / 6.9) as usize)) }
            @for (router, host, text) in &self.links {
                @let (a, b) = (&routers[*router], &hosts[*host]);
                @let (x1, y1) = (center(a), y(routers_top, a.1) + BOX.1);
                @let (x2, y2) = (center(b), y(hosts_top, b.1));
                path.air d={ "M" (place(x1)) " " (place(y1)) "L" (place(x2)) " " (place(y2)) } {}
                @if labelled && !text.is_empty() {
                    text.soft.halo x=(place((x1 + x2) / 2.0 + 6.0)) y=(place((y1 + y2) / 2.0 + 4.0)) { (text) }
                }
            }
            @for (sites, placed, top) in [(&self.servers, &servers, top), (&self.routers, &routers, routers_top), (&self.hosts, &hosts, hosts_top)] {
                @for (site, (x, row)) in sites.iter().zip(placed) {
                    @let y = y(top, *row);
                    rect.box x=(place(*x)) y=(place(y)) width=(place(BOX.0)) height=(place(BOX.1)) rx="6" {}
                    text.strong x=(place(x + BOX.0 / 2.0)) y=(place(y + 16.0)) text-anchor="middle" { (shortened(&site.name, 20)) }
                    @for (i, line) in site.lines.iter().take(3).enumerate() {
                        text.soft x=(place(x + BOX.0 / 2.0)) y=(place(y + 31.0 + 14.0 * i as f64)) text-anchor="middle" { (shortened(line, 23)) }
                    }
                }
            }
        };
        Drawing {
            width,
            height: hosts_top + height(&hosts),
            body,
            axes: None,
        }
    }

    /// A row for each link over the air.
    pub fn table(&self) -> Table {
        let rows = self.links.iter().map(|(router, host, text)| {
            let (router, host) = (&self.routers[*router], &self.hosts[*host]);
            let attenuation = text.strip_suffix(" dB").unwrap_or(text);
            [
                router.name.clone(),
                host.name.clone(),
                attenuation.to_owned(),
            ]
        });
        Table::new(["router", "node", "attenuation (dB)"], rows.collect())
    }

    /// What the page's script needs besides the table: whose the boxes are.
    pub fn told(&self) -> Value {
        let boxes = self.servers.iter().chain(&self.routers).chain(&self.hosts);
        let names: Vec<&NodeName> = boxes.map(|site| &site.name).collect();
        json!({ "kind": "network", "boxes": names })
    }
}

/// A radio on the map.
#[derive(Clone, Debug)]
struct Spot {
    name: NodeName,
    /// Seconds of the scenario, and metres: straight on between them.
    track: Vec<[f64; 3]>,
    router: bool,
    /// Metres within which the mean strength is at or over the sensitivity.
    range_m: Option<f64>,
}

/// The area to scale.
#[derive(Clone, Debug)]
pub struct Area {
    spots: Vec<Spot>,
}

fn area(plan: &Plan) -> Option<Block> {
    let phy = plan.radio.phy.as_ref()?;
    let mut spots = Vec::new();
    for (name, node) in &plan.nodes {
        let Some(radio) = node.radio.as_ref().filter(|r| !r.track.is_empty()) else {
            continue;
        };
        let router = node.is_router();
        let profile = radio.profile.as_ref().unwrap_or(&phy.profile);
        let budget = profile.tx_power.0 - phy.profile.sensitivity.0;
        spots.push(Spot {
            name: name.clone(),
            track: radio
                .track
                .iter()
                .map(|w| [w.at.as_secs_f64(), w.position.x_m, w.position.y_m])
                .collect(),
            router,
            range_m: router
                .then(|| reach(|metres| phy.path_loss.mean_loss(metres).0 <= budget))
                .flatten(),
        });
    }
    let range = spots.iter().filter_map(|s| s.range_m).reduce(f64::max)?;
    let shadowing = match phy.path_loss.shadowing() {
        Some(_) => " Shadowing moves that edge: the circle is without it.",
        None => "",
    };
    Some(Block::Figure(Figure {
        id: "area".into(),
        title: "Positions and movements to scale".into(),
        caption: format!(
            "Circles: where a router's frames arrive at the sensitivity of the radio, {} m at most.{shadowing} Lines: the ways of nodes that move, from the ring on.",
            figures(range)
        ),
        chart: Chart::Area(Area { spots }),
    }))
}

/// The greatest distance of 1 m to 100 km at which `heard` still holds; it falls with distance.
fn reach(heard: impl Fn(f64) -> bool) -> Option<f64> {
    let (mut near, mut far) = (1.0, 1e5);
    if !heard(near) || heard(far) {
        return None;
    }
    for _ in 0..60 {
        let middle = (near + far) / 2.0;
        if heard(middle) {
            near = middle
        } else {
            far = middle
        }
    }
    Some(near)
}

impl Area {
    /// The drawing at a width in pixels: metres are equally long both ways.
    pub fn draw(&self, width: f64) -> Drawing {
        let entries = [
            (Key::Diamond(0), "edge router".to_owned()),
            (Key::Ring(1), "mobile node".to_owned()),
        ];
        let (legend, top) = legend(&entries, 4.0, width - 8.0);
        let ends = |pick: fn(&[f64; 3]) -> f64| {
            let of = move |s: &Spot| {
                let reach = s.range_m.unwrap_or(0.0);
                s.track
                    .iter()
                    .flat_map(move |p| [pick(p) - reach, pick(p) + reach])
                    .collect::<Vec<_>>()
            };
            let all = self.spots.iter().flat_map(of);
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
                (low.min(v), high.max(v))
            })
        };
        let (x_range, y_range) = (ends(|p| p[1]), ends(|p| p[2]));
        let (left, right, top) = (46.0, width - 10.0, top + 8.0);
        let wide = (x_range.1 - x_range.0).max(1.0);
        let tall = (y_range.1 - y_range.0).max(1.0);
        let scale = ((right - left) / wide).min(430.0 / tall);
        let (right, bottom) = (left + wide * scale, top + tall * scale);
        let x = Scale::exact(
            (x_range.0, x_range.0 + wide),
            if width < 500.0 { 6 } else { 10 },
            (left, right),
        );
        let y = Scale::exact((y_range.0, y_range.0 + tall), 7, (bottom, top));
        let (xs, ys) = (x.ticks(), y.ticks());
        let body = html! {
            (legend)
            @for (tick, label) in ys.iter().zip(labels(&ys)) {
                path.grid d={ "M" (place(left)) " " (place(y.at(*tick))) "H" (place(right)) } {}
                text.soft x=(place(left - 5.0)) y=(place(y.at(*tick) + 4.0)) text-anchor="end" { (label) }
            }
            @for (tick, label) in xs.iter().zip(labels(&xs)) {
                path.grid d={ "M" (place(x.at(*tick))) " " (place(top)) "V" (place(bottom)) } {}
                text.soft x=(place(x.at(*tick))) y=(place(bottom + 15.0)) text-anchor="middle" { (label) }
            }
            @for spot in &self.spots {
                @if let (Some(metres), Some([_, px, py])) = (spot.range_m, spot.track.first()) {
                    circle.range cx=(place(x.at(*px))) cy=(place(y.at(*py))) r=(place(metres * scale)) {}
                }
            }
            @for spot in &self.spots {
                @let places: Vec<(f64, f64)> = spot.track.iter().map(|[_, px, py]| (x.at(*px), y.at(*py))).collect();
                @let d: Vec<String> = places.iter().map(|(x, y)| format!("{} {}", place(*x), place(*y))).collect();
                @if places.len() > 1 { path.l1 d={ "M" (d.join("L")) } {} }
                @if let Some((px, py)) = places.first() {
                    (symbol(if spot.router { Key::Diamond(0) } else { Key::Ring(1) }, *px, *py))
                    @if self.spots.len() <= 16 {
                        @let end = *px + 8.0 * (spot.name.chars().count() as f64) > right;
                        text x=(place(px + if end { -8.0 } else { 8.0 })) y=(place(if spot.router { py - 8.0 } else { py + 16.0 })) text-anchor=(if end { "end" } else { "start" }) { (shortened(&spot.name, 20)) }
                    }
                }
            }
            text.soft x=(place((left + right) / 2.0)) y=(place(bottom + 31.0)) text-anchor="middle" { "metres" }
        };
        Drawing {
            width,
            height: bottom + 38.0,
            body,
            axes: Some(Axes {
                x: x.ends(),
                y: y.ends(),
            }),
        }
    }

    /// A row for each place on each way.
    pub fn table(&self, extent: Extent) -> Table {
        let rows = self.spots.iter().flat_map(|spot| {
            let kind = if spot.router { "router" } else { "node" };
            let range = spot.range_m.map(|range_m| extent.number(range_m));
            spot.track.iter().map(move |[at, x, y]| {
                let [at, x, y] = [at, x, y].map(|value| extent.number(*value));
                let range = range.clone().unwrap_or_default();
                [spot.name.clone(), kind.to_owned(), at, x, y, range]
            })
        });
        let heads = [
            "node",
            "kind",
            "time in the scenario (s)",
            "x (m)",
            "y (m)",
            "range (m)",
        ];
        Table::new(heads, rows.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reach_is_where_the_mean_loss_eats_the_budget() {
        // comp-simulation.yaml: 40.2 dB at 1 m, exponent 4.21, 95 dB: 20 m by its own comment.
        let loss = |metres: f64| 40.2 + 42.1 * metres.log10();
        let metres = reach(|m| loss(m) <= 95.0).unwrap();
        assert!((metres - 20.0).abs() < 0.05, "{metres}");
        assert_eq!(reach(|_| true), None);
        assert_eq!(reach(|_| false), None);
    }

    #[test]
    fn boxes_that_do_not_fit_beside_each_other_stand_in_rows() {
        let placed = rows(5, 343.0);
        assert_eq!(
            placed.iter().map(|p| p.1).collect::<Vec<_>>(),
            [0, 0, 1, 1, 2]
        );
        assert!(placed.iter().all(|(x, _)| *x >= 0.0 && x + BOX.0 <= 343.0));
    }
}
