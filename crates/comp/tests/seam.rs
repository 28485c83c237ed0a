//! The seam between a handover and its mobility protocol: one sequencer, CoMP's node with its WMMS
//! and a client on one side of it, a node without mobility on the other, under one virtual clock.

use std::time::Duration;

use crate::support::*;
use coap::Code;
use comp::BindingMode;
use handover::{
    Candidate, Command, Config, Event, Mobility, NoMobility, Phase, Reason, Scan, Sequencer,
    Signal, Step, Trigger,
};
use std::net::Ipv6Addr;
use units::{Channel, Db, Dbm, PanId};

/// Times that a step takes, milliseconds.
const RETUNE: u64 = 5;
const ADVERTISEMENT: u64 = 10;
const ADDRESS: u64 = 20;

/// A mobility protocol and whom it talks to.
trait Party {
    fn mobility(&mut self) -> &mut impl Mobility;
    /// The node is at `address`, or on its way.
    fn is_at(&mut self, address: Option<Ipv6Addr>);
    /// Everything up to `ms`; the steps that the protocol took meanwhile, and whether the node was
    /// asked something.
    fn run_until(&mut self, ms: u64) -> (Vec<Step>, bool);
}

impl Party for Net {
    fn mobility(&mut self) -> &mut impl Mobility {
        &mut self.node
    }

    fn is_at(&mut self, address: Option<Ipv6Addr>) {
        self.node_address = address;
    }

    fn run_until(&mut self, ms: u64) -> (Vec<Step>, bool) {
        let served = self.served.len();
        Net::run_until(self, ms);
        let steps = std::mem::take(&mut self.node_steps).into_iter();
        (
            steps.map(|(_, step)| step).collect(),
            self.served.len() > served,
        )
    }
}

impl Party for NoMobility {
    fn mobility(&mut self) -> &mut impl Mobility {
        self
    }

    fn is_at(&mut self, _: Option<Ipv6Addr>) {}

    fn run_until(&mut self, _: u64) -> (Vec<Step>, bool) {
        (Vec::new(), false)
    }
}

/// A node that walks, with a radio, routers and an address service that take their time.
struct Walk<'p, P> {
    party: &'p mut P,
    node: Sequencer,
    address: Ipv6Addr,
    /// The command that is being carried out, and until when.
    under_way: Option<(u64, Command)>,
    events: Vec<(u64, Event)>,
}

fn channel(number: u8) -> Channel {
    number.try_into().unwrap()
}

/// er1 on channel 15, where the node is, and er2 on channel 20; three samples, 100 ms apart.
fn config(scan: Option<Scan>) -> Config {
    let candidate = |router: &str, number, pan| Candidate {
        router: router.into(),
        channel: channel(number),
        pan_id: PanId(pan),
    };
    Config {
        candidates: vec![candidate("er1", 15, 1), candidate("er2", 20, 2)],
        serving: 0,
        trigger: Trigger {
            threshold: Dbm(-85.0),
            hysteresis: Db(3.0),
            samples: 3,
            sample_every: ms(100),
        },
        scan,
        dad: false,
    }
}

