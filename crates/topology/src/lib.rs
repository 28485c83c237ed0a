//! Topology file to resolved plan.
//!
//! Owns the YAML format of topologies: what may be written, what an absent key means, what is
//! refused and how that is said. Knows nothing of files, machines, clocks or the kernel: text
//! comes in, a [`Plan`] or [`Diagnostics`] come out, and the same text and seed give the same
//! plan everywhere.
//!
//! ```
//! use topology::{Overrides, load};
//!
//! let text = "
//! version: 1
//! name: smallest
//! nodes:
//!   er1: { role: edge-router }
//!   wmms: { role: wmms }
//!   sensor: { role: mobile-node, attached_to: er1 }
//!   client: { role: client, polls: [{ node: sensor }] }
//! scenario: { duration: 10 s }
//! ";
//! let plan = load("smallest.yaml", text, Overrides::default()).unwrap();
//! assert_eq!(plan.nodes["er1"].radio.as_ref().unwrap().channel.number(), 11);
//!
//! let wrong = text.replace("10 s", "10");
//! let error = load("smallest.yaml", &wrong, Overrides::default()).unwrap_err();
//! assert!(error.to_string().starts_with("smallest.yaml:9:23: error: `scenario.duration`: `10`"));
//! ```
//!
//! | module | holds |
//! | --- | --- |
//! | [`mod@file`] | the tables and keys of the file |
//! | [`kind`] | what a node is: its place, its mobility, its services |
//! | [`assign`] | values of the command line in place of the file's |
//! | [`scalar`] | quantities, identifiers and words |
//! | `decode` | tree to tables, with every problem of form |
//! | [`mod@resolve`] | tables to plan, with every problem of meaning |
//! | [`plan`] | the resolved plan |
//! | [`mod@schema`] | JSON Schema of the file, for editors |
//! | [`diagnostic`] | problems with their position |
//! | `faults` | what could not be read, and what follows from that alone |

#![forbid(unsafe_code)]

pub mod assign;
mod decode;
pub mod diagnostic;
mod faults;
#[macro_use]
pub mod file;
pub mod kind;
pub mod plan;
pub mod resolve;
pub mod scalar;
pub mod schema;
mod tree;

use units::Seed;

pub use assign::{Assignment, Parameter};
pub use decode::{At, Block, Named};
use decode::{Decode, Decoder};
pub use diagnostic::{Diagnostic, Diagnostics, Severity, Source, Span};
pub use plan::Plan;
use resolve::resolve;
pub use resolve::{Loader, is_topology_name};
pub use schema::{reference, schema};

/// What the command line says in place of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Root seed; over one that is assigned.
    pub seed: Option<Seed>,
    /// Values for places of the file, in the order in which they are put there.
    pub assignments: Vec<Assignment>,
}

/// A topology that can be run.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The network and what happens in it.
    pub plan: Plan,
    /// Steps of the scenario as the file has them: of a repeated step each time, of a move and of a
    /// change that takes its time one.
    pub steps: usize,
    /// Items of the scenario's list of steps.
    pub listed_steps: usize,
    /// What can be run and will hardly do what was meant; `None` if there is nothing to say.
    pub warnings: Option<Diagnostics>,
}

/// Reads and resolves a topology. `path_name` is what diagnostics call the file.
///
/// # Errors
/// The first error of YAML's syntax, alone; or every problem of the file: keys that stand twice or
/// are unknown, values of the wrong form, contradictions. What only follows from another problem is
/// left out. A topology that names other files is refused at the key that does: [`load_with`] reads
/// them. An assignment to a place that cannot be is reported before anything else of the file but
/// its syntax.
pub fn load(path_name: &str, text: &str, overrides: Overrides) -> Result<Plan, Diagnostics> {
    let mut none = |_: &str| Err("no other file can be read here".to_owned());
    load_with(path_name, text, overrides, &mut none)
}

/// [`load`] for a topology that may name other files (traces, movements). `files` reads one: it
/// gets the name as the topology has it, relative to the topology's own file, and gives the bytes,
/// or why there are none.
///
/// ```
/// use topology::{Overrides, load_with};
///
/// let text = "
/// version: 1
/// name: traced
/// radio: { medium: phy }
/// nodes:
///   er1: { role: edge-router }
///   wmms: { role: wmms }
///   sensor: { role: mobile-node, attached_to: er1 }
/// links: [{ link: [sensor, er1], trace: walk.csv }]
/// scenario: { duration: 10 s }
/// ";
/// let mut files = |name: &str| match name {
///     "walk.csv" => Ok(b"0,52.5\n10,95\n".to_vec()),
///     _ => Err("no such file".to_owned()),
/// };
/// let plan = load_with("traced.yaml", text, Overrides::default(), &mut files).unwrap();
/// assert_eq!(plan.radio.phy.unwrap().traces[0].points.len(), 2);
/// ```
///
/// # Errors
/// As [`load`]'s; a file that is missing or faulty is a problem of meaning at the key that names
/// it.
pub fn load_with(
    path_name: &str,
    text: &str,
    overrides: Overrides,
    files: &mut Loader<'_>,
) -> Result<Plan, Diagnostics> {
    read(path_name, text, overrides, files).map(|loaded| loaded.plan)
}

/// [`load_with`], with what there is to say of a topology that can be run.
///
/// # Errors
/// As [`load_with`]'s.
pub fn read(
    path_name: &str,
    text: &str,
    overrides: Overrides,
    files: &mut Loader<'_>,
) -> Result<Loaded, Diagnostics> {
    let assignments = &overrides.assignments;
    let told = |severity, problems| {
        let assignments = assignments.iter().map(ToString::to_string).collect();
        Diagnostics::new(severity, path_name, text, assignments, problems)
    };
    let failed = |problems| told(Severity::Error, problems);
    let (mut tree, twice) = tree::parse(text).map_err(|problem| failed(vec![problem]))?;
    if let Some(problem) = tree::is_a_plan(&tree) {
        return Err(failed(vec![problem]));
    }
    assign::assign(&mut tree, assignments).map_err(failed)?;
    let mut decoder = Decoder::default();
    let topology = file::Topology::decode(&tree, &mut decoder);
    let (mut problems, faults) = decoder.finish();
    problems.extend(twice);
    let Some(topology) = topology else {
        return Err(failed(problems));
    };
    match resolve(&topology, overrides.seed, files, &faults) {
        Ok(resolved) if problems.is_empty() => Ok(Loaded {
            plan: resolved.plan,
            steps: resolved.steps,
            listed_steps: topology.scenario.steps.as_ref().map_or(0, Vec::len),
            warnings: (!resolved.warnings.is_empty())
                .then(|| told(Severity::Warning, resolved.warnings)),
        }),
        Ok(_) => Err(failed(problems)),
        Err(more) => {
            problems.extend(more);
            Err(failed(problems))
        }
    }
}
