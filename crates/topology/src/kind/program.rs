//! Programs of the user's: their words, and the addresses in them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::{Serves, ServiceFacts};
use crate::decode::At;
use crate::diagnostic::{Span, nearest};
use crate::resolve::identity::Network;
use crate::resolve::{Context, Resolver, is_name};

tables! {
    /// A program of the user's, in the node's namespace. It is code that runs as root: of the guest in
    /// a VM, which sees the host's files and cannot change them, and of this machine with the native
    /// backend. Read a topology of somebody else's before you run it.
    pub struct Program {
        /// Program and arguments, without a shell. `{sensor}` stands for the address of the
        /// node `sensor`: the permanent address of a node with a radio, the backbone address of any
        /// other. Braces around anything else stay as they are.
        pub command: Vec<At<String>>,
        /// Scenario time at which it starts; default 0 s.
        pub start_at: Option<At<Duration>>,
    }
}

impl Serves for Program {}

/// A program of the user's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgramPlan {
    /// Program and arguments; the addresses of nodes stand where the file had `{node}`.
    pub command: Vec<String>,
    /// Scenario time at which it starts.
    #[serde(with = "duration")]
    pub start_at: Duration,
}

impl ServiceFacts for ProgramPlan {
    fn program(&self) -> Option<&ProgramPlan> {
        Some(self)
    }

    fn describe(&self) -> Vec<String> {
        vec!["program".into()]
    }
}

impl Program {
    /// The plan of the service at `path`.
    pub(super) fn plan<'t>(
        &self,
        r: &mut Resolver<'t>,
        context: &Context<'_, 't>,
        path: &str,
    ) -> ProgramPlan {
        let first = self.command.first();
        if first.is_none_or(|program| program.is_empty()) {
            let at = first.map(|program| program.span);
            r.problem(
                at.unwrap_or(r.span_of(context.name)),
                format!("`{path}.command` names no program; write `[program, argument, …]`"),
            );
        }
        for (i, word) in self.command.iter().enumerate() {
            check_placeholders(r, &format!("{path}.command[{i}]"), word, word.span);
        }
        let duration = r.topology.scenario.duration.value;
        let words = self.command.iter();
        ProgramPlan {
            command: words
                .map(|word| with_addresses(word, &r.nodes, context.network))
                .collect(),
            start_at: r.duration(
                &format!("{path}.start_at"),
                self.start_at,
                Duration::ZERO,
                |at| at <= duration,
                "in the scenario: it ends before",
            ),
        }
    }
}

/// `{sensor}` must be a node. Braces around anything else are the program's own.
fn check_placeholders(r: &mut Resolver<'_>, path: &str, word: &str, span: Span) {
    for part in word.split('{').skip(1) {
        let Some((name, _)) = part.split_once('}') else {
            continue;
        };
        if is_name(name) && !r.nodes.contains_key(name) {
            let right = match nearest(name, r.nodes.keys().copied()) {
                Some(near) => format!("did you mean `{{{near}}}`?"),
                None => "write the name of a node".to_owned(),
            };
            r.problem(
                span,
                format!("`{path}`: unknown node `{{{name}}}`; {right}"),
            );
        }
    }
}

/// `word` with every `{node}` replaced by that node's address. Braces around anything else
/// are the program's own and stay.
fn with_addresses<T>(word: &str, nodes: &BTreeMap<&str, T>, network: &Network<'_>) -> String {
    let mut parts = word.split('{');
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) if nodes.contains_key(name) => {
                text.push_str(&network.address_of(name).to_string());
                text.push_str(rest);
            }
            _ => {
                text.push('{');
                text.push_str(part);
            }
        }
    }
    text
}
