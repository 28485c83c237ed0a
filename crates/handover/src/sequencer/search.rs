//! Finding a router: which candidates are known, and listening for those that are not.

use units::{Channel, Db, Dbm, SimTime};

use super::scanner::Tuning;
use super::{Command, First, Running, Sequencer, Stage, State};

impl Sequencer {
    /// The channel of the serving candidate, wherever the radio is.
    fn home_channel(&self) -> Channel {
        self.config.candidates[self.serving].channel
    }

    pub(super) fn tuning(&self) -> Tuning {
        self.scanner
            .as_ref()
            .map_or(Tuning::Settled, |scanner| scanner.tuning)
    }

    /// A register changed.
    pub(super) fn note(&mut self, changed: usize, rssi: Option<Dbm>) {
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        scanner.note(changed, rssi.is_some());
        if changed != self.serving {
            return;
        }
        scanner.measured();
        let Some(rssi) = rssi else {
            return;
        };
        if rssi >= self.config.trigger.threshold {
            scanner.relieved();
        }
        let early = scanner.scan.early.as_ref();
        let attached = matches!(self.state, State::Attached { .. });
        if attached && early.is_some_and(|early| rssi >= early.threshold) {
            scanner.queue.clear();
        }
    }

    /// The radio is tuned to `candidate`.
    pub(super) fn arrive(&mut self, now: SimTime, candidate: usize) {
        if let Some(scanner) = &mut self.scanner {
            scanner.arrive(now, self.config.candidates[candidate].channel);
        }
    }

    /// Whether the register of `candidate` says something.
    fn is_known(&self, now: SimTime, candidate: usize) -> bool {
        let channel = self.config.candidates[candidate].channel;
        let scanner = self.scanner.as_ref();
        scanner.is_none_or(|scanner| scanner.is_known(now, self.home_channel(), channel))
    }

    /// Whether nothing is known of another channel.
    pub(super) fn is_unsure(&self, now: SimTime) -> bool {
        let scanner = self.scanner.as_ref();
        scanner.is_some_and(|scanner| scanner.some_stale_at(self.home_channel()) <= now)
    }

    /// The strongest candidate that is heard and passes `filter`, the first of equals.
    fn best(&self, now: SimTime, filter: impl Fn(usize) -> bool) -> Option<usize> {
        let mut best: Option<(usize, Dbm)> = None;
        for (i, signal) in self.signals.iter().enumerate() {
            if let Some(signal) = signal.filter(|_| filter(i) && self.is_known(now, i))
                && best.is_none_or(|(_, strongest)| signal > strongest)
            {
                best = Some((i, signal));
            }
        }
        best.map(|(i, _)| i)
    }

    fn best_but_serving(&self, now: SimTime) -> Option<usize> {
        self.best(now, |i| i != self.serving)
    }

    /// The best other candidate, if it is known to be better than the serving one, as last
    /// heard, by `margin`.
    pub(super) fn better_candidate(&self, now: SimTime, margin: Db) -> Option<usize> {
        let serving = self.signals[self.serving]?;
        let other = self.best_but_serving(now)?;
        self.signals[other]
            .is_some_and(|signal| signal >= serving + margin)
            .then_some(other)
    }

    /// Whether a router is looked for.
    pub(super) fn is_searching(&self) -> bool {
        match self.state {
            State::Attaching(first) => first == First::Searching,
            State::Running(r) => r.stage == Stage::Link && r.target.is_none(),
            State::Attached { .. } | State::Resting { .. } => false,
        }
    }

    /// Whether any router is better than what the node has.
    fn any_will_do(&self) -> bool {
        self.without_link || self.signals[self.serving].is_none()
    }

    /// Looks for a router in the link phase or while attaching: goes to one that is known, or
    /// listens.
    pub(super) fn search(&mut self, now: SimTime) {
        if let State::Attaching(first) = &mut self.state {
            *first = First::Searching;
        }
        let found = if self.scanner.is_none() {
            // If every other candidate has vanished during the preparation, the node is bound at
            // the old router again: whoever was told of its leaving must be told something.
            let other = self.best_but_serving(now).filter(|_| !self.without_link);
            other.or_else(|| self.best(now, |_| true))
        } else if self.any_will_do() {
            self.best(now, |_| true)
        } else {
            self.better_candidate(now, self.config.trigger.hysteresis)
        };
        match found {
            Some(candidate) => self.go_to(candidate),
            None => self.begin_listening(now),
        }
    }

    /// The search is over.
    fn go_to(&mut self, candidate: usize) {
        if let Some(scanner) = &mut self.scanner {
            scanner.stop();
        }
        match &mut self.state {
            // It is on this one's link already.
            State::Attaching(first) if candidate == self.serving && self.scanner.is_none() => {
                *first = First::Here;
                return;
            }
            State::Attaching(first) => *first = First::Going(candidate),
            State::Running(Running { target, .. }) => *target = Some(candidate),
            State::Attached { .. } | State::Resting { .. } => {}
        }
        self.commands.push_back(Command::Retune { candidate });
    }

