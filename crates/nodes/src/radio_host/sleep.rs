//! The radio's duty cycle: announced, asleep, awake.
//!
//! An announced sleep begins with what the mobility protocol has to say of it: with CoMP a hold that
//! carries the Sleep period. The radio goes off when that is answered, that is when the
//! correspondents keep their requests back, and comes on when the period is over, counted from the
//! announcement: no later than those count it who heard of it after that. Meanwhile the daemon is mute, as it is while the radio is
//! on another channel. What cannot wait, a handover, wakes the radio early.
//!
//! A radio that sleeps measures nothing: its links are neither lost nor gained meanwhile. What its
//! registers are told during a sleep was measured before, or is what it will find: it counts when
//! the radio is on again.

use anyhow::Result;
use handover::Signal;
use rundir::EventKind;
use topology::plan::SleepPlan;
use units::SimTime;

use super::RadioHost;
use crate::host::now;
use crate::mobility::Adapter;

/// Where the node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Awake,
    /// That is on its way; the sleep is to end then.
    Announcing(SimTime),
    Asleep(SimTime),
}

/// The schedule of a node's sleeps.
#[derive(Debug)]
pub(super) struct Sleep {
    plan: Option<SleepPlan>,
    /// When the next one is due, from the start of the scenario on.
    next: Option<SimTime>,
    state: State,
    /// What came for the signal registers during a sleep, the latest of each PAN.
    kept: Vec<Signal>,
}

impl Sleep {
    /// Awake, and nothing due before [`Sleep::start`].
    pub(super) fn new(plan: Option<SleepPlan>) -> Sleep {
        Sleep {
            plan,
            next: None,
            state: State::Awake,
            kept: Vec::new(),
        }
    }

    /// The scenario has started.
    pub(super) fn start(&mut self, now: SimTime) {
        self.next = self.plan.as_ref().map(|plan| now + plan.phase);
    }

    /// Whether the radio is off.
    pub(super) fn is_asleep(&self) -> bool {
        matches!(self.state, State::Asleep(_))
    }

    /// A register changed: what counts now.
    pub(super) fn measured(&mut self, signal: Signal) -> Option<Signal> {
        if !self.is_asleep() {
            return Some(signal);
        }
        let pan = |signal: &Signal| (signal.channel, signal.pan_id);
        self.kept.retain(|kept| pan(kept) != pan(&signal));
        self.kept.push(signal);
        None
    }

    /// The radio is on again: what the registers were told meanwhile.
    fn end(&mut self) -> Vec<Signal> {
        self.state = State::Awake;
        std::mem::take(&mut self.kept)
    }

    /// When the node is to fall asleep or wake up.
    pub(super) fn poll_timeout(&self) -> Option<SimTime> {
        match self.state {
            State::Awake => self.next,
            State::Announcing(_) => None,
            State::Asleep(until) => Some(until),
        }
    }

    /// The sleep that is due at `now`, if one is; the next one follows after its period.
    fn take_due(&mut self, now: SimTime) -> Option<SleepPlan> {
        let plan = self.plan.clone()?;
        let due = self.next.filter(|due| *due <= now)?;
        self.next = Some(due + plan.every);
        Some(plan)
    }

    /// The announcement of a sleep is over, one way or the other; until when to sleep.
    fn take_announced(&mut self) -> Option<SimTime> {
        let State::Announcing(until) = self.state else {
            return None;
        };
        self.state = State::Awake;
        Some(until)
    }
}

impl<A: Adapter> RadioHost<A> {
    /// Falls asleep or wakes up, if it is time to.
    pub(super) fn on_sleep_timeout(&mut self) -> Result<()> {
        let now = now();
        if let State::Asleep(until) = self.sleep.state {
            return match until <= now {
                true => self.wake(false),
                false => Ok(()),
            };
        }
        let Some(plan) = self.sleep.take_due(now) else {
            return Ok(());
        };
        let busy =
            self.attachment.is_attaching() || self.attachment.in_progress() || self.is_away();
        if busy || self.sleep.state != State::Awake {
            tracing::info!("a sleep is left out: a handover is in progress");
            return Ok(());
        }
        let until = now + plan.period;
        if !plan.announced {
            return self.fall_asleep(until);
        }
        self.sleep.state = State::Announcing(until);
        let period = plan.period;
        self.application
            .with_mobility(|mobility, now| mobility.announce_sleep(now, period));
        Ok(())
    }

