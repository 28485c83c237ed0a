//! `wpanlab doctor`: what this machine can do, and what to install for the rest.

use std::path::PathBuf;

use anyhow::Result;
use comfy_table::{Table, presets};
use serde::Serialize;
use vm::Kernel;

use crate::Outcome;
use crate::backend::{self, native_obstacle};

/// One ability of this machine.
#[derive(Debug, Serialize)]
struct Finding {
    /// What it is for.
    ability: &'static str,
    /// Whether the machine has it.
    present: bool,
    /// What was found, or what to do.
    detail: String,
}

/// Prints what this machine can do; fails if it cannot run the VM, which everything needs.
pub async fn doctor(json: bool) -> Result<Outcome> {
    let kernel = Kernel::cached(&vm::default_cache());
    let findings = vec![
        program(
            "VM",
            "qemu-system-x86_64",
            "apt-get install qemu-system-x86",
        ),
        kernel_finding(kernel.as_ref()),
        kvm(kernel.as_ref()).await,
        native(),
        program(
            "judge of captures (optional)",
            "tshark",
            "apt-get install tshark",
        ),
    ];
    let able = findings[0].present;
    if json {
        outln!("{}", serde_json::to_string_pretty(&findings)?);
    } else {
        print(&findings);
    }
    Ok(if able {
        Outcome::Passed
    } else {
        Outcome::Failed
    })
}

fn print(findings: &[Finding]) {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    for finding in findings {
        let mark = if finding.present { "yes" } else { "no" };
        table.add_row([finding.ability, mark, &finding.detail]);
    }
    outln!("{table}");
}

fn program(ability: &'static str, name: &str, install: &str) -> Finding {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found: Option<PathBuf> = std::env::split_paths(&path)
        .map(|dir| dir.join(name))
        .find(|file| file.is_file());
    match found {
        Some(file) => Finding {
            ability,
            present: true,
            detail: file.display().to_string(),
        },
        None => Finding {
            ability,
            present: false,
            detail: format!("no {name}: {install}"),
        },
    }
}

fn kernel_finding(kernel: Option<&Kernel>) -> Finding {
    let ability = "kernel for the VM";
    match kernel {
        Some(kernel) => Finding {
            ability,
            present: true,
            detail: kernel.release.clone(),
        },
        None => Finding {
            ability,
            present: false,
            detail: "not in the cache yet: the first run fetches it, or wpanlab vm fetch".into(),
        },
    }
}

async fn kvm(kernel: Option<&Kernel>) -> Finding {
    let ability = "KVM (only for --clock realtime)";
    let works = match kernel {
        Some(kernel) => match backend::own_binary() {
            Ok(init) => vm::probe::kvm_works(kernel, &init)
                .await
                .map_err(|e| e.to_string()),
            Err(error) => Err(error.to_string()),
        },
        None => Err("not probed without a kernel".into()),
    };
    match works {
        Ok(()) => Finding {
            ability,
            present: true,
            detail: "a guest booted".into(),
        },
        Err(detail) => Finding {
            ability,
            present: false,
            detail,
        },
    }
}

fn native() -> Finding {
    let ability = "native backend (only for --clock realtime)";
    match native_obstacle() {
        None => Finding {
            ability,
            present: true,
            detail: "root and the modules".into(),
        },
        Some(detail) => Finding {
            ability,
            present: false,
            detail,
        },
    }
}
