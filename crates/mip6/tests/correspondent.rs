//! A correspondent, by the rules of RFC 6275 §9.4 and §9.5.

use std::net::Ipv6Addr;
use std::time::Duration;

use crate::support::{AGENT, CORRESPONDENT, HOME, at_router, ms, secs};
use machine::Machine;
use mip6::cache::{Change, Removal};
use mip6::codec::{
    BindingAcknowledgement, BindingUpdate, ErrorStatus, Invalid, Lifetime, Message, MobilityOption,
    Status,
};
use mip6::correspondent::Config;
use mip6::rr::{Authorization, BindingKey, Cookie, KeygenToken, NonceIndex};
use mip6::{Correspondent, Headers, Ignored};
use units::{Seed, Sequence, SimTime};

/// A token and the index of its nonce.
type Proven = (NonceIndex, KeygenToken);

/// A correspondent, and what a mobile node says to it.
struct World {
    correspondent: Correspondent,
    now: SimTime,
}

/// What an update says.
#[derive(Clone, Copy)]
struct Ask {
    sequence: u16,
    units: u16,
    care_of: Ipv6Addr,
    home: Proven,
    proof: Proven,
}

impl World {
    fn new(config: Config) -> World {
        World {
            correspondent: Correspondent::new(config, Seed(1).rng(&["correspondent"])),
            now: SimTime::ZERO,
        }
    }

    fn plain() -> World {
        World::new(Config::new(CORRESPONDENT))
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.correspondent.handle_timeout(self.now);
    }

    fn hear(&mut self, headers: Headers, message: &Message) -> Result<(), Ignored> {
        let payload = message.encode(&headers).unwrap();
        let now = self.now;
        self.correspondent.handle_datagram(now, headers, &payload)
    }

    fn next(&mut self) -> Option<(Headers, Message, Vec<u8>)> {
        let transmit = self.correspondent.poll_transmit()?;
        let message = Message::decode(&transmit.to, &transmit.payload).unwrap();
        Some((transmit.to, message, transmit.payload))
    }

    fn home_token(&mut self, home: Ipv6Addr) -> Proven {
        let cookie = Cookie([1; 8]);
        let headers = Headers::between(home, CORRESPONDENT);
        self.hear(headers, &Message::HomeTestInit { cookie })
            .unwrap();
        match self.next() {
            Some((
                to,
                Message::HomeTest {
                    nonce,
                    cookie: back,
                    token,
                },
                _,
            )) => {
                assert_eq!((to, back), (Headers::between(CORRESPONDENT, home), cookie));
                (nonce, token)
            }
            other => panic!("{other:?}"),
        }
    }

    fn care_of_token(&mut self, care_of: Ipv6Addr) -> Proven {
        let cookie = Cookie([2; 8]);
        let headers = Headers::between(care_of, CORRESPONDENT);
        let message = Message::CareOfTestInit { cookie };
        self.hear(headers, &message).unwrap();
        match self.next() {
            Some((
                to,
                Message::CareOfTest {
                    nonce,
                    cookie: back,
                    token,
                },
                _,
            )) => {
                assert_eq!(
                    (to, back),
                    (Headers::between(CORRESPONDENT, care_of), cookie)
                );
                (nonce, token)
            }
            other => panic!("{other:?}"),
        }
    }

    /// Both tests, for the address at a router.
    fn tested(&mut self, sequence: u16, units: u16, router: u16) -> Ask {
        let care_of = at_router(router);
        Ask {
            sequence,
            units,
            care_of,
            home: self.home_token(HOME),
            proof: self.care_of_token(care_of),
        }
    }

    /// The acknowledgement of an update, whose authenticator must be right if it has to have one.
    fn ask(&mut self, ask: Ask) -> BindingAcknowledgement {
        let (headers, message) = ask.message();
        self.hear(headers, &message).unwrap();
        let (to, answer, payload) = self.next().expect("an acknowledgement");
        assert_eq!(
            to,
            Headers::between(CORRESPONDENT, ask.care_of).to_home(HOME)
        );
        let Message::BindingAcknowledgement(answer) = answer else {
            panic!("{answer:?}");
        };
        let nonces = [Status::HOME_NONCE, Status::CARE_OF_NONCE, Status::NONCES];
        let signed = !nonces.contains(&answer.status);
        assert_eq!(answer.authenticator.is_some(), signed, "{}", answer.status);
        assert!(!signed || ask.authorization().verifies(&payload));
        answer
    }

