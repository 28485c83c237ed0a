use super::*;

const SIGMA: f64 = 4.0;
const D0: f64 = 10.0;
const LINKS: usize = 20_000;

fn process(seed: u64, a: &str, b: &str) -> Process {
    let shadowing = Shadowing {
        sigma: Db(SIGMA),
        decorrelation_m: D0,
    };
    Process::new(shadowing, Seed(seed), a, b)
}

/// What [`LINKS`] links have after each of `ways`.
fn sample(ways: &[f64]) -> Vec<Vec<f64>> {
    (0..LINKS)
        .map(|link| {
            let mut process = process(1, "a", &format!("b{link}"));
            ways.iter().map(|way| process.loss(*way).0).collect()
        })
        .collect()
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    values.sum::<f64>() / LINKS as f64
}

#[test]
fn mean_and_variance_are_the_same_on_the_grid_and_between() {
    // 10.25 m is halfway between two points of the grid.
    let ways = [0.0, 0.1, 0.25, 10.0, 10.25, 33.3];
    let sample = sample(&ways);
    for (i, way) in ways.iter().enumerate() {
        let mean_here = mean(sample.iter().map(|link| link[i]));
        let variance = mean(sample.iter().map(|link| link[i] * link[i]));
        // Standard errors: 4 / sqrt(20000) = 0.028 dB, and 16 * sqrt(2 / 20000) = 0.16 dB^2.
        assert!(mean_here.abs() < 0.12, "mean {mean_here} dB at {way} m");
        assert!(
            (variance - 16.0).abs() < 0.65,
            "variance {variance} dB^2 at {way} m"
        );
    }
}

#[test]
fn the_correlation_falls_to_one_over_e_at_the_decorrelation_distance() {
    // Pairs of ways and exp(-d / d0).
    let pairs = [
        (0.0, 10.0, 0.3679),
        (5.0, 10.0, 0.6065),
        (0.0, 30.0, 0.0498),
        (0.25, 10.25, 0.3679),
        (3.1, 13.6, 0.3499),
    ];
    for (from, to, expected) in pairs {
        let sample = sample(&[from, to]);
        let product = mean(sample.iter().map(|link| link[0] * link[1]));
        let correlation = product / (SIGMA * SIGMA);
        // Standard error at most 1 / sqrt(20000) = 0.007; between points up to 2.6 % more.
        assert!(
            (correlation - expected).abs() < 0.025 + 0.026 * expected,
            "{correlation} instead of {expected} from {from} m to {to} m"
        );
    }
}

#[test]
fn both_directions_of_a_link_have_the_same() {
    let (mut there, mut back) = (process(7, "sensor", "er1"), process(7, "er1", "sensor"));
    for way in [0.0, 3.3, 47.0] {
        assert_eq!(there.loss(way), back.loss(way));
    }
}

#[test]
fn links_and_seeds_differ() {
    let value = |seed, b| process(seed, "a", b).loss(12.0).0;
    assert_ne!(value(1, "b"), value(1, "c"));
    assert_ne!(value(1, "b"), value(2, "b"));
}

#[test]
fn values_do_not_depend_on_what_was_asked_before() {
    let ways: Vec<f64> = (0..200).map(|i| f64::from(i) * 0.73).collect();
    let mut steadily = process(1, "a", "b");
    let expected: Vec<Db> = ways.iter().map(|way| steadily.loss(*way)).collect();
    let mut jumping = process(1, "a", "b");
    for (way, expected) in ways.iter().zip(&expected).rev() {
        assert_eq!(jumping.loss(*way), *expected, "backwards, {way} m");
    }
    for (way, expected) in ways.iter().zip(&expected).step_by(17) {
        assert_eq!(jumping.loss(*way), *expected, "rarely, {way} m");
        assert_eq!(jumping.loss(*way), *expected, "twice, {way} m");
    }
    assert_eq!(process(1, "a", "b").loss(ways[150]), expected[150], "alone");
}

#[test]
fn neighbouring_ways_have_neighbouring_values() {
    let mut process = process(3, "a", "b");
    let values: Vec<f64> = (0..50_000)
        .map(|i| process.loss(f64::from(i) * 0.01).0)
        .collect();
    // A step of the grid has a standard deviation of sigma * sqrt(2 (1 - rho)) = 1.25 dB, and a
    // fiftieth of it is crossed here; 6 of those, and what the scaling adds.
    let largest = values
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .fold(0.0, f64::max);
    assert!(largest < 0.25, "{largest} dB in a centimetre");
}
