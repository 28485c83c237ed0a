//! The report of a sweep, put together.

use std::collections::BTreeMap;
use std::path::Path;

use measure::distribution::Point;
use measure::result::Outcome;
use rundir::RunDir;

use crate::figure::paper::Measured;
use crate::figure::{self, Block, Section, median, ms};
use crate::junit::{Case, Suite};
use crate::load::Run;
use crate::page::Head;
use crate::sweep::Sweep;
use crate::{Report, made, suite, topology_name};

/// Everything that is shown of a sweep. `compare_s` is a delay to place in its distribution.
pub(crate) fn of_sweep(dir: &Path, sweep: &Sweep, compare_s: Option<f64>) -> Report {
    let mut suites = Vec::new();
    let mut wireless_delays_s: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in &sweep.rows {
        let run = Run::read(&RunDir::new(dir.join(&row.dir)));
        let mut suite = suite(&run, topology_name(&run));
        suite.name.clone_from(&row.dir);
        // Cases of one name are told apart by their class.
        suite.topology = format!("{}.point-{}.seed-{}", suite.topology, row.point, row.seed);
        suite.properties.extend([
            ("command".into(), row.command.clone()),
            ("point".into(), row.point.to_string()),
        ]);
        let set = row.set.iter();
        let set = set.map(|(path, value)| (path.clone(), value.clone()));
        suite.properties.extend(set);
        if let Some(error) = &row.error {
            suite.cases = Err(error.clone());
        }
        suites.push(suite);
        let of_point = wireless_delays_s.entry(row.point).or_default();
        of_point.extend(run.wireless_delays_s);
    }
    suites.extend(sweep.points().iter().filter_map(|p| point_suite(sweep, p)));
    let measured = sweep.plans.iter().map(|(point, plan)| {
        let delays = wireless_delays_s.get(point).map_or(&[][..], Vec::as_slice);
        Measured::of(plan, sweep.handovers(*point), delays)
    });
    let measured: Vec<Measured> = measured.collect();
    let mut sections: Vec<Section> = figure::spread::expectations(sweep).into_iter().collect();
    sections.push(figure::spread::delays(sweep, compare_s));
    sections.extend(figure::over::section(sweep));
    sections.push(figure::spread::phases(sweep));
    sections.push(figure::loss::section(sweep));
    let mut plans = sweep.plans.values();
    if sweep.plans.is_empty() || plans.any(figure::paper::is_about) {
        let measured = (!measured.is_empty()).then_some(&measured[..]);
        sections.push(figure::paper::section(measured));
    }
    sections.push(figure::spread::runs(sweep));
    let mut plan = figure::files::plan(sweep.plan_text.as_deref());
    if sweep.points().len() > 1 {
        plan.blocks.insert(
            0,
            Block::Text("That of the first point; the others differ in what was set.".into()),
        );
    }
    sections.push(plan);
    let topology = &sweep.distribution.topology;
    let head = Head {
        title: format!("{topology}: report of {} runs", sweep.rows.len()),
        unfinished: None,
        passed: sweep_passed(sweep),
        tiles: sweep_tiles(sweep),
        facts: sweep_facts(sweep, &suites),
        expectations: None,
        uncovered: sweep_uncovered(sweep, &suites),
        notes: vec![],
        problems: sweep.problems.clone(),
        instants: None,
    };
    Report {
        head,
        sections,
        suites,
    }
}

/// What is expected over the runs of a point, if anything is.
fn point_suite(sweep: &Sweep, point: &Point) -> Option<Suite> {
    let cases: Vec<Case> = point.expectations.iter().map(Case::from).collect();
    let set = point.set.iter();
    let number = [("point".to_owned(), point.point.to_string())];
    (!cases.is_empty()).then(|| Suite {
        name: format!("point-{}", point.point),
        topology: format!("{}.point-{}", sweep.distribution.topology, point.point),
        properties: (number.into_iter())
            .chain(set.map(|(path, value)| (path.clone(), value.clone())))
            .collect(),
        duration_s: None,
        cases: Ok(cases),
        uncovered: vec![],
    })
}

/// In how many runs something failed that no expectation is about.
fn sweep_uncovered(sweep: &Sweep, suites: &[Suite]) -> Vec<String> {
    let runs = suites.iter().filter(|s| !s.uncovered.is_empty());
    let runs: Vec<&Suite> = runs.collect();
    let first = runs.first().map(|suite| {
        format!(
            "in {} of {} runs, and no expectation is about that; in {}: {}",
            runs.len(),
            sweep.rows.len(),
            suite.name,
            suite.uncovered.join("; ")
        )
    });
    first.into_iter().collect()
}

/// Not before the last run is it known that all passed; what holds over the runs is not known at all
/// before.
fn sweep_passed(sweep: &Sweep) -> Option<bool> {
    let passed = sweep.distribution.passed();
    let over_runs = sweep.points().iter().any(|p| !p.expectations.is_empty());
    let complete = sweep.is_complete() && !sweep.rows.is_empty();
    (complete || !passed && !over_runs).then_some(passed)
}

fn sweep_tiles(sweep: &Sweep) -> Vec<(String, String)> {
    let points = sweep.points();
    let tile = |value: String, name: &str| (value, name.to_owned());
    let failed = points.iter().map(|p| p.failed + p.broken).sum::<usize>();
    let mut tiles = vec![tile(
        format!("{failed} of {}", sweep.rows.len()),
        "runs failed",
    )];
    if points.len() > 1 {
        tiles.push(tile(points.len().to_string(), "points"));
    }
    let delays: Vec<f64> = points.iter().flat_map(|p| sweep.delays(p.point)).collect();
    tiles.push(tile(
        delays.len().to_string(),
        "handovers, as clients saw them",
    ));
    if let ([_], Some(delay)) = (points, median(&delays)) {
        tiles.push(tile(ms(delay), "median handover delay"));
    }
    let lost = sweep.rows.iter().filter_map(|row| row.figures.get("lost"));
    tiles.push(tile(lost.sum::<f64>().to_string(), "requests lost"));
    tiles
}

/// What all runs have in common, and how their expectations came out.
fn sweep_facts(sweep: &Sweep, suites: &[Suite]) -> Vec<(String, String)> {
    let manifest = &sweep.manifest;
    let mut facts = vec![
        ("directory".to_owned(), Some(sweep.name.clone())),
        ("topology".into(), manifest.topology.clone()),
        (
            "seeds".into(),
            manifest
                .seeds
                .map(|[first, last]| format!("{first} to {last}")),
        ),
    ];
    let set = manifest.parameters.iter();
    facts.extend(set.map(|p| (p.path.clone(), Some(p.values.join(", ")))));
    facts.extend([
        ("backend".into(), manifest.backend.clone()),
        ("clock".into(), manifest.clock.clone()),
        ("kernel".into(), manifest.kernel.clone()),
        ("made by wpanlab".into(), manifest.wpanlab_version.clone()),
        (
            "report by wpanlab".into(),
            Some(env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ]);
    let all = suites
        .iter()
        .filter_map(|s| s.cases.as_ref().ok())
        .flatten();
    let held = all.clone().filter(|e| e.outcome == Outcome::Passed).count();
    facts.push((
        "expectations".into(),
        Some(format!("{held} of {} passed", all.count())),
    ));
    let known = |(name, value): (String, Option<String>)| {
        (name, value.unwrap_or_else(|| "not known".into()))
    };
    let facts = facts.into_iter().map(known);
    facts.chain(made(sweep.made.as_ref())).collect()
}
