use super::*;

/// To a thousandth of a dB: the expected figures have three decimals.
fn close(loss: Db, expected: f64) {
    assert!(
        (loss.0 - expected).abs() < 6e-4,
        "{loss} instead of {expected} dB"
    );
}

fn free_space_at(frequency_hz: f64) -> Model {
    Model::FreeSpace {
        frequency_hz,
        shadowing: None,
    }
}

fn two_ray() -> Model {
    Model::TwoRay {
        frequency_hz: 2.44e9,
        height_m: 1.5,
        shadowing: None,
    }
}

#[test]
fn free_space_is_as_the_rule_in_megahertz_and_kilometres_says() {
    // ITU-R P.525: 32.4478 + 20 log10(f / MHz) + 20 log10(d / km).
    let model = free_space_at(2.44e9);
    close(model.mean_loss(1.0), 40.196);
    close(model.mean_loss(10.0), 60.196);
    close(model.mean_loss(137.5), 82.962);
    close(free_space_at(2.405e9).mean_loss(100.0), 80.070);
}

#[test]
fn log_distance_is_as_computed_by_hand() {
    let model = |reference, exponent| Model::LogDistance {
        reference_loss: Db(reference),
        exponent,
        shadowing: None,
    };
    // 10 n log10(d): 30 * 0.845098, 25 * 1.778151, 33 * 2.301030.
    close(model(40.2, 3.0).mean_loss(7.0), 65.553);
    close(model(40.2, 2.5).mean_loss(60.0), 84.654);
    close(model(58.5, 3.3).mean_loss(200.0), 134.434);
    assert_eq!(Model::default().mean_loss(100.0), Db(100.2));
}

#[test]
fn two_rays_are_one_up_to_the_crossover_and_fall_with_the_fourth_power_from_there() {
    // Crossover for 1.5 m at 2.44 GHz: 4 pi * 2.25 m^2 / 0.122866 m = 230.12 m.
    close(two_ray().mean_loss(100.0), 80.196);
    close(two_ray().mean_loss(230.0), 87.430);
    close(two_ray().mean_loss(231.0), 87.501);
    close(two_ray().mean_loss(500.0), 100.915);
    close(two_ray().mean_loss(1000.0), 112.956);
    let (below, above) = (two_ray().mean_loss(230.1237), two_ray().mean_loss(230.1239));
    assert!(
        (above.0 - below.0).abs() < 1e-4,
        "no step: {below}, {above}"
    );
}

#[test]
fn nothing_is_nearer_than_one_metre() {
    for model in [free_space_at(2.44e9), Model::default(), two_ray()] {
        assert_eq!(model.mean_loss(0.0), model.mean_loss(1.0));
        assert_eq!(model.mean_loss(0.999), model.mean_loss(1.0));
    }
}
