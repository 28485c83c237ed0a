//! A home agent and a mobility anchor point, by the rules of RFC 6275 §9.5.1 and §10.3 and of RFC 5380
//! §6.2.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::{
    AGENT, CORRESPONDENT, HOME, MAP, REGIONAL, agent_config, at_router, map_config, ms, secs,
};
use machine::Machine;
use mip6::agent::{Config, Event, MAX_DELETE_BCE_TIMEOUT, Role};
use mip6::cache::{Change, Removal};
use mip6::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Invalid, Lifetime, Message, MobilityOption,
    Status,
};
use mip6::rr::NonceIndex;
use mip6::{Agent, Headers, Ignored};
use units::{Sequence, SimTime};

/// An agent, and what a mobile node says to it.
struct World {
    agent: Agent,
    address: Ipv6Addr,
    now: SimTime,
}

impl World {
    fn new(config: Config) -> World {
        World {
            address: config.address,
            agent: Agent::new(config),
            now: SimTime::ZERO,
        }
    }

    /// Without Duplicate Address Detection.
    fn quick(config: Config) -> World {
        World::new(Config {
            dad: Duration::ZERO,
            ..config
        })
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.agent.handle_timeout(self.now);
    }

    fn hear(&mut self, headers: Headers, message: &Message) -> Result<(), Ignored> {
        let payload = message.encode(&headers).unwrap();
        self.agent.handle_datagram(self.now, headers, &payload)
    }

    fn answer(&mut self) -> Option<(Headers, BindingAcknowledgement)> {
        let transmit = self.agent.poll_transmit()?;
        match Message::decode(&transmit.to, &transmit.payload).unwrap() {
            Message::BindingAcknowledgement(answer) => Some((transmit.to, answer)),
            other => panic!("{other:?}"),
        }
    }

    /// What the agent answers to an update from `care_of` for `home`.
    fn ask(
        &mut self,
        care_of: Ipv6Addr,
        home: Ipv6Addr,
        update: BindingUpdate,
    ) -> BindingAcknowledgement {
        let headers = Headers::between(care_of, self.address).from_home(home);
        self.hear(headers, &Message::BindingUpdate(update)).unwrap();
        let (to, answer) = self.answer().expect("an answer");
        // To the Source Address, with the home address in a type 2 routing header (§9.5.4).
        assert_eq!(to, Headers::between(self.address, care_of).to_home(home));
        assert_eq!(self.answer(), None);
        answer
    }

    fn status(&mut self, care_of: Ipv6Addr, home: Ipv6Addr, update: BindingUpdate) -> Status {
        self.ask(care_of, home, update).status
    }

    fn events(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.agent.poll_event()).collect()
    }

    fn care_of(&self, home: Ipv6Addr) -> Option<Ipv6Addr> {
        self.agent.binding(home).map(|binding| binding.care_of)
    }
}

fn update(sequence: u16, units: u16) -> BindingUpdate {
    BindingUpdate {
        sequence: Sequence(sequence),
        acknowledge: true,
        home_registration: true,
        lifetime: Lifetime(units),
        ..BindingUpdate::default()
    }
}

fn local(sequence: u16, units: u16) -> BindingUpdate {
    BindingUpdate {
        home_registration: false,
        map_registration: true,
        ..update(sequence, units)
    }
}

fn with_alternate(update: BindingUpdate, care_of: Ipv6Addr) -> BindingUpdate {
    BindingUpdate {
        options: vec![MobilityOption::AlternateCareOf(care_of)],
        ..update
    }
}

#[test]
fn a_registration_is_accepted_and_a_move_changes_it() {
    let mut world = World::quick(agent_config());
    let answer = world.ask(at_router(1), HOME, update(7, 100));
    let expected = BindingAcknowledgement {
        sequence: Sequence(7),
        lifetime: Lifetime(100),
        ..BindingAcknowledgement::default()
    };
    assert_eq!(answer, expected);
    assert_eq!(
        world.status(at_router(2), HOME, update(8, 100)),
        Status::ACCEPTED
    );
    assert_eq!(world.care_of(HOME), Some(at_router(2)));
    let bound = |care_of, previous| {
        Event::Changed(Change::Bound {
            home_address: HOME,
            care_of,
            previous,
            lifetime: Lifetime(100),
        })
    };
    let expected = [
        bound(at_router(1), None),
        bound(at_router(2), Some(at_router(1))),
    ];
    assert_eq!(world.events(), expected);
}

#[test]
fn the_alternate_care_of_address_counts_before_the_source() {
    let mut world = World::quick(agent_config());
    let update = with_alternate(update(1, 100), at_router(2));
    assert_eq!(world.status(at_router(1), HOME, update), Status::ACCEPTED);
    assert_eq!(world.care_of(HOME), Some(at_router(2)));
}

