//! The 2.4 GHz O-QPSK PHY: times, bit errors, noise, link quality (IEEE 802.15.4-2006
//! clause 6 and annex E).

use std::time::Duration;

use units::{Db, Dbm, Lqi};

use crate::Profile;

/// One symbol, four bits: 62.5 ksymbol/s (§6.5.3.2).
pub const SYMBOL: Duration = Duration::from_micros(16);

/// One byte, two symbols.
pub const BYTE: Duration = Duration::from_micros(32);

/// Preamble (4 bytes) and start-of-frame delimiter (§6.3.1, §6.3.2).
pub const SHR_BYTES: usize = 5;

/// The length field (§6.3.3).
pub const PHR_BYTES: usize = 1;

/// Time of the SHR.
pub const SHR: Duration = Duration::from_micros(160);

/// `aMaxPHYPacketSize`: the longest PSDU (table 22).
pub const MAX_PSDU: usize = 127;

/// `aTurnaroundTime`, 12 symbols: RX to TX or TX to RX at most (table 22); from the end of a
/// frame to its ACK exactly (§7.5.6.4.2).
pub const TURNAROUND: Duration = Duration::from_micros(192);

/// Clear channel assessment, 8 symbols (§6.9.9).
pub const CCA: Duration = Duration::from_micros(128);

/// Bandwidth over which noise counts, in Hz.
pub const BANDWIDTH_HZ: f64 = 2e6;

/// Thermal noise density at 290 K, in dBm/Hz.
pub const THERMAL_DBM_PER_HZ: f64 = -174.0;

/// SINR over which a frame is certain: for the longest one, the probability of a bit error is
/// below 10^-13, and no random number is drawn.
pub const CERTAIN: Db = Db(6.0);

/// A chance from which on no random number is drawn: that of the longest frame at
/// [`CERTAIN`], nearly.
pub(crate) const ALWAYS: f64 = 1.0 - 1e-13;

/// Length of the PSDU in the definition of sensitivity (§6.1.6).
const SENSITIVITY_PSDU: usize = 20;

/// Time on the air of a frame with `psdu_bytes` of PSDU (FCS included), SHR and PHR included.
pub const fn airtime(psdu_bytes: usize) -> Duration {
    Duration::from_nanos(BYTE.as_nanos() as u64 * (SHR_BYTES + PHR_BYTES + psdu_bytes) as u64)
}

/// Bits that must be right for a frame to be received: PHR and PSDU.
pub const fn bits(psdu_bytes: usize) -> usize {
    8 * (PHR_BYTES + psdu_bytes)
}

/// Bits sent in `time`: one in 4 us.
pub(crate) fn bits_in(time: Duration) -> f64 {
    time.as_nanos() as f64 / 4000.0
}

/// Bit error rate at `sinr`, a power ratio (annex E.4.1.8):
/// 8/15 * 1/16 * sum over k = 2..16 of (-1)^k C(16,k) exp(20 sinr (1/k - 1)).
///
/// 1/2 at and below 0, falling, without bound towards 0.
pub fn ber(sinr: f64) -> f64 {
    // C(16, k) with its sign, for k = 2 to 16.
    const TERMS: [f64; 15] = [
        120.0, -560.0, 1820.0, -4368.0, 8008.0, -11440.0, 12870.0, -11440.0, 8008.0, -4368.0,
        1820.0, -560.0, 120.0, -16.0, 1.0,
    ];
    let sinr = sinr.max(0.0);
    let sum: f64 = TERMS
        .iter()
        .zip(2..)
        .map(|(term, k)| term * (20.0 * sinr * (1.0 / f64::from(k) - 1.0)).exp())
        .sum();
    (8.0 / 15.0 / 16.0 * sum).clamp(0.0, 0.5)
}

/// Probability that `bits` bits (parts of bits allowed) at `sinr`, a power ratio, are all
/// right: (1 - BER)^bits.
pub fn success(sinr: f64, bits: f64) -> f64 {
    (bits * (-ber(sinr)).ln_1p()).exp()
}

/// [`Curve`] from this SINR on, in dB; below, a bit is as good as drawn by lot.
const CURVE_FROM: f64 = -20.0;

/// Points of [`Curve`] per decibel.
const CURVE_STEPS: f64 = 64.0;

/// [`success`] by table: the logarithm of -ln(1 - BER) over SINR in decibel, from -20 dB to
/// over [`CERTAIN`], linear between its points. Receptions are decided with it: its bit error
/// rate is within 0.01 % of the formula's, for a sixteenth of the work.
#[derive(Clone, Debug)]
pub struct Curve(Vec<f64>);

impl Default for Curve {
    fn default() -> Curve {
        Curve::new()
    }
}

impl Curve {
    /// Computes the table.
    pub fn new() -> Curve {
        let points = ((CERTAIN.0 - CURVE_FROM + 1.0) * CURVE_STEPS) as u32;
        let point = |i| {
            let sinr = Db(CURVE_FROM + f64::from(i) / CURVE_STEPS);
            (-(-ber(to_ratio(sinr))).ln_1p()).ln()
        };
        Curve((0..=points).map(point).collect())
    }

    /// Probability that `bits` bits at `sinr` are all right. Below the table's begin it is
    /// that there; past its end it is 1.
    pub fn success(&self, sinr: Db, bits: f64) -> f64 {
        let place = ((sinr.0 - CURVE_FROM) * CURVE_STEPS).max(0.0);
        let index = place as usize;
        let Some([low, high]) = self.0.get(index..).and_then(|rest| rest.first_chunk()) else {
            return 1.0;
        };
        let exponent = low + (high - low) * (place - index as f64);
        (-bits * exponent.exp()).exp()
    }
}

/// The SINR at which 1 % of frames with a 20-byte PSDU are lost: about 0.42 dB.
pub fn sinr_at_sensitivity() -> Db {
    let bits = bits(SENSITIVITY_PSDU) as f64;
    let (mut low, mut high) = (-10.0, 10.0);
    // 60 halvings of 20 dB: to the last bit of the result.
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if success(to_ratio(Db(middle)), bits) < 0.99 {
            low = middle;
        } else {
            high = middle;
        }
    }
    Db(high)
}

/// Noise power of a receiver: thermal over 2 MHz, and its noise figure.
pub fn noise_floor(noise_figure: Db) -> Dbm {
    Dbm(THERMAL_DBM_PER_HZ + 10.0 * BANDWIDTH_HZ.log10()) + noise_figure
}

/// Link quality of a frame received by a `profile` radio: [`Lqi::from_rssi`] of its power, or
/// of the power that would have given its SINR without interference, if that is less. Rises
/// with both; without interference it is the LQI that a link of the kernel's edges has.
pub fn lqi(rssi: Dbm, sinr: Db, profile: &Profile) -> Lqi {
    lqi_over(profile.noise(), rssi, sinr, profile.sensitivity)
}

/// [`lqi`] for a receiver whose noise is known.
pub(crate) fn lqi_over(noise: Dbm, rssi: Dbm, sinr: Db, sensitivity: Dbm) -> Lqi {
    let clean = noise + sinr;
    Lqi::from_rssi(Dbm(rssi.0.min(clean.0)), sensitivity)
}

/// A ratio of powers from decibel.
pub(crate) fn to_ratio(db: Db) -> f64 {
    10f64.powf(db.0 / 10.0)
}

/// Decibel from a ratio of powers.
pub(crate) fn from_ratio(ratio: f64) -> Db {
    Db(10.0 * ratio.log10())
}

/// Milliwatts.
pub(crate) fn to_mw(power: Dbm) -> f64 {
    to_ratio(Db(power.0))
}
