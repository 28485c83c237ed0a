//! `NAME=VALUE`: what is taken, what is refused, and the words of the refusal.

use std::time::Duration;

use comp_model::{Model, Parameter, Protocol};
use proptest::prelude::*;

fn refused(assignment: &str) -> String {
    Model::with(&[assignment]).unwrap_err().to_string()
}

#[test]
fn every_parameter_and_reading_takes_back_what_it_prints() {
    let paper = Model::default();
    for parameter in Parameter::ALL {
        let assignment = format!("{}={}", parameter.name(), paper.parameters.get(*parameter));
        match parameter.fixed_because() {
            None => assert_eq!(Model::with(&[&assignment]).unwrap(), paper, "{assignment}"),
            Some(reason) => assert!(refused(&assignment).contains(reason), "{assignment}"),
        }
    }
    for reading in paper.readings() {
        for choice in reading.choices {
            let assignment = format!("{}={}", reading.name, choice.name);
            let model = Model::with(&[&assignment]).unwrap();
            let read = model.readings();
            let read = read.iter().find(|r| r.name == reading.name).unwrap();
            assert_eq!(read.used, choice.name);
            assert_eq!(
                model == paper,
                choice.name == reading.default,
                "{assignment}"
            );
        }
    }
}

#[test]
fn every_reading_prints_its_default_first_and_uses_it() {
    for reading in Model::default().readings() {
        assert_eq!(reading.used, reading.default, "{}", reading.name);
        if let Some(first) = reading.choices.first() {
            assert_eq!(first.name, reading.default);
            assert!(reading.choices.len() > 1);
        }
    }
}

#[test]
fn units_may_follow_the_number_at_once() {
    let model = Model::with(&[
        "wireless_delay=20ms",
        " wired_bandwidth = 100Mbit/s ",
        "packet_rate=2.5 /s",
    ])
    .unwrap();
    assert_eq!(model.parameters.wireless_delay, Duration::from_millis(20));
    assert_eq!(
        model.parameters.wired_bandwidth.bits_per_second,
        100_000_000
    );
    assert_eq!(model.parameters.packet_rate.per_s, 2.5);
}

#[test]
fn a_refusal_names_the_parameter_and_what_was_expected() {
    for (assignment, words) in [
        (
            "wireless_delay",
            "`wireless_delay`: expected NAME=VALUE, such as wireless_delay=20ms",
        ),
        (
            "wireless_delay=20",
            "wireless_delay: `20` is not a delay of at most 1 h, such as `1.5 s` or `20ms`",
        ),
        (
            "wireless_delay=-1 ms",
            "wireless_delay: `-1 ms` is not a delay of at most 1 h, such as `1.5 s` or `20ms`",
        ),
        (
            "wired_delay=2 h",
            "wired_delay: `2 h` is not a delay of at most 1 h, such as `1.5 s` or `20ms`",
        ),
        (
            "wired_bandwidth=0 bit/s",
            "wired_bandwidth: `0 bit/s` is not a bandwidth such as `250 kbit/s` or `10Mbit/s`",
        ),
        (
            "message_size=65536 B",
            "message_size: `65536 B` is not a size of at most 65535 B, such as `50 B`",
        ),
        (
            "packet_rate=10",
            "packet_rate: `10` is not a packet rate from `0/s` to `1000000/s`, such as `10/s`",
        ),
        (
            "router_ha_hops=256",
            "router_ha_hops: `256` is not a number of hops from 0 to 255",
        ),
        (
            "tunnel=yes",
            "tunnel: `yes` is not one of none, home-agent, every-path",
        ),
        (
            "node_speed=5 m/s",
            "node_speed cannot be set: neither equation 1 nor tables 3 and 4 have a speed",
        ),
        (
            "omitted_hops=3",
            "omitted_hops cannot be set: set router_ha_hops, router_correspondent_hops, \
             router_map_hops instead",
        ),
        (
            "figure_15_range=1..2",
            "figure_15_range cannot be set: the range is ours",
        ),
    ] {
        assert_eq!(refused(assignment), words);
    }
    let unknown = refused("wireles_delay=20ms");
    assert!(
        unknown.starts_with("`wireles_delay` is no parameter and no reading; expected one of ")
    );
    assert!(unknown.contains(" wireless_delay,") && unknown.contains(" ha_cn_path,"));
    assert!(!unknown.contains("node_speed") && !unknown.contains("omitted_hops"));
}

#[test]
fn packet_rates_that_are_no_plain_number_are_refused() {
    for rate in [
        "inf/s",
        "nan/s",
        "-1/s",
        "+1/s",
        "1e3/s",
        "/s",
        "1000001/s",
        "1..2/s",
    ] {
        assert!(
            refused(&format!("packet_rate={rate}")).contains("packet rate"),
            "{rate}"
        );
    }
}

#[test]
fn the_same_name_twice_is_refused() {
    let twice = Model::with(&["wired_delay=1ms", " wired_delay =1ms"]).unwrap_err();
    assert_eq!(twice.to_string(), "wired_delay: set twice, expected once");
}

/// Parameters that every protocol's delay grows with.
const GROWING: [&str; 7] = [
    "address_delay",
    "movement_detection_delay",
    "l2_delay",
    "queueing_delay",
    "wireless_delay",
    "wired_delay",
    "message_size",
];

proptest! {
    #[test]
    fn delays_grow_with_every_delay_and_with_the_message(
        which in 0..GROWING.len(), small in 0_u32..1000, more in 1_u32..1000,
    ) {
        let name = GROWING[which];
        let unit = if name == "message_size" { "B" } else { "ms" };
        let model = |value: u32| Model::with(&[format!("{name}={value} {unit}")]).unwrap();
        for protocol in Protocol::ALL {
            prop_assert!(model(small).delay(protocol) < model(small + more).delay(protocol));
        }
    }

    #[test]
    fn delays_shrink_with_bandwidth_and_with_nothing_else(
        which in 0..2_usize, slow in 1_u32..1000, more in 1_u32..1000,
    ) {
        let name = ["wired_bandwidth", "wireless_bandwidth"][which];
        let model = |rate: u32| Model::with(&[format!("{name}={rate} kbit/s")]).unwrap();
        for protocol in Protocol::ALL {
            prop_assert!(model(slow + more).delay(protocol) < model(slow).delay(protocol));
        }
    }

    #[test]
    fn loss_is_the_delay_at_one_packet_per_second(rate in 0_u32..1_000_000, delay in 0_u32..10_000) {
        let model = Model::with(&[
            format!("packet_rate={rate}/s"), format!("wired_delay={delay} ms"),
        ]).unwrap();
        for protocol in [Protocol::Mipv6, Protocol::Hmipv6] {
            let per_packet = model.lost_packets(protocol) / f64::from(rate).max(1.0);
            let expected = if rate == 0 { 0.0 } else { model.delay(protocol).as_secs_f64() };
            prop_assert!((per_packet - expected).abs() < 1e-9);
        }
        prop_assert_eq!(model.lost_packets(Protocol::Comp), 0.0);
    }

    #[test]
    fn no_text_makes_it_panic(text in ".{0,40}") {
        let _ = Model::with(&[text.as_str()]);
        for name in ["packet_rate", "wireless_delay", "wired_bandwidth", "router_ha_hops", "tunnel"] {
            if let Ok(model) = Model::with(&[format!("{name}={text}")]) {
                let _ = model.report();
            }
        }
    }
}