#[test]
fn an_answer_is_sent_although_none_was_asked_for() {
    let mut world = World::quick(agent_config());
    let silent = |sequence| BindingUpdate {
        acknowledge: false,
        ..update(sequence, 100)
    };
    assert_eq!(
        world.status(at_router(1), HOME, silent(1)),
        Status::ACCEPTED
    );
    assert_eq!(
        world.status(at_router(1), HOME, silent(1)),
        Status::SEQUENCE
    );
}

#[test]
fn a_number_that_is_not_newer_is_refused_with_the_last_one() {
    let mut world = World::quick(agent_config());
    world.ask(at_router(1), HOME, update(15, 100));
    for (number, is_old) in [
        (15, true),
        (0, true),
        (32_783, true),
        (65_535, true),
        (32_782, false),
    ] {
        let answer = world.ask(at_router(2), HOME, update(number, 100));
        match is_old {
            true => assert_eq!(
                (answer.status, answer.sequence),
                (Status::SEQUENCE, Sequence(15))
            ),
            false => assert_eq!(answer.status, Status::ACCEPTED),
        }
        let expected = if is_old { at_router(1) } else { at_router(2) };
        assert_eq!(world.care_of(HOME), Some(expected), "{number}");
    }
}

#[test]
fn a_lifetime_is_shortened_and_ends() {
    let config = Config {
        max_lifetime: secs(60),
        refresh_advice: Some(secs(30)),
        ..agent_config()
    };
    let mut world = World::quick(config);
    let answer = world.ask(at_router(1), HOME, update(1, 100));
    assert_eq!(answer.lifetime, Lifetime(15));
    assert_eq!(
        answer.refresh_advice(),
        Some(Lifetime(7)),
        "28 s, a smaller time"
    );
    // Advice that is no earlier than the end is none.
    let answer = world.ask(at_router(1), HOME, update(2, 7));
    assert_eq!(
        (answer.lifetime, answer.refresh_advice()),
        (Lifetime(7), None)
    );
    world.pass(ms(27_999));
    assert_eq!(world.care_of(HOME), Some(at_router(1)));
    world.events();
    assert_eq!(world.agent.poll_timeout(), Some(world.now + ms(1)));
    world.pass(ms(1));
    let expected = Event::Changed(Change::Removed {
        home_address: HOME,
        care_of: at_router(1),
        reason: Removal::Expired,
    });
    assert_eq!(world.events(), [expected]);
    assert_eq!((world.care_of(HOME), world.agent.entries()), (None, 0));
    // "If the receiving node has no Binding Cache entry ... it MUST accept any Sequence Number."
    assert_eq!(
        world.status(at_router(1), HOME, update(1, 7)),
        Status::ACCEPTED
    );
}

#[test]
fn the_first_registration_waits_for_duplicate_address_detection() {
    let mut world = World::new(agent_config());
    let headers = Headers::between(at_router(1), AGENT).from_home(HOME);
    world
        .hear(headers, &Message::BindingUpdate(update(1, 100)))
        .unwrap();
    assert_eq!((world.answer(), world.care_of(HOME)), (None, None));
    assert_eq!(world.events(), [Event::Check(HOME)]);
    // Sent again meanwhile, and from elsewhere: it is not begun anew, and the last one counts.
    world.pass(ms(600));
    let again = Headers::between(at_router(2), AGENT).from_home(HOME);
    world
        .hear(again, &Message::BindingUpdate(update(2, 100)))
        .unwrap();
    assert_eq!(
        world.status(at_router(1), HOME, update(1, 100)),
        Status::SEQUENCE
    );
    assert_eq!((world.answer(), world.events()), (None, vec![]));
    world.pass(ms(400));
    let (to, answer) = world.answer().unwrap();
    assert_eq!(
        (to.destination, answer.sequence),
        (at_router(2), Sequence(2))
    );
    assert_eq!(
        (answer.status, answer.lifetime),
        (Status::ACCEPTED, Lifetime(100))
    );
    assert_eq!(world.care_of(HOME), Some(at_router(2)));
    // "Unless this home agent already has a binding": a move has no wait.
    assert_eq!(
        world.status(at_router(1), HOME, update(3, 100)),
        Status::ACCEPTED
    );
}

#[test]
fn an_address_that_somebody_has_is_refused_with_134() {
    let mut world = World::new(agent_config());
    let headers = Headers::between(at_router(1), AGENT).from_home(HOME);
    world
        .hear(headers, &Message::BindingUpdate(update(1, 100)))
        .unwrap();
    world.pass(ms(500));
    world.agent.address_in_use(HOME);
    let (_, answer) = world.answer().unwrap();
    assert_eq!(answer.status, Status::DUPLICATE_ADDRESS);
    world.pass(secs(10));
    assert_eq!((world.answer(), world.care_of(HOME)), (None, None));
    assert_eq!(world.agent.entries(), 0);
}

