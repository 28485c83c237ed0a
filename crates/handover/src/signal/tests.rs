use super::*;
use proptest::prelude::*;

const SILENCE: Duration = Duration::from_secs(3);

fn channel(number: u8) -> Channel {
    Channel::try_from(number).unwrap()
}

fn ms(ms: u64) -> SimTime {
    SimTime::ZERO + Duration::from_millis(ms)
}

/// Two routers: PAN 1 on channel 15, PAN 2 on channel 20; the node is on 15.
fn registers(report_every: Option<Duration>) -> Registers {
    let router = |number: u8, pan: u16| Router {
        channel: channel(number),
        pan_id: PanId(pan),
        eui64: Eui64([pan as u8; 8]),
        short_address: Some(ShortAddress(pan)),
    };
    let config = RegisterConfig {
        silence: SILENCE,
        report_every,
    };
    let routers = vec![router(15, 1), router(20, 2)];
    Registers::new(config, SimTime::ZERO, channel(15), routers)
}

/// As a medium has them, that tells of changes at most every 20 ms.
fn limited() -> Registers {
    registers(Some(Duration::from_millis(20)))
}

/// The router of a PAN, by its extended address.
fn of(pan: u16) -> Option<(PanId, MacAddress)> {
    let eui64 = Eui64([pan as u8; 8]);
    Some((PanId(pan), MacAddress::Extended(eui64)))
}

fn values(registers: &mut Registers, now: SimTime) -> Vec<(u16, Option<f64>)> {
    let told = std::iter::from_fn(|| registers.poll(now));
    told.map(|signal| (signal.pan_id.0, signal.rssi.map(|rssi| rssi.0)))
        .collect()
}

#[test]
fn the_first_frame_is_told_at_once_and_a_change_twenty_milliseconds_later() {
    let mut registers = limited();
    assert!(registers.heard(ms(5), channel(15), of(1), Dbm(-60.0)));
    assert_eq!(registers.poll_timeout(), Some(ms(5)));
    assert_eq!(values(&mut registers, ms(5)), [(1, Some(-60.0))]);
    registers.heard(ms(6), channel(15), of(1), Dbm(-60.0));
    assert_eq!(registers.poll_timeout(), Some(ms(3006)), "no other value");
    registers.heard(ms(7), channel(15), of(1), Dbm(-61.0));
    assert_eq!(registers.poll_timeout(), Some(ms(25)));
    assert_eq!(values(&mut registers, ms(24)), []);
    assert_eq!(values(&mut registers, ms(25)), [(1, Some(-61.0))]);
}

#[test]
fn without_a_limit_every_frame_is_told_whatever_its_power() {
    let mut registers = registers(None);
    for at in [5, 6, 7] {
        assert!(registers.heard(ms(at), channel(15), of(1), Dbm(-60.0)));
        assert_eq!(registers.poll_timeout(), Some(ms(at)));
        assert_eq!(values(&mut registers, ms(at)), [(1, Some(-60.0))]);
        assert_eq!(values(&mut registers, ms(at)), [], "once");
    }
    assert_eq!(registers.poll_timeout(), Some(ms(3007)));
}

#[test]
fn a_router_that_falls_silent_is_lost_once_and_heard_again() {
    for mut registers in [limited(), registers(None)] {
        registers.heard(ms(0), channel(15), of(1), Dbm(-60.0));
        values(&mut registers, ms(0));
        assert_eq!(values(&mut registers, ms(2999)), []);
        assert_eq!(values(&mut registers, ms(3000)), [(1, None)]);
        assert_eq!(registers.poll_timeout(), None);
        registers.heard(ms(4000), channel(15), of(1), Dbm(-60.0));
        assert_eq!(values(&mut registers, ms(4000)), [(1, Some(-60.0))]);
    }
}

#[test]
fn the_silence_of_a_sleeping_radio_is_none_of_the_routers() {
    let mut registers = limited();
    registers.heard(ms(100), channel(15), of(1), Dbm(-60.0));
    values(&mut registers, ms(100));
    registers.awake(ms(200), false);
    assert_eq!(registers.poll_timeout(), None);
    registers.awake(ms(10_000), true);
    assert_eq!(
        registers.poll_timeout(),
        Some(ms(13_000)),
        "silence from 10 s on"
    );
}

