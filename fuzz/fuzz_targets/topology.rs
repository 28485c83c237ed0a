//! `topology::load_with`: a plan is the same after another resolution and after a journey through
//! `plan.yaml`; a problem stands at a place that the file has.

#![no_main]

use libfuzzer_sys::fuzz_target;
use topology::{Diagnostic, Diagnostics, Overrides, Plan, load_with};

/// What every file that a topology names holds, by the end of its name.
const CSV: &str = include_str!("../../crates/topology/tests/corridor.csv");
const TCL: &str = include_str!("../../crates/topology/tests/walk.tcl");
const MOVEMENTS: &str = include_str!("../../crates/topology/tests/walk.movements");

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let loaded = load(text);
    assert_eq!(load(text), loaded);
    match loaded {
        Ok(plan) => {
            let yaml = plan.to_yaml();
            let read = Plan::from_yaml(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
            assert_eq!(read, plan, "{yaml}");
            let read = Plan::from_json(&plan.to_json());
            assert_eq!(read.map_err(|error| error.to_string()), Ok(plan), "{yaml}");
        }
        Err(diagnostics) => {
            assert!(!diagnostics.problems().is_empty());
            let shown = diagnostics.to_string();
            for problem in diagnostics.problems() {
                check_place(text, problem);
                assert!(shown.contains(&problem.message));
            }
        }
    }
});

fn load(text: &str) -> Result<Plan, Diagnostics> {
    let mut files = |name: &str| match name.rsplit('.').next() {
        Some("csv") => Ok(CSV.into()),
        Some("tcl") => Ok(TCL.into()),
        Some("movements") => Ok(MOVEMENTS.into()),
        _ => Err("no such file".to_owned()),
    };
    load_with("fuzz.yaml", text, Overrides::default(), &mut files)
}

/// A span lies within its line; what is missing at the end of the file stands right behind it.
fn check_place(text: &str, problem: &Diagnostic) {
    let span = problem.span;
    assert!(
        !problem.message.is_empty() && !problem.message.contains('\n'),
        "{problem:?}"
    );
    assert!(span.line >= 1 && span.column >= 1, "{problem:?}");
    let line = match text.split('\n').nth(span.line - 1) {
        Some(line) => line,
        None => panic!("{problem:?} is behind the end of the file"),
    };
    let length = line.trim_end_matches('\r').chars().count();
    assert!(
        span.column - 1 <= length,
        "{problem:?} is behind the end of its line"
    );
    // A mark has at least one character, at the end of a line, too.
    let end = span.column - 1 + span.length.max(1) - 1;
    assert!(end <= length, "{problem:?} ends behind its line");
}