impl<'p, P: Party> Walk<'p, P> {
    /// A node at er1 that is attached there, at 1 s.
    fn new(party: &'p mut P, scan: Option<Scan>) -> Walk<'p, P> {
        let mut walk = Walk {
            party,
            node: Sequencer::attaching(config(scan)),
            address: T1,
            under_way: None,
            events: Vec::new(),
        };
        walk.hear(0, 1, Some(-70.0));
        walk.party.mobility().attach(at(0), T1);
        walk.take_steps(0);
        walk.run(0, 1000);
        assert!(!walk.node.is_attaching());
        walk
    }

    fn hear(&mut self, ms: u64, router: u16, dbm: Option<f64>) {
        let number = if router == 1 { 15 } else { 20 };
        let signal = Signal {
            channel: channel(number),
            pan_id: PanId(router),
            rssi: dbm.map(Dbm),
        };
        self.node.handle_signal(at(ms), signal);
    }

    fn run(&mut self, from: u64, to: u64) {
        for ms in from..=to {
            let (steps, asked) = self.party.run_until(ms);
            for step in steps {
                self.node.handle_step(at(ms), step);
            }
            if asked {
                self.node.first_request(at(ms));
            }
            if let Some((_, command)) = self.under_way.take_if(|(done, _)| *done <= ms) {
                self.carried_out(ms, command);
            }
            self.node.handle_timeout(at(ms));
            self.carry_out(ms);
        }
    }

    /// Gives commands to whom they are for, until the sequencer has no more.
    fn carry_out(&mut self, ms: u64) {
        while let Some(command) = self.node.poll_command() {
            let protocol = self.party.mobility();
            let takes = match command {
                Command::Prepare => {
                    protocol.prepare(at(ms));
                    None
                }
                Command::Bind { address } => {
                    protocol.bind(at(ms), address);
                    None
                }
                Command::Stay => {
                    protocol.stay(at(ms), self.address);
                    None
                }
                Command::Retune { .. } => {
                    protocol.leave(at(ms));
                    self.party.is_at(None);
                    Some(RETUNE)
                }
                Command::Listen { .. } => Some(RETUNE),
                Command::Solicit => Some(ADVERTISEMENT),
                Command::AcquireAddress => Some(ADDRESS),
                Command::CheckAddress { .. } => unreachable!("without detection"),
            };
            if let Some(takes) = takes {
                self.under_way = Some((ms + takes, command));
            }
            self.take_steps(ms);
        }
        while let Some(event) = self.node.poll_event() {
            self.events.push((ms, event));
        }
    }

    /// The steps that the protocol takes within a command.
    fn take_steps(&mut self, ms: u64) {
        while let Some(step) = self.party.mobility().poll_step() {
            self.node.handle_step(at(ms), step);
        }
    }

    fn carried_out(&mut self, ms: u64, command: Command) {
        match command {
            Command::Retune { .. } => self.node.link_ready(at(ms)),
            Command::Listen { channel } => self.node.listening(at(ms), channel),
            Command::Solicit => self.node.router_advertised(at(ms)),
            Command::AcquireAddress => {
                self.address = T2;
                self.party.is_at(Some(T2));
                self.node.address_acquired(at(ms), T2);
            }
            _ => unreachable!("takes no time"),
        }
    }

    /// From er1 to er2 at 2 s.
    fn go(&mut self) {
        self.run(1001, 1999);
        self.hear(2000, 2, Some(-60.0));
        self.hear(2000, 1, Some(-90.0));
        self.run(2000, 3000);
    }
}

fn started(ms: u64, phase: Phase) -> (u64, Event) {
    (ms, Event::PhaseStarted { handover: 1, phase })
}

fn ended(ms: u64, phase: Phase) -> (u64, Event) {
    (ms, Event::PhaseEnded { handover: 1, phase })
}

/// What a handover from er1 to er2 tells if the preparation takes `prepare` ms, the binding `bind`
/// ms, in these phases.
fn handover(prepare: (u64, Option<Phase>), bind: (u64, Option<Phase>)) -> Vec<(u64, Event)> {
    let of_protocol = |from: u64, (takes, phase): (u64, Option<Phase>)| {
        let phase = phase.into_iter();
        phase.flat_map(move |phase| [started(from, phase.clone()), ended(from + takes, phase)])
    };
    let decided = 2200;
    let left = decided + prepare.0;
    let linked = left + RETUNE;
    let advertised = linked + ADVERTISEMENT;
    let usable = advertised + ADDRESS;
    let bound = usable + bind.0;
    let mut events = vec![
        started(2000, Phase::TRIGGER),
        ended(decided, Phase::TRIGGER),
    ];
    let (from, reason) = ("er1".into(), Reason::Signal);
    let handover = 1;
    events.push((
        decided,
        Event::Started {
            handover,
            from,
            reason,
        },
    ));
    events.extend(of_protocol(decided, prepare));
    events.extend([
        started(left, Phase::LINK),
        ended(linked, Phase::LINK),
        started(linked, Phase::MOVEMENT_DETECTION),
        ended(advertised, Phase::MOVEMENT_DETECTION),
        started(advertised, Phase::ADDRESS),
        ended(usable, Phase::ADDRESS),
    ]);
    events.extend(of_protocol(usable, bind));
    let (to, t_addr) = ("er2".into(), T2);
    events.push((
        bound,
        Event::Completed {
            handover,
            to,
            t_addr,
        },
    ));
    events.push(started(bound, Phase::RESUME));
    events
}

#[test]
fn without_mobility_a_handover_has_the_sequencers_own_phases_only() {
    let mut party = NoMobility::new();
    let mut walk = Walk::new(&mut party, None);
    walk.go();
    assert_eq!(walk.events, handover((0, None), (0, None)));
}

#[test]
fn with_comp_the_same_handover_has_a_hold_and_a_binding() {
    for binding in [BindingMode::Direct, BindingMode::Relayed] {
        let mut net = Net::new(Setup {
            binding,
            ..Setup::default()
        });
        net.clients[0].register(net.now, client_address(0));
        let mut walk = Walk::new(&mut net, None);
        walk.party.get(0);
        walk.go();
        // Each message takes 4 ms: node to WMMS to client and back, then node to WMMS and back.
        let expected = handover((16, Some(Phase::HOLD)), (8, Some(Phase::BINDING)));
        assert_eq!(walk.events, expected, "{binding:?}");
        assert_eq!(walk.node.serving(), 1);
        let entry = net.clients[0].client().lbc().get(P).unwrap();
        assert_eq!((entry.t_addr, entry.held), (T2, false), "{binding:?}");
    }
}

#[test]
fn with_comp_and_no_hold_the_phase_of_the_hold_is_not_there() {
    let mut net = Net::new(Setup {
        hold: false,
        ..Setup::default()
    });
    let mut walk = Walk::new(&mut net, None);
    walk.go();
    let expected = handover((0, None), (8, Some(Phase::BINDING)));
    assert_eq!(walk.events, expected);
}

#[test]
fn requests_across_a_walk_are_all_answered_and_the_first_one_ends_the_resume_phase() {
    let mut net = Net::new(Setup::default());
    net.clients[0].register(net.now, client_address(0));
    let mut walk = Walk::new(&mut net, None);
    walk.run(1001, 1999);
    walk.hear(2000, 2, Some(-60.0));
    walk.hear(2000, 1, Some(-90.0));
    let mut asked = 0;
    for ms in (2000..4000).step_by(10) {
        walk.party.get(0);
        asked += 1;
        walk.run(ms, ms + 9);
    }
    let resumed = walk.events.last().cloned();
    // The client hears of the binding when the WMMS does, and asks at once.
    assert_eq!(resumed, Some(ended(2259, Phase::RESUME)));
    assert_eq!((net.answered(), net.failures()), (asked, vec![]));
}

#[test]
fn a_router_that_is_hardly_heard_is_left_in_seconds_though_the_wmms_is_dead() {
    let mut net = Net::new(Setup::default());
    let mut walk = Walk::new(&mut net, None);
    walk.party.cut = Box::new(|_, d| *d.from.ip() == W || *d.to.ip() == W);
    walk.run(1001, 1999);
    walk.hear(2000, 2, Some(-60.0));
    walk.hear(2000, 1, Some(-90.0));
    walk.run(2000, 9000);
    let link = |(_, event): &&(u64, Event)| match event {
        Event::PhaseStarted { phase, .. } => *phase == Phase::LINK,
        _ => false,
    };
    let left = walk.events.iter().find(link).map(|(ms, _)| *ms);
    assert_eq!(left, Some(2200 + 5000), "the trigger, and the hold");
}

/// The node hears one channel at a time.
fn scan() -> Option<Scan> {
    let dwell = ms(500);
    Some(Scan { dwell, early: None })
}

#[test]
fn a_handover_that_is_called_off_releases_the_correspondents_if_they_were_on_hold() {
    for hold in [true, false] {
        let mut net = Net::new(Setup {
            hold,
            ..Setup::default()
        });
        net.clients[0].register(net.now, client_address(0));
        let mut walk = Walk::new(&mut net, scan());
        walk.party.get(0);
        walk.run(1001, 1999);
        walk.party.sent.clear();
        // Of er2's channel nothing is known, and nothing is heard there.
        walk.hear(2000, 1, Some(-90.0));
        walk.run(2000, 2600);
        let on_hold = |net: &Net| net.clients[0].client().lbc().get(P).unwrap().held;
        assert_eq!(on_hold(walk.party), hold);
        walk.run(2601, 2799);
        let (_, last) = walk.events.last().unwrap();
        assert!(matches!(last, Event::Failed { .. }), "{last:?}");
        assert!(!on_hold(walk.party));
        let from_node = |d: &&Datagram| *d.from.ip() == T1 && *d.to.ip() == W;
        let updates = net.sent.iter().map(|(_, d)| d).filter(from_node);
        let codes: Vec<Code> = updates.map(|d| d.message().code).collect();
        let expected: &[Code] = if hold { &[Code::PUT, Code::PUT] } else { &[] };
        assert_eq!(codes, expected, "hold and binding update, or nothing");
    }
}

#[test]
fn a_sleep_is_announced_where_somebody_listens() {
    let mut none = NoMobility::new();
    none.announce_sleep(at(0), Duration::from_secs(5));
    assert_eq!(none.poll_step(), Some(Step::SleepAnnounced));
    assert_eq!(none.poll_step(), None);

    let mut net = Net::registered(Setup::default());
    net.node.announce_sleep(net.now, Duration::from_secs(5));
    net.run_until(1100);
    assert_eq!(net.node_steps, [(at(1008), Step::SleepAnnounced)]);
    assert!(net.wmms.mmt().get(P).unwrap().held);

    net.cut = Box::new(|_, _| true);
    net.node.announce_sleep(net.now, Duration::from_secs(5));
    net.run_until(120_000);
    let [_, (_, Step::SleepRefused { reason })] = &net.node_steps[..] else {
        panic!("{:?}", net.node_steps);
    };
    assert!(reason.starts_with("hold: "), "{reason}");
}

#[test]
fn a_handover_that_is_called_off_ends_the_sleep_that_it_interrupted() {
    // Its announcement is under way, or has been answered.
    for after in [2, 100] {
        let mut net = Net::registered(Setup {
            hold: false,
            ..Setup::default()
        });
        net.node.announce_sleep(net.now, Duration::from_secs(60));
        let now = net.now.as_nanos() / 1_000_000;
        net.run_until(now + after);
        net.node.prepare(net.now);
        net.node.stay(net.now, T1);
        net.run_until(now + after + 1000);
        assert!(!net.node.client().is_paused(), "{after} ms");
        assert!(!net.wmms.mmt().get(P).unwrap().held, "{after} ms");
    }
}

#[test]
fn steps_are_polled_among_the_events_or_by_themselves_but_once() {
    let mut net = Net::registered(Setup::default());
    net.node.bind(net.now, T2);
    let started = Step::PhaseStarted(Phase::BINDING);
    assert_eq!(net.node.poll_step(), Some(started));
    assert_eq!(net.node.poll_step(), None);
    net.run_until(1100);
    let ended = Step::PhaseEnded(Phase::BINDING);
    let bound = Step::Bound { address: T2 };
    assert_eq!(net.node_steps, [(at(1008), ended), (at(1008), bound)]);
}
