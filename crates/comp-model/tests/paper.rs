//! The model against points computed by hand from the paper's equation 1 and tables 3 to 5.
//!
//! One wireless hop of S = 50 B at 250 kb/s: 400 bit / 250 bit/ms = 1.6 ms, and 15 ms: 16.6 ms.
//! One wired hop at 10 Mb/s: 400 bit / 10 000 bit/ms = 0.04 ms, and 2 + 0.1 ms: 2.14 ms.
//! One wireless and two wired hops: 16.6 + 2 x 2.14 = 20.88 ms.
//! tL2 + tMD + tAC = 50 + 100 + 500 = 650 ms.

use std::time::Duration;

use comp_model::path::transmission_time;
use comp_model::{FigureNumber, Model, Path, Protocol, Route};
use units::{ByteSize, DataRate};

fn with(assignments: &[&str]) -> Model {
    Model::with(assignments).unwrap_or_else(|error| panic!("{assignments:?}: {error}"))
}

/// Delays of MIPv6, HMIPv6 and CoMP in microseconds.
fn delays_us(assignments: &[&str]) -> [u128; 3] {
    let model = with(assignments);
    Protocol::ALL.map(|protocol| {
        let delay = model.delay(protocol);
        assert_eq!(delay.subsec_nanos() % 1000, 0, "{protocol:?}: {delay:?}");
        delay.as_micros()
    })
}

fn lost(model: &Model) -> [f64; 3] {
    Protocol::ALL.map(|protocol| model.lost_packets(protocol))
}

fn assert_close(got: [f64; 3], expected: [f64; 3]) {
    for (got, expected) in got.iter().zip(expected) {
        assert!((got - expected).abs() < 1e-9, "{got} is not {expected}");
    }
}

#[test]
fn a_message_takes_the_time_computed_by_hand_on_every_way() {
    let paper = Model::default();
    for path in Path::ALL {
        let expected_us = match path {
            // Wired only: 2 x 2.14 ms.
            Path::HaToCn => 4_280,
            // 16.6 + 2 x 2.14 ms.
            _ => 20_880,
        };
        assert_eq!(paper.one_way(path).as_micros(), expected_us, "{path:?}");
        assert_eq!(paper.one_way(path).subsec_nanos() % 1000, 0);
    }
}

#[test]
fn mipv6_takes_825_60_ms() {
    // 650 + 4 (20.88 + 20.88) + 2 x 4.28 = 650 + 167.04 + 8.56.
    assert_eq!(delays_us(&[])[0], 825_600);
}

#[test]
fn hmipv6_takes_691_76_ms() {
    // 650 + 2 x 20.88 = 650 + 41.76.
    assert_eq!(delays_us(&[])[1], 691_760);
}

#[test]
fn comp_takes_712_64_ms() {
    // 650 + 20.88 + 20.88 + 20.88 = 650 + 62.64.
    assert_eq!(delays_us(&[])[2], 712_640);
}

#[test]
fn table_3_is_written_as_in_the_paper() {
    let paper = Model::default();
    let rows = Protocol::ALL.map(|protocol| paper.sum(protocol));
    assert_eq!(
        rows.each_ref().map(ToString::to_string),
        [
            "tL2 + tMD + tAC + 4 (t(B,HA) + t(B,CN)) + 2 t(HA,CN)",
            "tL2 + tMD + tAC + 2 t(B,MAP)",
            "tL2 + tMD + tAC + t(B,WMMS) + t(WMMS,B) + t(B,A)",
        ]
    );
    assert_eq!(
        rows.each_ref().map(|sum| sum.evaluated()),
        [
            "50 + 100 + 500 + 4 x (20.88 + 20.88) + 2 x 4.28",
            "50 + 100 + 500 + 2 x 20.88",
            "50 + 100 + 500 + 20.88 + 20.88 + 20.88",
        ]
    );
}

#[test]
fn loss_is_the_rate_times_the_delay_and_zero_for_comp_with_hold() {
    // 10/s x 0.8256 s, 10/s x 0.69176 s.
    assert_close(lost(&Model::default()), [8.256, 6.9176, 0.0]);
    // 55/s: 55 x 0.8256 = 45.408, 55 x 0.69176 = 38.0468.
    assert_close(lost(&with(&["packet_rate=55/s"])), [45.408, 38.0468, 0.0]);
}

#[test]
fn comp_with_hold_loses_exactly_nothing_whatever_the_parameters() {
    let slow = with(&[
        "packet_rate=1000000/s",
        "wired_delay=1h",
        "address_delay=1h",
    ]);
    assert_eq!(slow.lost_packets(Protocol::Comp), 0.0);
}

#[test]
fn comp_without_hold_loses_as_the_others_do() {
    // 10/s x 0.71264 s.
    assert_close(
        lost(&with(&["comp_loss=lambda-d"])),
        [8.256, 6.9176, 7.1264],
    );
}