    /// No candidate is known that would do.
    fn begin_listening(&mut self, now: SimTime) {
        let (home, any, unsure) = (self.home_channel(), self.any_will_do(), self.is_unsure(now));
        let Some(scanner) = &mut self.scanner else {
            return; // A register will change.
        };
        scanner.queue.clear();
        match scanner.tuning {
            // The link was lost while the radio scanned early.
            Tuning::Dwelling { .. } => {}
            Tuning::Changing { to } => self.tune(to),
            Tuning::Settled => {
                if !any && unsure {
                    scanner.begin_scan(home);
                }
                self.continue_search(now);
            }
        }
    }

    /// After a channel was listened to, or there is none to listen to.
    fn continue_search(&mut self, now: SimTime) {
        if self.any_will_do() {
            match self.best(now, |_| true) {
                Some(candidate) => self.go_to(candidate),
                None => self.listen_on_next(now),
            }
            return;
        }
        let home = self.home_channel();
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        if let Some(channel) = scanner.queue.pop_front() {
            self.tune(channel);
        } else if let Some(candidate) = self.better_at_all(now) {
            self.go_to(candidate);
        } else if self
            .scanner
            .as_ref()
            .is_some_and(|scanner| scanner.tuned != home)
        {
            self.tune(home);
        } else {
            self.call_off(now);
        }
    }

    /// The best other candidate, if it is stronger than the serving one.
    fn better_at_all(&self, now: SimTime) -> Option<usize> {
        let serving = self.signals[self.serving]?;
        let stronger = |i: &usize| self.signals[*i].is_some_and(|signal| signal > serving);
        self.best_but_serving(now).filter(stronger)
    }

    /// One channel after the other, round and round.
    fn listen_on_next(&mut self, now: SimTime) {
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        let next = scanner.next_round_robin();
        if next == scanner.tuned {
            scanner.dwell(now);
        } else {
            self.tune(next);
        }
    }

    fn tune(&mut self, to: Channel) {
        if let Some(scanner) = &mut self.scanner {
            scanner.tuning = Tuning::Changing { to };
            self.commands.push_back(Command::Listen { channel: to });
        }
    }

    /// The radio is tuned to the channel that it was to be turned to.
    pub(super) fn tuned(&mut self, now: SimTime, channel: Channel) {
        let (home, searching, any) = (self.home_channel(), self.is_searching(), self.any_will_do());
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        scanner.arrive(now, channel);
        if channel != home || (searching && any) {
            scanner.dwell(now);
        } else if searching {
            self.call_off(now);
        } else {
            scanner.returned(now);
            self.evaluate(now);
        }
    }

    /// The time on a channel is over: everybody was heard, or the dwell has passed.
    pub(super) fn dwell_over(&mut self, now: SimTime) {
        let (home, searching) = (self.home_channel(), self.is_searching());
        let Some(scanner) = &mut self.scanner else {
            return;
        };
        scanner.tuning = Tuning::Settled;
        for unheard in scanner.unheard() {
            self.signals[unheard] = None;
        }
        if searching {
            self.continue_search(now);
        } else {
            self.tune(home);
        }
    }

    /// The radio is on its home channel, and there is no better router.
    fn call_off(&mut self, now: SimTime) {
        self.give_up("no better router heard".into());
        self.commands.push_back(Command::Stay);
        if let Some(scanner) = &mut self.scanner {
            scanner.returned(now);
        }
        self.state = State::Attached { decide_at: None };
        self.evaluate(now);
    }

    /// When an attached node whose trigger does not count has something to do: it forgets what
    /// it knew of another channel while its signal is under the threshold, or scans early.
    pub(super) fn looks_around_at(&self) -> Option<SimTime> {
        let (scanner, serving) = (self.scanner.as_ref()?, self.signals[self.serving]?);
        let stale_at = Some(scanner.some_stale_at(self.home_channel()))
            .filter(|at| *at < SimTime::FAR_FUTURE && serving < self.config.trigger.threshold);
        stale_at.into_iter().chain(self.early_at()).min()
    }

    fn early_at(&self) -> Option<SimTime> {
        let (scanner, serving) = (self.scanner.as_ref()?, self.signals[self.serving]?);
        let early = scanner.scan.early.as_ref()?;
        scanner
            .early_at(self.home_channel())
            .filter(|_| serving < early.threshold)
    }

    /// The instant of [`Sequencer::looks_around_at`] has come.
    pub(super) fn look_around(&mut self, now: SimTime) {
        self.evaluate(now);
        if self.state != (State::Attached { decide_at: None })
            || self.early_at().is_none_or(|at| at > now)
        {
            return;
        }
        let home = self.home_channel();
        if let Some(channel) = self
            .scanner
            .as_mut()
            .and_then(|scanner| scanner.next_early(now, home))
        {
            self.tune(channel);
        }
    }
}
