//! What can go wrong, in words that name the object and what to do.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// An error of the VM backend.
#[derive(Debug, thiserror::Error)]
pub enum VmError {
    /// A file or system call failed.
    #[error("{operation} {object}: {source}")]
    Io {
        /// What was done.
        operation: &'static str,
        /// To what.
        object: String,
        /// The system's word.
        source: io::Error,
    },
    /// No kernel was found anywhere.
    #[error("no kernel for the VM: {0}")]
    NoKernel(String),
    /// A file is not a kernel that the VM can boot.
    #[error("kernel {path}: {reason}", path = .path.display())]
    BadKernel {
        /// The image.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A kernel module is not among the kernel's files.
    #[error("kernel module `{module}`{needed} is not in {tree}; {hint}",
        needed = .needed_by.as_ref().map(|m| format!(", needed by `{m}`,")).unwrap_or_default(),
        tree = .tree.display())]
    NoModule {
        /// The absent module.
        module: String,
        /// The module that needs it.
        needed_by: Option<String>,
        /// Where it was looked for.
        tree: PathBuf,
        /// The package that should hold it.
        hint: String,
    },
    /// A module file cannot be read as one.
    #[error("kernel module {path}: {reason}", path = .path.display())]
    BadModule {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of the cache is not what was put there.
    #[error("{path} is damaged; the kernel {home} {outcome}", path = .path.display(), home = .home.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The kernel's directory.
        home: PathBuf,
        /// What became of it.
        outcome: String,
    },
    /// The program for `/init` cannot run as one.
    #[error("{path} cannot be the guest's /init: {reason}", path = .path.display())]
    BadInit {
        /// The program.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The configuration contradicts itself.
    #[error("VM configuration: {0}")]
    Config(String),
    /// A helper program (`apt-get`, `dpkg-deb`) is absent or failed.
    #[error("{command}: {reason}")]
    Tool {
        /// The command line.
        command: String,
        /// Its status and last words.
        reason: String,
    },
    /// QEMU, or a User-Mode Linux, could not be started or gave up.
    #[error("{emulator}: {reason}{}", console_tail(.console))]
    Emulator {
        /// Which of them.
        emulator: &'static str,
        /// Its status and last words.
        reason: String,
        /// The guest's console up to then.
        console: String,
    },
    /// The guest's kernel panicked; most often its `/init` died.
    #[error("the guest panicked{}{}{}", panic_reason(.console), unknown_instruction(.console), console_tail(.console))]
    Panic {
        /// The guest's console.
        console: String,
    },
    /// The guest went down without its complete results.
    #[error("the guest ended without its results: {reason}{}", console_tail(.console))]
    NoResults {
        /// What is missing.
        reason: String,
        /// The guest's console.
        console: String,
    },
    /// The guest said nothing for too long.
    #[error("no sign of life from the guest for {} s of wall time{}", .limit.as_secs_f64(), console_tail(.console))]
    Stalled {
        /// The limit that was exceeded.
        limit: Duration,
        /// The guest's console.
        console: String,
    },
}

impl VmError {
    pub(crate) fn io<O: ToString>(
        operation: &'static str,
        object: O,
    ) -> impl FnOnce(io::Error) -> VmError + use<O> {
        let object = object.to_string();
        move |source| VmError::Io {
            operation,
            object,
            source,
        }
    }

    pub(crate) fn sys<O: ToString>(
        operation: &'static str,
        object: O,
    ) -> impl FnOnce(nix::errno::Errno) -> VmError + use<O> {
        let object = object.to_string();
        move |errno| VmError::Io {
            operation,
            object,
            source: errno.into(),
        }
    }
}

/// How many of the console's last lines an error shows.
const TAIL_LINES: usize = 30;
/// What the kernel says when `/init` ended: what follows is the trace of a system call that
/// did its duty, what precedes are init's last words.
const INIT_ENDED: &str = "Attempted to kill init!";

/// Words of the kernel that stand in front of what has gone wrong, the last of them before it panics
/// (Linux, `arch/x86/mm/fault.c`, `arch/x86/kernel/dumpstack.c`, `mm/oom_kill.c`, `kernel/watchdog.c`).
const FAULTS: [&str; 6] = [
    "BUG: ",
    "Oops: ",
    "kernel BUG at ",
    "Out of memory",
    "general protection fault",
    "rcu_sched self-detected stall",
];

