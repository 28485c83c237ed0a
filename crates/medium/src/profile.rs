//! Radio parts and their datasheets' figures.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use units::{Db, Dbm};

use crate::phy;

/// A radio part.
///
/// In a file, `noise_figure` may be left out: it is then the one with which the packet error
/// rate at `sensitivity` is the standard's ([`Profile::noise_figure_for`]).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Profile {
    /// The part's name.
    pub part: String,
    /// Transmit power at the antenna connector.
    pub tx_power: Dbm,
    /// The power at which 1 % of frames with a 20-byte PSDU are lost (IEEE 802.15.4-2006
    /// §6.1.6). A receiver does not synchronise on less.
    pub sensitivity: Dbm,
    /// Noise of the receiver over thermal noise.
    pub noise_figure: Db,
    /// A channel with this much energy is busy (CCA mode 1).
    pub cca_threshold: Dbm,
    /// From receiving to transmitting and back; at most `aTurnaroundTime`.
    #[serde(with = "units::quantity::duration")]
    pub turnaround: Duration,
    /// Supply voltage at which the currents are drawn, in volts.
    pub supply_v: f64,
    /// Current while transmitting, in milliamperes.
    pub tx_ma: f64,
    /// Current while receiving a frame, in milliamperes.
    pub rx_ma: f64,
    /// Current while awake and neither transmitting nor receiving, in milliamperes.
    pub listen_ma: f64,
    /// Current while asleep, in milliamperes.
    pub sleep_ma: f64,
    /// Where the figures are from.
    pub source: String,
}

/// Figures that no radio can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    /// A power, level or figure that is not a finite number.
    #[error("{0} is not a finite number")]
    NotFinite(&'static str),
    /// A voltage or current below zero.
    #[error("{0} is negative")]
    Negative(&'static str),
    /// Slower than the standard allows: no ACK would be in time.
    #[error("turnaround is longer than the standard's 192 us")]
    SlowTurnaround,
}

/// A profile as a file has it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    part: String,
    tx_power: Dbm,
    sensitivity: Dbm,
    noise_figure: Option<Db>,
    cca_threshold: Dbm,
    #[serde(with = "units::quantity::duration")]
    turnaround: Duration,
    supply_v: f64,
    tx_ma: f64,
    rx_ma: f64,
    listen_ma: f64,
    sleep_ma: f64,
    source: String,
}

impl TryFrom<Written> for Profile {
    type Error = ProfileError;
    fn try_from(written: Written) -> Result<Profile, ProfileError> {
        let profile = Profile {
            noise_figure: written
                .noise_figure
                .unwrap_or_else(|| Profile::noise_figure_for(written.sensitivity)),
            part: written.part,
            tx_power: written.tx_power,
            sensitivity: written.sensitivity,
            cca_threshold: written.cca_threshold,
            turnaround: written.turnaround,
            supply_v: written.supply_v,
            tx_ma: written.tx_ma,
            rx_ma: written.rx_ma,
            listen_ma: written.listen_ma,
            sleep_ma: written.sleep_ma,
            source: written.source,
        };
        profile.check()?;
        Ok(profile)
    }
}

/// The figures of a named part; the noise figure follows from the sensitivity.
struct Part {
    name: &'static str,
    tx_dbm: f64,
    sensitivity_dbm: f64,
    cca_dbm: f64,
    supply_v: f64,
    tx_ma: f64,
    rx_ma: f64,
    sleep_ma: f64,
    source: &'static str,
}

