//! By what the runs of a sweep are made. Where any of it differs, so may the runs.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use topology::scalar::to_hex;
use vm::Machine;

use crate::backend::{How, own_binary};
use crate::cli::ClockArg;

/// Program, kernel, machine and topology of runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct By {
    /// `native`; `vm` with what executes it; `uml` with its model of a processor.
    backend: String,
    /// `virtual` or `realtime`.
    clock: String,
    /// Release of the kernel, and the SHA-256 of its image in a VM.
    kernel: String,
    /// Version of QEMU; absent without one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    qemu: Option<String>,
    wpanlab_version: String,
    /// SHA-256 of the program, which is also what runs in the VM.
    wpanlab_sha256: String,
    /// SHA-256 of `source.json`: the topology and the files that it names.
    topology_sha256: String,
}

/// A part of it: its name, and what it is as text.
type Part = (&'static str, fn(&By) -> String);

/// What differs.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// Its name.
    pub what: &'static str,
    one: String,
    other: String,
}

impl Difference {
    /// These two, which are not the same.
    pub fn of(what: &'static str, one: String, other: String) -> Difference {
        Difference { what, one, other }
    }

    /// These two, unless they are the same.
    pub fn between(what: &'static str, one: String, other: String) -> Option<Difference> {
        (one != other).then_some(Difference { what, one, other })
    }

    /// In words, with where the one is, and where the other.
    pub fn text(&self, there: &str, here: &str) -> String {
        let Difference { what, one, other } = self;
        format!("{what} `{one}` {there}, `{other}` {here}")
    }
}

impl By {
    /// The name of what the topology's hash is about, in a [`Difference`].
    pub const TOPOLOGY: &str = "topology (SHA-256 of source.json)";

    /// This program as it runs a topology that is `kept` as `source.json` has it.
    ///
    /// # Errors
    /// Program or kernel cannot be read.
    pub fn of(how: &How, clock: ClockArg, kept: &str) -> Result<By> {
        let (mut backend, kernel, mut qemu) = ("native".to_owned(), kernel_of(how)?, None);
        if let How::Vm { machine, .. } = how {
            backend = match machine {
                Machine::Qemu(accel) => format!("vm, {accel:?}").to_lowercase(),
                Machine::Uml(processor) => format!("uml, {processor}"),
            };
            if matches!(machine, Machine::Qemu(_)) {
                qemu = vm::probe::qemu_version(&vm::default_cache());
            }
        }
        Ok(By {
            backend,
            clock: clock.name().to_owned(),
            kernel,
            qemu,
            wpanlab_version: env!("CARGO_PKG_VERSION").to_owned(),
            wpanlab_sha256: sha256(&own_binary()?)?,
            topology_sha256: to_hex(&Sha256::digest(kept)),
        })
    }

    /// Whether `kept` is the topology.
    pub fn is_of_topology(&self, kept: &str) -> bool {
        self.topology_sha256 == to_hex(&Sha256::digest(kept))
    }

    /// The first thing that is not as it was `before`.
    pub fn difference(&self, before: &By) -> Option<Difference> {
        let machine = |by: &By| by.backend.split(',').next().unwrap_or_default().to_owned();
        let model = match machine(self) == machine(before) && machine(self) == "uml" {
            true => "processor model",
            false => "backend",
        };
        let pairs: [Part; 7] = [
            (model, |by| by.backend.clone()),
            ("clock", |by| by.clock.clone()),
            ("kernel", |by| by.kernel.clone()),
            ("QEMU", |by| by.qemu.clone().unwrap_or_default()),
            ("version", |by| by.wpanlab_version.clone()),
            ("wpanlab program (SHA-256)", |by| by.wpanlab_sha256.clone()),
            (By::TOPOLOGY, |by| by.topology_sha256.clone()),
        ];
        (pairs.into_iter()).find_map(|(what, of)| Difference::between(what, of(before), of(self)))
    }
}

fn kernel_of(how: &How) -> Result<String> {
    match how {
        How::Native => {
            let system = nix::sys::utsname::uname().context("uname")?;
            Ok(system.release().to_string_lossy().into_owned())
        }
        How::Vm { kernel, .. } => {
            let image = sha256(&kernel.vmlinux)?;
            Ok(format!("{} {image}", kernel.release))
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
        std::io::Result::Ok(to_hex(&hash.finalize()))
    };
    read().with_context(|| format!("read {}", path.display()))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// What some runs are made by.
    pub fn by() -> By {
        by_of("kept")
    }

    /// What runs of a topology are made by.
    pub fn by_of(kept: &str) -> By {
        By {
            backend: "uml, 10000 ns a system call".into(),
            clock: "virtual".into(),
            kernel: "7.3 abc".into(),
            qemu: None,
            wpanlab_version: "0.1.0".into(),
            wpanlab_sha256: "00".into(),
            topology_sha256: to_hex(&Sha256::digest(kept)),
        }
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        let said = |now: By| now.difference(&by()).unwrap().text("there", "here");
        assert_eq!(by().difference(&by()), None);
        let program = By {
            wpanlab_sha256: "01".into(),
            ..by()
        };
        assert_eq!(
            said(program),
            "wpanlab program (SHA-256) `00` there, `01` here"
        );
        let kernel = By {
            kernel: "7.4 abd".into(),
            ..by()
        };
        assert_eq!(said(kernel), "kernel `7.3 abc` there, `7.4 abd` here");
        let processor = By {
            backend: "uml, 0 ns a system call".into(),
            ..by()
        };
        assert!(said(processor).starts_with("processor model `uml, 10000 ns"));
        let backend = By {
            backend: "vm, tcg".into(),
            qemu: Some("7.2".into()),
            ..by()
        };
        assert!(said(backend).starts_with("backend `uml, 10000 ns"));
        let topology = By {
            topology_sha256: "02".into(),
            ..by()
        };
        assert!(!topology.is_of_topology("kept") && by().is_of_topology("kept"));
        assert!(said(topology).starts_with("topology (SHA-256 of source.json) `"));
    }
}