/// Why the kernel panicked, in its own words: `: Kernel panic - not syncing: Fatal exception, after BUG:
/// …`.
fn panic_reason(console: &str) -> String {
    let lines: Vec<&str> = console.lines().map(without_stamp).collect();
    let Some(at) = lines.iter().rposition(|line| line.contains("Kernel panic")) else {
        return String::new();
    };
    let is_fault = |line: &&&str| FAULTS.iter().any(|fault| line.contains(fault));
    match lines[..at].iter().rev().find(is_fault) {
        Some(fault) => format!(": {}, after {fault}", lines[at]),
        None => format!(": {}", lines[at]),
    }
}

/// A line of the console without the time in front of it, `[   90.971688] `.
fn without_stamp(line: &str) -> &str {
    let stamped = line.trim_start().strip_prefix('[');
    let rest = stamped.and_then(|rest| rest.split_once("] "));
    match rest {
        Some((stamp, text)) if stamp.trim().parse::<f64>().is_ok() => text.trim(),
        _ => line.trim(),
    }
}

/// A remedy where `/init` ended by SIGILL: it has been built for the host's own processor.
fn unknown_instruction(console: &str) -> &'static str {
    if console.contains("Attempted to kill init! exitcode=0x00000004") {
        " of an instruction that its processor does not have: build the program without target-cpu=native"
    } else {
        ""
    }
}

fn console_tail(console: &str) -> String {
    let mut lines: Vec<&str> = console.lines().collect();
    if lines.is_empty() {
        return "; its console is empty".into();
    }
    if let Some(end) = lines.iter().position(|line| line.contains(INIT_ENDED)) {
        lines.truncate(end + 1);
    }
    let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    format!("; the console's last lines:\n  {}", tail.join("\n  "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_the_end_of_a_long_console() {
        let console: String = (0..100).map(|n| format!("line {n}\n")).collect();
        let text = VmError::Panic { console }.to_string();
        assert!(text.ends_with("line 99"));
        assert!(text.contains("line 70\n") && !text.contains("line 69\n"));
    }

    #[test]
    fn a_panic_is_told_with_the_kernels_reason_however_long_the_trace_is_after_it() {
        let trace: String = (0..100)
            .map(|n| format!("[   90.97{n:04}]  do_syscall_64+0x5d/0xb0\n"))
            .collect();
        let console = format!(
            "[   90.900000] BUG: kernel NULL pointer dereference, address: 0000000000000008\n\
             [   90.900001] #PF: supervisor read access in kernel mode\n{trace}\
             [   90.980000] Kernel panic - not syncing: Fatal exception in interrupt\n{trace}"
        );
        let text = VmError::Panic { console }.to_string();
        assert!(
            text.starts_with(
                "the guest panicked: Kernel panic - not syncing: Fatal exception in interrupt, after \
                 BUG: kernel NULL pointer dereference, address: 0000000000000008; "
            ),
            "{text}"
        );
        let console =
            "[    1.0] Kernel panic - not syncing: System is deadlocked on memory\n".into();
        let text = VmError::Panic { console }.to_string();
        assert!(text.starts_with("the guest panicked: Kernel panic - not syncing: System is"));
    }

    #[test]
    fn an_instruction_that_the_guest_lacks_is_told_with_the_remedy() {
        // In the words of Linux, arch/x86/kernel/traps.c and kernel/exit.c.
        let console = "traps: init[1] trap invalid opcode ip:401234 sp:7ffe error:0 in init\n\
                       Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000004\n";
        let text = VmError::Panic {
            console: console.into(),
        }
        .to_string();
        assert!(text.contains("target-cpu"), "{text}");
        let other = console.replace("0x00000004", "0x00000100");
        let text = VmError::Panic { console: other }.to_string();
        assert!(!text.contains("target-cpu"), "{text}");
    }

    #[test]
    fn an_error_shows_what_init_said_before_it_ended_and_not_the_kernels_trace() {
        let trace: String = (0..100).map(|n| format!("trace {n}\n")).collect();
        let console = format!("no job\nKernel panic: Attempted to kill init! 1\n{trace}");
        let text = VmError::Panic { console }.to_string();
        assert!(
            text.contains("no job") && text.ends_with("kill init! 1"),
            "{text}"
        );
    }
}
