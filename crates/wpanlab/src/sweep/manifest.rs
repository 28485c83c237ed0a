//! `sweep.json`: what a sweep runs, and by what, so that nobody continues another one.

use std::fs::{File, TryLockError};
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;

use anyhow::{Context, Result, bail};
use rundir::SweepDir;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use topology::Assignment;

use super::Point;
use vm::Machine;

use crate::backend::{How, own_binary};
use crate::cli::{HowArgs, RunArgs};
use crate::failure::Refused;
use crate::made::command_line;
use crate::verify;

/// What a sweep runs, and by what.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    schema: u32,
    /// Topology file as the command line has it.
    topology: String,
    /// First and last seed.
    seeds: [u64; 2],
    /// In the order of the command line.
    parameters: Vec<Values>,
    /// `native`, or `vm` with what executes it.
    backend: String,
    /// `virtual` or `realtime`.
    clock: String,
    /// Release of the kernel, and the SHA-256 of its image in a VM.
    kernel: String,
    wpanlab_version: String,
    /// SHA-256 of the program, which is also what runs in the VM.
    wpanlab_sha256: String,
    /// Whether captures are kept.
    captures: bool,
}

/// A parameter and its values.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Values {
    path: String,
    values: Vec<String>,
}

impl Manifest {
    /// What the command line asks for, on this machine.
    pub fn of(args: &RunArgs, seeds: &RangeInclusive<u64>, how: &How) -> Result<Manifest> {
        let (backend, kernel) = match how {
            How::Native => {
                let system = nix::sys::utsname::uname().context("uname")?;
                (
                    "native".to_owned(),
                    system.release().to_string_lossy().into_owned(),
                )
            }
            How::Vm {
                kernel, machine, ..
            } => {
                let image = sha256(&kernel.vmlinux)?;
                let machine = match machine {
                    Machine::Qemu(accel) => format!("vm, {accel:?}").to_lowercase(),
                    Machine::Uml(processor) => format!("uml, {processor}"),
                };
                (machine, format!("{} {image}", kernel.release))
            }
        };
        let parameters = args.set.iter().map(|parameter| Values {
            path: parameter.path().to_owned(),
            values: parameter.values().to_vec(),
        });
        Ok(Manifest {
            schema: 1,
            topology: args.topology.display().to_string(),
            seeds: [*seeds.start(), *seeds.end()],
            parameters: parameters.collect(),
            backend,
            clock: args.how.clock.name().to_owned(),
            kernel,
            wpanlab_version: env!("CARGO_PKG_VERSION").to_owned(),
            wpanlab_sha256: sha256(&own_binary()?)?,
            captures: args.captures,
        })
    }

    /// Writes it into an empty directory; gives the lock on the sweep.
    pub fn begin_in(&self, dir: &SweepDir) -> Result<File> {
        let lock = lock(dir)?;
        let (path, text) = (dir.manifest(), self.text()?);
        let written = dir.files().write_new(&path, text.as_bytes());
        written.with_context(|| format!("write {}", path.display()))?;
        Ok(lock)
    }

    /// Compares it with the one of `dir`, and the plans of the points there with those that
    /// `points` gives for a seed; gives the lock on the sweep. More seeds around those of before
    /// are no difference.
    pub fn continue_in(
        &self,
        dir: &SweepDir,
        points: impl FnOnce(u64) -> Result<Vec<Point>>,
    ) -> Result<File> {
        let path = dir.manifest();
        let text = dir
            .files()
            .read_to_string(&path)
            .with_context(|| Refused(format!("{}: is no sweep to resume", dir.root().display())))?;
        let before: Manifest = serde_json::from_str(&text)
            .with_context(|| format!("{}: --force starts over", path.display()))?;
        let lock = lock(dir)?;
        if let Some(difference) = self.difference(&before) {
            let root = dir.root().display();
            let text = format!("{root} is of another sweep: {difference}; --force starts over");
            return Err(Refused(text).into());
        }
        let points = points(before.seeds[0])?;
        for point in &points {
            let path = dir.point(point.number).plan();
            // A sweep that was killed at once had no time to write them all.
            let Ok(stored) = dir.files().read(&path) else {
                continue;
            };
            let now = point.plan.to_yaml();
            if stored != now.as_bytes() {
                let place = verify::place(&path, &stored, now.as_bytes());
                let text = format!(
                    "{} is of another topology: {} differs {place}\nfirst there, then now; --force \
                     starts over",
                    dir.root().display(),
                    path.display()
                );
                return Err(Refused(text).into());
            }
        }
        let written = dir.files().replace(&path, self.text()?.as_bytes());
        written.with_context(|| format!("write {}", path.display()))?;
        Ok(lock)
    }