    fn care_of(&self) -> Option<Ipv6Addr> {
        self.correspondent
            .binding(HOME)
            .map(|binding| binding.care_of)
    }

    fn events(&mut self) -> Vec<Change> {
        std::iter::from_fn(|| self.correspondent.poll_event()).collect()
    }
}

impl Ask {
    fn authorization(&self) -> Authorization {
        let (key, care_of) = match self.units {
            0 => (BindingKey::of_deletion(self.home.1), HOME),
            _ => (BindingKey::new(self.home.1, self.proof.1), self.care_of),
        };
        Authorization {
            key,
            care_of,
            correspondent: CORRESPONDENT,
        }
    }

    fn update(&self) -> BindingUpdate {
        BindingUpdate {
            sequence: Sequence(self.sequence),
            acknowledge: true,
            lifetime: Lifetime(self.units),
            options: vec![MobilityOption::NonceIndices {
                home: self.home.0,
                care_of: self.proof.0,
            }],
            ..BindingUpdate::default()
        }
    }

    fn headers(&self) -> Headers {
        Headers::between(self.care_of, CORRESPONDENT).from_home(HOME)
    }

    fn message(&self) -> (Headers, Message) {
        let mut message = Message::BindingUpdate(self.update());
        self.authorization().sign(&mut message).unwrap();
        (self.headers(), message)
    }
}

#[test]
fn nothing_is_kept_of_who_only_asks() {
    let mut world = World::plain();
    for number in 0..10_000_u32 {
        let address = Ipv6Addr::from_bits(HOME.to_bits() + u128::from(number));
        world.home_token(address);
        world.care_of_token(address);
        world.pass(ms(50));
    }
    assert_eq!(world.correspondent.entries(), 0);
    assert_eq!(world.correspondent.poll_timeout(), None);
}

#[test]
fn a_node_that_has_both_tokens_gets_a_binding_and_an_acknowledgement() {
    let mut world = World::plain();
    let ask = world.tested(9, 1000, 1);
    let answer = world.ask(ask);
    assert_eq!(
        (answer.status, answer.sequence),
        (Status::ACCEPTED, Sequence(9))
    );
    assert_eq!(answer.lifetime, Lifetime(105), "MAX_RR_BINDING_LIFETIME");
    assert_eq!(world.care_of(), Some(at_router(1)));
    let moved = world.tested(10, 50, 2);
    assert_eq!(world.ask(moved).lifetime, Lifetime(50));
    let bound = |router, previous, lifetime| Change::Bound {
        home_address: HOME,
        care_of: at_router(router),
        previous,
        lifetime: Lifetime(lifetime),
    };
    let expected = [bound(1, None, 105), bound(2, Some(at_router(1)), 50)];
    assert_eq!(world.events(), expected);
    world.pass(secs(200));
    let expected = Change::Removed {
        home_address: HOME,
        care_of: at_router(2),
        reason: Removal::Expired,
    };
    assert_eq!((world.events(), world.care_of()), (vec![expected], None));
}

#[test]
fn who_asks_for_no_acknowledgement_gets_one_only_if_it_is_refused() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    let silent = |ask: Ask| {
        let mut message = Message::BindingUpdate(BindingUpdate {
            acknowledge: false,
            ..ask.update()
        });
        ask.authorization().sign(&mut message).unwrap();
        message
    };
    world.hear(ask.headers(), &silent(ask)).unwrap();
    assert!(world.next().is_none());
    assert_eq!(world.care_of(), Some(at_router(1)));
    world.hear(ask.headers(), &silent(ask)).unwrap();
    let Some((_, Message::BindingAcknowledgement(answer), _)) = world.next() else {
        panic!();
    };
    assert_eq!(
        (answer.status, answer.sequence),
        (Status::SEQUENCE, Sequence(9))
    );
}

