//! Many lifetimes that end at one instant, and a WMMS whose clock stood still or went back between two
//! lives.

use std::net::{Ipv6Addr, SocketAddrV6};

use crate::support::{at, ms};
use coap::{Code, Endpoint, Params, Reliability};
use comp::codec::{self, Command, Lifetime};
use comp::mmt::Mmt;
use comp::wmms::{Config, EXPIRED_AT_ONCE, Wmms};
use comp::{BindingMode, Limits};
use machine::{Machine, Transmit};
use units::{Seed, SimTime};

const MANY: u32 = 20_000;
const LIFETIME: Lifetime = Lifetime(600);

fn p(n: u32) -> Ipv6Addr {
    Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 1, (n >> 16) as u16, n as u16)
}

/// A WMMS that goes on at `now` with nodes whose lifetimes began at `began`.
fn wmms(nodes: u32, began: SimTime, now: SimTime) -> Wmms {
    let mut mmt = Mmt::new(Limits::default());
    for n in 0..nodes {
        mmt.bind(began, p(n), p(n), LIFETIME, p(n));
    }
    let config = Config {
        hold_timeout: ms(1000),
        binding: BindingMode::Direct,
        limits: Limits::default(),
        coap: Params::default(),
    };
    let mut wmms = Wmms::new(config, Seed(1).rng(&["wmms"]));
    wmms.restore(now, mmt);
    wmms
}

/// The code of the answer to a request, which is there at once.
fn ask(wmms: &mut Wmms, now: SimTime, command: Command) -> Code {
    let client = SocketAddrV6::new(p(0xf_ffff), 5683, 0, 0);
    // Of each question another Message ID and token.
    let rng = Seed(1).rng(&["client", &format!("{now:?} {command:?}")]);
    let mut endpoint = Endpoint::new(Params::default(), codec::KNOWN_CRITICAL, rng);
    endpoint.request(now, client, Reliability::Confirmable, command.request());
    let Transmit { payload, .. } = endpoint.poll_transmit().unwrap();
    wmms.handle_datagram(now, client, &payload).unwrap();
    let answer = wmms.poll_transmit().expect("an answer");
    Code(answer.payload[1])
}

#[test]
fn whoever_asks_while_many_lifetimes_end_waits_for_few_of_them() {
    let mut wmms = wmms(MANY, at(0), at(0));
    let end = at(0) + LIFETIME.duration();
    // One more that lives on, and one that is due last.
    let register = Command::Registration {
        p_addr: p(MANY),
        t_addr: p(MANY),
        lifetime: LIFETIME,
    };
    assert_eq!(ask(&mut wmms, at(1000), register), Code::CREATED);
    let mut calls = 0;
    while wmms.poll_timeout().is_some_and(|due| due <= end) {
        let before = wmms.mmt().len();
        wmms.handle_timeout(end);
        assert!(before - wmms.mmt().len() <= EXPIRED_AT_ONCE);
        calls += 1;
        if calls == 3 {
            let before = wmms.mmt().len();
            let [living, dead] = [MANY, MANY - 1].map(|n| Command::Discovery { p_addr: p(n) });
            assert_eq!(ask(&mut wmms, end, living), Code::CONTENT);
            assert_eq!(
                ask(&mut wmms, end, dead),
                Code::NOT_FOUND,
                "its end has come"
            );
            assert!(before - wmms.mmt().len() <= 2 * EXPIRED_AT_ONCE + 1);
            assert!(wmms.mmt().len() > MANY as usize / 2, "most are there still");
        }
    }
    assert_eq!(wmms.mmt().len(), 1);
    let ended = std::iter::from_fn(|| wmms.poll_event()).count();
    assert_eq!(
        ended,
        MANY as usize + 1,
        "each is told, and the one that registered"
    );
}

#[test]
fn a_clock_that_stood_still_ends_lifetimes_later_and_none_early() {
    let began = at(1_000_000);
    // The board was off for a while, and its clock says it was not.
    let mut wmms = wmms(1, began, began);
    let end = began + LIFETIME.duration();
    wmms.handle_timeout(at(1_599_999));
    assert_eq!(wmms.mmt().len(), 1);
    assert_eq!(wmms.poll_timeout(), Some(end));
    wmms.handle_timeout(end);
    assert!(wmms.mmt().is_empty());
}

#[test]
fn a_clock_that_went_back_keeps_bindings_and_no_longer_than_the_longest_lifetime() {
    let began = at(100_000_000_000);
    // 1970 again, as a board without a battery has it.
    let now = at(5);
    let mut wmms = wmms(2, began, now);
    let latest = now + Lifetime(u16::MAX).duration();
    assert!(wmms.has_changes(), "the corrected ends are to be written");
    assert_eq!(wmms.poll_timeout(), Some(latest));
    let question = Command::Discovery { p_addr: p(1) };
    assert_eq!(ask(&mut wmms, now, question), Code::CONTENT);
    // A node that is there says so, and counts as always.
    let update = Command::BindingUpdate {
        p_addr: p(1),
        t_addr: p(7),
        lifetime: LIFETIME,
    };
    assert_eq!(ask(&mut wmms, at(6), update), Code::CHANGED);
    let end = at(6) + LIFETIME.duration();
    assert_eq!(wmms.mmt().get(p(1)).unwrap().lifetime_ends, end);
}
