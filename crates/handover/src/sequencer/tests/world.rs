//! Random walks among routers: whatever happens, the node ends at one that it hears, with nobody
//! left on hold.

use proptest::prelude::*;

use super::*;

const STEP: u64 = 10;
/// Every router is heard so often, on its channel.
const BEACON: u64 = 100;
/// A register of the channel that the radio is on empties after so long without a frame.
const SILENCE: u64 = 300;
const DWELL: u64 = 120;

/// A node, its radio and three routers.
struct World {
    bench: Bench,
    /// Power of each router here.
    power: [Option<f64>; 3],
    tuned: Channel,
    /// When the radio came to its channel.
    since: u64,
    /// Of each router: when it was heard last.
    heard: [Option<u64>; 3],
    told: [Option<Option<f64>>; 3],
    /// Commands under way, with the instant of their completion.
    under_way: Option<(u64, Command)>,
    on_hold: bool,
    open: Vec<Phase>,
}

impl World {
    fn new(config: Config, holds: bool) -> World {
        World {
            tuned: config.candidates[config.serving].channel,
            bench: match holds {
                true => Bench::new(config),
                false => Bench::without_hold(config),
            },
            power: [Some(-70.0), None, None],
            since: 0,
            heard: [None; 3],
            told: [None; 3],
            under_way: None,
            on_hold: false,
            open: Vec::new(),
        }
    }

    fn channel_of(&self, router: usize) -> Channel {
        self.bench.0.config.candidates[router].channel
    }

    fn tune(&mut self, ms: u64, channel: Channel) {
        if channel != self.tuned {
            (self.tuned, self.since) = (channel, ms);
            self.heard = [None; 3];
            self.told = [None; 3];
        }
    }

    /// What the radio hears, as a medium tells it.
    fn hear(&mut self, ms: u64) {
        for router in 0..3 {
            if self.channel_of(router) != self.tuned {
                continue;
            }
            let beacon = ms % BEACON == 30 * router as u64;
            if let Some(power) = self.power[router].filter(|_| beacon) {
                self.heard[router] = Some(ms);
                self.tell(ms, router, Some(power));
            } else if self.heard[router].unwrap_or(self.since) + SILENCE <= ms {
                self.tell(ms, router, None);
            }
        }
    }

    fn tell(&mut self, ms: u64, router: usize, dbm: Option<f64>) {
        if self.told[router] != Some(dbm) {
            self.told[router] = Some(dbm);
            self.bench.signal(ms, router + 1, dbm);
        }
    }

    fn complete(&mut self, ms: u64) {
        let Some((_, command)) = self.under_way.take_if(|(due, _)| *due <= ms) else {
            return;
        };
        let node = &mut self.bench.0;
        match command {
            Command::Prepare => self.bench.prepared(ms),
            Command::Listen { channel } => {
                node.listening(at(ms), channel);
                self.tune(ms, channel);
            }
            Command::Retune { candidate } => {
                node.link_ready(at(ms));
                let channel = self.channel_of(candidate);
                self.tune(ms, channel);
            }
            Command::Solicit => node.router_advertised(at(ms)),
            Command::AcquireAddress => node.address_acquired(at(ms), T2),
            Command::CheckAddress { address } => node.address_usable(at(ms), address),
            Command::Bind { .. } => {
                self.bench.bound(ms);
                self.on_hold = false;
            }
            Command::Stay => self.on_hold = false,
        }
    }

    fn phases(&mut self) {
        for event in self.bench.events() {
            match event {
                Event::PhaseStarted { phase, .. } => {
                    let only = self.open.is_empty() || self.open == [Phase::RESUME];
                    assert!(
                        only || phase == Phase::RESUME,
                        "{phase:?} in {:?}",
                        self.open
                    );
                    self.open.push(phase);
                }
                Event::PhaseEnded { phase, .. } => {
                    let at = self.open.iter().position(|open| *open == phase);
                    self.open.remove(at.expect("a phase that began"));
                }
                _ => {}
            }
        }
    }

    fn run(&mut self, from: u64, to: u64) {
        for ms in (from..to).step_by(STEP as usize) {
            self.hear(ms);
            self.complete(ms);
            let mut rounds = 0;
            while self.bench.0.poll_timeout().is_some_and(|due| due <= at(ms)) {
                self.bench.0.handle_timeout(at(ms));
                rounds += 1;
                assert!(rounds < 10, "a timer that is always due at {ms}");
            }
            for command in self.bench.commands() {
                self.on_hold |= command == Command::Prepare && self.bench.1.holds;
                // A later command takes the place of an unfinished one; the hold's end stays.
                if let Some((_, Command::Stay)) = self.under_way {
                    self.on_hold = false;
                }
                self.under_way = Some((ms + 2 * STEP, command));
            }
            self.phases();
        }
    }

    /// The node is somewhere, its radio too, and it has nothing to make good.
    fn assert_settled(&self) {
        let node = &self.bench.0;
        assert!(!node.in_progress(), "{:?}", node.state);
        assert!(self.power[node.serving()].is_some(), "{:?}", node.state);
        assert!(!self.on_hold);
        assert!(self.open.is_empty() || self.open == [Phase::RESUME]);
    }
}

fn power() -> impl Strategy<Value = Option<f64>> {
    prop_oneof![
        1 => Just(None),
        3 => (-99..-60_i32).prop_map(|dbm| Some(f64::from(dbm))),
    ]
}

proptest! {
    #[test]
    fn a_walk_ends_at_a_router_that_is_heard_with_nobody_on_hold(
        walk in prop::collection::vec((power(), power(), power(), 1..40_u64), 1..40),
        hold: bool,
        early: bool,
        same_channel: bool,
        last in 0..3_usize,
    ) {
        let mut config = config();
        config.trigger.sample_every = Duration::from_millis(20);
        if same_channel {
            config.candidates[2].channel = config.candidates[1].channel;
        }
        config.scan = Some(Scan {
            dwell: Duration::from_millis(DWELL),
            early: early.then_some(EarlyScan {
                threshold: Dbm(-75.0),
                every: Duration::from_millis(400),
            }),
        });
        let mut world = World::new(config, hold);
        let mut ms = 0;
        for (a, b, c, steps) in walk {
            world.power = [a, b, c];
            world.run(ms, ms + steps * STEP);
            ms += steps * STEP;
        }
        world.power[last] = Some(-65.0);
        for (router, power) in world.power.iter_mut().enumerate() {
            if router != last {
                *power = None;
            }
        }
        world.run(ms, ms + 5000);
        world.assert_settled();
        prop_assert_eq!(world.bench.0.serving(), last);
        if !early {
            prop_assert_eq!(world.tuned, world.channel_of(last));
        }
    }
}