#[test]
fn what_is_not_authorized_changes_nothing_and_is_not_answered() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    let (headers, message) = ask.message();
    let Message::BindingUpdate(signed) = &message else {
        unreachable!();
    };
    let unsigned = Message::BindingUpdate(ask.update());
    let without_nonces = Message::BindingUpdate(BindingUpdate {
        options: Vec::new(),
        ..signed.clone()
    });
    let longer = Message::BindingUpdate(BindingUpdate {
        lifetime: Lifetime(101),
        ..signed.clone()
    });
    // A token of another home address: "the MAC will be different for different home addresses".
    let stolen = Ask {
        home: world.home_token(at_router(7)),
        ..ask
    };
    // A token of another care-of address.
    let redirected = Ask {
        care_of: at_router(2),
        ..ask
    };
    let alternate = Message::BindingUpdate(BindingUpdate {
        options: [
            signed.options.clone(),
            vec![MobilityOption::AlternateCareOf(at_router(2))],
        ]
        .concat(),
        ..signed.clone()
    });
    let home = headers;
    let foreign = Headers::between(at_router(1), CORRESPONDENT).from_home(at_router(7));
    let link_local = "fe80::5".parse().unwrap();
    let nowhere = Headers::between(at_router(1), CORRESPONDENT).from_home(link_local);
    let cases = [
        (home, unsigned, Ignored::NotAuthorized),
        (home, without_nonces, Ignored::NotAuthorized),
        (home, longer, Ignored::Authenticator),
        (home, stolen.message().1, Ignored::Authenticator),
        (home, alternate, Ignored::Authenticator),
        (
            redirected.headers(),
            redirected.message().1,
            Ignored::Authenticator,
        ),
        (foreign, message.clone(), Ignored::Authenticator),
        (nowhere, message, Ignored::Sender(link_local)),
    ];
    for (headers, message, expected) in cases {
        assert_eq!(world.hear(headers, &message), Err(expected));
        assert!(world.next().is_none());
        assert_eq!((world.care_of(), world.events()), (None, vec![]));
    }
}

#[test]
fn nonces_that_are_too_old_are_told_apart() {
    let mut world = World::plain();
    let old = world.tested(9, 100, 1);
    world.pass(secs(240));
    assert_eq!(world.ask(old).status, Status::NONCES);
    let fresh = world.tested(9, 100, 1);
    let home_is_old = Ask {
        home: old.home,
        ..fresh
    };
    assert_eq!(world.ask(home_is_old).status, Status::HOME_NONCE);
    let care_of_is_old = Ask {
        proof: old.proof,
        ..fresh
    };
    assert_eq!(world.ask(care_of_is_old).status, Status::CARE_OF_NONCE);
    assert_eq!(world.care_of(), None);
    assert_eq!(world.ask(fresh).status, Status::ACCEPTED);
    // A deletion has no care-of nonce.
    let deletion = Ask {
        sequence: 10,
        units: 0,
        proof: old.proof,
        ..fresh
    };
    let late = Ask {
        home: old.home,
        ..deletion
    };
    assert_eq!(world.ask(late).status, Status::HOME_NONCE);
    assert_eq!(world.ask(deletion).status, Status::ACCEPTED);
    assert_eq!(world.care_of(), None);
}

#[test]
fn only_who_is_authorized_hears_the_last_number() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    world.ask(ask);
    let again = world.ask(ask);
    assert_eq!(
        (again.status, again.sequence),
        (Status::SEQUENCE, Sequence(9))
    );
    let guessed = Ask {
        home: (ask.home.0, KeygenToken([0; 8])),
        ..ask
    };
    let (headers, message) = guessed.message();
    assert_eq!(world.hear(headers, &message), Err(Ignored::Authenticator));
}

#[test]
fn a_deleted_binding_cannot_be_brought_back_by_what_made_it() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    world.ask(ask);
    let deletion = Ask {
        sequence: 10,
        units: 0,
        ..ask
    };
    let answer = world.ask(deletion);
    assert_eq!(
        (answer.status, answer.lifetime),
        (Status::ACCEPTED, Lifetime::ZERO)
    );
    assert_eq!(world.care_of(), None);
    assert_eq!(world.ask(ask).status, Status::SEQUENCE);
    world.pass(secs(239));
    // The nonce is accepted no more, or the number is known: one of both, always.
    assert_eq!(world.ask(ask).status, Status::SEQUENCE);
    world.pass(secs(1));
    assert_eq!(world.ask(ask).status, Status::NONCES);
    assert_eq!((world.care_of(), world.correspondent.entries()), (None, 0));
}