    fn text(&self) -> Result<String> {
        Ok(serde_json::to_string_pretty(self)? + "\n")
    }

    /// What is not the same, in words.
    fn difference(&self, before: &Manifest) -> Option<String> {
        let parameters = |manifest: &Manifest| {
            let text = |v: &Values| format!("--set {}={}", v.path, v.values.join(","));
            manifest
                .parameters
                .iter()
                .map(text)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let pairs = [
            ("format", before.schema.to_string(), self.schema.to_string()),
            ("topology", before.topology.clone(), self.topology.clone()),
            ("parameters", parameters(before), parameters(self)),
            ("backend", before.backend.clone(), self.backend.clone()),
            ("clock", before.clock.clone(), self.clock.clone()),
            ("kernel", before.kernel.clone(), self.kernel.clone()),
            (
                "version",
                before.wpanlab_version.clone(),
                self.wpanlab_version.clone(),
            ),
            (
                "wpanlab program",
                before.wpanlab_sha256.clone(),
                self.wpanlab_sha256.clone(),
            ),
            (
                "--captures",
                before.captures.to_string(),
                self.captures.to_string(),
            ),
        ];
        let different = pairs.into_iter().find(|(_, before, now)| before != now);
        if let Some((what, before, now)) = different {
            return Some(format!("{what} `{before}` there, `{now}` now"));
        }
        let ([a, b], [first, last]) = (before.seeds, self.seeds);
        (a < first || last < b)
            .then(|| format!("seeds {a}..{b} there, {first}..{last} now, which leaves some out"))
    }
}

/// Locks `dir` against a second sweep.
fn lock(dir: &SweepDir) -> Result<File> {
    // The directory, since its files are replaced by others.
    let path = dir.root();
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!(
                "{}: another wpanlab runs this sweep; wait for it",
                dir.root().display()
            )
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("lock {}", path.display()))
        }
    }
}

fn sha256(path: &Path) -> Result<String> {
    let read = || {
        let mut file = File::open(path)?;
        let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                n => hash.update(&buffer[..n]),
            }
        }
        let bytes = hash.finalize();
        std::io::Result::Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
    };
    read().with_context(|| format!("read {}", path.display()))
}

/// What a shell runs to have one run of a sweep again, alone.
pub fn command(args: &RunArgs, seed: u64, assignments: &[Assignment]) -> String {
    let HowArgs {
        backend,
        clock,
        kernel,
        syscall_cost,
    } = &args.how;
    let mut words = vec!["wpanlab".to_owned(), "run".to_owned()];
    words.push(args.topology.display().to_string());
    words.extend(["--seed".to_owned(), seed.to_string()]);
    for assignment in assignments {
        words.extend(["--set".to_owned(), assignment.to_string()]);
    }
    let defaults = HowArgs::default();
    if *backend != defaults.backend {
        words.extend(["--backend".to_owned(), backend.name().to_owned()]);
    }
    if *clock != defaults.clock {
        words.extend(["--clock".to_owned(), clock.name().to_owned()]);
    }
    if let Some(kernel) = kernel {
        words.extend(["--kernel".to_owned(), kernel.display().to_string()]);
    }
    if let Some(cost) = syscall_cost {
        words.extend(["--syscall-cost".to_owned(), cost.option()]);
    }
    command_line(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            schema: 1,
            topology: "x.yaml".into(),
            seeds: [3, 5],
            parameters: vec![Values {
                path: "a.b".into(),
                values: vec!["1".into(), "2".into()],
            }],
            backend: "vm, tcg".into(),
            clock: "virtual".into(),
            kernel: "6.1 abc".into(),
            wpanlab_version: "0.1.0".into(),
            wpanlab_sha256: "00".into(),
            captures: false,
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let before = manifest();
        assert_eq!(manifest().difference(&before), None);
        let now = Manifest {
            wpanlab_sha256: "01".into(),
            ..manifest()
        };
        let said = now.difference(&before).unwrap();
        assert_eq!(said, "wpanlab program `00` there, `01` now");
        let mut now = manifest();
        now.parameters[0].values.push("3".into());
        let said = now.difference(&before).unwrap();
        assert_eq!(
            said,
            "parameters `--set a.b=1,2` there, `--set a.b=1,2,3` now"
        );
    }

    #[test]
    fn more_seeds_continue_a_sweep_and_fewer_do_not() {
        let with = |seeds| Manifest {
            seeds,
            ..manifest()
        };
        assert_eq!(with([1, 9]).difference(&manifest()), None);
        let said = with([4, 5]).difference(&manifest()).unwrap();
        assert_eq!(said, "seeds 3..5 there, 4..5 now, which leaves some out");
    }
}
