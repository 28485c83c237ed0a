//! The files of a run directory. What is missing or cannot be understood becomes a sentence, and
//! whatever else is there is used.

use std::fs;
use std::io::{self, BufReader};
use std::path::Path;

use files::Tree;
use measure::analysis::Analysis;
use measure::assemble::{analysis, client_interfaces};
use measure::calls::Calls;
use measure::http::{self, Exchanged, HttpClient, Polled};
use measure::mobility::{GivenUp, NodeHandover, handovers, scenario_start};
use measure::read_capture;
use measure::result::{Expectation, Flow, Handover, RadioUse, Requests, Scenario};
use rundir::air::Facts;
use rundir::event::read_all;
use rundir::{Event, Made, RunDir, RunFacts};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use topology::Plan;
use topology::plan::NodeName;
use units::{Seed, SimTime};

use crate::air::{self, Heard};
use crate::figure::sequence::Sequences;

/// What a run left.
#[derive(Debug, Default)]
pub struct Run {
    /// Name of the directory.
    pub name: String,
    /// `plan.yaml` as it stands.
    pub plan_text: Option<String>,
    /// The same, understood.
    pub plan: Option<Plan>,
    /// `run.json`.
    pub facts: Option<RunFacts>,
    /// `made.json`; absent in the directories of before, and of the runs of a sweep.
    pub made: Option<Made>,
    /// Names of the files for a reader, relative to the directory: the captures first.
    pub files: Vec<String>,
    /// Why it did not come to its end, if it did not: what its result or `error.txt` says.
    pub unfinished: Option<String>,
    /// `result.json`.
    pub result: Keys,
    /// `events.jsonl`.
    pub events: Option<Vec<Event>>,
    /// Handovers by the nodes' own account, out of the events.
    pub records: Vec<NodeHandover>,
    /// What each client's capture shows.
    pub clients: Vec<(NodeName, Analysis)>,
    /// What each HTTP client's capture shows of each of its polls.
    pub by_http: Vec<(NodeName, Polled)>,
    /// Strength of the routers' frames at the nodes, out of the capture of the air.
    pub heard: Vec<Heard>,
    /// From a router's wired interface to the node's 6LoWPAN interface, seconds, one per request
    /// whose way the captures show.
    pub wireless_delays_s: Vec<f64>,
    /// Who sent what to whom, in handovers and for applications.
    pub sequences: Sequences,
    /// What is missing or cannot be read, and what to do about it.
    pub problems: Vec<String>,
}

/// The keys of `result.json` that could be read.
#[derive(Debug, Default)]
pub struct Keys {
    /// Version of the program that made the run.
    pub wpanlab_version: Option<String>,
    /// Name of the topology.
    pub topology: Option<String>,
    /// Root seed.
    pub seed: Option<Seed>,
    /// `native`, `vm` or `uml`.
    pub backend: Option<String>,
    /// `virtual` or `realtime`.
    pub clock: Option<String>,
    /// Kernel release.
    pub kernel: Option<String>,
    /// Version of QEMU; absent without a VM, and in the results of before.
    pub qemu: Option<String>,
    /// What takes time on the processor of a User-Mode Linux; absent elsewhere.
    pub processor: Option<String>,
    /// The scenario's time.
    pub scenario: Option<Scenario>,
    /// Why the run did not come to its end, and how far it came; absent if it did.
    pub partial: Option<String>,
    /// The verdict.
    pub passed: Option<bool>,
    /// What failed and no expectation is about; none in the results of before.
    pub uncovered: Vec<String>,
    /// The handovers.
    pub handovers: Option<Vec<Handover>>,
    /// Handovers that were begun and not completed; none in the results of before.
    pub given_up: Vec<GivenUp>,
    /// What clients were to ask; absent in the results of before.
    pub calls: Option<Calls>,
    /// All polls.
    pub requests: Option<Requests>,
    /// Polls per client, node and resource.
    pub flows: Option<Vec<Flow>>,
    /// Requests of the clients for a protocol's own sake.
    pub signalling: Option<Requests>,
    /// What clients asked by HTTP; none in the results of before, and without such clients.
    pub http: Vec<HttpClient>,
    /// What radios used; only with `medium: phy`.
    pub radios: Option<Vec<RadioUse>>,
    /// What the air counted; only with `medium: phy`.
    pub air: Option<Facts>,
    /// The expectations.
    pub expectations: Option<Vec<Expectation>>,
    /// What a reader should know.
    pub notes: Option<Vec<String>>,
}

