//! `wpanlab sequence`: a stretch of a run as a sequence diagram.

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, BufReader};
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use measure::mobility::{NodeHandover, handovers, scenario_start};
use measure::sequence::{Sequence, Stretch, phases};
use report::sequence::{handover, mermaid, read, svg, text};
use rundir::event::read_all;
use rundir::{Event, RunDir};
use topology::Plan;
use units::SimTime;

use crate::cli::{SequenceArgs, SequenceFormat};
use crate::failure::Refused;
use crate::{Outcome, Say, output};

/// Prints the stretch that was asked for.
pub fn sequence(args: &SequenceArgs, say: Say) -> Result<Outcome> {
    let dir = RunDir::new(&args.dir);
    let (plan, events) = run(&dir)?;
    if let Some(unknown) = args
        .node
        .iter()
        .find(|name| !plan.nodes.contains_key(*name))
    {
        let names: Vec<&str> = plan.nodes.keys().map(String::as_str).collect();
        let text = format!(
            "--node {unknown}: the run has no such node, but {}",
            names.join(", ")
        );
        return Err(Refused(text).into());
    }
    let records = handovers(&events);
    let (stretch, record) = asked(args, &events, &records)?;
    let from_start = stretch.from == SimTime::ZERO;
    let (reader, unread) = read(&dir, &plan, &events, vec![stretch], false, 0);
    if !reader.has_read() {
        let text = format!(
            "{}: it has no capture of an interface. A sweep keeps captures with --captures; a run can be had again by its seed",
            args.dir.display()
        );
        return Err(Refused(text).into());
    }
    let mut sequence = reader.sequences().pop().unwrap_or_default();
    if from_start {
        sequence.start_s = 0.0;
    }
    if let Some(record) = record {
        sequence.bands = phases(record, |time| reader.seconds(time));
    }
    for problem in &unread {
        errln!("wpanlab: the sequence lacks something: {problem}");
    }
    print(args, sequence, &plan, say)?;
    Ok(Outcome::Passed)
}

fn print(args: &SequenceArgs, sequence: Sequence, plan: &Plan, say: Say) -> Result<()> {
    match args.format {
        _ if say.json => output::json(&sequence)?,
        SequenceFormat::Text => out!("{}", text::text(&sequence)),
        SequenceFormat::Mermaid => out!("{}", mermaid::mermaid(&sequence)),
        SequenceFormat::Svg => {
            let of = args
                .handover
                .map_or_else(String::new, |n| format!(", handover {n}"));
            out!("{}", svg(sequence, &format!("{}{of}", plan.name)));
        }
    }
    Ok(())
}

/// That what was given is no run's directory, as `path` in it shows.
fn no_run(path: &Path, what: &dyn fmt::Display) -> Refused {
    Refused(format!(
        "{}: {what}: give the directory that `wpanlab run` wrote",
        path.display()
    ))
}

/// The plan of the run in `dir`.
///
/// # Errors
/// It is no run's directory.
pub fn plan_of(dir: &RunDir) -> Result<Plan> {
    let path = dir.plan();
    let yaml = (dir.files().read_to_string(&path)).map_err(|e| no_run(&path, &e))?;
    Ok(Plan::from_yaml(&yaml).map_err(|e| no_run(&path, &e))?)
}

/// What is needed of a run's own files.
fn run(dir: &RunDir) -> Result<(Plan, Vec<Event>)> {
    let plan = plan_of(dir)?;
    let path = dir.events();
    let events = match dir.files().open(&path) {
        Ok(file) => read_all(BufReader::new(file)).map_err(|e| no_run(&path, &e))?,
        // A run that was killed early has none; its captures are there.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(no_run(&path, &error).into()),
    };
    Ok((plan, events))
}

/// The stretch, and the handover if it is one's.
fn asked<'r>(
    args: &SequenceArgs,
    events: &[Event],
    records: &'r [NodeHandover],
) -> Result<(Stretch, Option<&'r NodeHandover>)> {
    let most = args.limit.get();
    if let Some(number) = args.handover {
        let node = match &args.node[..] {
            [] => None,
            [node] => Some(node),
            _ => return Err(Refused("--handover is of one --node".into()).into()),
        };
        let record = handover(records, number, node).map_err(Refused)?;
        let last = events.iter().map(|event| event.time_ns).max();
        let last = SimTime::from_nanos(last.unwrap_or_default());
        let stretch = Stretch::of_handover(record, last, most);
        let none = || {
            Refused(format!(
                "handover {number}: its events do not say when it began"
            ))
        };
        return Ok((stretch.ok_or_else(none)?, Some(record)));
    }
    let start = scenario_start(events);
    let at = |time: Option<Duration>, otherwise: SimTime| match (time, start) {
        (None, _) => Ok(otherwise),
        (Some(time), Some(start)) => Ok(start + time),
        (Some(_), None) => Err(Refused(
            "--from and --to: the events of the run do not say when its scenario started".into(),
        )),
    };
    let (from, to) = (
        at(args.from, SimTime::ZERO)?,
        at(args.to, SimTime::FAR_FUTURE)?,
    );
    if to < from {
        return Err(Refused("--to is before --from".into()).into());
    }
    let nodes: BTreeSet<String> = args.node.iter().cloned().collect();
    let stretch = Stretch {
        from,
        to,
        nodes,
        most,
        signalling_first: false,
    };
    Ok((stretch, None))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::failure;

    /// What `sequence` says of a directory with `plan.yaml` and nothing else, if `plan` is wanted.
    fn refused(plan: bool, options: &[&str]) -> String {
        let dir = tempfile::tempdir().unwrap();
        if plan {
            let text = include_str!("../../../topologies/handover.yaml");
            let plan = topology::load("handover.yaml", text, topology::Overrides::default());
            std::fs::write(dir.path().join("plan.yaml"), plan.unwrap().to_yaml()).unwrap();
        }
        let path = dir.path().to_str().unwrap();
        let all = ["wpanlab", "sequence", path]
            .into_iter()
            .chain(options.iter().copied());
        let Command::Sequence(args) = Cli::try_parse_from(all).unwrap().command else {
            panic!("another command");
        };
        let say = Say {
            json: false,
            quiet: false,
        };
        let error = sequence(&args, say).expect_err("it was refused");
        assert_eq!(failure::code(&error), failure::BAD_INPUT);
        error.to_string()
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_with_the_reason() {
        for (plan, options, told) in [
            (
                false,
                &[][..],
                "give the directory that `wpanlab run` wrote",
            ),
            (true, &["--node", "nobody"], "no such node, but client, "),
            (
                true,
                &["--handover", "3"],
                "the run has no handover 3: it has none",
            ),
            (
                true,
                &["--handover", "3", "--node", "er1,er2"],
                "one --node",
            ),
            (true, &["--from", "1 s"], "when its scenario started"),
            (true, &[], "no capture of an interface"),
        ] {
            let text = refused(plan, options);
            assert!(text.contains(told), "{text}");
        }
    }
}
