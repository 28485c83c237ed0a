use super::*;
use crate::shadowing::Shadowing;
use crate::track::Waypoint;

const S: Duration = Duration::from_secs(1);

fn place(x_m: f64, y_m: f64) -> Position {
    Position { x_m, y_m }
}

/// Stands at 0 m.
fn router() -> Option<Track> {
    Some(Track::fixed(place(0.0, 0.0)))
}

/// Goes from 10 m to 110 m at 1 m/s.
fn walker() -> Option<Track> {
    let waypoint = |seconds, x_m| Waypoint {
        at: S * seconds,
        position: place(x_m, 0.0),
    };
    Some(Track::new(vec![waypoint(0, 10.0), waypoint(100, 110.0)]).unwrap())
}

fn plain() -> Model {
    Model::LogDistance {
        reference_loss: Db(40.0),
        exponent: 3.0,
        shadowing: None,
    }
}

fn shadowed() -> Model {
    Model::LogDistance {
        reference_loss: Db(40.0),
        exponent: 3.0,
        shadowing: Some(Shadowing {
            sigma: Db(6.0),
            decorrelation_m: 5.0,
        }),
    }
}

#[test]
fn down_is_before_fixed_before_trace_before_model_before_nothing() {
    let mut field = Field::new(Seed(1), plain());
    let a = field.add_radio("a", router());
    let b = field.add_radio("b", walker());
    let nowhere = field.add_radio("c", None);
    assert_eq!(field.loss(S * 90, a, b), Some(Db(100.0)));
    field.set_trace(a, b, Some(Trace::parse("0,60\n10,80").unwrap()));
    assert_eq!(field.loss(S * 5, a, b), Some(Db(70.0)));
    field.set_attenuation(b, a, Some(Db(55.0)));
    assert_eq!(field.loss(S * 5, a, b), Some(Db(55.0)));
    field.set_up(a, b, false);
    assert_eq!(field.loss(S * 5, b, a), None);
    field.set_up(b, a, true);
    assert_eq!(field.loss(S * 5, b, a), Some(Db(55.0)));
    field.set_attenuation(a, b, None);
    assert_eq!(field.loss(S * 5, b, a), Some(Db(70.0)));
    field.set_trace(a, b, None);
    assert_eq!(field.loss(S * 90, a, b), Some(Db(100.0)));
    assert_eq!(field.loss(S, a, nowhere), None, "without a position");
    field.set_attenuation(a, nowhere, Some(Db(1.0)));
    assert_eq!(field.loss(S, nowhere, a), Some(Db(1.0)));
}

#[test]
fn a_radio_has_no_path_to_itself_or_to_one_that_is_not_there() {
    let mut field = Field::new(Seed(1), plain());
    let a = field.add_radio("a", router());
    assert_eq!(field.loss(S, a, a), None);
    assert_eq!(field.loss(S, a, 1), None);
    assert_eq!(field.loss(S, usize::MAX, a), None);
    field.set_attenuation(a, 7, Some(Db(1.0)));
    assert_eq!(field.loss(S, a, 7), None);
    assert_eq!(field.position(S, 7), None);
}

#[test]
fn radios_in_one_place_lose_as_much_as_over_a_metre() {
    let mut field = Field::new(Seed(1), plain());
    let (a, b) = (
        field.add_radio("a", router()),
        field.add_radio("b", router()),
    );
    assert_eq!(field.loss(S, a, b), Some(Db(40.0)));
}

#[test]
fn a_loss_is_never_a_gain() {
    let gain = Model::LogDistance {
        reference_loss: Db(1.0),
        exponent: 2.0,
        shadowing: Some(Shadowing {
            sigma: Db(30.0),
            decorrelation_m: 1.0,
        }),
    };
    let mut field = Field::new(Seed(1), gain);
    let radios: Vec<usize> = (0..20)
        .map(|i| field.add_radio(&format!("r{i}"), router()))
        .collect();
    let losses: Vec<f64> = radios[1..]
        .iter()
        .map(|radio| field.loss(S, radios[0], *radio).unwrap().0)
        .collect();
    assert!(losses.iter().all(|loss| *loss >= 0.0), "{losses:?}");
    assert!(losses.contains(&0.0), "half of them would be gains");
}

#[test]
fn shadowing_is_reciprocal_and_does_not_depend_on_when_it_is_asked_for() {
    let field = || {
        let mut field = Field::new(Seed(5), shadowed());
        let walker_first = field.add_radio("walker", walker());
        (field.add_radio("router", router()), walker_first, field)
    };
    let (router, walker, mut all) = field();
    let every: Vec<_> = (0..1000)
        .map(|tenth| all.loss(S * tenth / 10, router, walker))
        .collect();
    let (router, walker, mut few) = field();
    for tenth in [990, 3, 500, 501, 77, 999] {
        let loss = few.loss(S * tenth / 10, walker, router);
        assert_eq!(loss, every[tenth as usize], "{tenth}");
    }
}

#[test]
fn another_radio_changes_nothing_between_the_first_two() {
    let losses = |more: bool| -> Vec<_> {
        let mut field = Field::new(Seed(5), shadowed());
        if more {
            field.add_radio("silent", walker());
        }
        let (a, b) = (
            field.add_radio("a", router()),
            field.add_radio("b", walker()),
        );
        (0..100)
            .map(|second| {
                if more {
                    field.loss(S * second, 0, a);
                }
                field.loss(S * second, a, b)
            })
            .collect()
    };
    assert_eq!(losses(true), losses(false));
}

#[test]
fn a_standing_pair_has_one_loss_for_ever_and_a_walking_one_does_not() {
    let mut field = Field::new(Seed(2), shadowed());
    let (a, b) = (
        field.add_radio("a", router()),
        field.add_radio("b", router()),
    );
    let walker = field.add_radio("w", walker());
    assert_eq!(field.loss(S, a, b), field.loss(S * 1000, a, b));
    assert_ne!(field.loss(S, a, walker), field.loss(S * 2, a, walker));
    assert_eq!(field.position(S * 50, walker), Some(place(60.0, 0.0)));
}
