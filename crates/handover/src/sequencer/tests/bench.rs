//! A sequencer that is watched, and the words of its tests.

use units::{Db, PanId};

use super::*;
use crate::mobility::Step;

pub(super) const T1: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 5);
pub(super) const T2: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 5);

pub(super) fn at(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

pub(super) fn candidate(name: &str, channel: u8, pan: u16) -> Candidate {
    Candidate {
        router: name.into(),
        channel: channel.try_into().unwrap(),
        pan_id: PanId(pan),
    }
}

pub(super) fn signal_of(candidate: &Candidate, rssi: Option<Dbm>) -> Signal {
    Signal {
        channel: candidate.channel,
        pan_id: candidate.pan_id,
        rssi,
    }
}

/// The events of a handover that starts without a link.
pub(super) fn left_without_link(handover: u32, from: &str) -> [Event; 4] {
    [
        started(handover, Phase::TRIGGER),
        ended(handover, Phase::TRIGGER),
        began(handover, from, Reason::LinkLost),
        started(handover, Phase::LINK),
    ]
}

/// Three routers, er1 serving; three samples, 100 ms apart.
pub(super) fn config() -> Config {
    Config {
        candidates: vec![
            candidate("er1", 15, 1),
            candidate("er2", 20, 2),
            candidate("er3", 25, 3),
        ],
        serving: 0,
        trigger: Trigger {
            threshold: Dbm(-85.0),
            hysteresis: Db(3.0),
            samples: 3,
            sample_every: Duration::from_millis(100),
        },
        scan: None,
        dad: false,
    }
}

/// A sequencer beside a mobility protocol with two phases: a hold before the node leaves, if there
/// is to be one, and a binding.
#[derive(Clone)]
pub(super) struct Bench(pub(super) Sequencer, pub(super) Protocol);

#[derive(Clone)]
pub(super) struct Protocol {
    pub(super) holds: bool,
    now: SimTime,
    /// Commands since the last look.
    carried_out: Vec<Command>,
    /// The address to bind.
    address: Ipv6Addr,
}

impl Bench {
    pub(super) fn new(config: Config) -> Bench {
        Bench::of(Sequencer::new(config))
    }

    /// With nothing to do before the node leaves.
    pub(super) fn without_hold(config: Config) -> Bench {
        let mut bench = Bench::new(config);
        bench.1.holds = false;
        bench
    }

    pub(super) fn of(sequencer: Sequencer) -> Bench {
        let protocol = Protocol {
            holds: true,
            now: SimTime::ZERO,
            carried_out: Vec::new(),
            address: Ipv6Addr::UNSPECIFIED,
        };
        Bench(sequencer, protocol)
    }

    /// Gives the protocol what is its own of the commands; those after that are not taken.
    fn carry_out(&mut self) {
        let of_protocol = |c: &Command| matches!(c, Command::Prepare | Command::Bind { .. });
        while self.0.commands.iter().any(of_protocol)
            && let Some(command) = self.0.poll_command()
        {
            self.1.carried_out.push(command);
            let step = match command {
                Command::Prepare if self.1.holds => Step::PhaseStarted(Phase::HOLD),
                Command::Prepare => Step::Prepared,
                Command::Bind { address } => {
                    self.1.address = address;
                    Step::PhaseStarted(Phase::BINDING)
                }
                _ => continue,
            };
            self.0.handle_step(self.1.now, step);
        }
    }

    /// The protocol's steps at `ms`.
    pub(super) fn steps<const N: usize>(&mut self, ms: u64, steps: [Step; N]) {
        self.1.now = at(ms);
        self.carry_out();
        for step in steps {
            self.0.handle_step(at(ms), step);
        }
    }

    pub(super) fn attached(&mut self, ms: u64) {
        self.steps(ms, [Step::Attached { address: T1 }]);
    }

    pub(super) fn prepared(&mut self, ms: u64) {
        self.steps(ms, [Step::PhaseEnded(Phase::HOLD), Step::Prepared]);
    }

    pub(super) fn bound(&mut self, ms: u64) {
        self.carry_out();
        let address = self.1.address;
        self.steps(
            ms,
            [Step::PhaseEnded(Phase::BINDING), Step::Bound { address }],
        );
    }

    /// A register update for router 1, 2 or 3.
    pub(super) fn signal(&mut self, ms: u64, router: usize, dbm: Option<f64>) {
        let c = self.0.config.candidates[router - 1].clone();
        self.1.now = at(ms);
        let rssi = dbm.map(Dbm);
        self.0.handle_signal(at(ms), signal_of(&c, rssi));
        self.carry_out();
    }

    /// Runs every timer until `ms`.
    pub(super) fn run_until(&mut self, ms: u64) {
        while let Some(due) = self.0.poll_timeout().filter(|due| *due <= at(ms)) {
            self.0.handle_timeout(due);
            self.1.now = due;
            self.carry_out();
        }
    }

    pub(super) fn commands(&mut self) -> Vec<Command> {
        self.carry_out();
        let mut commands = std::mem::take(&mut self.1.carried_out);
        commands.extend(std::iter::from_fn(|| self.0.poll_command()));
        commands
    }

    pub(super) fn events(&mut self) -> Vec<Event> {
        self.carry_out();
        std::iter::from_fn(|| self.0.poll_event()).collect()
    }

    /// er1 weak, er2 strong, and the trigger's samples over.
    pub(super) fn decide_for_er2(&mut self, ms: u64) {
        self.signal(ms, 2, Some(-60.0));
        self.signal(ms, 1, Some(-90.0));
        self.run_until(ms + 200);
    }

    /// From the retuning to the binding request, all at `ms`.
    pub(super) fn arrive(&mut self, ms: u64, t_addr: Ipv6Addr) {
        self.0.link_ready(at(ms));
        self.0.router_advertised(at(ms));
        self.0.address_acquired(at(ms), t_addr);
    }
}

pub(super) fn started(handover: u32, phase: Phase) -> Event {
    Event::PhaseStarted { handover, phase }
}

pub(super) fn ended(handover: u32, phase: Phase) -> Event {
    Event::PhaseEnded { handover, phase }
}

pub(super) fn began(handover: u32, from: &str, reason: Reason) -> Event {
    Event::Started {
        handover,
        from: from.into(),
        reason,
    }
}

pub(super) fn completed(handover: u32, to: &str, t_addr: Ipv6Addr) -> Event {
    Event::Completed {
        handover,
        to: to.into(),
        t_addr,
    }
}

pub(super) fn failed(handover: u32, reason: &str) -> Event {
    Event::Failed {
        handover,
        reason: reason.into(),
    }
}