#[test]
fn equation_1_to_the_letter_has_a_wireless_hop_between_ha_and_cn() {
    // d = 2: t(HA,CN) = 16.6 + 1 x 2.14 = 18.74; 650 + 167.04 + 37.48.
    let got = delays_us(&["ha_cn_path=equation-1"]);
    assert_eq!(got, [854_520, 691_760, 712_640]);
}

#[test]
fn a_tunnel_adds_80_bytes_where_the_reading_says() {
    // (50 + 80) B = 1040 bit at 10 000 bit/ms = 0.104 ms: a tunnelled hop takes 2.204 ms.
    // t(B,HA) = 16.6 + 2 x 2.204 = 21.008; 650 + 4 (21.008 + 20.88) + 8.56 = 826.112.
    let got = delays_us(&["tunnel=home-agent"]);
    assert_eq!(got, [826_112, 691_760, 712_640]);
    // Everywhere: t(HA,CN) = 4.408; MIPv6 650 + 8 x 21.008 + 8.816 = 826.88,
    // HMIPv6 650 + 42.016, CoMP 650 + 63.024.
    let got = delays_us(&["tunnel=every-path"]);
    assert_eq!(got, [826_880, 692_016, 713_024]);
}

#[test]
fn the_texts_binding_update_makes_comp_as_fast_as_hmipv6() {
    // 650 + 20.88 + 20.88.
    let got = delays_us(&["comp_update=text"]);
    assert_eq!(got, [825_600, 691_760, 691_760]);
}

#[test]
fn a_binding_delay_that_counts_twice_adds_tbu_once_more() {
    // MIPv6 + 2 (20.88 + 20.88) = + 83.52; HMIPv6 + 41.76; CoMP + 62.64.
    let got = delays_us(&["binding_delay=twice"]);
    assert_eq!(got, [909_120, 733_520, 775_280]);
    let got = delays_us(&["binding_delay=twice", "comp_update=text"]);
    // 650 + 2 (20.88 + 20.88).
    assert_eq!(got[2], 733_520);
}

#[test]
fn the_slowest_bandwidth_of_table_5_is_a_parameter() {
    // 400 bit / 20 bit/ms = 20 ms instead of 1.6: t = 20 + 15 + 4.28 = 39.28.
    // MIPv6 650 + 8 x 39.28 + 8.56; HMIPv6 650 + 78.56; CoMP 650 + 117.84.
    let got = delays_us(&["wireless_bandwidth=20 kbit/s"]);
    assert_eq!(got, [972_800, 728_560, 767_840]);
}

#[test]
fn each_hop_count_counts_on_its_own_way() {
    // One more wired hop is 2.14 ms for every message on the way.
    let [mipv6, hmipv6, comp] = delays_us(&[]);
    for (assignment, more) in [
        // 4 t(B,HA).
        ("router_ha_hops=3", [4, 0, 0]),
        // 4 t(B,CN), and t(B,A).
        ("router_correspondent_hops=3", [4, 0, 1]),
        // 2 t(B,MAP).
        ("router_map_hops=3", [0, 2, 0]),
        // t(B,WMMS), t(WMMS,B).
        ("router_wmms_hops=3", [0, 0, 2]),
        // 2 t(HA,CN).
        ("ha_correspondent_hops=3", [2, 0, 0]),
    ] {
        let expected = [
            mipv6 + 2_140 * more[0],
            hmipv6 + 2_140 * more[1],
            comp + 2_140 * more[2],
        ];
        assert_eq!(delays_us(&[assignment]), expected, "{assignment}");
    }
}

#[test]
fn without_network_only_the_three_phases_are_left() {
    let got = delays_us(&[
        "message_size=0 B",
        "wireless_delay=0 ms",
        "wired_delay=0 ms",
        "queueing_delay=0 ms",
    ]);
    assert_eq!(got, [650_000; 3]);
}

#[test]
fn without_wired_hops_only_the_wireless_link_is_left() {
    let got = delays_us(&[
        "router_ha_hops=0",
        "router_correspondent_hops=0",
        "router_map_hops=0",
        "router_wmms_hops=0",
        "ha_correspondent_hops=0",
    ]);
    // 650 + 8 x 16.6, 650 + 2 x 16.6, 650 + 3 x 16.6.
    assert_eq!(got, [782_800, 683_200, 699_800]);
}

#[test]
fn figure_15_is_linear_with_one_step_per_message_on_the_air() {
    let figure = Model::default().figure(FigureNumber::Fifteen);
    // At 10 ms: t = 1.6 + 10 + 4.28 = 15.88; 650 + 8 x 15.88 + 8.56, 650 + 31.76, 650 + 47.64.
    let first = figure.points[0];
    assert_eq!(
        [first.x, first.mipv6, first.hmipv6, first.comp],
        [10.0, 785.6, 681.76, 697.64]
    );
    // At 80 ms: t = 85.88; 650 + 687.04 + 8.56, 650 + 171.76, 650 + 257.64.
    let last = figure.points.last().unwrap();
    assert_eq!(
        [last.x, last.mipv6, last.hmipv6, last.comp],
        [80.0, 1345.6, 821.76, 907.64]
    );
    // The slope is the number of messages that cross the air: 8, 2 and 3.
    for pair in figure.points.windows(2) {
        let dx = pair[1].x - pair[0].x;
        for (a, b, slope) in [
            (pair[0].mipv6, pair[1].mipv6, 8.0),
            (pair[0].hmipv6, pair[1].hmipv6, 2.0),
            (pair[0].comp, pair[1].comp, 3.0),
        ] {
            assert!(((b - a) / dx - slope).abs() < 1e-9, "{a} to {b}");
        }
    }
}

