//! Expectations as JUnit XML, in the form that Ant made and continuous integration reads: one
//! suite per run, one case per expectation.

use maud::{PreEscaped, html};
use measure::result::{Expectation, Outcome};

use crate::chart::clean;
use crate::page::{measured, metric};

/// One run.
#[derive(Clone, Debug)]
pub struct Suite {
    /// Unique in the file.
    pub name: String,
    /// Name of the topology: the class of the cases.
    pub topology: String,
    /// Facts by name.
    pub properties: Vec<(String, String)>,
    /// Its expectations, or why they are not known.
    pub expectations: Result<Vec<Expectation>, String>,
}

impl Suite {
    fn failures(&self) -> usize {
        let expectations = self.expectations.iter().flatten();
        expectations
            .filter(|e| e.outcome != Outcome::Passed)
            .count()
    }

    fn tests(&self) -> usize {
        self.expectations.as_ref().map_or(1, Vec::len)
    }
}

/// The document.
pub fn document(suites: &[Suite]) -> String {
    let sum = |count: fn(&Suite) -> usize| suites.iter().map(count).sum::<usize>();
    let errors = |s: &Suite| usize::from(s.expectations.is_err());
    let xml = html! {
        testsuites name="wpanlab" tests=(sum(Suite::tests)) failures=(sum(Suite::failures)) errors=(sum(errors)) {
            @for suite in suites {
                (PreEscaped("\n"))
                testsuite name=(suite.name) tests=(suite.tests()) failures=(suite.failures()) errors=(errors(suite)) skipped="0" {
                    properties {
                        @for (name, value) in &suite.properties { property name=(name) value=(value) {} }
                    }
                    @match &suite.expectations {
                        Ok(expectations) => { @for e in expectations { (case(&suite.topology, e)) } }
                        Err(reason) => {
                            testcase classname=(suite.topology) name="result" {
                                error message=(reason) type="no result" { (reason) }
                            }
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

fn case(topology: &str, e: &Expectation) -> PreEscaped<String> {
    let name = format!("{} {}", metric(e.metric), e.expected);
    let exact = e
        .measured
        .map_or_else(|| "nothing".to_owned(), |v| v.to_string());
    let told = match &e.reason {
        Some(reason) => format!("expected {}, not measured: {reason}", e.expected),
        None => format!("expected {}, measured {}", e.expected, measured(e)),
    };
    html! {
        testcase classname=(topology) name=(name) {
            @if e.outcome != Outcome::Passed {
                failure message=(told) type=(e.outcome.name()) { "measured value: " (exact) }
            }
        }
    }
}
