//! `wpanlab vm`: the kernels of VMs.

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::json;
use vm::Kernel;

use crate::backend::own_binary;
use crate::failure::Refused;
use crate::progress::Show;
use crate::{Outcome, Say, output};

/// `wpanlab vm fetch`: the distribution's kernel, or that of a suite of Debian's; one that is there is not fetched a
/// second time, unless `again`.
pub fn fetch(suite: Option<&str>, again: bool, show: Show, say: Say) -> Result<Outcome> {
    let wrong = |suite: &&str| !suite.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    if let Some(suite) = suite.filter(wrong) {
        let text = format!(
            "--suite {suite}: expected a suite of Debian's, bookworm-backports for instance"
        );
        return Err(Refused(text).into());
    }
    let common = vm::default_cache();
    let cache = match suite {
        Some(suite) => vm::of_suite(&common, suite),
        None => common,
    };
    let there = Kernel::cached(&cache).filter(|_| !again);
    let fetched = there.is_none();
    let kernel = match there {
        Some(kernel) => kernel,
        None => vm::fetch(&cache, suite, |line: &str| show.stage(line))?,
    };
    show.done();
    let release = &kernel.release;
    let home = kernel.vmlinux.parent().unwrap_or(&kernel.vmlinux);
    if say.json {
        let told =
            json!({ "kernel": release, "cache": cache, "directory": home, "fetched": fetched });
        output::json(&told)?;
    } else if suite.is_some() {
        outln!("kernel {release}: --kernel {}", home.display());
    } else if fetched {
        outln!("kernel {release} in {}", cache.display());
    } else {
        let cache = cache.display();
        outln!("kernel {release} is in {cache} already; --again fetches the distribution's newest");
    }
    Ok(Outcome::Passed)
}

/// `wpanlab vm build-uml`: patches and configuration are in `recipe`, or else where this program is from.
pub fn build_uml(recipe: Option<PathBuf>, again: bool, show: Show, say: Say) -> Result<Outcome> {
    let (recipe, cache) = (find_recipe(recipe)?, vm::default_cache());
    let (kernel, built) = vm::uml::build(&recipe, &cache, again, |line: &str| show.stage(line))?;
    let built = built == vm::uml::Built::Now;
    show.done();
    let home = kernel.vmlinux.parent().unwrap_or(&kernel.vmlinux);
    let (release, at) = (&kernel.release, home.display());
    if say.json {
        output::json(&json!({ "kernel": release, "directory": home, "built": built }))?;
    } else if built {
        outln!("User-Mode Linux {release} in {at}");
    } else {
        outln!("User-Mode Linux {release} is in {at} already; --again builds it anew");
    }
    Ok(Outcome::Passed)
}

/// Where patches and configuration are: where a package has them, or where the program was built.
fn find_recipe(explicit: Option<PathBuf>) -> Result<PathBuf> {
    let program = own_binary()?;
    let near = |up: &Path| [up.join("share/wpanlab/uml"), up.join("uml")];
    let places = program.ancestors().skip(1).flat_map(near);
    explicit
        .into_iter()
        .chain(places)
        .find(|place| place.join("config").is_file())
        .ok_or_else(|| {
            let text = "no patches for User-Mode Linux beside this program: give --recipe DIR, the directory `uml` \
                        of wpanlab's source";
            Refused(text.into()).into()
        })
}
