//! The host's half: looks like libtest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use super::arguments::Arguments;
use super::{Event, Harness, Job, Test, output_file};
use crate::{Kernel, KernelSource, VmConfig, VmError, default_cache};

/// libtest's exit status for failed tests and for bad arguments.
const FAILED: i32 = 101;

/// With fewer tests than this for each, another guest takes longer to boot than it saves.
const TESTS_OF_A_GUEST: usize = 4;

pub(super) fn run(harness: &Harness, tests: &[Test]) -> i32 {
    let arguments = match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(e) => {
            eprintln!("error: {e}");
            return FAILED;
        }
    };
    let selected: Vec<usize> = (0..tests.len())
        .filter(|&index| arguments.selects(tests[index].0))
        .collect();
    if arguments.list {
        list(&arguments, tests, &selected);
        return 0;
    }
    let processors = thread::available_parallelism().map_or(1, |n| n.get());
    let guests = (selected.len() / TESTS_OF_A_GUEST).clamp(1, processors);
    let plural = |n: usize| if n == 1 { "" } else { "s" };
    println!(
        "\nrunning {} test{} in {guests} VM{}",
        selected.len(),
        plural(selected.len()),
        plural(guests)
    );
    let report = match selected.is_empty() {
        true => Report::default(),
        false => Report::of_boots(harness, tests, &selected, guests),
    };
    report.close(&arguments, tests, &selected)
}

fn list(arguments: &Arguments, tests: &[Test], selected: &[usize]) {
    for &index in selected {
        println!("{}: test", tests[index].0);
    }
    if !arguments.quiet {
        println!("\n{} tests, 0 benchmarks", selected.len());
    }
}

/// What is known about the tests after a boot.
#[derive(Default)]
struct Report {
    outcomes: BTreeMap<usize, Result<(), String>>,
    outputs: BTreeMap<usize, String>,
    running: BTreeSet<usize>,
    vm_errors: Vec<VmError>,
}

impl Report {
    /// The tests by turns in so many guests at once.
    fn of_boots(harness: &Harness, tests: &[Test], selected: &[usize], guests: usize) -> Report {
        let report = Mutex::new(Report::default());
        let kernel = match kernel() {
            Ok(kernel) => kernel,
            Err(e) => {
                return Report {
                    vm_errors: vec![e],
                    ..Report::default()
                };
            }
        };
        thread::scope(|scope| {
            for first in 0..guests {
                let part: Vec<usize> = (selected.iter().skip(first).step_by(guests))
                    .copied()
                    .collect();
                let (report, kernel) = (&report, kernel.clone());
                scope.spawn(move || {
                    let ended = boot(harness, kernel, tests, &part, report);
                    locked(report).note(ended, &part);
                });
            }
        });
        report.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&mut self, ended: Result<crate::Output, VmError>, part: &[usize]) {
        match ended {
            Ok(output) => {
                for &index in part {
                    let file = output_file(index);
                    if let Some(bytes) = output.files.get(&*file.to_string_lossy()) {
                        let text = String::from_utf8_lossy(bytes).into_owned();
                        self.outputs.insert(index, text);
                    }
                }
            }
            Err(e) => self.vm_errors.push(e),
        }
    }

    fn take(&mut self, line: &str, tests: &[Test]) {
        match serde_json::from_str(line) {
            Ok(Event::Started(index)) => {
                self.running.insert(index);
            }
            Ok(Event::Ended(index, outcome)) => {
                self.running.remove(&index);
                print_outcome(tests[index].0, &outcome);
                self.outcomes.insert(index, outcome);
            }
            // A test may use the progress port as well.
            Err(_) => println!("  {line}"),
        }
    }

    fn close(mut self, arguments: &Arguments, tests: &[Test], selected: &[usize]) -> i32 {
        for &index in selected {
            if !self.outcomes.contains_key(&index) {
                let reason = match self.running.contains(&index) {
                    true => "was running when the VM ended",
                    false => "was not run: the VM ended before",
                };
                let outcome = Err(reason.to_string());
                print_outcome(tests[index].0, &outcome);
                self.outcomes.insert(index, outcome);
            }
        }
        for (&index, outcome) in &self.outcomes {
            let output = self.outputs.get(&index).map_or("", String::as_str);
            if outcome.is_err() || (arguments.show_output && !output.is_empty()) {
                println!("\n---- {} ----\n{}", tests[index].0, output.trim_end());
            }
            if let Err(reason) = outcome {
                println!("{reason}");
            }
        }
        for e in &self.vm_errors {
            println!("\nVM: {e}");
        }
        let failed = self.outcomes.values().filter(|o| o.is_err()).count();
        let word = if failed == 0 { "ok" } else { "FAILED" };
        println!(
            "\ntest result: {word}. {} passed; {failed} failed; 0 ignored; 0 measured; {} filtered \
             out\n",
            self.outcomes.len() - failed,
            tests.len() - selected.len(),
        );
        if failed == 0 { 0 } else { FAILED }
    }
}

fn print_outcome(name: &str, outcome: &Result<(), String>) {
    let word = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("test {name} ... {word}");
}

fn locked(report: &Mutex<Report>) -> MutexGuard<'_, Report> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}

fn kernel() -> Result<Kernel, VmError> {
    let source = KernelSource {
        explicit: std::env::var_os("WPANLAB_KERNEL").map(Into::into),
        cache: default_cache(),
    };
    Kernel::locate_and_tell(&source, |step| println!("{step}"))
}

fn boot(
    harness: &Harness,
    kernel: Kernel,
    tests: &[Test],
    part: &[usize],
    report: &Mutex<Report>,
) -> Result<crate::Output, VmError> {
    let init = std::env::current_exe().map_err(VmError::io("find", "this test program"))?;
    let mut config = VmConfig::new(kernel, init);
    config.memory_mib = harness.memory_mib;
    config.modules = harness.modules.clone();
    config.files = harness.files.clone();
    config.share_host_root = harness.share_host_root;
    config.stall_limit = harness.stall_limit;
    let value = |name: &String| Some((name.clone(), std::env::var(name).ok()?));
    let job = Job {
        tests: part.to_vec(),
        environment: harness.environment.iter().filter_map(value).collect(),
    };
    config.job = serde_json::to_vec(&job).map_err(|e| VmError::Config(e.to_string()))?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(VmError::io("start", "an async runtime"))?
        .block_on(crate::run(config, |line| locked(report).take(line, tests)))
}
