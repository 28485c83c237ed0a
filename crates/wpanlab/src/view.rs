//! `wpanlab view`: a run directory as a page that plays it; and the same beside a run that goes on.

use std::future::{Future, pending};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Error, Result, anyhow};
use rundir::RunDir;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use topology::Plan;
use view::{Intervention, Pace, Pacer, Source, Speed, Steering};

use crate::cli::{ForwardArg, ViewArgs, WatchArgs};
use crate::failure::{self, Refused};
use crate::progress::Show;
use crate::{Outcome, Say};

/// Serves the page until SIGINT or SIGTERM.
pub async fn view(args: &ViewArgs, say: Say) -> Result<Outcome> {
    let source = Source::open(&args.dir).map_err(|error| Refused(error.to_string()))?;
    let interrupted = interrupted()?;
    let tell = |at: SocketAddr| {
        let address = format!("http://{at}/");
        match say.json {
            // A line as soon as it is known: whoever waits for it reads lines.
            true => outln!("{}", json!({ "address": address })),
            false => outln!("{address}"),
        }
        if !say.quiet && !say.json {
            errln!("wpanlab: shows {}; Ctrl-C ends it", args.dir.display());
        }
    };
    tokio::select! {
        served = view::serve(source, args.port, tell, complain(&args.dir)) => {
            served.with_context(|| no_port(args.port))?;
        }
        () = interrupted => {}
    }
    Ok(Outcome::Passed)
}

/// The clock that holds a run which somebody wants to watch.
///
/// # Errors
/// A pace is wanted of a run whose time nobody can hold.
pub fn pacer(args: &WatchArgs, is_virtual: bool) -> Result<Option<Pacer>> {
    if args.pace.is_some() && !is_virtual {
        let text = "--pace holds virtual time: what is native or has --clock realtime goes on as real time does";
        return Err(Refused(text.into()).into());
    }
    let wanted = args.pace.or(args.view.then_some(Speed::REAL));
    let wanted = wanted.filter(|_| is_virtual);
    Ok(wanted.map(|speed| Pacer::new(Pace::new(Some(speed), Instant::now()))))
}

/// Whether connections can get in.
///
/// # Errors
/// There is no such node, or a port is given twice or not to be had.
pub fn check_forwards(forwards: &[ForwardArg], plan: &Plan) -> Result<()> {
    for (i, forward) in forwards.iter().enumerate() {
        if !plan.nodes.contains_key(&forward.node) {
            let names: Vec<&str> = plan.nodes.keys().map(String::as_str).collect();
            let text = format!(
                "--forward {forward}: there is no node {}; there are {}",
                forward.node,
                names.join(", ")
            );
            return Err(Refused(text).into());
        }
        if forwards[..i].iter().any(|other| other.port == forward.port) {
            let text = format!("--forward {forward}: port {} is taken twice", forward.port);
            return Err(Refused(text).into());
        }
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, forward.port));
        if let Err(error) = TcpListener::bind(at) {
            let text = format!("--forward {forward}: {at} is not to be had: {error}");
            return Err(Refused(text).into());
        }
    }
    Ok(())
}

/// Whether time is real for them.
///
/// # Errors
/// It is virtual, which nothing from outside may disturb.
pub fn check_clock(forwards: &[ForwardArg], is_virtual: bool) -> Result<()> {
    if is_virtual && !forwards.is_empty() {
        let text = "--forward lets connections in, which come in real time: give --clock realtime";
        return Err(Refused(text.into()).into());
    }
    Ok(())
}

/// Interventions that wait until the run takes them.
const WAITING: usize = 8;

/// A page that is served beside a run.
pub struct Page {
    served: JoinHandle<std::io::Result<()>>,
    interventions: mpsc::Receiver<Intervention>,
}

impl Page {
    /// Shows the run that goes on in `dir` if `args` want that, and says where.
    ///
    /// # Errors
    /// The port is not to be had.
    pub async fn beside(
        dir: &RunDir,
        args: &WatchArgs,
        pacer: Option<&Pacer>,
        show: &Show,
        say: Say,
    ) -> Result<Option<Page>> {
        if !args.view {
            return Ok(None);
        }
        let source = Source::open(dir.root()).map_err(|error| anyhow!(error))?;
        let (sender, interventions) = mpsc::channel(WAITING);
        let source = source.steered(Steering {
            pacer: pacer.cloned(),
            // What cannot be held cannot be had again either.
            interventions: pacer.map(|_| sender),
        });
        let (tell, told) = oneshot::channel();
        let complain = complain(dir.root());
        let port = args.port;
        let served = tokio::spawn(async move {
            // Whoever waits for it is there.
            let tell = |at| tell.send(at).unwrap_or_default();
            view::serve(source, port, tell, complain).await
        });
        let Ok(at) = told.await else {
            let ended = served.await.context("the page's server")?;
            let error = ended
                .err()
                .unwrap_or_else(|| std::io::ErrorKind::Other.into());
            return Err(anyhow!(error).context(no_port(port)));
        };
        // Standard output is the result's.
        match say.json {
            true => errln!("{}", json!({ "address": format!("http://{at}/") })),
            false => show.remark(&format!("the run is shown at http://{at}/")),
        }
        Ok(Some(Page {
            served,
            interventions,
        }))
    }

    /// What somebody wants to happen in the run; none if that cannot be wanted.
    pub async fn wanted(&mut self) -> Option<Intervention> {
        self.interventions.recv().await
    }

    /// Says that the run is over, or why it did not come to its end, and that it is shown still.
    pub fn say_over(&self, failed: Option<&Error>, say: Say) {
        if say.quiet || say.json {
            return;
        }
        let end = match failed {
            Some(error) => format!("the run failed ({})", failure::text(error)),
            None => "the run is over".to_owned(),
        };
        errln!("wpanlab: {end}; it is shown still, and Ctrl-C ends that");
    }

    /// Goes on serving when the run is over; what somebody wants to happen in it then.
    ///
    /// # Errors
    /// Connections are taken no longer.
    pub async fn wanted_after_the_end(&mut self) -> Result<Intervention> {
        tokio::select! {
            ended = &mut self.served => {
                ended.context("the page's server")?.context("serve the page")?;
                Err(anyhow!("the page is served no longer"))
            }
            Some(wanted) = self.interventions.recv() => Ok(wanted),
        }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Resolves with SIGINT or SIGTERM.
pub fn interrupted() -> Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    Ok(async move {
        let signal = tokio::select! {
            signal = interrupt.recv() => signal,
            signal = terminate.recv() => signal,
        };
        if signal.is_none() {
            pending().await
        }
    })
}

fn complain(dir: &Path) -> impl FnMut(&str) + use<> {
    let dir = dir.to_owned();
    move |problem: &str| errln!("wpanlab: {}: {problem}", dir.display())
}

fn no_port(port: u16) -> String {
    format!("listen on 127.0.0.1:{port}: is another program there?")
}
