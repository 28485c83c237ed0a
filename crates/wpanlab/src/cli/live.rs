//! Arguments of the commands for a run that is going on.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

/// `wpanlab exec`.
#[derive(Clone, Debug, Args)]
pub struct ExecArgs {
    /// The directory of a native run that is going on
    pub run: PathBuf,
    /// Which of its nodes
    pub node: String,
    /// The command and its arguments; without one, a shell
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<OsString>,
}

/// `wpanlab capture`.
#[derive(Clone, Debug, Args)]
pub struct CaptureArgs {
    /// The directory of a run
    pub run: PathBuf,
    /// Which of its captures: client.eth0, sensor.wpan0, or air with `medium: phy`
    #[arg(value_name = "NODE.IFACE")]
    pub capture: String,
}
