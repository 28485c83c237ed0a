//! One process per node, entered into its namespace, owned and watched.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use cleanup::{Claim, Object};
use driver::stamp;
use netlink::Namespace;
use nix::errno::Errno;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};
use rundir::control::Control;
use rundir::{Event, EventKind, RunDir};
use rustix::thread::CapabilitySet;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;
use topology::Plan;

use crate::ProgramHome;
use crate::privileges::{OF_DAEMON, OF_PROGRAM, keep_only};

/// Lines of a log that an error shows.
const LOG_TAIL: usize = 20;
/// How long a daemon may take to leave before it is killed.
const LEAVE: Duration = Duration::from_secs(5);

/// What a child tells the run.
#[derive(Debug)]
pub(crate) enum Report {
    /// A daemon's event.
    Event(Event),
    /// The medium's news for a daemon: its signal register.
    Signal { node: String, control: Control },
    /// A line on standard output that is no event.
    Garbage { node: String, line: String },
    /// The standard output of a daemon's process ended: it has exited or is about to.
    Closed { node: String, pid: Option<u32> },
    /// A program of the user's ended.
    ProgramExited {
        event: Event,
        /// Why the run fails: it ended by itself, and not well.
        failure: Option<String>,
    },
}

/// A node's process.
pub(crate) struct Daemon {
    node: String,
    child: Child,
    control: Option<ChildStdin>,
    /// Passes on what a daemon reports, until its output ends.
    reader: Option<JoinHandle<()>>,
    log: PathBuf,
}

/// Where a process runs, and what it may do there.
struct Place<'a> {
    namespace: &'a Namespace,
    /// Where it lives; none: where this process does.
    home: Option<&'a ProgramHome>,
    capabilities: CapabilitySet,
}

/// How to start the processes of a run.
pub(crate) struct Launcher {
    /// This program.
    pub(crate) binary: PathBuf,
    pub(crate) run_dir: RunDir,
    /// Where programs of the user's live; none: where this process does.
    pub(crate) program_home: Option<ProgramHome>,
    pub(crate) reports: UnboundedSender<Report>,
}

impl Launcher {
    /// Starts the daemon of `node` with its part of `plan`, after so many crashes; its events go
    /// to the launcher's channel, its log to the run directory.
    pub(crate) fn daemon(
        &self,
        plan: &Plan,
        node: &str,
        crashes: u32,
        namespace: &Namespace,
        claim: &mut Claim,
    ) -> Result<Daemon> {
        let part = claim.dir().join(format!("{node}.json"));
        std::fs::write(&part, plan.of_node(node).to_json())
            .with_context(|| format!("write {}", part.display()))?;
        let mut command = Command::new(&self.binary);
        command
            .arg("node")
            .arg("--plan")
            .arg(&part)
            .arg("--control")
            .args(["--crashes", &crashes.to_string()])
            .arg("--state")
            .arg(claim.dir())
            .arg(node);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let place = Place {
            namespace,
            home: None,
            capabilities: OF_DAEMON,
        };
        let mut daemon = self.spawn(node, command, place, claim)?;
        let out = daemon
            .child
            .stdout
            .take()
            .context("a daemon has its output piped")?;
        let (reports, name, pid) = (self.reports.clone(), node.to_owned(), daemon.child.id());
        daemon.reader = Some(tokio::spawn(async move {
            let mut lines = BufReader::new(out).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let report = match serde_json::from_str(&line) {
                    Ok(event) => Report::Event(event),
                    Err(_) => Report::Garbage {
                        node: name.clone(),
                        line,
                    },
                };
                if reports.send(report).is_err() {
                    return;
                }
            }
            // Nobody listens any more only when the run is over.
            let _ = reports.send(Report::Closed { node: name, pid });
        }));
        Ok(daemon)
    }

    /// Starts a program of the user's; its end is reported with its exit status. Dropping the
    /// handle kills it.
    pub(crate) fn program(
        &self,
        node: &str,
        argv: &[String],
        namespace: &Namespace,
        claim: &mut Claim,
    ) -> Result<Program> {
        let (program, arguments) = argv
            .split_first()
            .with_context(|| format!("node {node}: no command"))?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(self.open_log(node)?);
        if let Some(home) = &self.program_home {
            command.env("PATH", &home.path);
        }
        let place = Place {
            namespace,
            home: self.program_home.as_ref(),
            capabilities: OF_PROGRAM,
        };
        let mut daemon = self.spawn(node, command, place, claim)?;
        let (reports, stop) = (self.reports.clone(), Arc::new(Notify::new()));
        let stopped = Arc::clone(&stop);
        let task = tokio::spawn(async move {
            let by_itself = tokio::select! {
                biased;
                _ = daemon.child.wait() => true,
                () = stopped.notified() => { daemon.crash().await?; false }
            };
            let status = daemon.child.wait().await?;
            let failure = if by_itself && !status.success() {
                Some(daemon.exit_report().await)
            } else {
                None
            };
            let status = status_number(status);
            let event = Event {
                time_ns: stamp().as_nanos(),
                node: daemon.node,
                kind: EventKind::ProgramExited { status },
            };
            // Nobody listens any more only when the run is over.
            let _ = reports.send(Report::ProgramExited { event, failure });
            Ok(())
        });
        Ok(Program { stop, task })
    }

    fn open_log(&self, node: &str) -> Result<File> {
        let path = self.run_dir.log(node);
        let opened = self.run_dir.files().append(&path);
        opened.with_context(|| format!("create {}", path.display()))
    }

    fn spawn(
        &self,
        node: &str,
        mut command: Command,
        place: Place<'_>,
        claim: &mut Claim,
    ) -> Result<Daemon> {
        command.stderr(self.open_log(node)?).kill_on_drop(true);
        // A terminal's SIGINT is for the testbed, which ends its children in order.
        command.process_group(0);
        let parent = Pid::this();
        let fd: OwnedFd = place.namespace.as_fd().try_clone_to_owned()?;
        let (home, capabilities) = (place.home.cloned(), place.capabilities);
        // SAFETY: between fork and exec only system calls are made, no allocation and no lock.
        unsafe {
            command.pre_exec(move || {
                // Die with the testbed, however it dies.
                set_pdeathsig(Signal::SIGKILL)?;
                if getppid() != parent {
                    return Err(Errno::ESRCH.into()); // it died before that
                }
                setns(&fd, CloneFlags::CLONE_NEWNET)?;
                if let Some(home) = &home {
                    nix::unistd::chroot(&home.root)?;
                    nix::unistd::chdir(&home.directory)?;
                }
                keep_only(capabilities)
            });
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("node {node}: start {:?}", command.as_std().get_program()))?;
        if let Some(pid) = child.id() {
            claim.own(
                Object::process(pid).with_context(|| format!("node {node}: process {pid}"))?,
            )?;
        }
        let control = child.stdin.take();
        Ok(Daemon {
            node: node.to_owned(),
            child,
            control,
            reader: None,
            log: self.run_dir.log(node),
        })
    }
}

