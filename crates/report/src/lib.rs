//! A run directory, or that of a sweep, as one HTML page, as SVG figures, as tables of their values and as JUnit XML.
//!
//! Owns how results are shown: the page, its figures and their charts. Knows nothing of how a
//! run is made and measures nothing that `measure` measures: it reads files. What is missing
//! there is said in the report, and nothing is put in its place.
//!
//! ```
//! use report::Report;
//!
//! let dir = tempfile::tempdir()?;
//! std::fs::write(dir.path().join("run.json"), "{}")?;
//! let report = Report::read(dir.path(), None)?;
//! assert!(report.html().contains("plan.yaml is not there"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`load`], [`sweep`] | the files of a run, and of a sweep |
//! | [`air`] | what captures say of the way over the air |
//! | [`figure`] | sections and their figures |
//! | [`chart`] | charts as SVG (pure) |
//! | [`sequence`] | message sequences as text, Mermaid and SVG |
//! | [`page`] | sections as a page |
//! | [`junit`] | expectations as JUnit XML |

#![forbid(unsafe_code)]

pub mod air;
pub mod chart;
pub mod figure;
pub mod junit;
pub mod load;
mod of_sweep;
pub mod page;
pub mod sequence;
pub mod sweep;

use std::path::{Path, PathBuf};
use std::time::Duration;

use measure::calls::{Calls, Tally};
use rundir::{Made, RunDir};

use chart::WIDE;
use chart::values::Extent;
use figure::paper::Measured;
use figure::{Section, figures, median, ms};
use junit::{Case, Suite};
use load::{Keys, Run};
use page::Head;
use sweep::Sweep;

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The directory has none of the files of a run or a sweep.
    #[error(
        "{dir}: neither a run directory (plan.yaml, run.json, events.jsonl, result.json) nor that of a sweep (sweep.json, runs.jsonl): give the directory that `wpanlab run` wrote"
    )]
    NoRun {
        /// The directory.
        dir: PathBuf,
    },
}

/// Everything that is shown of a run or a sweep.
#[derive(Debug)]
pub struct Report {
    head: Head,
    sections: Vec<Section>,
    suites: Vec<Suite>,
}

impl Report {
    /// Reads `dir`. `compare` is a delay to place in a sweep's distribution.
    ///
    /// # Errors
    /// [`ReportError::NoRun`]. A file that is missing or damaged is no error: the report says so.
    pub fn read(dir: &Path, compare: Option<Duration>) -> Result<Report, ReportError> {
        Report::read_as(dir, compare, None)
    }

    /// [`Report::read`] of what did not come to its end, and `why`: no expectation has passed then,
    /// and the JUnit file has an error.
    ///
    /// # Errors
    /// As [`Report::read`].
    pub fn read_unfinished(
        dir: &Path,
        compare: Option<Duration>,
        why: &str,
    ) -> Result<Report, ReportError> {
        Report::read_as(dir, compare, Some(why))
    }

    /// The report of a run that left nothing: what was to run, and `why` it was not.
    pub fn of_nothing(topology: &str, why: &str) -> Report {
        Report {
            head: Head {
                title: format!("{topology}: run report"),
                unfinished: Some(why.to_owned()),
                ..Head::default()
            },
            sections: Vec::new(),
            suites: vec![unfinished_suite(topology, why)],
        }
    }

    fn read_as(
        dir: &Path,
        compare: Option<Duration>,
        why: Option<&str>,
    ) -> Result<Report, ReportError> {
        if Sweep::is_at(dir) {
            let sweep = Sweep::read(dir);
            let mut report = of_sweep::of_sweep(dir, &sweep, compare.map(|d| d.as_secs_f64()));
            if let Some(why) = why {
                report.head.unfinished = Some(why.to_owned());
                report.suites.push(unfinished_suite(&sweep.name, why));
            }
            return Ok(report);
        }
        let run_dir = RunDir::new(dir);
        let files = [
            run_dir.plan(),
            run_dir.facts(),
            run_dir.events(),
            run_dir.result(),
        ];
        if !files.iter().any(|file| file.exists()) {
            return Err(ReportError::NoRun {
                dir: dir.to_owned(),
            });
        }
        let mut run = Run::read(&run_dir);
        let told = why.map(str::to_owned);
        run.unfinished = run.unfinished.or(told);
        Ok(of_run(&run))
    }

    /// One self-contained HTML page, which is well-formed XML too, to stand in the directory that it
    /// shows.
    pub fn html(&self) -> String {
        page::page(&self.head, &self.sections, "")
    }

    /// The same page to be written to `file`: its links to captures lead from there to `dir`, which
    /// was read.
    pub fn html_at(&self, file: &Path, dir: &Path) -> String {
        page::page(&self.head, &self.sections, &page::way(file, dir))
    }

