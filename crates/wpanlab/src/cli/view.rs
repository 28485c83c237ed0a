//! `wpanlab view`.

use std::path::PathBuf;

use clap::Args;

#[derive(Clone, Debug, Args)]
pub struct ViewArgs {
    /// Run directory, finished or growing
    pub dir: PathBuf,
    /// TCP port on 127.0.0.1; default: one that is free
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub port: u16,
}