#[test]
fn nothing_ever_heard_on_the_channel_is_told_after_the_silence() {
    let mut registers = limited();
    assert_eq!(registers.poll_timeout(), Some(ms(3000)));
    assert_eq!(values(&mut registers, ms(3000)), [(1, None)]);
    assert_eq!(
        registers.poll_timeout(),
        None,
        "of channel 20 it knows nothing"
    );
}

#[test]
fn a_radio_that_comes_to_a_channel_begins_anew_there() {
    let mut registers = limited();
    registers.tuned(ms(10), channel(20));
    registers.heard(ms(20), channel(20), of(2), Dbm(-70.0));
    assert_eq!(values(&mut registers, ms(20)), [(2, Some(-70.0))]);
    registers.tuned(ms(30), channel(15));
    assert_eq!(
        registers.poll_timeout(),
        Some(ms(3030)),
        "channel 15 from here on"
    );
    assert_eq!(values(&mut registers, ms(3030)), [(1, None)]);
    assert_eq!(registers.poll_timeout(), None);
    registers.tuned(ms(4000), channel(15));
    assert_eq!(registers.poll_timeout(), Some(ms(7000)), "and once more");
}

#[test]
fn frames_of_others_do_not_touch_a_routers_register() {
    let mut registers = limited();
    let foreign = MacAddress::Extended(Eui64([9; 8]));
    let on_15 = [
        None,
        Some((PanId(1), foreign)),
        Some((PanId(1), MacAddress::Short(ShortAddress(9)))),
        Some((PanId(2), of(1).unwrap().1)),
        of(2),
    ];
    for source in on_15 {
        assert!(!registers.heard(ms(5), channel(15), source, Dbm(-40.0)));
    }
    assert!(!registers.heard(ms(5), channel(20), of(1), Dbm(-40.0)));
    assert_eq!(values(&mut registers, ms(5)), []);
    let short = Some((PanId(1), MacAddress::Short(ShortAddress(1))));
    assert!(registers.heard(ms(6), channel(15), short, Dbm(-40.0)));
    assert_eq!(values(&mut registers, ms(6)), [(1, Some(-40.0))]);
}

/// What happens to the radio.
#[derive(Clone, Debug)]
enum Input {
    Heard(u16, i32),
    Tuned(u8),
    Awake(bool),
}

fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        6 => (1..3_u16, -90..-60_i32).prop_map(|(pan, dbm)| Input::Heard(pan, dbm)),
        1 => prop_oneof![Just(15_u8), Just(20)].prop_map(Input::Tuned),
        1 => any::<bool>().prop_map(Input::Awake),
    ]
}

proptest! {
    /// Whoever polls when a register is due is told what was heard last, or of the silence, and is
    /// not told anything before that.
    #[test]
    fn what_is_told_is_what_was_heard_last(
        inputs in prop::collection::vec((input(), 0..5_000_u64), 1..60),
        limited: bool,
    ) {
        let mut registers = registers(limited.then_some(Duration::from_millis(20)));
        let mut now = 0;
        let mut last = [None; 2];
        for (input, pause) in inputs {
            match input {
                Input::Heard(pan, dbm) => {
                    let here = if pan == 1 { 15 } else { 20 };
                    let rssi = f64::from(dbm);
                    registers.heard(ms(now), channel(here), of(pan), Dbm(rssi));
                    last[usize::from(pan) - 1] = Some(rssi);
                }
                Input::Tuned(number) => registers.tuned(ms(now), channel(number)),
                Input::Awake(awake) => registers.awake(ms(now), awake),
            }
            let end = ms(now + pause);
            let mut rounds = 0;
            while let Some(due) = registers.poll_timeout().filter(|due| *due <= end) {
                let told = values(&mut registers, due.max(ms(now)));
                prop_assert!(!told.is_empty(), "due, and nothing told");
                for (pan, rssi) in told {
                    if rssi.is_some() {
                        prop_assert_eq!(rssi, last[usize::from(pan) - 1]);
                    }
                }
                rounds += 1;
                prop_assert!(rounds < 10, "always due");
            }
            prop_assert_eq!(values(&mut registers, end), []);
            now += pause;
        }
    }
}