    /// Every figure: a name for its file (without `.svg`), and the file.
    pub fn svgs(&self) -> Vec<(String, String)> {
        let figures = self.sections.iter().flat_map(Section::figures);
        let svg = |figure: &figure::Figure| {
            let drawing = figure.chart.draw(WIDE);
            (page::file_stem(&figure.id), drawing.file(&figure.title))
        };
        figures.map(svg).collect()
    }

    /// The values of every figure: a name for their file (without `.csv`), and comma-separated values (RFC 4180, with
    /// line feeds), all of them.
    pub fn tables(&self) -> Vec<(String, String)> {
        let figures = self.sections.iter().flat_map(Section::figures);
        let table = |figure: &figure::Figure| {
            let table = figure.chart.table(Extent::Whole);
            (page::file_stem(&figure.id), table.csv())
        };
        figures.map(table).collect()
    }

    /// The expectations as JUnit XML: one suite per run, one case per expectation.
    pub fn junit(&self) -> String {
        junit::document(&self.suites)
    }

    /// What is missing or could not be read, a sentence each.
    pub fn problems(&self) -> &[String] {
        &self.head.problems
    }
}

fn of_run(run: &Run) -> Report {
    let measured = run.plan.as_ref().zip(run.result.handovers.as_deref());
    let measured =
        measured.map(|(plan, handovers)| [Measured::of(plan, handovers, &run.wireless_delays_s)]);
    let mut sections = vec![
        figure::map::section(run),
        figure::handover::section(run),
        figure::sequence::section(run),
        figure::frames::section(run),
        figure::traffic::section(run),
    ];
    sections.extend(figure::http::section(run));
    sections.extend([
        figure::radio::signal(run),
        figure::traffic::losses(run),
        figure::radio::energy(run),
    ]);
    if run.plan.as_ref().is_none_or(figure::paper::is_about) {
        let measured = measured.as_ref().map(<[_; 1]>::as_slice);
        sections.push(figure::paper::section(measured));
    }
    sections.push(figure::files::section(run));
    sections.push(figure::files::plan(run.plan_text.as_deref()));
    let head = Head {
        title: format!("{}: run report", topology_name(run)),
        unfinished: run.unfinished.clone(),
        passed: run.result.passed,
        tiles: tiles(&run.result),
        facts: facts(run),
        expectations: run.result.expectations.clone(),
        uncovered: run.result.uncovered.clone(),
        notes: notes(run),
        problems: run.problems.clone(),
        instants: figure::instant::told(run),
    };
    Report {
        head,
        sections,
        suites: vec![suite(run, topology_name(run))],
    }
}

fn topology_name(run: &Run) -> String {
    let planned = || run.plan.as_ref().map(|p| p.name.clone());
    let told = run.result.topology.clone().or_else(planned);
    told.unwrap_or_else(|| run.name.clone())
}

/// Figures to see first.
fn tiles(result: &Keys) -> Vec<(String, String)> {
    let mut tiles = Vec::new();
    if let Some(handovers) = &result.handovers {
        tiles.push((
            handovers.len().to_string(),
            "handovers, as clients saw them".to_owned(),
        ));
        let delays: Vec<f64> = handovers.iter().filter_map(|h| h.delay_s).collect();
        if let Some(delay) = median(&delays) {
            let name = if delays.len() == 1 {
                "handover delay"
            } else {
                "median handover delay"
            };
            tiles.push((ms(delay), name.to_owned()));
        }
    }
    if let Some(all) = result.calls.as_ref().map(|calls| &calls.all) {
        let of = all.asked.map(|asked| format!(" of {asked}"));
        tiles.push((
            all.known_failures().to_string() + &of.unwrap_or_default(),
            "requests failed at the client".to_owned(),
        ));
        let delivery = all.delivery_percent.map(|p| format!("{p:.2} %"));
        tiles.extend(delivery.map(|d| (d, "delivered of those asked".to_owned())));
    }
    if let Some(requests) = &result.requests {
        tiles.push((
            format!("{} of {}", requests.lost, requests.sent),
            "requests lost that were sent".to_owned(),
        ));
        if let Some(rtt) = requests.rtt_s {
            tiles.push((ms(rtt.median), "median round-trip time".to_owned()));
        }
    }
    if let Some(radios) = &result.radios {
        let sum: f64 = radios.iter().map(|r| r.millijoules).sum();
        tiles.push((
            format!("{} mJ", figures(sum)),
            "energy of all radios".to_owned(),
        ));
    }
    tiles
}