impl Daemon {
    /// Tells the daemon something. One that is gone is reported by its closed output.
    pub(crate) async fn tell(&mut self, control: &Control) -> Result<()> {
        let Some(pipe) = &mut self.control else {
            return Ok(());
        };
        let mut line = serde_json::to_string(control).context("control as JSON")?;
        line.push('\n');
        match pipe.write_all(line.as_bytes()).await {
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            other => other.with_context(|| format!("node {}: control", self.node)),
        }
    }

    /// Kills the process, as a crash would.
    pub(crate) async fn crash(&mut self) -> Result<()> {
        let killed = self.child.kill().await;
        killed.with_context(|| format!("node {}: kill", self.node))?;
        self.reports_in().await
    }

    /// Asks a daemon to leave by closing its control pipe, kills it if it does not. Everything
    /// that it reported is in the channel then.
    ///
    /// # Errors
    /// When it left with another status than success, before it was asked or after.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.control.take());
        let left = tokio::time::timeout(LEAVE, self.child.wait()).await;
        if left.is_err() {
            self.crash().await?;
        }
        self.reports_in().await?;
        match left {
            Ok(Ok(status)) if status.success() => Ok(()),
            _ => bail!(self.exit_report().await),
        }
    }

    /// Waits until all that an ended daemon reported is in the channel.
    async fn reports_in(&mut self) -> Result<()> {
        match self.reader.take() {
            Some(reader) => reader.await.context("the reader of a daemon's events"),
            None => Ok(()),
        }
    }

    /// Why a process that should run does not: its status and the last lines of its log.
    pub(crate) async fn exit_report(&mut self) -> String {
        let status = match tokio::time::timeout(LEAVE, self.child.wait()).await {
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => "its output is closed, but it runs".to_owned(),
        };
        format!(
            "node {} died ({status}); the end of {}:\n{}",
            self.node,
            self.log.display(),
            tail(&self.log)
        )
    }

    /// Whether `pid` is the process that runs now.
    pub(crate) fn is(&self, pid: Option<u32>) -> bool {
        pid.is_some() && self.child.id() == pid
    }
}

/// A program of the user's while it runs.
pub(crate) struct Program {
    stop: Arc<Notify>,
    task: JoinHandle<Result<()>>,
}

impl Program {
    /// Kills the program if it still runs.
    pub(crate) async fn stop(self) -> Result<()> {
        self.stop.notify_one();
        self.task.await.context("the task of a program")?
    }
}

/// 128 and the signal's number if one killed it.
fn status_number(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The last lines of a log.
pub(crate) fn tail(path: &Path) -> String {
    const BYTES: u64 = 8192;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_else(|error| format!("({error})"));
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LOG_TAIL)..].join("\n")
}
