use std::time::Duration;

use super::*;
use crate::track::Track;

const BONNMOTION: &str = include_str!("../../tests/data/random-waypoint.movements");
const SETDEST: &str = include_str!("../../tests/data/setdest.tcl");
const SUMO: &str = include_str!("../../tests/data/sumo.tcl");

fn at(waypoints: &[Waypoint], seconds: f64) -> (f64, f64) {
    let track = Track::new(waypoints.to_vec()).unwrap();
    let place = track.at(Duration::from_secs_f64(seconds));
    // To the millimetre.
    let rounded = |metres: f64| (metres * 1e3).round() / 1e3;
    (rounded(place.x_m), rounded(place.y_m))
}

fn error(format: Format, text: &str) -> String {
    parse(format, text).unwrap_err().to_string()
}

#[test]
fn a_bonnmotion_file_has_a_node_per_line() {
    let nodes = parse(Format::Bonnmotion, BONNMOTION).unwrap();
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [0, 1, 2]);
    // It stands from 0 s to 12.5 s and goes 60 m in 40 s then.
    assert_eq!(at(&nodes[&0], 12.5), (10.0, 20.0));
    assert_eq!(at(&nodes[&0], 32.5), (40.0, 20.0));
    assert_eq!(at(&nodes[&0], 500.0), (70.0, 60.0));
    assert_eq!(at(&nodes[&1], 50.0), (100.0, 50.0));
    assert_eq!(at(&nodes[&2], 7.0), (0.5, 199.5), "one waypoint: it stands");
}

#[test]
fn an_error_in_a_bonnmotion_file_has_its_line() {
    let error = |text: &str| error(Format::Bonnmotion, text);
    assert_eq!(
        error("0 1 2\n0 1 2 3\n"),
        "line 2: 4 numbers are not waypoints of three, `time x y`"
    );
    assert_eq!(
        error("\n0 a 2"),
        "line 2: `a` is not a coordinate in metres, at most 1000 km from the origin"
    );
    assert_eq!(
        error("0 1 2 5 1 1 4 1 1"),
        "line 1: the waypoint at `4` s is earlier than the one before it"
    );
    assert_eq!(
        error("-1 1 2"),
        "line 1: `-1` is not a time in seconds from 0 to 1000000000"
    );
    assert_eq!(
        error("#3D\n0 1 2 3"),
        "line 1: heights are not read; export the file in 2D"
    );
    assert!(error("# nothing\n").starts_with("line 1: there is no node"));
}

#[test]
fn a_setdest_file_is_read_with_its_comments_and_its_god() {
    let nodes = parse(Format::Ns2, SETDEST).unwrap();
    assert_eq!(nodes.keys().copied().collect::<Vec<_>>(), [0, 1]);
    assert_eq!(at(&nodes[&0], 2.0), (10.0, 5.0));
    // 3-4-5: 50 m at 5 m/s from 2 s on.
    assert_eq!(at(&nodes[&0], 7.0), (25.0, 25.0));
    assert_eq!(at(&nodes[&0], 12.0), (40.0, 45.0));
    assert_eq!(at(&nodes[&0], 20.0), (40.0, 45.0));
}

#[test]
fn a_new_destination_ends_the_leg_before_it_and_speed_zero_stops() {
    let nodes = parse(Format::Ns2, SETDEST).unwrap();
    // Node 1 goes east at 2 m/s from 1 s on, turns north at 6 s, and stops at 8 s.
    assert_eq!(at(&nodes[&1], 6.0), (10.0, 0.0));
    assert_eq!(at(&nodes[&1], 7.0), (10.0, 3.0));
    assert_eq!(at(&nodes[&1], 8.0), (10.0, 6.0));
    assert_eq!(at(&nodes[&1], 100.0), (10.0, 6.0));
}

#[test]
fn a_file_of_sumo_moves_from_second_to_second() {
    let nodes = parse(Format::Ns2, SUMO).unwrap();
    assert_eq!(at(&nodes[&0], 0.5), (5.1, 495.05), "it has not begun");
    assert_eq!(at(&nodes[&0], 2.0), (7.38, 495.05));
    assert_eq!(at(&nodes[&0], 2.5), (9.645, 495.05));
    assert_eq!(at(&nodes[&1], 3.0), (989.773, 504.95));
}

