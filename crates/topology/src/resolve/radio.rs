//! The radio model: the medium, the radios' parts, and the loss on the way.

use std::time::Duration;

use propagation::model::DEFAULT_FREQUENCY_HZ;
use propagation::{Model, Position, Shadowing};
use units::{Db, Dbm};

use super::{Resolver, is_name, or};
use crate::decode::{At, Block};
use crate::diagnostic::{Span, alternatives, nearest};
use crate::file::{self, PathLoss, Profile, Radio};
use crate::kind::Node;
use crate::plan::{MacPlan, Medium, PhyPlan, RadioPlan};
use crate::scalar::Hertz;

/// The part of a radio that names none.
const DEFAULT_PART: &str = "cc2420";
/// aTurnaroundTime, 12 symbols (IEEE 802.15.4-2006 §6.4.1): no ACK would be in time after it.
const TURNAROUND: Duration = Duration::from_micros(192);
/// Latest hand-over of a frame that is not worth a word.
const LATENESS_LIMIT: Duration = Duration::from_millis(1);
/// The 2.4 GHz band (IEEE 802.15.4-2006 table 1), hertz.
const BAND_HZ: (f64, f64) = (2.4e9, 2.4835e9);

/// Transmit powers that a part can have, dBm.
const TX_POWER: (f64, f64) = (-60.0, 30.0);
/// Sensitivities and thresholds that a part can have, dBm.
const SENSITIVITY: (f64, f64) = (-130.0, -20.0);

/// The radio model with what only resolution needs.
pub(crate) struct RadioModel {
    pub plan: RadioPlan,
    path_loss: Model,
    /// Transmit power of every radio, if the topology gives one.
    tx_power: Option<Dbm>,
}

impl RadioModel {
    /// Loss from place to place without shadowing. Rounded to 0.01 dB.
    pub(super) fn attenuation(&self, from: Position, to: Position) -> Db {
        rounded(self.path_loss.mean_loss(from.distance_m(to)).0)
    }

    /// Loss over so many metres without shadowing.
    pub(crate) fn mean_loss(&self, metres: f64) -> Db {
        self.path_loss.mean_loss(metres)
    }

    /// Whether frames go over the per-frame air.
    pub(crate) fn is_phy(&self) -> bool {
        self.plan.medium == Medium::Phy
    }
}

/// To 0.01 dB: a plan is read by people, and no radio is better than that.
pub(super) fn rounded(db: f64) -> Db {
    Db((db * 100.0).round() / 100.0)
}

