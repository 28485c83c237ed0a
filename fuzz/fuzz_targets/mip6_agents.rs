//! `mip6::Agent` and `mip6::Correspondent`: any sequence of updates, tests, other messages and time
//! steps.
//!
//! The cache stays within its limit; what is refused, or not answered, changes nothing; a number never
//! gets older while it is known; a correspondent makes no binding without both of its tokens; nothing
//! outlives its lifetime; every change is told; nothing that was due stays due.

#![no_main]

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::time::Duration;

use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use machine::Machine;
use mip6::agent::{self, Agent, Role};
use mip6::cache::{Binding, Change};
use mip6::codec::{BindingUpdate, Lifetime, Message, MobilityOption};
use mip6::correspondent::{self, Correspondent};
use mip6::rr::{
    Authorization, BindingKey, Cookie, KeygenToken, MAX_NONCE_LIFETIME, MAX_RR_BINDING_LIFETIME,
    NonceIndex,
};
use mip6::{Headers, Ignored};
use units::{Seed, Sequence, SimTime};
use wpanlab_fuzz::mip6::{
    AGENT, CORRESPONDENT, HOME, MAP, address, care_of, headers, message, sequence, update,
};
use wpanlab_fuzz::script;

const LIMIT: usize = 2;
const START: SimTime = SimTime::from_nanos(1_000_000_000_000_000);

fuzz_target!(|bytes: &[u8]| {
    let mut u = Unstructured::new(bytes);
    let _ = match u.int_in_range(0..=2u8) {
        Ok(0) => run_agent(&mut u, Role::HomeAgent, AGENT),
        Ok(1) => {
            let access_prefixes = vec!["2001:db8:1::/64".parse().expect("a prefix")];
            run_agent(&mut u, Role::MobilityAnchorPoint { access_prefixes }, MAP)
        }
        _ => run_correspondent(&mut u),
    };
});

/// Bindings as the events have them, beside those that the machine has.
#[derive(Default)]
struct Told(BTreeMap<Ipv6Addr, Ipv6Addr>);

impl Told {
    fn change(&mut self, change: Change) {
        match change {
            Change::Bound {
                home_address,
                care_of,
                previous,
                ..
            } => assert_eq!(self.0.insert(home_address, care_of), previous),
            Change::Removed {
                home_address,
                care_of,
                ..
            } => assert_eq!(self.0.remove(&home_address), Some(care_of)),
        }
    }

    fn check<'a>(&self, now: SimTime, bindings: impl Iterator<Item = (Ipv6Addr, &'a Binding)>) {
        let bindings: Vec<(Ipv6Addr, Binding)> = bindings.map(|(h, b)| (h, *b)).collect();
        for (home, binding) in &bindings {
            assert!(binding.expires > now, "{home} outlives its lifetime");
        }
        let care_of = bindings
            .iter()
            .map(|(home, binding)| (*home, binding.care_of));
        assert_eq!(self.0, care_of.collect(), "a change was not told");
    }
}

/// What a message has been answered with.
fn answers<M: Machine<To = Headers>>(machine: &mut M) -> Vec<Message> {
    let sent = std::iter::from_fn(|| machine.poll_transmit());
    let decoded = sent.map(|sent| Message::decode(&sent.to, &sent.payload));
    decoded
        .map(|message| message.expect("what is sent decodes"))
        .collect()
}

fn run_agent(u: &mut Unstructured, role: Role, own: Ipv6Addr) -> Result<()> {
    let prefix = match role {
        Role::HomeAgent => "2001:db8:f::/64",
        Role::MobilityAnchorPoint { .. } => "2001:db8:a::/64",
    };
    let config = agent::Config {
        max_bindings: LIMIT,
        dad: Duration::from_millis(u.int_in_range(0..=2000)?),
        refresh_advice: u.arbitrary::<bool>()?.then_some(Duration::from_secs(30)),
        ..agent::Config::new(role, own, prefix.parse().expect("a prefix"))
    };
    let (mut agent, mut now, mut told) = (Agent::new(config), START, Told::default());
    while !u.is_empty() {
        let before = told.0.clone();
        let mut refused = false;
        match u.int_in_range(0..=9u8)? {
            0..=5 => {
                let message = Message::BindingUpdate(update(u)?);
                let mut headers = headers(u)?;
                (headers.destination, headers.routing) = (own, None);
                refused = hear(&mut agent, now, headers, &message);
            }
            6 => {
                let (headers, message) = (headers(u)?, message(u)?);
                refused = hear(&mut agent, now, headers, &message);
            }
            7 => agent.address_in_use(address(u)?),
            _ => now += script::step(u)?,
        }
        agent.handle_timeout(now);
        assert!(
            agent.poll_timeout().is_none_or(|due| due > now),
            "something stays due"
        );
        while let Some(event) = agent.poll_event() {
            if let agent::Event::Changed(change) = event {
                told.change(change);
            }
        }
        answers(&mut agent);
        // What is due at the same time ends all the same.
        assert!(!refused || told.0.iter().all(|(h, c)| before.get(h) == Some(c)));
        told.check(now, agent.bindings());
        assert!(agent.bindings().count() <= LIMIT);
    }
    Ok(())
}

/// Whether a message was refused or ignored, of which nothing may come.
fn hear<M>(machine: &mut M, now: SimTime, headers: Headers, message: &Message) -> bool
where
    M: Machine<From = Headers, To = Headers, Ignored = Ignored>,
{
    let payload = message
        .encode(&headers)
        .expect("a message with few options");
    let ignored = machine.handle_datagram(now, headers, &payload).is_err();
    let refused = |answer: &Message| match answer {
        Message::BindingAcknowledgement(answer) => !answer.status.is_accepted(),
        _ => false,
    };
    ignored || answers(machine).iter().any(refused)
}

