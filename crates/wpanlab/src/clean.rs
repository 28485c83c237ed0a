//! `wpanlab clean`: what killed runs left, by their own journals.

use anyhow::{Context, Result, bail};
use serde::Serialize;
use testbed::RadioRemover;

use crate::{Outcome, Say, output};

/// What a killed run left.
#[derive(Serialize)]
struct Left {
    run: String,
    objects: Vec<String>,
    removed: bool,
}

/// Lists what abandoned runs own and, unless `dry_run`, removes it.
pub fn clean(dry_run: bool, say: Say) -> Result<Outcome> {
    let root = cleanup::state_root();
    let found = cleanup::abandoned(&root).with_context(|| root.display().to_string())?;
    if found.is_empty() && !say.json {
        outln!("nothing to clean in {}", root.display());
    }
    let mut all = Vec::new();
    let mut failed = Vec::new();
    for claim in found {
        let mut left = Left {
            run: claim.name().to_string(),
            objects: claim.objects().iter().map(ToString::to_string).collect(),
            removed: false,
        };
        if !dry_run {
            match claim.remove(&mut RadioRemover) {
                Ok(()) => left.removed = true,
                Err(error) => failed.push(format!("run {}: {error}", left.run)),
            }
        }
        if !say.json {
            left.print();
        }
        all.push(left);
    }
    if say.json {
        output::json(&all)?;
    }
    if failed.is_empty() {
        Ok(Outcome::Passed)
    } else {
        bail!(failed.join("\n"))
    }
}

impl Left {
    fn print(&self) {
        outln!("run {}", self.run);
        for object in &self.objects {
            outln!("  {object}");
        }
        if self.removed {
            outln!("  removed");
        }
    }
}