impl Resolver<'_> {
    pub(super) fn radio_model(&mut self) -> RadioModel {
        let topology = self.topology;
        let file = topology.radio.as_ref();
        let medium = or(file.and_then(|f| f.medium), Medium::Edges);
        let path_loss = self.path_loss(file.and_then(|f| f.path_loss.as_ref()));
        let tx_power = file.and_then(|f| f.tx_power).map(|power| power.value);
        let sensitivity = file.and_then(|f| f.sensitivity);
        let plan = match medium {
            Medium::Edges => {
                self.refuse_phy_keys(file);
                RadioPlan {
                    medium,
                    tx_power: tx_power.unwrap_or(Dbm(0.0)),
                    sensitivity: or(sensitivity, Dbm(-85.0)),
                    phy: None,
                }
            }
            Medium::Phy => {
                if let Some(given) = sensitivity {
                    let message = "`radio.sensitivity` belongs to `medium: edges`; under `phy` \
                                   the profile says it: give `profile` as a table, or remove it";
                    self.problem(given.span, message);
                }
                let phy = self.phy(file, path_loss.clone(), tx_power);
                RadioPlan {
                    medium,
                    tx_power: phy.profile.tx_power,
                    sensitivity: phy.profile.sensitivity,
                    phy: Some(phy),
                }
            }
        };
        RadioModel {
            plan,
            path_loss,
            tx_power,
        }
    }

    /// Refuses what only the per-frame air can do: accepted and ignored, it would mislead.
    fn refuse_phy_keys(&mut self, file: Option<&Radio>) {
        let Some(file) = file else { return };
        let shadowing = match &file.path_loss {
            Some(PathLoss::FreeSpace(model)) => &model.shadowing,
            Some(PathLoss::LogDistance(model)) => &model.shadowing,
            Some(PathLoss::TwoRay(model)) => &model.shadowing,
            None => &None,
        };
        let keys = [
            ("radio.profile", file.profile.as_ref().map(Profile::span)),
            (
                "radio.path_loss.shadowing",
                shadowing.as_ref().map(|v| v.span),
            ),
            ("radio.mac", file.mac.as_ref().map(|v| v.span)),
            ("radio.capture_lost", file.capture_lost.map(|v| v.span)),
            ("radio.lateness_limit", file.lateness_limit.map(|v| v.span)),
        ];
        for (path, span) in keys {
            self.phy_only(path, span, Medium::Edges);
        }
    }

    /// Refuses a key that `edges` has no use for.
    pub(crate) fn phy_only(&mut self, path: &str, given: Option<Span>, medium: Medium) {
        let known = !self.faults.stood_in("radio.medium");
        if let (Some(span), Medium::Edges, true) = (given, medium, known) {
            let message = format!(
                "`{path}` belongs to `medium: phy`: under `edges` a link is there or not, without \
                 airtime or loss; remove it, or change `radio.medium`"
            );
            self.problem(span, message);
        }
    }

    fn phy(&mut self, file: Option<&Radio>, path_loss: Model, tx_power: Option<Dbm>) -> PhyPlan {
        let profile = match file.and_then(|f| f.profile.as_ref()) {
            Some(file) => self.profile("radio.profile", file),
            None => None,
        };
        if let Some(given) = file.and_then(|f| f.tx_power) {
            self.level("radio.tx_power", given, TX_POWER);
        }
        let default = || {
            medium::Profile::named(DEFAULT_PART).expect("the default part is one of the named ones")
        };
        let mut profile = profile.unwrap_or_else(default);
        profile.tx_power = tx_power.unwrap_or(profile.tx_power);
        PhyPlan {
            profile,
            path_loss,
            mac: self.mac(file.and_then(|f| f.mac.as_ref())),
            capture_lost: or(file.and_then(|f| f.capture_lost), false),
            lateness_limit: self.positive(
                "radio.lateness_limit",
                file.and_then(|f| f.lateness_limit),
                LATENESS_LIMIT,
            ),
            traces: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// The part of a node's radio, if it is another than everyone's.
    pub(super) fn own_profile(
        &mut self,
        name: &str,
        node: &Node,
        model: &RadioModel,
    ) -> Option<medium::Profile> {
        let file = node.antenna()?.profile.as_ref()?;
        let path = format!("nodes.{name}.profile");
        let Some(phy) = &model.plan.phy else {
            self.phy_only(&path, Some(file.span()), model.plan.medium);
            return None;
        };
        let mut profile = self.profile(&path, file)?;
        profile.tx_power = model.tx_power.unwrap_or(profile.tx_power);
        (profile != phy.profile).then_some(profile)
    }

    /// A part by name or by its figures.
    fn profile(&mut self, path: &str, file: &Profile) -> Option<medium::Profile> {
        match file {
            Profile::Named(name) => {
                let named = medium::Profile::named(name);
                if named.is_none() {
                    let names = medium::Profile::NAMES.iter().copied();
                    let hint = nearest(name, names.clone())
                        .map(|near| format!("; did you mean `{near}`?"))
                        .unwrap_or_default();
                    let message = format!(
                        "`{path}`: `{}` is not {}{hint}",
                        name.value,
                        alternatives(names)
                    );
                    self.problem(name.span, message);
                }
                named
            }
            Profile::Table(table) => Some(self.profile_table(path, table)),
        }
    }

    fn profile_table(&mut self, path: &str, file: &file::ProfileTable) -> medium::Profile {
        if !is_name(&file.part) {
            let message = format!(
                "`{path}.part`: `{}` is not a name: lower-case letters, digits and hyphens, \
                 first a letter",
                file.part.value
            );
            self.problem(file.part.span, message);
        }
        self.level(&format!("{path}.tx_power"), file.tx_power, TX_POWER);
        self.level(
            &format!("{path}.sensitivity"),
            file.sensitivity,
            SENSITIVITY,
        );
        let cca = &format!("{path}.cca_threshold");
        self.level(cca, file.cca_threshold, SENSITIVITY);
        let implied = medium::Profile::noise_figure_for(file.sensitivity.value);
        medium::Profile {
            part: file.part.value.clone(),
            tx_power: file.tx_power.value,
            sensitivity: file.sensitivity.value,
            noise_figure: self.checked(
                &format!("{path}.noise_figure"),
                file.noise_figure,
                implied,
                |value| value.to_string(),
                |value| (0.0..=60.0).contains(&value.0),
                "from 0 dB to 60 dB",
            ),
            cca_threshold: file.cca_threshold.value,
            turnaround: self.duration(
                &format!("{path}.turnaround"),
                file.turnaround,
                TURNAROUND,
                |value| value <= TURNAROUND,
                "at most 192 us (IEEE 802.15.4-2006 §6.4.1)",
            ),
            supply_v: file.supply.value.0,
            tx_ma: file.tx.value.0,
            rx_ma: file.rx.value.0,
            listen_ma: file.listen.map_or(file.rx.value.0, |listen| listen.value.0),
            sleep_ma: file.sleep.value.0,
            source: file.source.value.clone(),
        }
    }

    /// Refuses a power that no radio has.
    fn level(&mut self, path: &str, given: At<Dbm>, (low, high): (f64, f64)) {
        let right = format!("from {low} dBm to {high} dBm");
        let holds = |value: Dbm| (low..=high).contains(&value.0);
        self.checked(
            path,
            Some(given),
            given.value,
            |v| v.to_string(),
            holds,
            &right,
        );
    }

    fn mac(&mut self, file: Option<&Block<file::MacParameters>>) -> MacPlan {
        let mut small =
            |key: &str, given: Option<At<u32>>, default: u8, (low, high): (u32, u32)| {
                let right = format!("from {low} to {high} (IEEE 802.15.4-2006 table 86)");
                let holds = |value| (low..=high).contains(&value);
                let path = format!("radio.mac.{key}");
                let value = self.checked(
                    &path,
                    given,
                    default.into(),
                    |v| v.to_string(),
                    holds,
                    &right,
                );
                u8::try_from(value).unwrap_or(u8::MAX)
            };
        let max_be = small("max_be", file.and_then(|f| f.max_be), 5, (3, 8));
        MacPlan {
            min_be: small("min_be", file.and_then(|f| f.min_be), 3, (0, max_be.into())),
            max_be,
            max_csma_backoffs: small(
                "max_csma_backoffs",
                file.and_then(|f| f.max_csma_backoffs),
                4,
                (0, 5),
            ),
            max_frame_retries: small(
                "max_frame_retries",
                file.and_then(|f| f.max_frame_retries),
                3,
                (0, 7),
            ),
            queue: self.checked(
                "radio.mac.queue",
                file.and_then(|f| f.queue),
                300,
                |value| value.to_string(),
                |value| (1..=100_000).contains(&value),
                "from 1 to 100000",
            ),
            acks: or(file.and_then(|f| f.acks), true),
        }
    }

    fn path_loss(&mut self, file: Option<&PathLoss>) -> Model {
        match file {
            None => Model::default(),
            Some(PathLoss::FreeSpace(file)) => Model::FreeSpace {
                frequency_hz: self.frequency(file.frequency),
                shadowing: self.shadowing(file.shadowing.as_ref()),
            },
            Some(PathLoss::LogDistance(file)) => Model::LogDistance {
                reference_loss: self.checked(
                    "radio.path_loss.reference_loss",
                    file.reference_loss,
                    Db(40.2),
                    |value| value.to_string(),
                    |value| (0.0..=200.0).contains(&value.0),
                    "from 0 dB to 200 dB",
                ),
                exponent: self.checked(
                    "radio.path_loss.exponent",
                    file.exponent,
                    3.0,
                    |value| value.to_string(),
                    |value| (1.0..=10.0).contains(&value),
                    "an exponent from 1 to 10; free space has 2",
                ),
                shadowing: self.shadowing(file.shadowing.as_ref()),
            },
            Some(PathLoss::TwoRay(file)) => Model::TwoRay {
                frequency_hz: self.frequency(file.frequency),
                height_m: self
                    .checked(
                        "radio.path_loss.height",
                        Some(file.height),
                        file.height.value,
                        |value| format!("{} m", value.0),
                        |value| (0.01..=1000.0).contains(&value.0),
                        "from 0.01 m to 1000 m",
                    )
                    .0,
                shadowing: self.shadowing(file.shadowing.as_ref()),
            },
        }
    }

    fn frequency(&mut self, given: Option<At<Hertz>>) -> f64 {
        self.checked(
            "radio.path_loss.frequency",
            given,
            Hertz(DEFAULT_FREQUENCY_HZ),
            |value| format!("{} MHz", value.0 / 1e6),
            |value| (BAND_HZ.0..=BAND_HZ.1).contains(&value.0),
            "in the 2.4 GHz band, from 2400 MHz to 2483.5 MHz",
        )
        .0
    }

    fn shadowing(&mut self, file: Option<&Block<file::Shadowing>>) -> Option<Shadowing> {
        let file = file?;
        let sigma = self.checked(
            "radio.path_loss.shadowing.sigma",
            Some(file.sigma),
            file.sigma.value,
            |value| value.to_string(),
            |value| (0.0..=30.0).contains(&value.0),
            "from 0 dB to 30 dB",
        );
        let decorrelation = self.checked(
            "radio.path_loss.shadowing.decorrelation",
            Some(file.decorrelation),
            file.decorrelation.value,
            |value| format!("{} m", value.0),
            |value| (1.0..=1000.0).contains(&value.0),
            "from 1 m to 1000 m",
        );
        Some(Shadowing {
            sigma,
            decorrelation_m: decorrelation.0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_loss_is_the_models_rounded_for_people() {
        let model = RadioModel {
            plan: RadioPlan {
                medium: Medium::Edges,
                tx_power: Dbm(0.0),
                sensitivity: Dbm(-85.0),
                phy: None,
            },
            path_loss: Model::default(),
            tx_power: None,
        };
        let place = |x_m, y_m| Position { x_m, y_m };
        let origin = place(0.0, 0.0);
        assert_eq!(model.attenuation(origin, origin), Db(40.2));
        assert_eq!(model.attenuation(origin, place(6.0, 8.0)), Db(70.2));
        // 40.2 dB + 30 log10(7).
        assert_eq!(model.attenuation(origin, place(7.0, 0.0)), Db(65.55));
    }
}
