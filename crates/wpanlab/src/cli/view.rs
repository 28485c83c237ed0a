//! `wpanlab view`, and `wpanlab run` while somebody looks.

use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use testbed::Forward;
use topology::plan::NodeName;
use view::Speed;

/// A TCP port of 127.0.0.1 that is a port of a node while a run goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForwardArg {
    /// The port on 127.0.0.1.
    pub port: u16,
    /// The node.
    pub node: NodeName,
    node_port: u16,
}

impl ForwardArg {
    /// With connections taken at this address.
    pub fn at(&self, address: Ipv4Addr) -> Forward {
        Forward {
            at: (address, self.port).into(),
            node: self.node.clone(),
            port: self.node_port,
        }
    }

    /// To the guest's port of the same number.
    pub fn to_guest(&self) -> vm::Forward {
        vm::Forward {
            host: self.port,
            guest: self.port,
        }
    }
}

impl fmt::Display for ForwardArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}:{}", self.port, self.node, self.node_port)
    }
}

impl FromStr for ForwardArg {
    type Err = String;

    fn from_str(text: &str) -> Result<ForwardArg, String> {
        let wrong = || "expected PORT=NODE:PORT, such as 8080=web:8080".to_owned();
        let (port, to) = text.split_once('=').ok_or_else(wrong)?;
        let (node, node_port) = to.rsplit_once(':').ok_or_else(wrong)?;
        let number = |text: &str| match text.parse() {
            Ok(0) | Err(_) => Err(wrong()),
            Ok(number) => Ok(number),
        };
        Ok(ForwardArg {
            port: number(port)?,
            node: node.into(),
            node_port: number(node_port)?,
        })
    }
}

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
    /// With --clock realtime: a TCP port on 127.0.0.1 that is a port of a node while the run goes on, such as
    /// `8080=web:8080` for the page of a gateway; may be repeated
    #[arg(long, value_name = "PORT=NODE:PORT", conflicts_with = "seeds")]
    pub forward: Vec<ForwardArg>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_led_to_a_port_of_a_node() {
        let parsed: ForwardArg = "8080=web:80".parse().unwrap();
        assert_eq!(parsed.to_string(), "8080=web:80");
        assert_eq!(
            parsed.at(Ipv4Addr::LOCALHOST).at.to_string(),
            "127.0.0.1:8080"
        );
        for text in [
            "",
            "8080",
            "web:80",
            "8080=web",
            "0=web:80",
            "8080=web:0",
            "8080=web:70000",
            "x=web:80",
        ] {
            let error = text.parse::<ForwardArg>().unwrap_err();
            assert!(error.contains("8080=web:8080"), "{text}: {error}");
        }
    }
}