#[test]
fn an_error_in_an_ns2_file_has_its_line() {
    let error = |text: &str| error(Format::Ns2, text);
    let start = "$node_(0) set X_ 1\n$node_(0) set Y_ 1\n";
    let wrong = |line: &str| error(&format!("{start}{line}\n"));
    assert_eq!(
        wrong("$node_(1) set X_ 1"),
        "line 3: `$node_(1)` has no `$node_(1) set Y_`"
    );
    assert_eq!(
        wrong("$ns_ at 2.0 \"$node_(4) setdest 1 2 3\""),
        "line 3: `$node_(4)` has no `$node_(4) set X_`"
    );
    assert_eq!(
        wrong("$ns_ at 2.0 \"$node_(0) setdest 1 2 -3\""),
        "line 3: `-3` is not a speed in m/s, 0 or more"
    );
    assert_eq!(
        wrong("$ns_ at soon \"$node_(0) setdest 1 2 3\""),
        "line 3: `soon` is not a time in seconds from 0 to 1000000000"
    );
    assert_eq!(
        wrong("$node_(0) set W_ 1"),
        "line 3: `W_` is not X_, Y_ or Z_"
    );
    for line in [
        "$ns_ at 2.0 \"$node_(0) setdest 1 2\"",
        "$node_(+0) set X_ 1",
        "$node_(x) set X_ 1",
        "for {set i 0} {$i < 3} {incr i} {",
    ] {
        assert!(
            wrong(line).starts_with("line 3: `") && wrong(line).contains("is neither"),
            "{line}: {}",
            wrong(line)
        );
    }
    assert!(error("# empty\n").starts_with("line 1: there is no node"));
}

#[test]
fn a_place_at_a_time_is_a_jump_of_both_coordinates_at_once() {
    let text = "$node_(0) set X_ 100.0\n$node_(0) set Y_ 100.0\n$node_(0) set Z_ 0\n\
                $ns_ at 0.0 \"$node_(0) setdest 100.0 100.0 0.0\"\n\
                $ns_ at 5.0 \"$node_(0) set X_ 200.0\"\n\
                $ns_ at 5.0 \"$node_(0) set Y_ 250.0\"\n\
                $ns_ at 5.0 \"$node_(0) set Z_ 3.0\"\n\
                $ns_ at 6.0 \"$node_(0) setdest 210.0 250.0 1.0\"\n\
                $ns_ at 8.0 \"$node_(0) set Y_ 0.0\"\n";
    let nodes = parse(Format::Ns2, text).unwrap();
    let track = &nodes[&0];
    assert_eq!(at(track, 4.999), (100.0, 100.0));
    assert_eq!(at(track, 5.0), (200.0, 250.0));
    assert_eq!(at(track, 7.0), (201.0, 250.0));
    assert_eq!(at(track, 8.0), (202.0, 0.0), "a jump ends the leg");
    assert_eq!(at(track, 60.0), (202.0, 0.0));
    let jumps = track.windows(2).filter(|pair| pair[0].at == pair[1].at);
    assert_eq!(jumps.count(), 2, "{track:?}");
}

#[test]
fn a_node_that_is_only_put_somewhere_later_is_there_from_the_start() {
    let text = "$ns_ at 3.0 \"$node_(2) set X_ 7\"\n$ns_ at 3.0 \"$node_(2) set Y_ 8\"\n";
    let nodes = parse(Format::Ns2, text).unwrap();
    assert_eq!(at(&nodes[&2], 0.0), (7.0, 8.0));
    let half = "$ns_ at 3.0 \"$node_(2) set X_ 7\"\n";
    assert!(error(Format::Ns2, half).starts_with("line 1: `$node_(2)` has no"));
}

#[test]
fn what_moves_no_node_is_passed_over() {
    let still = "$node_(0) set X_ 1\n$node_(0) set Y_ 2\n";
    for line in [
        "$ns_ initial_node_pos $node_(0) 20",
        "$ns initial_node_pos $node_(0) 20",
        "$node_(0) start",
        "$ns_ at 0.0 \"$node_(0) start\"",
        "$ns_ at 90.0 \"$node_(0) stop\";",
        "$node_(0) color red",
        "$ns_ at 1.5 \"$node_(0) color blue\"",
        "$ns_ at 1.5 \"$node_(0) label {a car}\"",
        "$node_(0) random-motion 0",
    ] {
        let nodes = parse(Format::Ns2, &format!("{still}{line}\n"));
        let nodes = nodes.unwrap_or_else(|error| panic!("{line}: {error}"));
        assert_eq!(nodes[&0].len(), 1, "{line}");
    }
}

#[test]
fn a_trailing_comment_ends_the_line() {
    let text = "$node_(0) set X_ 1.0 ;# east\n$node_(0) set Y_ 2.0;\n";
    let nodes = parse(Format::Ns2, text).unwrap();
    assert_eq!(at(&nodes[&0], 0.0), (1.0, 2.0));
}
