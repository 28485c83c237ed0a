//! One processor of the host for a VM with virtual time.
//!
//! The guest's processor and QEMU's main loop are two threads that take turns: each time the
//! guest idles, one wakes the other. On one processor that is a switch of tasks; on two it
//! is an interrupt to a core that has gone to sleep. A run of `handover.yaml`, which idles
//! some ten thousand times, takes a fifth to a third less wall time on one.

use std::collections::BTreeMap;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Who has a processor has the socket of this name and its number, in the abstract namespace: there
/// is one of each name on a host, and it is gone with whoever had it, however he ends.
const CLAIM: &str = "wpanlab-vm-processor";

/// What each processor has done since the host started, in clock ticks.
#[derive(Debug)]
pub(crate) struct Load(BTreeMap<usize, u64>);

impl Load {
    /// As of now; empty where `/proc/stat` cannot be read.
    pub(crate) fn now() -> Load {
        Load(parse(
            &std::fs::read_to_string("/proc/stat").unwrap_or_default(),
        ))
    }
}

/// The busy ticks of each `cpuN` line: all but idle and waiting for I/O (proc(5)).
fn parse(stat: &str) -> BTreeMap<usize, u64> {
    let busy = |line: &str| {
        let rest = line.strip_prefix("cpu")?;
        // The first line, `cpu` and a blank, is the sum.
        let mut fields = rest
            .starts_with(|c: char| c.is_ascii_digit())
            .then(|| rest.split_whitespace())?;
        let number = fields.next()?.parse().ok()?;
        let ticks: Vec<u64> = fields.map_while(|field| field.parse().ok()).collect();
        // user, nice, system; then idle and iowait; then interrupts and what was stolen.
        // Guest time stands in user time already.
        let share = ticks.iter().take(3).chain(ticks.iter().skip(5).take(3));
        Some((number, share.sum()))
    };
    stat.lines().filter_map(busy).collect()
}

/// A processor that a VM has; others keep off it until it is dropped, those of other processes, too.
#[derive(Debug)]
pub(crate) struct Place {
    cpu: usize,
    _claim: UnixDatagram,
}

impl Place {
    /// Of the processors that this process may use and no VM has, the one that was least busy since
    /// `before`. `None` when all are taken: the scheduler decides then.
    pub(crate) fn take(before: &Load) -> Option<Place> {
        Place::take_of(CLAIM, before)
    }

    fn take_of(claim: &str, before: &Load) -> Option<Place> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let since = |cpu: usize, ticks: u64| {
            ticks.saturating_sub(before.0.get(&cpu).copied().unwrap_or_default())
        };
        let all = Load::now().0.into_iter();
        let mut all: Vec<(u64, usize)> = all
            .filter(|(cpu, _)| allowed.is_set(*cpu).unwrap_or(false))
            .map(|(cpu, ticks)| (since(cpu, ticks), cpu))
            .collect();
        all.sort_unstable();
        all.into_iter().find_map(|(_, cpu)| {
            let name = SocketAddr::from_abstract_name(format!("{claim}-{cpu}")).ok()?;
            let _claim = UnixDatagram::bind_addr(&name).ok()?;
            Some(Place { cpu, _claim })
        })
    }

    /// The set with this processor alone.
    pub(crate) fn set(&self) -> Option<CpuSet> {
        let mut set = CpuSet::new();
        set.set(self.cpu).ok()?;
        Some(set)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn busy_ticks_leave_out_idle_iowait_and_guest_time() {
        // proc(5): user nice system idle iowait irq softirq steal guest guest_nice
        let stat =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 1000 500 4 5 6 99 99\ncpu7 1 0 0 0\nintr 5\n";
        assert_eq!(parse(stat), BTreeMap::from([(0, 21), (7, 1)]));
    }

    #[test]
    fn no_two_vms_have_the_same_processor_whoever_started_them() {
        // Of this test's own: others may run VMs meanwhile.
        let claim = format!("wpanlab-test-{}", std::process::id());
        let before = Load::now();
        let take = || Place::take_of(&claim, &before);
        let places: Vec<Place> = std::iter::from_fn(take).collect();
        let distinct: BTreeSet<usize> = places.iter().map(|place| place.cpu).collect();
        assert!(!places.is_empty());
        assert_eq!(distinct.len(), places.len());
        drop(places);
        assert!(take().is_some(), "dropped places are free again");
    }
}
