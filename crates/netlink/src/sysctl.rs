//! `/proc/sys` of the calling thread's network namespace.
//!
//! The kernel resolves `/proc/sys/net` by the namespace of the thread that opens the file: for
//! another one, use [`crate::Namespace::run`].
//!
//! ```no_run
//! # fn f(namespace: &netlink::Namespace) -> netlink::Result<()> {
//! namespace.run(|| netlink::sysctl::write("net.ipv6.conf.all.forwarding", 1))?
//! # }
//! ```
//!
//! | name under `net.ipv6.` | meaning (kernel `Documentation/networking/ip-sysctl.rst`) |
//! | --- | --- |
//! | `conf.IF.forwarding` | 1: a router on this interface |
//! | `conf.IF.accept_ra` | 0: ignore router advertisements, 1: unless forwarding, 2: always |
//! | `conf.IF.accept_redirects` | 0: ignore what routers say of better next hops |
//! | `conf.IF.autoconf` | 1: addresses from prefixes in router advertisements (SLAAC) |
//! | `conf.IF.accept_dad` | 0: no duplicate address detection, 1: yes |
//! | `conf.IF.accept_untracked_na` | a router learns its neighbours from advertisements that it did not ask for (RFC 9131) |
//! | `conf.IF.dad_transmits` | neighbour solicitations per detection (RFC 4862 §5.1) |
//! | `conf.IF.optimistic_dad` | 1: allow optimistic addresses (RFC 4429) |
//! | `conf.IF.use_optimistic` | 1: optimistic addresses take part in source selection |
//! | `conf.IF.router_solicitation_delay` | seconds before the first router solicitation |
//! | `conf.IF.keep_addr_on_down` | 1: keep static global addresses when the link goes down |
//! | `conf.IF.addr_gen_mode` | 0: EUI-64 link-local address, 1: none |
//! | `neigh.IF.retrans_time_ms` | RetransTimer (RFC 4861 §10), ms |
//!
//! [`crate::nat`] writes two of `net.netfilter.` (`nf_conntrack-sysctl.rst`).

use std::fmt::Display;
use std::fs;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};

/// Writes one variable. Equals `sysctl -w NAME=VALUE`.
///
/// `name` has dots or slashes between its parts; with slashes, a part may contain dots
/// (`net/ipv6/conf/eth0.7/forwarding`).
pub fn write(name: &str, value: impl Display) -> Result<()> {
    let value = value.to_string();
    fs::write(path_of(name)?, &value)
        .map_err(|e| Error::io(name, format_args!("set to {value}"), e))
}

/// Reads one variable, without its final newline. Equals `sysctl -n NAME`.
pub fn read(name: &str) -> Result<String> {
    fs::read_to_string(path_of(name)?)
        .map(|text| text.trim_end().to_string())
        .map_err(|e| Error::io(name, "read", e))
}

fn path_of(name: &str) -> Result<PathBuf> {
    let relative = if name.contains('/') {
        name.to_string()
    } else {
        name.replace('.', "/")
    };
    let plain = Path::new(&relative)
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    if plain && !relative.is_empty() && !relative.contains("//") {
        Ok(Path::new("/proc/sys").join(relative))
    } else {
        Err(Error::unusable(
            name,
            "find sysctl",
            "not a name such as net.ipv6.conf.all.forwarding",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_dots_or_slashes_and_cannot_leave_proc_sys() {
        let path = |name| path_of(name).unwrap().display().to_string();
        assert_eq!(
            path("net.ipv6.conf.all.forwarding"),
            "/proc/sys/net/ipv6/conf/all/forwarding"
        );
        assert_eq!(
            path("net/ipv6/conf/e.7/mtu"),
            "/proc/sys/net/ipv6/conf/e.7/mtu"
        );
        for name in ["", "/etc/passwd", "net/../../etc", "net//ipv6", "net..ipv6"] {
            assert!(path_of(name).is_err(), "{name}");
        }
    }
}
