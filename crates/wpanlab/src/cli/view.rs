//! `wpanlab view`, and `wpanlab run` while somebody looks.

use std::path::PathBuf;

use clap::Args;
use view::Speed;

#[derive(Clone, Debug, Args)]
pub struct ViewArgs {
    /// Run directory, finished or growing
    pub dir: PathBuf,
    /// TCP port on 127.0.0.1; default: one that is free
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
}

#[derive(Clone, Debug, Default, Args)]
pub struct WatchArgs {
    /// Go on at so many times real time (`1`, `0.1`), not as fast as it goes; in virtual time only. The run is the same
    #[arg(long, value_name = "TIMES", conflicts_with = "seeds")]
    pub pace: Option<Speed>,
    /// Show the run in a browser while it goes on, and after it until Ctrl-C: prints the address of a page on this
    /// machine. In virtual time it goes on at the pace of real time, unless --pace or somebody at the page says otherwise
    #[arg(long, conflicts_with = "seeds")]
    pub view: bool,
    /// With --view: TCP port on 127.0.0.1; default: one that is free
    #[arg(
        long,
        value_name = "N",
        requires = "view",
        default_value_t = 0,
        hide_default_value = true
    )]
    pub port: u16,
}
