//! Everything the model says, as one document: `model.json`.

use serde::{Serialize, Serializer};

use crate::parameter::Value;
use crate::reading::by_name;
use crate::variant::VariantRow;
use crate::{
    Figure, FigureNumber, Model, Parameter, Parameters, Path, Protocol, Reading, Route, Variant,
    millionths, ms,
};

/// Raised when a key is removed or its meaning changes.
pub const SCHEMA: u32 = 1;

/// Equation 1, tables 3 to 5 and figures 15 to 17, with the readings used.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Table 5 and the hop counts, by name.
    #[serde(serialize_with = "parameters_by_name")]
    pub parameters: Vec<ParameterRow>,
    /// What the paper leaves open, by name.
    #[serde(serialize_with = "readings_by_name")]
    pub readings: Vec<Reading>,
    /// Equation 1.
    pub equation_1: &'static str,
    /// Equation 1 evaluated for each way of table 3.
    pub paths: Vec<PathRow>,
    /// Handover delay.
    pub table_3: Vec<DelayRow>,
    /// Packet loss.
    pub table_4: Vec<LossRow>,
    /// What the protocols take as their specifications have them, which is in no table of the paper.
    pub variants: Vec<VariantRow>,
    /// Figures 15, 16 and 17.
    pub figures: Vec<Figure>,
}

/// A parameter: table 5's row.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ParameterRow {
    /// Name in `NAME=VALUE`.
    #[serde(skip)]
    pub name: &'static str,
    /// The paper's symbol.
    pub symbol: &'static str,
    /// Its value here, with its unit.
    pub value: Value,
    /// Its default.
    pub default: Value,
    /// What it is.
    pub meaning: &'static str,
    /// Where the default comes from.
    pub source: &'static str,
    /// Why it cannot be set, if it cannot.
    pub fixed_because: Option<&'static str>,
}

/// A way of table 3 and how long a message takes on it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PathRow {
    /// `t(B,HA)`.
    pub symbol: &'static str,
    /// Hops that count S/Bwl + Lwl.
    pub wireless_hops: u32,
    /// Hops that count (S + St)/Bw + Lw + q.
    pub wired_hops: u32,
    /// Whether St counts.
    pub tunnelled: bool,
    /// One way, milliseconds.
    pub one_way_ms: f64,
}

/// A row of table 3.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DelayRow {
    /// MIPv6, HMIPv6 or CoMP.
    pub protocol: &'static str,
    /// The sum in symbols.
    pub formula: String,
    /// The sum in milliseconds.
    pub evaluated_ms: String,
    /// The delay, milliseconds.
    pub delay_ms: f64,
}

/// A row of table 4.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LossRow {
    /// MIPv6, HMIPv6 or CoMP.
    pub protocol: &'static str,
    /// The loss in symbols.
    pub formula: &'static str,
    /// Packets per handover, an expectation.
    pub lost_packets: f64,
}

/// One figure with all that decided it: `--figure N --format json`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FigureReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The figure.
    #[serde(flatten)]
    pub figure: Figure,
    /// As in [`Report`]. The figure's own values stand before them.
    #[serde(serialize_with = "parameters_by_name")]
    pub parameters: Vec<ParameterRow>,
    /// As in [`Report`].
    #[serde(serialize_with = "readings_by_name")]
    pub readings: Vec<Reading>,
}

fn parameters_by_name<S: Serializer>(rows: &[ParameterRow], s: S) -> Result<S::Ok, S::Error> {
    by_name(rows, |row| row.name, s)
}

fn readings_by_name<S: Serializer>(rows: &[Reading], s: S) -> Result<S::Ok, S::Error> {
    by_name(rows, |row| row.name, s)
}

impl Model {
    /// Everything this model says.
    pub fn report(&self) -> Report {
        Report {
            schema: SCHEMA,
            parameters: self.parameter_rows(),
            readings: self.readings(),
            equation_1: crate::path::EQUATION_1,
            paths: Path::ALL.map(|path| self.path_row(path)).into(),
            table_3: Protocol::ALL
                .map(|protocol| self.delay_row(protocol))
                .into(),
            table_4: Protocol::ALL.map(|protocol| self.loss_row(protocol)).into(),
            variants: Variant::ALL.map(|variant| self.variant_row(variant)).into(),
            figures: FigureNumber::ALL.map(|figure| self.figure(figure)).into(),
        }
    }

    /// One figure and what decided it.
    pub fn figure_report(&self, figure: FigureNumber) -> FigureReport {
        FigureReport {
            schema: SCHEMA,
            figure: self.figure(figure),
            parameters: self.parameter_rows(),
            readings: self.readings(),
        }
    }

    fn parameter_rows(&self) -> Vec<ParameterRow> {
        let default = Parameters::default();
        let row = |parameter: &Parameter| ParameterRow {
            name: parameter.name(),
            symbol: parameter.symbol(),
            value: self.parameters.get(*parameter),
            default: default.get(*parameter),
            meaning: parameter.meaning(),
            source: parameter.source(),
            fixed_because: parameter.fixed_because(),
        };
        Parameter::ALL.iter().map(row).collect()
    }

    fn path_row(&self, path: Path) -> PathRow {
        let Route {
            wireless_hops,
            wired_hops,
            tunnelled,
        } = self.route(path);
        PathRow {
            symbol: path.symbol(),
            wireless_hops,
            wired_hops,
            tunnelled,
            one_way_ms: ms(self.one_way(path)),
        }
    }

    fn delay_row(&self, protocol: Protocol) -> DelayRow {
        let sum = self.sum(protocol);
        DelayRow {
            protocol: protocol.name(),
            formula: sum.to_string(),
            evaluated_ms: sum.evaluated(),
            delay_ms: ms(sum.total()),
        }
    }

    fn loss_row(&self, protocol: Protocol) -> LossRow {
        LossRow {
            protocol: protocol.name(),
            formula: self.loss_formula(protocol),
            lost_packets: millionths(self.lost_packets(protocol)),
        }
    }
}
