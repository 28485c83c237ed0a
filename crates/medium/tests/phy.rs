//! The PHY's figures: the standard's, and values computed elsewhere.

mod common;

use common::us;
use medium::{Profile, mac, phy};
use units::{Db, Dbm, Lqi, Seed};

#[test]
fn every_psdu_length_has_its_airtime() {
    for length in 0..=127u64 {
        assert_eq!(phy::airtime(length as usize), us((6 + length) * 32));
    }
    // The longest frame and an ACK.
    assert_eq!(phy::airtime(127), us(4256));
    assert_eq!(phy::airtime(5), us(352));
}

#[test]
fn the_macs_times_are_the_standards_in_symbols() {
    let symbols = |n: u32| phy::SYMBOL * n;
    assert_eq!(phy::SYMBOL, us(16));
    assert_eq!(phy::SHR, symbols(10));
    assert_eq!(phy::CCA, symbols(8));
    assert_eq!(phy::TURNAROUND, symbols(12));
    assert_eq!(mac::UNIT_BACKOFF, symbols(20));
    assert_eq!(mac::SIFS, symbols(12));
    assert_eq!(mac::LIFS, symbols(40));
    // aUnitBackoffPeriod + aTurnaroundTime + phySHRDuration + ceil(6 * phySymbolsPerOctet).
    assert_eq!(mac::ACK_WAIT, symbols(20 + 12 + 10 + 12));
    assert_eq!(mac::interframe_space(18), mac::SIFS);
    assert_eq!(mac::interframe_space(19), mac::LIFS);
}

/// By mpmath 1.3 with 60 digits:
///
/// ```python
/// from math import comb
/// from mpmath import mp, mpf, exp, nstr
/// mp.dps = 60
/// def ber(s):
///     return mpf(8)/15/16 * sum((-1)**k * comb(16, k) * exp(20*s*(mpf(1)/k - 1)) for k in range(2, 17))
/// for s in "0 0.01 0.1 0.25 0.5 1 1.5 2 3 4".split(): print(s, nstr(ber(mpf(s)), 17))
/// for db in range(-6, 7): print(db, nstr(ber(mpf(10)**(mpf(db)/10)), 17))
/// ```
const BER_BY_RATIO: [(f64, f64); 10] = [
    (0.0, 0.5),
    (0.01, 0.4836689985555914),
    (0.1, 0.322_050_677_845_264),
    (0.25, 0.12326210525647488),
    (0.5, 0.016_588_050_045_775_52),
    (1.0, 0.0001615266879229479),
    (1.5, 1.1920710913940496e-6),
    (2.0, 8.200_059_819_515_433e-9),
    (3.0, 3.742_271_839_677_46e-13),
    (4.0, 1.6993289093259958e-17),
];

const BER_BY_DB: [(f64, f64); 13] = [
    (-6.0, 0.12221037878925986),
    (-5.0, 0.075_171_564_089_621_25),
    (-4.0, 0.039163459925631286),
    (-3.0, 0.016_418_637_781_814_62),
    (-2.0, 0.005_196_999_567_405_183),
    (-1.0, 0.001148943716041401),
    (0.0, 0.0001615266879229479),
    (1.0, 1.29118662648286e-5),
    (2.0, 5.131_392_088_769_167e-7),
    (3.0, 8.59719127469329e-9),
    (4.0, 4.9275050575175263e-11),
    (5.0, 7.386_009_413_195_053e-14),
    (6.0, 2.0534388371127545e-17),
];

#[test]
fn the_bit_error_rate_is_the_standards_formula() {
    let by_db = BER_BY_DB.map(|(db, ber)| (10f64.powf(db / 10.0), ber));
    for (ratio, expected) in BER_BY_RATIO.into_iter().chain(by_db) {
        let error = phy::ber(ratio) / expected - 1.0;
        assert!(error.abs() < 1e-9, "{ratio}: {error:e} off");
    }
}

#[test]
fn the_curve_that_receptions_use_is_the_formula() {
    let curve = phy::Curve::new();
    for i in 0..2_600 {
        // Between the table's points, too.
        let sinr = -19.99 + f64::from(i) * 0.009_99;
        let exact = -(-phy::ber(10f64.powf(sinr / 10.0))).ln_1p();
        // So many bits that 1 in e frames of them is right.
        let ratio = -curve.success(Db(sinr), 1.0 / exact).ln();
        assert!((ratio - 1.0).abs() < 1e-4, "{sinr} dB: {ratio}");
    }
    assert_eq!(curve.success(Db(f64::INFINITY), 1e9), 1.0);
    assert_eq!(curve.success(Db(-1e9), 1.0), curve.success(Db(-20.0), 1.0));
}

#[test]
fn the_bit_error_rate_falls_from_one_half() {
    assert_eq!(phy::ber(-1.0), 0.5);
    assert_eq!(phy::ber(f64::INFINITY), 0.0);
    let mut last = phy::ber(0.0);
    for i in 1..600 {
        let next = phy::ber(f64::from(i) / 100.0);
        assert!(next < last, "at {i}");
        last = next;
    }
}