#[test]
fn what_is_not_to_be_registered_is_refused_with_the_reason_and_changes_nothing() {
    let other: Ipv6Addr = "2001:db8:f::6".parse().unwrap();
    let foreign: Ipv6Addr = "2001:db8:e::5".parse().unwrap();
    let config = Config {
        own: Some("2001:db8:f::8".parse().unwrap()),
        home_addresses: Some([HOME, "2001:db8:f::7".parse().unwrap()].into()),
        max_bindings: 1,
        ..agent_config()
    };
    let mut world = World::quick(config);
    world.ask(at_router(1), HOME, update(1, 100));
    world.events();
    let bad = |care_of: &str| with_alternate(update(2, 100), care_of.parse().unwrap());
    let cases = [
        (foreign, update(2, 100), Status::NOT_HOME_SUBNET),
        (AGENT, update(2, 100), Status::NOT_HOME_SUBNET),
        (other, update(2, 100), Status::PROHIBITED),
        (
            "2001:db8:f::8".parse().unwrap(),
            update(2, 100),
            Status::DUPLICATE_ADDRESS,
        ),
        (
            "2001:db8:f::7".parse().unwrap(),
            update(2, 100),
            Status::INSUFFICIENT,
        ),
        (other, update(2, 0), Status::NOT_HOME_AGENT),
        (HOME, bad("ff02::1"), Status::INVALID_CARE_OF),
        (HOME, bad("fe80::5"), Status::INVALID_CARE_OF),
        (HOME, bad("::"), Status::INVALID_CARE_OF),
        // A home address, and the agent itself: packets would go round in a circle.
        (HOME, bad("2001:db8:f::7"), Status::INVALID_CARE_OF),
        (HOME, bad("2001:db8:f::1"), Status::INVALID_CARE_OF),
        (
            HOME,
            BindingUpdate {
                home_registration: false,
                ..update(2, 100)
            },
            Status::TYPE_CHANGE,
        ),
    ];
    for (home, update, status) in cases {
        assert_eq!(
            world.status(at_router(2), home, update),
            status,
            "{home} {status}"
        );
        assert_eq!(world.care_of(HOME), Some(at_router(1)));
        assert_eq!(world.events(), []);
    }
}

#[test]
fn what_is_to_be_discarded_silently_is() {
    let mut world = World::quick(agent_config());
    let from_home = Headers::between(at_router(1), AGENT).from_home(HOME);
    let nobody =
        |address: &str| Headers::between(at_router(1), AGENT).from_home(address.parse().unwrap());
    let with_nonces = BindingUpdate {
        options: vec![MobilityOption::NonceIndices {
            home: NonceIndex(1),
            care_of: NonceIndex(1),
        }],
        ..update(1, 100)
    };
    let of_correspondent = BindingUpdate {
        home_registration: false,
        ..update(1, 100)
    };
    let proxy = BindingUpdate {
        proxy_registration: true,
        ..update(1, 100)
    };
    let multicast: Ipv6Addr = "ff02::1".parse().unwrap();
    let cases = [
        (from_home, with_nonces, Ignored::HomeRegistrationWithNonces),
        (from_home, of_correspondent, Ignored::Flags),
        (from_home, proxy, Ignored::Flags),
        (
            nobody("fe80::5"),
            update(1, 100),
            Ignored::Sender("fe80::5".parse().unwrap()),
        ),
        (
            nobody("ff02::1"),
            update(1, 100),
            Ignored::Sender(multicast),
        ),
        (
            Headers::between(multicast, AGENT).from_home(HOME),
            update(1, 100),
            Ignored::Sender(multicast),
        ),
        // From the home address itself, and yet elsewhere.
        (
            Headers::between(HOME, AGENT),
            with_alternate(update(1, 100), at_router(1)),
            Ignored::NoHomeAddress,
        ),
        (
            Headers::between(at_router(1), MAP).from_home(HOME),
            update(1, 100),
            Ignored::Receiver(MAP),
        ),
    ];
    for (headers, update, expected) in cases {
        let result = world.hear(headers, &Message::BindingUpdate(update));
        assert_eq!(result, Err(expected));
        assert_eq!((world.answer(), world.agent.entries()), (None, 0));
    }
    // A wrong checksum.
    let mut payload = Message::BindingUpdate(update(1, 100))
        .encode(&from_home)
        .unwrap();
    payload[4] ^= 0x80;
    let result = world.agent.handle_datagram(world.now, from_home, &payload);
    assert_eq!(result, Err(Ignored::Invalid(Invalid::Checksum)));
    assert_eq!(world.answer(), None);
}

