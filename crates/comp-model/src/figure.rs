//! The data of figures 15, 16 and 17: the model over one of its parameters.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::parameter::Value;
use crate::reading::{FIGURE_15_MS, FIGURE_16_PER_S, Figure17Axis};
use crate::{Model, PacketRate, Parameter, Protocol, Readings, millionths, ms};

/// First, last and step of figure 17's delay, milliseconds: the range is section 5.4's.
pub const FIGURE_17_MS: [u32; 3] = [10, 80, 10];
/// What figure 17 holds the other link's delay at (section 5.4).
const FIGURE_17_OTHER_DELAY: Duration = Duration::from_millis(2);
/// Figure 17's packet rate (section 5.4).
const FIGURE_17_RATE: PacketRate = PacketRate { per_s: 10.0 };

/// Which figure of the paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FigureNumber {
    /// Handover delay over the delay of the wireless link.
    Fifteen,
    /// Packet loss over the packet arrival rate.
    Sixteen,
    /// Packet loss over the delay of the wired link.
    Seventeen,
}

/// What a figure shows upwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ordinate {
    /// Handover delay, in milliseconds.
    DelayMs,
    /// Packets lost in a handover.
    LostPackets,
}

/// One abscissa and what the model says of each protocol there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// In the figure's unit of x.
    pub x: f64,
    /// Of MIPv6.
    pub mipv6: f64,
    /// Of HMIPv6.
    pub hmipv6: f64,
    /// Of CoMP.
    pub comp: f64,
}

/// The data of one figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// 15, 16 or 17.
    pub number: u8,
    /// What it shows.
    pub title: &'static str,
    /// The parameter that is varied, with its unit: `wireless_delay_ms`.
    pub x: &'static str,
    /// What the points hold.
    pub y: Ordinate,
    /// Parameters that the figure itself sets, by name.
    pub fixed: Vec<Fixed>,
    /// In the order of x.
    pub points: Vec<Point>,
}

/// A parameter that a figure sets, whatever the model has.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Fixed {
    /// The parameter's name.
    pub name: &'static str,
    /// Its value in the figure.
    pub value: Value,
}

impl FigureNumber {
    /// All.
    pub const ALL: [FigureNumber; 3] = [
        FigureNumber::Fifteen,
        FigureNumber::Sixteen,
        FigureNumber::Seventeen,
    ];

    /// The paper's number.
    pub fn number(self) -> u8 {
        match self {
            FigureNumber::Fifteen => 15,
            FigureNumber::Sixteen => 16,
            FigureNumber::Seventeen => 17,
        }
    }

    /// The figure of that number of the paper, if it is the model's.
    pub fn of_number(number: u8) -> Option<FigureNumber> {
        FigureNumber::ALL
            .into_iter()
            .find(|figure| figure.number() == number)
    }

    /// What the figure does with the parameter of that name, so that setting it would change
    /// nothing: it varies it or holds it at a value. `None` if the parameter is free.
    pub fn decides(self, name: &str, readings: &Readings) -> Option<String> {
        let model = Model {
            readings: *readings,
            ..Model::default()
        };
        if self.axis(readings).parameter().name() == name {
            return Some("varies it".to_owned());
        }
        let fixed = model.figure(self).fixed;
        let fixed = fixed.iter().find(|fixed| fixed.name == name)?;
        Some(format!("holds it at {}", fixed.value))
    }

    fn axis(self, readings: &Readings) -> Axis {
        match (self, readings.figure_17_axis) {
            (FigureNumber::Fifteen, _) => Axis::WirelessDelay,
            (FigureNumber::Sixteen, _) => Axis::PacketRate,
            (FigureNumber::Seventeen, Figure17Axis::WiredDelay) => Axis::WiredDelay,
            (FigureNumber::Seventeen, Figure17Axis::WirelessDelay) => Axis::WirelessDelay,
        }
    }

    fn title(self) -> &'static str {
        match self {
            FigureNumber::Fifteen => "Impact of wireless link delay on handover latency",
            FigureNumber::Sixteen => "Packet loss as a function of packet arrival rate",
            // The paper's title says wireless even where its text varies the wired delay.
            FigureNumber::Seventeen => "Impact of link delay on packet loss",
        }
    }
}

