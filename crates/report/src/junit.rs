//! Expectations as JUnit XML, in the form that Ant made and continuous integration reads: one
//! suite per run, one case per expectation. The time of a suite is that of its scenario; a case, which
//! compares, takes none.

use maud::{PreEscaped, html};
use measure::distribution::PointExpectation;
use measure::result::{Expectation, Outcome};

use crate::chart::clean;
use crate::page::measured;

/// One run, or a point of a sweep.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Unique in the file.
    pub name: String,
    /// Name of the topology: the class of the cases.
    pub topology: String,
    /// Facts by name.
    pub properties: Vec<(String, String)>,
    /// How long its scenario was, seconds, if that is known.
    pub duration_s: Option<f64>,
    /// Its expectations, or why they are not known.
    pub cases: Result<Vec<Case>, String>,
    /// What failed and no expectation is about: cases that are neither passed nor failed.
    pub uncovered: Vec<String>,
}

/// An expectation.
#[derive(Clone, Debug)]
pub struct Case {
    /// What is expected of what.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
    /// What was expected and measured, in words.
    pub told: String,
    /// What was measured, to the last digit.
    pub exact: Option<f64>,
}

impl From<&Expectation> for Case {
    fn from(e: &Expectation) -> Case {
        Case {
            name: e.to_string(),
            outcome: e.outcome,
            told: told(&e.expected, e.reason.as_deref(), &measured(e)),
            exact: e.measured,
        }
    }
}

impl From<&PointExpectation> for Case {
    fn from(e: &PointExpectation) -> Case {
        let told = match e.measured {
            Some(_) => format!("expected {}, measured {}", e.expected, e.found()),
            None => told(&e.expected, e.reason.as_deref(), ""),
        };
        Case {
            name: e.name(),
            outcome: e.outcome,
            told,
            exact: e.measured,
        }
    }
}

fn told(expected: &str, reason: Option<&str>, measured: &str) -> String {
    match reason {
        Some(reason) => format!("expected {expected}, not measured: {reason}"),
        None => format!("expected {expected}, measured {measured}"),
    }
}

impl Suite {
    fn failures(&self) -> usize {
        let cases = self.cases.iter().flatten();
        cases.filter(|c| c.outcome != Outcome::Passed).count()
    }

    fn tests(&self) -> usize {
        self.cases.as_ref().map_or(1, Vec::len) + self.uncovered.len()
    }
}

/// The document.
pub fn document(suites: &[Suite]) -> String {
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let errors = |s: &Suite| usize::from(s.cases.is_err());
    let xml = html! {
        testsuites name="wpanlab" tests=(sum(Suite::tests)) failures=(sum(Suite::failures)) errors=(sum(errors)) {
            @for suite in suites {
                (PreEscaped("\n"))
                testsuite name=(suite.name) tests=(suite.tests()) failures=(suite.failures()) errors=(errors(suite)) skipped=(suite.uncovered.len()) time=[suite.duration_s] {
                    properties {
                        @for (name, value) in &suite.properties { property name=(name) value=(value) {} }
                    }
                    @match &suite.cases {
                        Ok(cases) => { @for one in cases { (case(&suite.topology, one)) } }
                        Err(reason) => {
                            testcase classname=(suite.topology) name="result" time="0" {
                                error message=(reason) type="no result" { (reason) }
                            }
                        }
                    }
                    @for failed in &suite.uncovered {
                        testcase classname=(suite.topology) name="what no expectation is about" time="0" {
                            skipped message=(failed) {}
                        }
                    }
                }
            }
        }
    };
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
        clean(&xml.into_string())
    )
}

fn case(topology: &str, case: &Case) -> PreEscaped<String> {
    let exact = case.exact;
    let exact = exact.map_or_else(|| "nothing".to_owned(), |v| v.to_string());
    html! {
        testcase classname=(topology) name=(case.name) time="0" {
            @if case.outcome != Outcome::Passed {
                failure message=(case.told) type=(case.outcome.name()) { "measured value: " (exact) }
            }
        }
    }
}
