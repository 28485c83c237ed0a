use super::*;
use crate::track::Track;

const S: Duration = Duration::from_secs(1);

fn place(x_m: f64, y_m: f64) -> Position {
    Position { x_m, y_m }
}

fn start(seconds: u32, x_m: f64, y_m: f64) -> Waypoint {
    let position = place(x_m, y_m);
    Waypoint {
        at: S * seconds,
        position,
    }
}

#[test]
fn a_route_takes_its_length_over_the_speed() {
    let places = [place(3.0, 4.0), place(3.0, 0.0)];
    let route = route(start(10, 0.0, 0.0), &places, 2.0).unwrap();
    let reached: Vec<_> = route.iter().map(|w| w.at.as_secs_f64()).collect();
    assert_eq!(reached, [10.0, 12.5, 14.5]);
    assert_eq!(route[2].position, places[1]);
}

#[test]
fn a_route_to_where_it_is_stays_there() {
    let here = start(1, 5.0, 5.0);
    assert_eq!(route(here, &[here.position], 1.0).unwrap(), [here]);
    assert_eq!(route(here, &[], 1.0).unwrap(), [here]);
}

#[test]
fn back_and_forth_at_10_m_s_over_200_m_for_100_s_ends_where_it_began_after_five_legs() {
    // evaluation.md: one node going back and forth on a line at 10 m/s for 100 s.
    let places = [place(0.0, 0.0), place(200.0, 0.0)];
    let walk = back_and_forth(start(0, 0.0, 0.0), &places, 10.0, S * 100).unwrap();
    let seen: Vec<_> = walk
        .iter()
        .map(|w| (w.at.as_secs(), w.position.x_m))
        .collect();
    assert_eq!(
        seen,
        [
            (0, 0.0),
            (20, 200.0),
            (40, 0.0),
            (60, 200.0),
            (80, 0.0),
            (100, 200.0)
        ]
    );
    let track = Track::new(walk).unwrap();
    assert_eq!(track.distance_moved(S * 100), 1000.0);
    assert_eq!(track.at(S * 30), place(100.0, 0.0));
}

#[test]
fn back_and_forth_over_three_places_passes_the_middle_one_on_each_way() {
    let places = [place(0.0, 0.0), place(1.0, 0.0), place(1.0, 1.0)];
    let walk = back_and_forth(start(0, 0.0, 0.0), &places, 1.0, S * 6).unwrap();
    let seen: Vec<_> = walk
        .iter()
        .map(|w| (w.position.x_m, w.position.y_m))
        .collect();
    assert_eq!(
        seen,
        [
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0),
            (1.0, 0.0),
            (0.0, 0.0),
            (1.0, 0.0),
            (1.0, 1.0)
        ]
    );
}

#[test]
fn a_movement_with_an_end_stops_there_on_its_way() {
    let places = [place(10.0, 0.0), place(20.0, 0.0)];
    let walk = back_and_forth(start(1, 0.0, 0.0), &places, 2.0, S * 7).unwrap();
    assert_eq!(walk.last(), Some(&start(7, 12.0, 0.0)));
}

#[test]
fn a_circle_is_entered_at_its_nearest_point_and_keeps_its_radius() {
    let centre = place(50.0, 0.0);
    let walk = circle(start(0, 0.0, 0.0), centre, 20.0, 2.0, S * 60).unwrap();
    assert_eq!(walk[1], start(15, 30.0, 0.0));
    assert_eq!(walk.last().unwrap().at, S * 60);
    let track = Track::new(walk).unwrap();
    for tenth in 150..=600 {
        let distance = track.at(S * tenth / 10).distance_m(centre);
        // 20 m * cos(pi / 64) = 19.9759 m, halfway between two corners.
        assert!(
            (19.9759..20.0001).contains(&distance),
            "{distance} m at {tenth}"
        );
    }
    // 45 s at 2 m/s after the 30 m to the circle.
    assert!((track.distance_moved(S * 60) - 120.0).abs() < 1e-3);
    // Counter-clockwise from the western point: to the south first.
    assert!(track.at(S * 20).y_m < -5.0);
}

#[test]
fn a_round_of_a_circle_takes_the_length_of_its_polygon_over_the_speed() {
    // 2 * 64 * 10 m * sin(pi / 64) = 62.8066 m.
    let walk = circle(start(0, 10.0, 0.0), place(0.0, 0.0), 10.0, 1.0, S * 80).unwrap();
    let round = walk[64];
    assert_eq!(round.position, place(10.0, 0.0));
    assert!((round.at.as_secs_f64() - 62.8066).abs() < 1e-3);
}

#[test]
fn movements_that_cannot_be_are_errors() {
    let here = start(0, 0.0, 0.0);
    let two = [place(0.0, 0.0), place(1.0, 0.0)];
    assert_eq!(route(here, &two, 0.0), Err(MovementError::Speed));
    assert_eq!(route(here, &two, f64::NAN), Err(MovementError::Speed));
    let same = [place(1.0, 1.0); 3];
    assert_eq!(
        back_and_forth(here, &same, 1.0, S),
        Err(MovementError::Nowhere)
    );
    assert_eq!(
        back_and_forth(here, &[], 1.0, S),
        Err(MovementError::Nowhere)
    );
    assert_eq!(
        circle(here, place(0.0, 0.0), 0.0, 1.0, S),
        Err(MovementError::Nowhere)
    );
    assert_eq!(
        back_and_forth(here, &two, 1e9, S * 3600),
        Err(MovementError::TooLong)
    );
}