    /// Who should know of a sleep does.
    pub(super) fn on_sleep_announced(&mut self) -> Result<()> {
        match self.sleep.take_announced() {
            Some(until) if until > now() => self.fall_asleep(until),
            // Answered when the period was over.
            Some(_) => {
                self.application
                    .with_mobility(|mobility, now| mobility.awake(now));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// The announcement failed: the node stays awake and says so to whom it reached.
    pub(super) fn on_sleep_refused(&mut self) -> Result<()> {
        match self.sleep.take_announced().and(self.t_addr) {
            Some(t_addr) => self.bind(t_addr),
            None => Ok(()),
        }
    }

    /// Something else takes the place of a sleep that is being announced or slept.
    pub(super) fn give_up_sleep(&mut self) -> Result<()> {
        self.sleep.take_announced();
        match self.sleep.is_asleep() {
            true => self.wake(true),
            false => Ok(()),
        }
    }

    /// Wakes up early and tells those who heard of the sleep that it is over.
    pub(super) fn wake_early(&mut self) -> Result<()> {
        if !self.sleep.is_asleep() {
            return Ok(());
        }
        self.wake(true)?;
        let announced = self.sleep.plan.as_ref().is_some_and(|plan| plan.announced);
        match self.t_addr.filter(|_| announced) {
            Some(t_addr) => self.bind(t_addr),
            None => {
                self.application
                    .with_mobility(|mobility, now| mobility.awake(now));
                Ok(())
            }
        }
    }

    fn fall_asleep(&mut self, until: SimTime) -> Result<()> {
        let announced = self.sleep.plan.as_ref().is_some_and(|plan| plan.announced);
        self.sleep.state = State::Asleep(until);
        self.application
            .with_mobility(|mobility, now| mobility.leave(now));
        self.measure(false);
        self.host.events.report(EventKind::SleepStarted {
            period_s: until.saturating_since(now()).as_secs_f64(),
            announced,
        })
    }

    fn wake(&mut self, early: bool) -> Result<()> {
        let kept = self.sleep.end();
        if !early {
            self.application
                .with_mobility(|mobility, now| mobility.awake(now));
        }
        self.host.events.report(EventKind::SleepEnded { early })?;
        self.measure(true);
        if self.plan.gateway.is_some() {
            // It may have counted as gone, and nobody would tell it (RFC 4861 §6.3.7: an interface that
            // is enabled again solicits).
            self.solicitor.with(|solicitor, now| solicitor.start(now));
        }
        for signal in kept {
            self.on_signal(now(), Some(signal));
        }
        Ok(())
    }

    /// The radio measures its links from now on, or does not.
    fn measure(&mut self, awake: bool) {
        let now = now();
        if let Some(lqi) = &mut self.lqi {
            lqi.awake(now, awake);
        }
        match self.attachment.sequencer() {
            Some(sequencer) if awake => sequencer.awake(now),
            Some(sequencer) => sequencer.asleep(now),
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use units::{Channel, Dbm, PanId};

    use super::*;

    #[test]
    fn sleeps_keep_their_period_whatever_is_late() {
        let at = |ms| SimTime::ZERO + Duration::from_millis(ms);
        let mut sleep = Sleep::new(Some(SleepPlan {
            every: Duration::from_secs(10),
            phase: Duration::from_secs(3),
            period: Duration::from_secs(4),
            announced: true,
        }));
        assert_eq!(sleep.poll_timeout(), None);
        sleep.start(at(500));
        assert_eq!(sleep.poll_timeout(), Some(at(3500)));
        assert!(sleep.take_due(at(3499)).is_none());
        assert!(sleep.take_due(at(3900)).is_some());
        assert_eq!(sleep.poll_timeout(), Some(at(13_500)));
    }

    #[test]
    fn what_is_measured_in_a_sleep_counts_when_it_is_over() {
        let signal = |pan, rssi: Option<f64>| Signal {
            channel: Channel::try_from(15).unwrap(),
            pan_id: PanId(pan),
            rssi: rssi.map(Dbm),
        };
        let mut sleep = Sleep::new(None);
        let awake = signal(1, Some(-50.0));
        assert_eq!(sleep.measured(awake), Some(awake));
        sleep.state = State::Asleep(SimTime::FAR_FUTURE);
        for kept in [signal(1, None), signal(2, None), signal(1, Some(-60.0))] {
            assert_eq!(sleep.measured(kept), None);
        }
        assert_eq!(sleep.end(), [signal(2, None), signal(1, Some(-60.0))]);
        assert_eq!(sleep.end(), []);
        assert_eq!(sleep.measured(awake), Some(awake));
    }

    #[test]
    fn a_node_without_a_plan_never_sleeps() {
        let mut sleep = Sleep::new(None);
        sleep.start(SimTime::ZERO);
        assert_eq!(sleep.poll_timeout(), None);
    }
}