#[test]
fn a_node_at_home_deregisters_and_a_registration_that_was_overtaken_changes_nothing() {
    let mut world = World::quick(agent_config());
    world.ask(at_router(1), HOME, update(1, 100));
    world.events();
    let at_home = Headers::between(HOME, AGENT);
    let deletion = Message::BindingUpdate(with_alternate(update(3, 0), HOME));
    world.hear(at_home, &deletion).unwrap();
    let (to, answer) = world.answer().unwrap();
    // "The routing header MUST NOT be used."
    assert_eq!(to, Headers::between(AGENT, HOME));
    assert_eq!(
        (answer.status, answer.lifetime),
        (Status::ACCEPTED, Lifetime::ZERO)
    );
    assert_eq!(answer.sequence, Sequence(3));
    let expected = Event::Changed(Change::Removed {
        home_address: HOME,
        care_of: at_router(1),
        reason: Removal::Requested,
    });
    assert_eq!(world.events(), [expected]);
    // The refresh that it sent before it came home.
    assert_eq!(
        world.status(at_router(1), HOME, update(2, 100)),
        Status::SEQUENCE
    );
    world.pass(MAX_DELETE_BCE_TIMEOUT - ms(1));
    assert_eq!(
        world.status(at_router(1), HOME, update(2, 100)),
        Status::SEQUENCE
    );
    world.pass(ms(1));
    assert_eq!(world.agent.entries(), 0);
    assert_eq!(
        world.status(at_router(1), HOME, update(2, 100)),
        Status::ACCEPTED
    );
}

#[test]
fn an_unknown_message_type_is_answered_with_a_binding_error() {
    let mut world = World::quick(agent_config());
    let headers = Headers::between(at_router(1), AGENT).from_home(HOME);
    let mut payload = vec![59, 0, 99, 0, 0, 0, 0, 0];
    let sum = mip6::codec::checksum(HOME, AGENT, &payload);
    payload[4..6].copy_from_slice(&sum.to_be_bytes());
    let result = world.agent.handle_datagram(world.now, headers, &payload);
    assert_eq!(result, Err(Ignored::Invalid(Invalid::Type(99))));
    world.agent.dropped_for_want_of_binding(world.now, &headers);
    for status in [ErrorStatus::UNKNOWN_TYPE, ErrorStatus::UNKNOWN_BINDING] {
        let error = world.agent.poll_transmit().unwrap();
        // To the Source Address, without a routing header.
        assert_eq!(error.to, Headers::between(AGENT, at_router(1)));
        let expected = Message::BindingError {
            status,
            home_address: HOME,
        };
        assert_eq!(Message::decode(&error.to, &error.payload), Ok(expected));
    }
}

#[test]
fn an_anchor_point_binds_regional_addresses_and_nothing_else() {
    let mut world = World::quick(map_config());
    assert_eq!(
        world.status(at_router(1), REGIONAL, local(1, 100)),
        Status::ACCEPTED
    );
    assert_eq!(world.care_of(REGIONAL), Some(at_router(1)));
    let foreign = world.status(at_router(1), HOME, local(1, 100));
    assert_eq!(foreign, Status::NOT_HOME_SUBNET);
    let home = world.status(at_router(1), REGIONAL, update(2, 100));
    assert_eq!(home, Status::NO_HOME_REGISTRATION);
    // "The M and A flags MUST be set."
    let without_a = BindingUpdate {
        acknowledge: false,
        ..local(2, 100)
    };
    assert_eq!(
        world.status(at_router(1), REGIONAL, without_a.clone()),
        Status::TYPE_CHANGE
    );
    let mut fresh = World::quick(map_config());
    let headers = Headers::between(at_router(1), MAP).from_home(REGIONAL);
    let result = fresh.hear(headers, &Message::BindingUpdate(without_a));
    assert_eq!(result, Err(Ignored::Flags));
}

#[test]
fn an_anchor_point_refuses_addresses_of_links_that_are_not_its_own_with_129() {
    let role = Role::MobilityAnchorPoint {
        access_prefixes: vec!["2001:db8:1::/64".parse().unwrap()],
    };
    let mut world = World::quick(Config {
        role,
        ..map_config()
    });
    let of = |world: &mut World, router, number| {
        world.status(at_router(router), REGIONAL, local(number, 100))
    };
    assert_eq!(of(&mut world, 1, 1), Status::ACCEPTED);
    assert_eq!(of(&mut world, 2, 2), Status::PROHIBITED);
    assert_eq!(world.care_of(REGIONAL), Some(at_router(1)));
}

#[test]
fn other_messages_are_not_for_an_agent() {
    let mut world = World::quick(agent_config());
    let headers = Headers::between(CORRESPONDENT, AGENT);
    let result = world.hear(headers, &Message::BindingRefreshRequest);
    let expected = Ignored::Role(Message::BindingRefreshRequest.kind());
    assert_eq!(result, Err(expected));
}
