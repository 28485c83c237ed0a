use super::*;

fn waypoint(seconds: f64, x_m: f64, y_m: f64) -> Waypoint {
    Waypoint {
        at: Duration::from_secs_f64(seconds),
        position: Position { x_m, y_m },
    }
}

fn at(track: &Track, seconds: f64) -> (f64, f64) {
    let Position { x_m, y_m } = track.at(Duration::from_secs_f64(seconds));
    (x_m, y_m)
}

#[test]
fn a_track_goes_straight_from_waypoint_to_waypoint_and_stays_at_the_last() {
    let track = Track::new(vec![
        waypoint(1.0, 0.0, 0.0),
        waypoint(3.0, 4.0, 0.0),
        waypoint(4.0, 4.0, 8.0),
    ])
    .unwrap();
    assert_eq!(at(&track, 0.0), (0.0, 0.0), "it is there before it starts");
    assert_eq!(at(&track, 2.0), (2.0, 0.0));
    assert_eq!(at(&track, 3.0), (4.0, 0.0));
    assert_eq!(at(&track, 3.25), (4.0, 2.0));
    assert_eq!(at(&track, 100.0), (4.0, 8.0));
}

#[test]
fn the_distance_moved_counts_both_ways_of_there_and_back() {
    let track = Track::new(vec![
        waypoint(0.0, 0.0, 0.0),
        waypoint(1.0, 3.0, 4.0),
        waypoint(2.0, 0.0, 0.0),
    ])
    .unwrap();
    let moved = |seconds| track.distance_moved(Duration::from_secs_f64(seconds));
    assert_eq!(moved(0.5), 2.5);
    assert_eq!(moved(1.5), 7.5);
    assert_eq!(moved(9.0), 10.0);
    assert!(!track.is_fixed());
    assert!(Track::fixed(Position::default()).is_fixed());
}

#[test]
fn two_waypoints_at_one_instant_are_a_jump() {
    let track = Track::new(vec![
        waypoint(0.0, 0.0, 0.0),
        waypoint(1.0, 0.0, 0.0),
        waypoint(1.0, 5.0, 0.0),
    ])
    .unwrap();
    assert_eq!(at(&track, 0.999), (0.0, 0.0));
    assert_eq!(at(&track, 1.0), (5.0, 0.0));
}

#[test]
fn waypoints_out_of_order_or_without_a_place_are_no_track() {
    assert_eq!(Track::new(vec![]), Err(TrackError::Empty));
    let backwards = vec![waypoint(1.0, 0.0, 0.0), waypoint(0.5, 0.0, 0.0)];
    assert_eq!(
        Track::new(backwards),
        Err(TrackError::Backwards { index: 1 })
    );
    let nowhere = vec![waypoint(1.0, f64::NAN, 0.0)];
    assert_eq!(
        Track::new(nowhere),
        Err(TrackError::NotANumber { index: 0 })
    );
}

#[test]
fn the_speed_is_that_of_the_leg_and_none_before_and_after_the_way() {
    let track = Track::new(vec![
        waypoint(1.0, 0.0, 0.0),
        waypoint(3.0, 4.0, 0.0),
        waypoint(3.0, 9.0, 0.0),
        waypoint(4.0, 9.0, 8.0),
    ])
    .unwrap();
    let speed = |seconds| track.speed_m_s(Duration::from_secs_f64(seconds));
    assert_eq!((speed(0.5), speed(1.0), speed(2.9)), (0.0, 2.0, 2.0));
    assert_eq!((speed(3.0), speed(3.5), speed(4.0)), (8.0, 8.0, 0.0));
    assert_eq!(
        Track::fixed(Position::default()).speed_m_s(Duration::ZERO),
        0.0
    );
}
