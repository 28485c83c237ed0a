//! `wpanlab clean`: what killed runs left, by their own journals.

use anyhow::{Context, Result, bail};
use testbed::RadioRemover;

use crate::Outcome;

/// Lists what abandoned runs own and, unless `dry_run`, removes it.
pub fn clean(dry_run: bool) -> Result<Outcome> {
    let root = cleanup::state_root();
    let found = cleanup::abandoned(&root).with_context(|| root.display().to_string())?;
    if found.is_empty() {
        outln!("nothing to clean in {}", root.display());
        return Ok(Outcome::Passed);
    }
    let mut failed = Vec::new();
    for claim in found {
        outln!("run {}", claim.name());
        for object in claim.objects() {
            outln!("  {object}");
        }
        if dry_run {
            continue;
        }
        let name = claim.name();
        match claim.remove(&mut RadioRemover) {
            Ok(()) => outln!("  removed"),
            Err(error) => failed.push(format!("run {name}: {error}")),
        }
    }
    if failed.is_empty() {
        Ok(Outcome::Passed)
    } else {
        bail!(failed.join("\n"))
    }
}