/// Whether an update was taken, if it was answered.
fn answered(machine: &mut Correspondent) -> Option<bool> {
    answers(machine).iter().find_map(|answer| match answer {
        Message::BindingAcknowledgement(answer) => Some(answer.status.is_accepted()),
        _ => None,
    })
}

/// A token, of which the correspondent knows whose it is.
type Proven = (Ipv6Addr, NonceIndex, KeygenToken, SimTime);

fn run_correspondent(u: &mut Unstructured) -> Result<()> {
    let config = correspondent::Config {
        max_bindings: LIMIT,
        ..correspondent::Config::new(CORRESPONDENT)
    };
    let mut machine = Correspondent::new(config, Seed(1).rng(&["fuzz"]));
    let (mut now, mut told) = (START, Told::default());
    let (mut homes, mut care_ofs): (Vec<Proven>, Vec<Proven>) = (Vec::new(), Vec::new());
    let mut numbers: BTreeMap<Ipv6Addr, Sequence> = BTreeMap::new();
    while !u.is_empty() {
        let before = told.0.clone();
        let mut refused = false;
        match u.int_in_range(0..=11u8)? {
            0 | 1 => {
                let home = *u.choose(&[HOME, care_of(7), care_of(8)])?;
                homes.push(token(&mut machine, now, home, true));
            }
            2 | 3 => {
                let care_of = care_of(u.int_in_range(1..=3)?);
                care_ofs.push(token(&mut machine, now, care_of, false));
            }
            4..=7 if !homes.is_empty() && !care_ofs.is_empty() => {
                let (home, care_of) = (*u.choose(&homes)?, *u.choose(&care_ofs)?);
                let (headers, message, sequence, lifetime) = signed(u, home, care_of)?;
                let payload = message.encode(&headers).expect("it is short");
                machine
                    .handle_datagram(now, headers, &payload)
                    .expect("it has the right tokens");
                let taken = answered(&mut machine).expect("it asks for an answer");
                let is_old = |made: SimTime| now.saturating_since(made) >= MAX_NONCE_LIFETIME;
                let deletes = lifetime == 0;
                let stale = is_old(home.3) || (is_old(care_of.3) && !deletes);
                assert!(!(stale && taken), "a token of an old nonce");
                let last = numbers.get(&home.0).copied();
                let known = machine.binding(home.0).is_some() && before.contains_key(&home.0);
                if taken && known {
                    let newer = last.is_none_or(|last| sequence.is_newer_than(last));
                    assert!(newer, "{sequence} after {last:?}");
                }
                if taken {
                    numbers.insert(home.0, sequence);
                }
            }
            8 => {
                let (headers, message) = (headers(u)?, message(u)?);
                refused = hear(&mut machine, now, headers, &message);
                // Nobody has the authenticator of an update by chance.
                refused |= matches!(message, Message::BindingUpdate(_));
            }
            9 => machine.unreachable(now, address(u)?),
            _ => now += script::step(u)?,
        }
        machine.handle_timeout(now);
        assert!(
            machine.poll_timeout().is_none_or(|due| due > now),
            "something stays due"
        );
        while let Some(change) = machine.poll_event() {
            if let Change::Bound { lifetime, .. } = change {
                assert!(lifetime.duration() <= MAX_RR_BINDING_LIFETIME);
            }
            told.change(change);
        }
        answers(&mut machine);
        assert!(!refused || told.0.iter().all(|(h, c)| before.get(h) == Some(c)));
        told.check(now, machine.bindings());
        assert!(machine.entries() <= LIMIT);
    }
    Ok(())
}

fn token(machine: &mut Correspondent, now: SimTime, address: Ipv6Addr, is_home: bool) -> Proven {
    let headers = Headers::between(address, CORRESPONDENT);
    let cookie = Cookie([1; 8]);
    let message = match is_home {
        true => Message::HomeTestInit { cookie },
        false => Message::CareOfTestInit { cookie },
    };
    let payload = message.encode(&headers).expect("it is short");
    let result = machine.handle_datagram(now, headers, &payload);
    result.expect("a test is answered");
    match answers(machine).pop() {
        Some(Message::HomeTest { nonce, token, .. } | Message::CareOfTest { nonce, token, .. }) => {
            (address, nonce, token, now)
        }
        other => panic!("{other:?}"),
    }
}

fn signed(
    u: &mut Unstructured,
    home: Proven,
    care_of: Proven,
) -> Result<(Headers, Message, Sequence, u16)> {
    let deletes = u.ratio(1, 4)?;
    let sequence = sequence(u)?;
    let lifetime = match deletes {
        true => Lifetime::ZERO,
        false => Lifetime(u.int_in_range(1..=200)?),
    };
    let mut message = Message::BindingUpdate(BindingUpdate {
        sequence,
        acknowledge: true,
        lifetime,
        options: vec![MobilityOption::NonceIndices {
            home: home.1,
            care_of: care_of.1,
        }],
        ..BindingUpdate::default()
    });
    let (key, registered) = match deletes {
        true => (BindingKey::of_deletion(home.2), home.0),
        false => (BindingKey::new(home.2, care_of.2), care_of.0),
    };
    let authorization = Authorization {
        key,
        care_of: registered,
        correspondent: CORRESPONDENT,
    };
    authorization.sign(&mut message).expect("it is short");
    let headers = Headers::between(care_of.0, CORRESPONDENT).from_home(home.0);
    Ok((headers, message, sequence, lifetime.0))
}
