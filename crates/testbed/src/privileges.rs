//! What a process of a run may do: what it is for, and nothing else that root may.

use std::io;

use nix::sys::prctl::set_no_new_privs;
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set,
    set_capabilities,
};

/// A daemon's: its radio, interfaces, addresses and routes; ICMPv6 sockets; the ports of DHCPv6.
pub const OF_DAEMON: CapabilitySet = CapabilitySet::NET_ADMIN
    .union(CapabilitySet::NET_RAW)
    .union(CapabilitySet::NET_BIND_SERVICE);

/// Those of a daemon that is no part of a run: also its store, wherever it was told to keep it.
pub const OF_DAEMON_ALONE: CapabilitySet = OF_DAEMON.union(CapabilitySet::DAC_OVERRIDE);

/// A gateway's on a board or a desk: a port like those of HTTP.
pub const OF_GATEWAY: CapabilitySet = CapabilitySet::NET_BIND_SERVICE;

/// Those of a program of the user's: also the files of whoever started the run, and to become
/// somebody else, as tcpdump does. Its network namespace is its own; modules, mounts, devices, the clock
/// and other processes are the machine's.
pub const OF_PROGRAM: CapabilitySet = OF_DAEMON_ALONE
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETGID);

/// Gives up, for this thread and for whatever it starts or executes, all capabilities but `kept`, and
/// ever having more (`no_new_privs`). Makes system calls only: it may stand between fork and exec.
///
/// # Errors
/// Those of prctl(2) and capset(2).
pub fn keep_only(kept: CapabilitySet) -> io::Result<()> {
    set_no_new_privs()?;
    for bit in 0..u64::BITS {
        let one = CapabilitySet::from_bits_retain(1 << bit);
        if kept.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // There are no more of them; or this is not root, who has none to lose.
            Err(Errno::INVAL | Errno::PERM) => break,
            Err(error) => return Err(error.into()),
        }
    }
    let held = capabilities(None)?;
    let left = CapabilitySets {
        effective: held.effective & kept,
        permitted: held.permitted & kept,
        // The ambient set is no larger.
        inheritable: held.inheritable & kept,
    };
    Ok(set_capabilities(None, left)?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// The sets that proc(5) shows: inheritable, permitted, effective, bounding, ambient.
    fn sets(status: &str) -> Vec<u64> {
        let lines = status.lines().filter_map(|line| line.strip_prefix("Cap"));
        let set = |line: &str| u64::from_str_radix(line.rsplit('\t').next()?, 16).ok();
        lines.filter_map(set).collect()
    }

    #[test]
    fn what_is_given_up_stays_given_up_in_what_is_executed() {
        // Capabilities are a thread's.
        let executed = std::thread::spawn(|| {
            let before = capabilities(None).unwrap();
            keep_only(OF_DAEMON).unwrap();
            let after = capabilities(None).unwrap();
            assert_eq!(after.effective, before.effective & OF_DAEMON);
            assert_eq!(after.permitted, before.permitted & OF_DAEMON);
            let cat = Command::new("cat").arg("/proc/self/status").output();
            let status = String::from_utf8(cat.unwrap().stdout).unwrap();
            assert!(status.contains("NoNewPrivs:\t1"));
            // Root gets all that the bounding set has, or would.
            (before, sets(&status))
        });
        let (before, executed) = executed.join().unwrap();
        let [inheritable, permitted, effective, bounding, ambient] = executed[..] else {
            panic!("five sets: {executed:?}");
        };
        let all = inheritable | permitted | effective | ambient;
        assert_eq!(all & !OF_DAEMON.bits(), 0);
        if before.effective.contains(CapabilitySet::SETPCAP) {
            assert_eq!(bounding & !OF_DAEMON.bits(), 0);
        }
    }
}