#[test]
fn a_frame_over_the_certain_sinr_is_never_lost() {
    // The longest frame, 1024 bits at 6 dB: 2.1e-14 by the table above.
    let bits = phy::bits(127) as f64;
    let lost = bits * BER_BY_DB[12].1;
    assert!(lost < 1e-13);
    assert_eq!(phy::CERTAIN, Db(6.0));
    assert!(1.0 - phy::success(10f64.powf(0.6), bits) < 1e-13);
}

#[test]
fn the_sensitivity_point_is_where_the_standard_puts_it() {
    // 1 - (1 - BER)^168 = 0.01 solved by mpmath (findroot): 0.423273735009... dB.
    assert!((phy::sinr_at_sensitivity().0 - 0.423_273_735_009).abs() < 1e-9);
    // -174 dBm/Hz + 10 log10(2 MHz) = -110.98970004336... dBm.
    assert!((phy::noise_floor(Db(0.0)).0 + 110.989_700_043_36).abs() < 1e-9);
    // Hence the noise figures of parts with -95 dBm and -101 dBm: -95 - 0.4233 + 110.9897.
    let figure = |part| Profile::named(part).unwrap().noise_figure.0;
    assert!((figure("cc2420") - 15.566_426_308_35).abs() < 1e-9);
    assert!((figure("at86rf233") - 9.566_426_308_35).abs() < 1e-9);
}

#[test]
fn lqi_rises_with_power_and_with_sinr() {
    let profile = Profile::named("cc2420").unwrap();
    let clean = |dbm: f64| phy::lqi(Dbm(dbm), Dbm(dbm) - profile.noise(), &profile);
    assert_eq!(clean(-95.1), Lqi(0));
    assert_eq!(clean(-94.9), Lqi(1));
    assert_eq!(clean(-35.0), Lqi(255));
    let mut last = Lqi(0);
    for i in 0..=80 {
        let dbm = -100.0 + f64::from(i);
        let one = clean(dbm);
        assert!(one >= last);
        last = one;
        let mut worse = Lqi(0);
        for sinr in -5..60 {
            let two = phy::lqi(Dbm(dbm), Db(f64::from(sinr)), &profile);
            assert!(two >= worse && two <= one.max(two));
            worse = two;
        }
    }
}

#[test]
fn backoffs_are_uniform_at_every_exponent() {
    // Chi-square at 99.9 % with 2^BE - 1 degrees of freedom: the roots x of mpmath's
    // gammainc(df/2, 0, x/2, regularized=True) = 0.999.
    let limits = [
        (1, 10.828),
        (2, 16.266),
        (3, 24.322),
        (4, 37.697),
        (5, 61.098),
        (6, 103.442),
        (7, 181.993),
        (8, 330.520),
    ];
    for (exponent, limit) in limits {
        let mut rng = Seed(3).rng(&["backoff", &exponent.to_string()]);
        let mut counts = vec![0u32; 1 << exponent];
        for _ in 0..100_000 {
            counts[medium::mac::backoff_periods(&mut rng, exponent) as usize] += 1;
        }
        let expected = 100_000.0 / counts.len() as f64;
        let chi: f64 = counts
            .iter()
            .map(|n| (f64::from(*n) - expected).powi(2) / expected)
            .sum();
        assert!(chi < limit, "BE {exponent}: {chi}");
    }
    let mut rng = Seed(3).rng(&["backoff", "0"]);
    assert_eq!(medium::mac::backoff_periods(&mut rng, 0), 0);
}

#[test]
fn profiles_read_back_and_faulty_ones_are_refused() {
    for name in Profile::NAMES {
        let profile = Profile::named(name).unwrap();
        profile.check().unwrap();
        let text = serde_json::to_string(&profile).unwrap();
        assert_eq!(serde_json::from_str::<Profile>(&text).unwrap(), profile);
    }
    assert_eq!(Profile::named("nrf24"), None);
    let written = |change: &dyn Fn(&mut serde_json::Map<String, serde_json::Value>)| {
        let profile = Profile::named("cc2420").unwrap();
        let mut value = serde_json::to_value(profile).unwrap();
        change(value.as_object_mut().unwrap());
        serde_json::from_value::<Profile>(value)
    };
    let without = written(&|map| drop(map.remove("noise_figure"))).unwrap();
    assert_eq!(without, Profile::named("cc2420").unwrap());
    let refused = |key: &str, value: serde_json::Value| {
        let result = written(&|map| drop(map.insert(key.into(), value.clone())));
        result.unwrap_err().to_string()
    };
    assert!(refused("colour", "red".into()).contains("unknown field"));
    assert_eq!(refused("tx_ma", (-1.0).into()), "tx_ma is negative");
    assert!(refused("turnaround", "193 us".into()).contains("192 us"));
}