impl Run {
    /// Reads a run directory. Nothing in it is required.
    pub fn read(dir: &RunDir) -> Run {
        let mut run = Run {
            name: name_of(dir.root()),
            ..Run::default()
        };
        run.plan_text = run.file(&dir.plan(), |p| dir.files().read_to_string(p));
        if let Some(text) = &run.plan_text {
            match Plan::from_yaml(text) {
                Ok(plan) => run.plan = Some(plan),
                Err(error) => run.problem(&dir.plan(), &error),
            }
        }
        run.facts = run.file(&dir.facts(), RunFacts::read);
        if let Some(Value::Object(keys)) = run.file(&dir.result(), |p| json(dir.files(), p)) {
            let phy = run.plan.as_ref().is_some_and(|p| p.radio.phy.is_some());
            run.result = Keys::of(&keys, phy, &mut run.problems);
        }
        let told = || dir.files().read_to_string(&dir.error()).ok();
        let partial = run.result.partial.clone().or_else(told);
        run.unfinished = partial.map(|why| why.trim().to_owned());
        if let Some(file) = run.file(&dir.events(), |p| dir.files().open(p)) {
            match read_all(BufReader::new(file)) {
                Ok(events) => run.events = Some(events),
                Err(error) => run.problem(&dir.events(), &error),
            }
        }
        run.records = handovers(run.events.as_deref().unwrap_or_default());
        run.made = made(&dir.made(), &mut run.problems);
        run.files = files(dir);
        run.captures(dir);
        run
    }

    /// Seconds of the scenario at `time`; before 0 if the scenario had not begun.
    pub fn seconds(&self, time: SimTime) -> f64 {
        let start = self.result.scenario.map(|s| s.start_unix_ns);
        let start = start.or_else(|| {
            let told = scenario_start(self.events.as_deref()?)?;
            Some(told.as_nanos())
        });
        let first = || self.clients.iter().map(|(_, a)| a.start.as_nanos()).min();
        let start_unix_ns = start.or_else(first).unwrap_or_default();
        let scenario = Scenario {
            start_unix_ns,
            duration_s: 0.0,
        };
        scenario.seconds(time)
    }

    /// How long the scenario lasted, if that is known.
    pub fn duration_s(&self) -> Option<f64> {
        let planned = || {
            self.plan
                .as_ref()
                .map(|p| p.scenario.duration.as_secs_f64())
        };
        self.result.scenario.map(|s| s.duration_s).or_else(planned)
    }

    /// The node's own account of a handover of the result.
    pub fn record(&self, handover: &Handover) -> Option<&NodeHandover> {
        let started = handover.started_s?;
        let same = |r: &&NodeHandover| {
            r.node == handover.node && r.started.is_some_and(|t| self.seconds(t) == started)
        };
        self.records.iter().find(same)
    }

    fn capture(&mut self, dir: &RunDir, file: &Path) -> Option<capture::Capture> {
        let capture = self.file(file, |p| read_capture(dir, p).map_err(io::Error::other))?;
        if let Some(damage) = &capture.damage {
            self.problem(file, damage);
        }
        Some(capture)
    }

    fn captures(&mut self, dir: &RunDir) {
        let Some(plan) = self.plan.take() else {
            return;
        };
        if fs::metadata(dir.captures()).is_err() {
            self.problems.push(
                "captures/ is not there: Message IDs, round-trip times and signal strengths over time cannot be drawn. A sweep keeps captures with --captures; a run can be had again by its seed".into(),
            );
        } else {
            let events = self.events.take().unwrap_or_default();
            for (name, node) in &plan.nodes {
                if node.http_clients().next().is_some()
                    && let Some(own) = self.capture(dir, &dir.capture(name, "eth0"))
                {
                    let scenario = self.result.scenario.unwrap_or(Scenario {
                        start_unix_ns: 0,
                        duration_s: plan.scenario.duration.as_secs_f64(),
                    });
                    let read = http::exchanged(&plan, &scenario, &events, node, &own);
                    for of in read.all {
                        self.by_http(dir, name, of);
                    }
                }
                if !node.asks() {
                    continue;
                }
                let files = client_interfaces(node).map(|i| dir.capture(name, i));
                let own: Option<Vec<_>> = files.map(|file| self.capture(dir, &file)).collect();
                if let Some(own) = own {
                    let analysis = analysis(&plan, &events, name, &own);
                    self.clients.push((name.clone(), analysis));
                }
            }
            self.events = (!events.is_empty()).then_some(events);
            let (sequences, unread) = Sequences::read(dir, &plan, self);
            self.sequences = sequences;
            self.problems.extend(unread);
            if plan.radio.phy.is_some() {
                let read = |p: &Path| read_capture(dir, p).map_err(io::Error::other);
                if let Some(capture) = self.file(&dir.air_capture(), read) {
                    self.heard = air::heard(&plan, &capture, |time| self.seconds(time));
                }
            }
            self.wireless_delays_s = air::wireless_delays(&plan, dir);
        }
        self.plan = Some(plan);
    }

