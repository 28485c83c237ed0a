//! What of a file could not be read, so that what only follows from that is not said, too.

use std::collections::BTreeSet;

/// The places of a file with a problem of form, and what stands in for them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Faults {
    /// `nodes.sensor.handover.dad`
    paths: BTreeSet<String>,
    /// Entries of `nodes` that are not among the nodes.
    unread: BTreeSet<String>,
}

impl Faults {
    /// Notes a problem at `path`.
    pub(crate) fn note(&mut self, path: String) {
        self.paths.insert(path);
    }

    /// Notes that the node `name` could not be read at all.
    pub(crate) fn note_unread(&mut self, name: &str) {
        self.unread.insert(name.to_owned());
    }

    /// Whether `path`, or a table around it, is not what the file says.
    pub(crate) fn stood_in(&self, path: &str) -> bool {
        self.paths.iter().any(|fault| within(path, fault))
    }

    /// Whether something at or below `path` is not what the file says.
    pub(crate) fn below(&self, path: &str) -> bool {
        self.paths.iter().any(|fault| within(fault, path))
    }

    /// Whether a node of this name stands in the file and could not be read.
    pub(crate) fn is_unread(&self, name: &str) -> bool {
        self.unread.contains(name)
    }

    /// The nodes that stand in the file and could not be read.
    pub(crate) fn unread(&self) -> impl Iterator<Item = &str> {
        self.unread.iter().map(String::as_str)
    }

    /// Whether every node of the file is known, so that one that is looked for is really missing.
    pub(crate) fn nodes_known(&self) -> bool {
        self.unread.is_empty() && !self.paths.contains("nodes") && !self.paths.contains("")
    }

    /// Whether a problem of meaning says nothing new: something at its place, or in the table that
    /// it is about, could not be read. Its message begins with its path: `` `links[0]`: … ``.
    pub(crate) fn explain(&self, message: &str) -> bool {
        let path = message
            .strip_prefix('`')
            .and_then(|rest| rest.split_once("`:"))
            .map(|(path, _)| path);
        let of_a_table = |path: &&str| path.contains(['.', '[']);
        path.is_some_and(|path| self.stood_in(path))
            || path.filter(of_a_table).is_some_and(|path| self.below(path))
    }
}

/// Whether `path` is `outer`, or something in it.
fn within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer)
        .is_some_and(|rest| outer.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(paths: &[&str]) -> Faults {
        let mut faults = Faults::default();
        for path in paths {
            faults.note((*path).to_owned());
        }
        faults
    }

    #[test]
    fn a_problem_at_or_around_what_could_not_be_read_says_nothing_new() {
        let faults = faults(&["scenario.steps[1].speed", "nodes.er1.channel"]);
        assert!(faults.explain("`scenario.steps[1]`: how fast?"));
        assert!(faults.explain("`nodes.er1.channel`: taken"));
        assert!(!faults.explain("`scenario.steps[10]`: how fast?"));
        assert!(!faults.explain("`nodes.er1.pan`: taken"));
        assert!(!faults.explain("`nodes`: no edge router"));
        assert!(!faults.explain("`nodes.er1` needs a server"));
    }

    #[test]
    fn a_value_inside_of_what_could_not_be_read_stands_in() {
        let faults = faults(&["radio"]);
        assert!(faults.stood_in("radio.medium"));
        assert!(!faults.stood_in("radios"));
    }
}
