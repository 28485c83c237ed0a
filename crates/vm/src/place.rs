//! One processor of the host for a VM with virtual time.
//!
//! The guest's processor and QEMU's main loop are two threads that take turns: each time the
//! guest idles, one wakes the other. On one processor that is a switch of tasks; on two it
//! is an interrupt to a core that has gone to sleep. A run of `handover.yaml`, which idles
//! some ten thousand times, takes a fifth to a third less wall time on one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};

use nix::sched::{CpuSet, sched_getaffinity};
use nix::unistd::Pid;

/// Processors that VMs of this process have.
static TAKEN: Mutex<BTreeSet<usize>> = Mutex::new(BTreeSet::new());

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

/// A processor that a VM has; others of this process keep off it until it is dropped.
#[derive(Debug)]
pub(crate) struct Place(usize);

impl Place {
    /// Of the processors that this process may use and none of its VMs has, the one that was
    /// least busy since `before`. `None` when all are taken: the scheduler decides then.
    pub(crate) fn take(before: &Load) -> Option<Place> {
        let allowed = sched_getaffinity(Pid::from_raw(0)).ok()?;
        let after = Load::now();
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        let free = after
            .0
            .iter()
            .filter(|(cpu, _)| allowed.is_set(**cpu).unwrap_or(false) && !taken.contains(*cpu));
        let since =
            |cpu: &usize, ticks: u64| ticks - before.0.get(cpu).copied().unwrap_or(0).min(ticks);
        let cpu = free.map(|(cpu, ticks)| (since(cpu, *ticks), *cpu)).min()?.1;
        taken.insert(cpu);
        Some(Place(cpu))
    }

    /// The set with this processor alone.
    pub(crate) fn set(&self) -> Option<CpuSet> {
        let mut set = CpuSet::new();
        set.set(self.0).ok()?;
        Some(set)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        TAKEN
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn busy_ticks_leave_out_idle_iowait_and_guest_time() {
        // proc(5): user nice system idle iowait irq softirq steal guest guest_nice
        let stat =
            "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 1 2 3 1000 500 4 5 6 99 99\ncpu7 1 0 0 0\nintr 5\n";
        assert_eq!(parse(stat), BTreeMap::from([(0, 21), (7, 1)]));
    }

    #[test]
    fn no_two_vms_of_a_process_have_the_same_processor() {
        let before = Load::now();
        let places: Vec<Place> = std::iter::from_fn(|| Place::take(&before)).collect();
        let distinct: BTreeSet<usize> = places.iter().map(|place| place.0).collect();
        assert!(!places.is_empty());
        assert_eq!(distinct.len(), places.len());
        drop(places);
        assert!(
            Place::take(&before).is_some(),
            "dropped places are free again"
        );
    }
}