/// All typical values at 25 degrees Celsius. None of the datasheets tells listening from
/// receiving: both draw the receive current. Supply voltages are those of the conditions of
/// the electrical characteristics.
const PARTS: &[Part] = &[
    Part {
        name: "cc2420",
        tx_dbm: 0.0,
        sensitivity_dbm: -95.0,
        // CCA_THR at reset, -32, and the RSSI offset of about -45.
        cca_dbm: -77.0,
        supply_v: 3.3,
        tx_ma: 17.4,
        rx_ma: 18.8,
        // Power down mode: voltage regulator on, oscillator off.
        sleep_ma: 0.02,
        source: "Texas Instruments SWRS041C: electrical specifications; register RSSI",
    },
    Part {
        name: "at86rf233",
        tx_dbm: 4.0,
        sensitivity_dbm: -101.0,
        // RSSI_BASE_VAL, -94, and twice CCA_ED_THRES at reset, 7.
        cca_dbm: -80.0,
        supply_v: 3.0,
        tx_ma: 13.8,
        rx_ma: 11.8,
        // DEEP_SLEEP.
        sleep_ma: 0.000_02,
        source: "Atmel 8351C: features (BUSY_TX at +4 dBm, RX_ON, DEEP_SLEEP); register CCA_THRES",
    },
    Part {
        name: "mrf24j40",
        tx_dbm: 0.0,
        sensitivity_dbm: -95.0,
        // The value recommended for CCAEDTH, 0x60.
        cca_dbm: -69.0,
        supply_v: 3.3,
        tx_ma: 23.0,
        rx_ma: 19.0,
        sleep_ma: 0.002,
        source: "Microchip DS39776C: electrical characteristics; register CCAEDTH",
    },
];

impl Profile {
    /// The parts that [`Profile::named`] knows.
    pub const NAMES: &[&str] = &{
        let mut names = [""; PARTS.len()];
        let mut at = 0;
        while at < names.len() {
            names[at] = PARTS[at].name;
            at += 1;
        }
        names
    };

    /// A part by its name in small letters; `None` if it is none of [`Profile::NAMES`].
    pub fn named(part: &str) -> Option<Profile> {
        let part = PARTS.iter().find(|p| p.name == part)?;
        let sensitivity = Dbm(part.sensitivity_dbm);
        Some(Profile {
            part: part.name.to_owned(),
            tx_power: Dbm(part.tx_dbm),
            sensitivity,
            noise_figure: Profile::noise_figure_for(sensitivity),
            cca_threshold: Dbm(part.cca_dbm),
            turnaround: phy::TURNAROUND,
            supply_v: part.supply_v,
            tx_ma: part.tx_ma,
            rx_ma: part.rx_ma,
            listen_ma: part.rx_ma,
            sleep_ma: part.sleep_ma,
            source: part.source.to_owned(),
        })
    }

    /// The noise figure with which 1 % of frames with a 20-byte PSDU are lost at
    /// `sensitivity`.
    pub fn noise_figure_for(sensitivity: Dbm) -> Db {
        (sensitivity - Db(phy::sinr_at_sensitivity().0)) - phy::noise_floor(Db(0.0))
    }

    /// The receiver's noise power: thermal over the channel's 2 MHz, and the noise figure.
    pub fn noise(&self) -> Dbm {
        phy::noise_floor(self.noise_figure)
    }

    /// Whether a radio can have these figures.
    pub fn check(&self) -> Result<(), ProfileError> {
        let levels = [
            ("tx_power", self.tx_power.0),
            ("sensitivity", self.sensitivity.0),
            ("noise_figure", self.noise_figure.0),
            ("cca_threshold", self.cca_threshold.0),
        ];
        let amounts = [
            ("supply_v", self.supply_v),
            ("tx_ma", self.tx_ma),
            ("rx_ma", self.rx_ma),
            ("listen_ma", self.listen_ma),
            ("sleep_ma", self.sleep_ma),
        ];
        for (name, value) in levels.into_iter().chain(amounts) {
            if !value.is_finite() {
                return Err(ProfileError::NotFinite(name));
            }
        }
        for (name, value) in amounts {
            if value < 0.0 {
                return Err(ProfileError::Negative(name));
            }
        }
        if self.turnaround > phy::TURNAROUND {
            return Err(ProfileError::SlowTurnaround);
        }
        Ok(())
    }
}