/// What the measurement noted, and where accounts and captures do not fit together.
fn notes(run: &Run) -> Vec<String> {
    let result = &run.result;
    let warned = run.made.iter().flat_map(|made| &made.warnings);
    let warned = warned.map(|warning| format!("said of the topology before the run: {warning}"));
    let clients = result.calls.iter().flat_map(|calls| &calls.clients);
    let differences = clients.flat_map(|c| {
        let of_client = c.differences.iter();
        of_client.map(move |difference| format!("{}: {difference}", c.client))
    });
    let notes = result.notes.iter().flatten().cloned();
    notes.chain(differences).chain(warned).collect()
}

fn facts(run: &Run) -> Vec<(String, String)> {
    let result = &run.result;
    let live = run.facts.as_ref();
    let seed = result.seed.or(run.plan.as_ref().map(|p| p.seed));
    let facts = [
        ("directory", Some(run.name.clone())),
        ("topology", Some(topology_name(run))),
        ("seed", seed.map(|s| s.to_string())),
        ("scenario", run.duration_s().map(|s| format!("{s} s"))),
        (
            "backend",
            result.backend.clone().or(live.map(|f| f.backend.clone())),
        ),
        (
            "clock",
            result.clock.clone().or(live.map(|f| f.clock.clone())),
        ),
        (
            "kernel",
            result.kernel.clone().or(live.map(|f| f.kernel.clone())),
        ),
        (
            "QEMU",
            result
                .qemu
                .clone()
                .or(live.and_then(|f| f.qemu.clone()))
                .or_else(|| {
                    let is_without = matches!(result.backend.as_deref(), Some("native" | "uml"));
                    is_without.then(|| "none".into())
                }),
        ),
        (
            "made by wpanlab",
            result
                .wpanlab_version
                .clone()
                .or(live.map(|f| f.wpanlab_version.clone())),
        ),
        (
            "report by wpanlab",
            Some(env!("CARGO_PKG_VERSION").to_owned()),
        ),
    ];
    let known = |(name, value): (&str, Option<String>)| {
        (name.to_owned(), value.unwrap_or_else(|| "not known".into()))
    };
    let facts = facts.into_iter().map(known);
    let processor = result
        .processor
        .clone()
        .or(live.and_then(|f| f.processor.clone()));
    let processor = processor.map(|said| ("processor".to_owned(), said));
    facts
        .chain(processor)
        .chain(made(run.made.as_ref()))
        .collect()
}

/// When and by which command it was made, if that is known.
fn made(made: Option<&Made>) -> Vec<(String, String)> {
    let told = |made: &Made| {
        [
            ("date".to_owned(), made.started.clone()),
            ("command line".to_owned(), made.command.clone()),
        ]
    };
    made.map(told).into_iter().flatten().collect()
}

fn suite(run: &Run, topology: String) -> Suite {
    let missing = || {
        run.problems
            .first()
            .cloned()
            .unwrap_or_else(|| "result.json does not tell the expectations".into())
    };
    let cases = run.result.expectations.as_ref();
    let cases = cases.map(|all| all.iter().map(Case::from).collect());
    let cases = match &run.unfinished {
        // What held until then need not hold to the end.
        Some(why) => Err(why.clone()),
        None => cases.ok_or_else(missing),
    };
    let mut properties = facts(run);
    properties.extend(asked(run.result.calls.as_ref()));
    Suite {
        name: run.name.clone(),
        topology,
        properties,
        duration_s: run.duration_s(),
        cases,
        uncovered: run.result.uncovered.clone(),
    }
}

/// That something did not come to its end, and why.
fn unfinished_suite(name: &str, why: &str) -> Suite {
    Suite {
        name: name.to_owned(),
        topology: name.to_owned(),
        properties: vec![],
        duration_s: None,
        cases: Err(why.to_owned()),
        uncovered: vec![],
    }
}

/// What clients were to ask as properties: `asked`, `failed: hold timeout`; of one of several
/// clients `asked by NAME`.
fn asked(calls: Option<&Calls>) -> Vec<(String, String)> {
    let mut properties = Vec::new();
    let mut add = |tally: &Tally, by: &str| {
        let counts = [
            ("asked", tally.asked),
            ("answered", tally.answered),
            ("failed", tally.failed),
            ("never sent", tally.never_sent),
        ];
        let known =
            |count: Option<u64>| count.map_or_else(|| "not known".into(), |n| n.to_string());
        properties.extend(counts.map(|(name, count)| (format!("{name}{by}"), known(count))));
        let reasons = tally.reasons.iter();
        properties.extend(reasons.map(|(r, n)| (format!("failed{by}: {r}"), n.to_string())));
        let delivery = tally.delivery_percent;
        properties.extend(delivery.map(|p| (format!("delivery in percent{by}"), p.to_string())));
        let waited = tally.waited;
        properties.extend(waited.map(|w| (format!("waited{by}"), w.to_string())));
    };
    let Some(calls) = calls else {
        return properties;
    };
    add(&calls.all, "");
    for client in &calls.clients {
        add(&client.tally, &format!(" by {}", client.client));
    }
    properties
}