#[test]
fn figure_16_is_proportional_to_the_rate() {
    let figure = Model::default().figure(FigureNumber::Sixteen);
    assert_eq!(figure.points.len(), 11);
    for p in &figure.points {
        // Loss per packet per second is the delay in seconds.
        let expected = [0.8256 * p.x, 0.69176 * p.x, 0.0];
        assert_close([p.mipv6, p.hmipv6, p.comp], expected);
    }
    assert_eq!(figure.points[10].x, 55.0);
}

#[test]
fn figure_17_varies_the_wired_delay_at_2_ms_on_the_air() {
    let figure = Model::default().figure(FigureNumber::Seventeen);
    let first = figure.points[0];
    // Lw 10: hop 10.14, t = 1.6 + 2 + 20.28 = 23.88; MIPv6 650 + 191.04 + 40.56 = 881.6 ms,
    // HMIPv6 650 + 47.76 = 697.76 ms; times 10/s.
    assert_eq!(
        [first.x, first.mipv6, first.hmipv6, first.comp],
        [10.0, 8.816, 6.9776, 0.0]
    );
    // Lw 80: hop 80.14, t = 3.6 + 160.28 = 163.88; MIPv6 650 + 1311.04 + 320.56 = 2281.6 ms,
    // HMIPv6 650 + 327.76 = 977.76 ms.
    let last = figure.points.last().unwrap();
    assert_eq!(
        [last.x, last.mipv6, last.hmipv6, last.comp],
        [80.0, 22.816, 9.7776, 0.0]
    );
}

#[test]
fn figure_17_by_its_caption_varies_the_wireless_delay() {
    let figure = with(&["figure_17_axis=wireless-delay"]).figure(FigureNumber::Seventeen);
    assert_eq!(figure.x, "wireless_delay_ms");
    // The points of figure 15 at 10 and 80 ms, times 10/s.
    let last = figure.points.last().unwrap();
    assert_eq!(
        (figure.points[0].mipv6, figure.points[0].hmipv6),
        (7.856, 6.8176)
    );
    assert_eq!((last.mipv6, last.hmipv6), (13.456, 8.2176));
}

#[test]
fn figure_17_keeps_its_own_values_whatever_the_model_has() {
    let other = with(&["wireless_delay=50ms", "packet_rate=1/s", "wired_delay=7ms"]);
    assert_eq!(
        other.figure(FigureNumber::Seventeen),
        Model::default().figure(FigureNumber::Seventeen)
    );
}

#[test]
fn a_figure_tells_which_parameters_it_decides() {
    let readings = Model::default().readings;
    let decides = |figure: FigureNumber, name| figure.decides(name, &readings);
    assert_eq!(
        decides(FigureNumber::Fifteen, "wireless_delay").as_deref(),
        Some("varies it")
    );
    assert_eq!(decides(FigureNumber::Fifteen, "wired_delay"), None);
    assert_eq!(
        decides(FigureNumber::Seventeen, "wireless_delay").as_deref(),
        Some("holds it at 2 ms")
    );
    assert_eq!(
        decides(FigureNumber::Seventeen, "packet_rate").as_deref(),
        Some("holds it at 10/s")
    );
}

#[test]
fn a_time_on_a_link_is_rounded_to_the_nearest_nanosecond() {
    let rate = |bits_per_second| DataRate { bits_per_second };
    // 8 bit at 3 bit/s: 2.666... s.
    assert_eq!(
        transmission_time(ByteSize(1), rate(3)),
        Duration::new(2, 666_666_667)
    );
    // 8 bit at 7 bit/s: 1.142857142857 s.
    assert_eq!(
        transmission_time(ByteSize(1), rate(7)),
        Duration::new(1, 142_857_143)
    );
}

#[test]
fn what_is_out_of_range_saturates() {
    let mut model = Model::default();
    model.parameters.wired_bandwidth.bits_per_second = 0;
    model.parameters.router_ha_hops = u32::MAX;
    assert_eq!(model.delay(Protocol::Mipv6), Duration::MAX);
    let huge = transmission_time(ByteSize(u64::MAX), DataRate { bits_per_second: 1 });
    assert_eq!(huge, Duration::MAX);
}

#[test]
fn a_route_says_what_is_counted() {
    let route = with(&["tunnel=home-agent"]).route(Path::NodeToHa);
    let expected = Route {
        wireless_hops: 1,
        wired_hops: 2,
        tunnelled: true,
    };
    assert_eq!(route, expected);
}
