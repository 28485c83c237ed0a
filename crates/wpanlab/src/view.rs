//! `wpanlab view`: a run directory as a page that plays it.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use view::Source;

use crate::cli::ViewArgs;
use crate::failure::Refused;
use crate::{Outcome, Say};

/// Serves the page until SIGINT or SIGTERM.
pub async fn view(args: &ViewArgs, say: Say) -> Result<Outcome> {
    let source = Source::open(&args.dir).map_err(|error| Refused(error.to_string()))?;
    let mut interrupted = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut terminated = signal(SignalKind::terminate()).context("SIGTERM")?;
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
    let complain = |problem: &str| errln!("wpanlab: {}: {problem}", args.dir.display());
    tokio::select! {
        served = view::serve(source, args.port, tell, complain) => {
            let at = || format!("listen on 127.0.0.1:{}: is another program there?", args.port);
            served.with_context(at)?;
        }
        _ = interrupted.recv() => {}
        _ = terminated.recv() => {}
    }
    Ok(Outcome::Passed)
}