    fn file<T>(&mut self, path: &Path, how: impl FnOnce(&Path) -> io::Result<T>) -> Option<T> {
        match how(path) {
            Ok(value) => Some(value),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.problems
                    .push(format!("{} is not there", last_part(path)));
                None
            }
            Err(error) => {
                self.problem(path, &error);
                None
            }
        }
    }

    /// Takes what a node exchanged with a gateway.
    fn by_http(&mut self, dir: &RunDir, name: &NodeName, of: Exchanged) {
        for (why, count) in &of.connections.unread {
            let text = format!(
                "of TCP connections with {} {count} could not be read to the end, and what was asked by them from then on is not drawn: {why}",
                of.gateway
            );
            self.problem(&dir.capture(name, "eth0"), &text);
        }
        let polls = of.polls.into_iter();
        self.by_http
            .extend(polls.map(|polled| (name.clone(), polled)));
    }

    fn problem(&mut self, path: &Path, what: &dyn std::fmt::Display) {
        self.problems.push(not_understood(path, what));
    }
}

impl Keys {
    fn of(keys: &Map<String, Value>, phy: bool, problems: &mut Vec<String>) -> Keys {
        let mut read = Reader { keys, problems };
        Keys {
            wpanlab_version: read.key("wpanlab_version"),
            topology: read.key("topology"),
            seed: read.key("seed"),
            backend: read.key("backend"),
            clock: read.key("clock"),
            kernel: read.key("kernel"),
            qemu: read.optional("qemu"),
            processor: read.optional("processor"),
            scenario: read.key("scenario"),
            partial: read.optional("partial"),
            passed: read.key("passed"),
            uncovered: read.optional("uncovered").unwrap_or_default(),
            handovers: read.key("handovers"),
            given_up: read.optional("given_up").unwrap_or_default(),
            calls: read.key("calls"),
            requests: read.key("requests"),
            flows: read.key("flows"),
            signalling: read.key("signalling"),
            http: read.optional("http").unwrap_or_default(),
            radios: if phy { read.key("radios") } else { None },
            air: if phy { read.key("air") } else { None },
            expectations: read.key("expectations"),
            notes: read.key("notes"),
        }
    }
}

struct Reader<'a> {
    keys: &'a Map<String, Value>,
    problems: &'a mut Vec<String>,
}

impl Reader<'_> {
    fn key<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        if !self.keys.contains_key(name) {
            self.problems
                .push(format!("result.json has no key `{name}`"));
        }
        self.optional(name)
    }

    /// A key that need not be there.
    fn optional<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.keys.get(name)?;
        match T::deserialize(value) {
            Ok(value) => Some(value),
            Err(error) => {
                let text = format!("result.json: `{name}` cannot be understood: {error}");
                self.problems.push(text);
                None
            }
        }
    }
}

/// What `made.json` says. That it is not there is no problem.
pub fn made(path: &Path, problems: &mut Vec<String>) -> Option<Made> {
    match Made::read(path) {
        Ok(made) => Some(made),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            problems.push(format!("{} cannot be understood: {error}", name_of(path)));
            None
        }
    }
}

/// The files that a reader may want to open: all captures, the merged one first, and the others
/// that are there.
fn files(dir: &RunDir) -> Vec<String> {
    let captures = fs::read_dir(dir.captures()).into_iter().flatten().flatten();
    let mut captures: Vec<String> = captures
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(".pcapng"))
        .collect();
    captures.sort_by_key(|name| (name != "all.pcapng", name != "air.pcapng", name.clone()));
    let captures = captures.into_iter().map(|name| format!("captures/{name}"));
    let others = [dir.result(), dir.events(), dir.plan(), dir.error()];
    let others = others.into_iter().filter(|path| path.exists());
    captures.chain(others.map(|path| name_of(&path))).collect()
}

/// A JSON object. Anything else is said to be none.
pub fn json(files: Tree<'_>, path: &Path) -> io::Result<Value> {
    let value: Value = serde_json::from_slice(&files.read(path)?)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(io::Error::other("expected a JSON object"))
    }
}

/// What a directory is called, by whatever way it is reached.
pub fn name_of(dir: &Path) -> String {
    last_part(&fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned()))
}

/// That a file cannot be understood, and why.
pub fn not_understood(path: &Path, what: &dyn std::fmt::Display) -> String {
    format!("{} cannot be understood: {what}", last_part(path))
}

/// Last part of a path, for people.
fn last_part(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
