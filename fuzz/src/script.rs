//! The fuzzer's bytes as a sequence of choices.

use std::time::Duration;

use coap::message::option;
use coap::wire::{Message, Token};
use coap::{Code, Kind, Options};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use machine::Machine;
use units::SimTime;

/// Option numbers that something acts on.
const OPTIONS: [u16; 23] = [
    option::IF_MATCH,
    option::URI_HOST,
    option::ETAG,
    option::OBSERVE,
    option::URI_PORT,
    option::URI_PATH,
    option::CONTENT_FORMAT,
    option::MAX_AGE,
    option::URI_QUERY,
    option::ACCEPT,
    option::BLOCK2,
    option::BLOCK1,
    option::SIZE2,
    option::SIZE1,
    2048,
    2049,
    2050,
    2051,
    2052,
    2053,
    2054,
    2055,
    option::NO_RESPONSE,
];

/// A machine under test, and the time there.
pub trait World {
    /// What is tested.
    type Machine: Machine;

    /// The machine and its clock.
    fn machine(&mut self) -> (&mut Self::Machine, &mut SimTime);

    /// Takes everything that comes out, and looks at it.
    fn settle(&mut self);

    /// A timer has ended, or may have: nothing that was due stays due.
    fn timeout(&mut self) {
        let (machine, now) = self.machine();
        machine.handle_timeout(*now);
        self.settle();
        let (machine, now) = self.machine();
        let next = machine.poll_timeout();
        assert!(next.is_none_or(|due| due > *now), "{next:?} stays due");
    }

    /// Lets time pass, timer by timer.
    fn pass(&mut self, step: Duration) {
        let end = *self.machine().1 + step;
        while self.next_due().is_some_and(|due| due <= end) {
            self.skip();
        }
        *self.machine().1 = end;
        self.timeout();
    }

    /// Everybody is silent: goes from timer to timer until it is `over`.
    fn fall_silent(&mut self, over: impl Fn(&Self) -> bool) {
        let mut timeouts = 0;
        while !over(self) {
            self.skip();
            timeouts += 1;
            assert!(timeouts < 10_000, "it never ends");
        }
    }

    /// When the next timer ends.
    fn next_due(&mut self) -> Option<SimTime> {
        self.machine().0.poll_timeout()
    }

    /// Goes to the end of the next timer.
    fn skip(&mut self) {
        let due = self.next_due().expect("something is due");
        let (_, now) = self.machine();
        *now = due.max(*now);
        self.timeout();
    }
}

/// A time step: mostly within what a retransmission takes, sometimes hours.
pub fn step(u: &mut Unstructured) -> Result<Duration> {
    Ok(match u.int_in_range(0..=3u8)? {
        0 => Duration::from_millis(u.int_in_range(0..=500)?),
        1 => Duration::from_millis(u.int_in_range(0..=10_000)?),
        2 => Duration::from_secs(u.int_in_range(0..=300)?),
        _ => Duration::from_secs(u.int_in_range(0..=70_000)?),
    })
}

/// A message of any type and code. Message IDs and tokens are few, or of `heard`: those that the
/// other side has used.
pub fn message(u: &mut Unstructured, heard: &[(u16, Token)]) -> Result<Message> {
    let kinds = [
        Kind::Confirmable,
        Kind::NonConfirmable,
        Kind::Acknowledgement,
        Kind::Reset,
    ];
    let (message_id, token) = match heard.is_empty() || u.ratio(1, 3)? {
        true => {
            let length = u.int_in_range(0..=2usize)?;
            let token = Token::new(u.bytes(length)?).unwrap_or_default();
            (u.int_in_range(0..=15)?, token)
        }
        false => *u.choose(heard)?,
    };
    let kind = *u.choose(&kinds)?;
    let code = match u.int_in_range(0..=9u8)? {
        0 => Code(u.arbitrary()?),
        1 => Code::EMPTY,
        _ => *u.choose(&[
            Code::GET,
            Code::POST,
            Code::PUT,
            Code::DELETE,
            Code::CREATED,
            Code::CHANGED,
            Code::CONTENT,
            Code::CONTINUE,
            Code::NOT_FOUND,
            Code::new(4, 9),
            Code::REQUEST_ENTITY_TOO_LARGE,
        ])?,
    };
    if code == Code::EMPTY {
        return Ok(Message::empty(kind, message_id));
    }
    Ok(Message {
        kind,
        code,
        message_id,
        token,
        options: options(u)?,
        payload: payload(u)?,
    })
}

fn options(u: &mut Unstructured) -> Result<Options> {
    let mut options = Options::new();
    for _ in 0..u.int_in_range(0..=6u8)? {
        let number = match u.ratio(1, 16)? {
            true => u.arbitrary()?,
            false => *u.choose(&OPTIONS)?,
        };
        let length = match u.ratio(1, 8)? {
            true => u.int_in_range(0..=20usize)?,
            false => u.int_in_range(0..=3usize)?,
        };
        options.push(number, u.bytes(length)?);
    }
    Ok(options)
}

/// A payload: none, a few bytes, or exactly a block of some size.
pub fn payload(u: &mut Unstructured) -> Result<Vec<u8>> {
    let length = match u.int_in_range(0..=3u8)? {
        0 => 0,
        1 => u.int_in_range(0..=5usize)?,
        2 => 16 << u.int_in_range(0..=6usize)?,
        _ => u.int_in_range(0..=300usize)?,
    };
    Ok(vec![b'x'; length])
}