#[test]
fn a_binding_that_has_ended_cannot_be_brought_back_either() {
    let mut world = World::plain();
    let ask = world.tested(9, 5, 1);
    world.ask(ask);
    for _ in 0..23 {
        world.pass(secs(10));
        let status = world.ask(ask).status;
        assert_eq!(status, Status::SEQUENCE, "{}", world.now);
    }
    world.pass(secs(10));
    assert_eq!(world.ask(ask).status, Status::NONCES);
}

#[test]
fn the_home_address_as_care_of_address_deletes() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    world.ask(ask);
    // At home: no Home Address option, and the home token alone.
    let update = BindingUpdate {
        sequence: Sequence(10),
        ..ask.update()
    };
    let mut message = Message::BindingUpdate(update);
    let authorization = Authorization {
        key: BindingKey::of_deletion(ask.home.1),
        care_of: HOME,
        correspondent: CORRESPONDENT,
    };
    authorization.sign(&mut message).unwrap();
    world
        .hear(Headers::between(HOME, CORRESPONDENT), &message)
        .unwrap();
    let (to, _, _) = world.next().unwrap();
    assert_eq!(
        to,
        Headers::between(CORRESPONDENT, HOME),
        "no routing header"
    );
    assert_eq!(world.care_of(), None);
}

#[test]
fn there_is_room_for_so_many_and_then_130() {
    let mut world = World::new(Config {
        max_bindings: 1,
        ..Config::new(CORRESPONDENT)
    });
    let ask = world.tested(9, 100, 1);
    world.ask(ask);
    let other: Ipv6Addr = "2001:db8:f::6".parse().unwrap();
    let home = world.home_token(other);
    let mut message = Message::BindingUpdate(Ask { home, ..ask }.update());
    let authorization = Authorization {
        key: BindingKey::new(home.1, ask.proof.1),
        ..ask.authorization()
    };
    authorization.sign(&mut message).unwrap();
    let headers = Headers::between(ask.care_of, CORRESPONDENT).from_home(other);
    world.hear(headers, &message).unwrap();
    let Some((_, Message::BindingAcknowledgement(answer), payload)) = world.next() else {
        panic!();
    };
    assert_eq!(answer.status, Status::INSUFFICIENT);
    assert!(authorization.verifies(&payload));
    assert_eq!(world.correspondent.entries(), 1);
    // Who has a binding may move.
    let moved = world.tested(10, 100, 2);
    assert_eq!(world.ask(moved).status, Status::ACCEPTED);
}

#[test]
fn a_care_of_address_that_nobody_can_have_is_refused() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    for care_of in ["ff02::1", "fe80::5", "2001:db8:c::1"] {
        let care_of: Ipv6Addr = care_of.parse().unwrap();
        let update = BindingUpdate {
            options: [
                ask.update().options,
                vec![MobilityOption::AlternateCareOf(care_of)],
            ]
            .concat(),
            ..ask.update()
        };
        // The token is not to be had for these addresses; nothing is asked for it before the MAC.
        let mut message = Message::BindingUpdate(update);
        ask.authorization().sign(&mut message).unwrap();
        let result = world.hear(ask.headers(), &message);
        assert_eq!(result, Err(Ignored::Authenticator));
    }
    assert_eq!(world.care_of(), None);
}

