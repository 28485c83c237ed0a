//! Programs of the user's: their words, and the addresses in them.

use std::collections::BTreeMap;
use std::time::Duration;

use super::identity::Network;
use super::{Resolver, is_name};
use crate::diagnostic::{Span, nearest};
use crate::file;
use crate::plan::ProgramPlan;

impl<'t> Resolver<'t> {
    pub(super) fn program(
        &mut self,
        name: &str,
        file: &file::Program,
        network: &Network<'t>,
    ) -> ProgramPlan {
        let path = format!("nodes.{name}");
        if file
            .command
            .first()
            .is_none_or(|program| program.is_empty())
        {
            let at = file.command.first().map(|program| program.span);
            self.problem(
                at.unwrap_or(self.span_of(name)),
                format!("`{path}.command` names no program; write `[program, argument, …]`"),
            );
        }
        for (i, word) in file.command.iter().enumerate() {
            self.check_placeholders(&format!("{path}.command[{i}]"), word, word.span);
        }
        let duration = self.topology.scenario.duration.value;
        ProgramPlan {
            command: file
                .command
                .iter()
                .map(|word| with_addresses(word, &self.nodes, network))
                .collect(),
            start_at: self.duration(
                &format!("{path}.start_at"),
                file.start_at,
                Duration::ZERO,
                |at| at <= duration,
                "in the scenario: it ends before",
            ),
        }
    }

    /// `{sensor}` must be a node. Braces around anything else are the program's own.
    fn check_placeholders(&mut self, path: &str, word: &str, span: Span) {
        for part in word.split('{').skip(1) {
            let Some((name, _)) = part.split_once('}') else {
                continue;
            };
            if is_name(name) && !self.nodes.contains_key(name) {
                let right = match nearest(name, self.nodes.keys().copied()) {
                    Some(near) => format!("did you mean `{{{near}}}`?"),
                    None => "write the name of a node".to_owned(),
                };
                self.problem(
                    span,
                    format!("`{path}`: unknown node `{{{name}}}`; {right}"),
                );
            }
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