/// What a figure shows to the right.
#[derive(Clone, Copy)]
enum Axis {
    WirelessDelay,
    WiredDelay,
    PacketRate,
}

impl Axis {
    fn parameter(self) -> Parameter {
        match self {
            Axis::WirelessDelay => Parameter::WirelessDelay,
            Axis::WiredDelay => Parameter::WiredDelay,
            Axis::PacketRate => Parameter::PacketRate,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Axis::WirelessDelay => "wireless_delay_ms",
            Axis::WiredDelay => "wired_delay_ms",
            Axis::PacketRate => "packet_rate_per_s",
        }
    }

    fn apply(self, model: &mut Model, x: u32) {
        let p = &mut model.parameters;
        match self {
            Axis::WirelessDelay => p.wireless_delay = Duration::from_millis(x.into()),
            Axis::WiredDelay => p.wired_delay = Duration::from_millis(x.into()),
            Axis::PacketRate => p.packet_rate = PacketRate { per_s: x.into() },
        }
    }
}

impl Model {
    /// The data of one figure: this model, with what the figure itself sets.
    pub fn figure(&self, figure: FigureNumber) -> Figure {
        let axis = figure.axis(&self.readings);
        let mut model = *self;
        let (y, [first, last, step], fixed) = match figure {
            FigureNumber::Fifteen => (Ordinate::DelayMs, FIGURE_15_MS, vec![]),
            FigureNumber::Sixteen => (Ordinate::LostPackets, FIGURE_16_PER_S, vec![]),
            FigureNumber::Seventeen => {
                let fixed = model.hold_for_figure_17();
                (Ordinate::LostPackets, FIGURE_17_MS, fixed)
            }
        };
        let points = (first..=last).step_by(step as usize).map(|x| {
            axis.apply(&mut model, x);
            let of = |protocol| match y {
                Ordinate::DelayMs => ms(model.delay(protocol)),
                Ordinate::LostPackets => millionths(model.lost_packets(protocol)),
            };
            Point {
                x: x.into(),
                mipv6: of(Protocol::Mipv6),
                hmipv6: of(Protocol::Hmipv6),
                comp: of(Protocol::Comp),
            }
        });
        let points = points.collect();
        Figure {
            number: figure.number(),
            title: figure.title(),
            x: axis.name(),
            y,
            fixed,
            points,
        }
    }

    /// Sets what section 5.4 says of figure 17, and lists it.
    fn hold_for_figure_17(&mut self) -> Vec<Fixed> {
        let other = match self.readings.figure_17_axis {
            Figure17Axis::WiredDelay => {
                self.parameters.wireless_delay = FIGURE_17_OTHER_DELAY;
                Parameter::WirelessDelay
            }
            Figure17Axis::WirelessDelay => {
                self.parameters.wired_delay = FIGURE_17_OTHER_DELAY;
                Parameter::WiredDelay
            }
        };
        self.parameters.packet_rate = FIGURE_17_RATE;
        let held = |parameter: Parameter| Fixed {
            name: parameter.name(),
            value: self.parameters.get(parameter),
        };
        vec![held(other), held(Parameter::PacketRate)]
    }
}

impl Figure {
    /// The names of the columns: x, then one of each protocol, with units.
    pub fn columns(&self) -> [String; 4] {
        let unit = match self.y {
            Ordinate::DelayMs => "delay_ms",
            Ordinate::LostPackets => "lost_packets",
        };
        let of = |protocol: &str| format!("{protocol}_{unit}");
        [self.x.to_owned(), of("mipv6"), of("hmipv6"), of("comp")]
    }

    /// The data as CSV (RFC 4180 with bare line feeds): a line of names, one line per point.
    pub fn csv(&self) -> String {
        let mut out = self.columns().join(",");
        out.push('\n');
        for p in &self.points {
            // Writing to a String cannot fail.
            let _ = writeln!(out, "{},{},{},{}", p.x, p.mipv6, p.hmipv6, p.comp);
        }
        out
    }
}