#[test]
fn home_registrations_are_not_for_a_correspondent() {
    let mut world = World::plain();
    let ask = world.tested(9, 100, 1);
    let update = BindingUpdate {
        home_registration: true,
        ..ask.update()
    };
    let message = Message::BindingUpdate(update);
    let status = |world: &mut World| {
        world.hear(ask.headers(), &message).unwrap();
        match world.next() {
            Some((_, Message::BindingAcknowledgement(answer), _)) => answer.status,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(status(&mut world), Status::NO_HOME_REGISTRATION);
    world.ask(ask);
    assert_eq!(status(&mut world), Status::TYPE_CHANGE);
    assert_eq!(world.care_of(), Some(at_router(1)));
    for update in [
        BindingUpdate {
            map_registration: true,
            ..ask.update()
        },
        BindingUpdate {
            proxy_registration: true,
            ..ask.update()
        },
    ] {
        let result = world.hear(ask.headers(), &Message::BindingUpdate(update));
        assert_eq!(result, Err(Ignored::Flags));
    }
}

#[test]
fn a_test_from_a_home_address_option_or_from_nowhere_is_ignored() {
    let mut world = World::plain();
    let cookie = Cookie([1; 8]);
    let tests = [
        Message::HomeTestInit { cookie },
        Message::CareOfTestInit { cookie },
    ];
    for test in tests {
        let from_home = Headers::between(at_router(1), CORRESPONDENT).from_home(HOME);
        assert_eq!(world.hear(from_home, &test), Err(Ignored::TestFromHome));
        for nobody in ["ff02::1", "fe80::1", "::"] {
            let nobody = nobody.parse().unwrap();
            let result = world.hear(Headers::between(nobody, CORRESPONDENT), &test);
            assert_eq!(result, Err(Ignored::Sender(nobody)));
        }
    }
    let elsewhere = Headers::between(HOME, AGENT);
    let result = world.hear(elsewhere, &Message::HomeTestInit { cookie });
    assert_eq!(result, Err(Ignored::Receiver(AGENT)));
    let headers = Headers::between(HOME, CORRESPONDENT);
    let result = world.hear(headers, &Message::BindingRefreshRequest);
    let expected = Ignored::Role(Message::BindingRefreshRequest.kind());
    assert_eq!(result, Err(expected));
    assert!(world.next().is_none());
}

#[test]
fn errors_go_to_the_address_on_the_wire_and_name_the_home_address() {
    let mut world = World::plain();
    let headers = Headers::between(at_router(1), CORRESPONDENT).from_home(HOME);
    let now = world.now;
    world
        .correspondent
        .dropped_for_want_of_binding(now, &headers);
    let (to, error, _) = world.next().unwrap();
    assert_eq!(to, Headers::between(CORRESPONDENT, at_router(1)));
    let expected = Message::BindingError {
        status: ErrorStatus::UNKNOWN_BINDING,
        home_address: HOME,
    };
    assert_eq!(error, expected);
    let mut payload = vec![59, 0, 8, 0, 0, 0, 0, 0];
    let sum = mip6::codec::checksum(at_router(1), CORRESPONDENT, &payload);
    payload[4..6].copy_from_slice(&sum.to_be_bytes());
    let headers = Headers::between(at_router(1), CORRESPONDENT);
    let result = world.correspondent.handle_datagram(now, headers, &payload);
    assert_eq!(result, Err(Ignored::Invalid(Invalid::Type(8))));
    let (_, error, _) = world.next().unwrap();
    let expected = Message::BindingError {
        status: ErrorStatus::UNKNOWN_TYPE,
        home_address: Ipv6Addr::UNSPECIFIED,
    };
    assert_eq!(error, expected);
}

#[test]
fn a_refresh_is_asked_for_at_the_home_address_and_only_of_who_is_bound() {
    let mut world = World::plain();
    world.correspondent.request_refresh(HOME);
    assert!(world.next().is_none());
    let ask = world.tested(9, 100, 1);
    world.ask(ask);
    world.correspondent.request_refresh(HOME);
    let (to, message, _) = world.next().unwrap();
    assert_eq!(to, Headers::between(CORRESPONDENT, HOME));
    assert_eq!(message, Message::BindingRefreshRequest);
    world.events();
    let now = world.now;
    world.correspondent.unreachable(now, HOME);
    let expected = Change::Removed {
        home_address: HOME,
        care_of: at_router(1),
        reason: Removal::Unreachable,
    };
    assert_eq!((world.events(), world.care_of()), (vec![expected], None));
    assert_eq!(
        world.ask(ask).status,
        Status::SEQUENCE,
        "the number is kept"
    );
}
