//! Table 3: the handover delay as a sum. Table 4: the packets lost meanwhile.

use std::fmt;
use std::time::Duration;

use crate::path::Path;
use crate::reading::{BindingDelay, CompLoss, CompUpdate};
use crate::{Model, ms};

/// The protocols that the paper compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// Mobile IPv6 with return routability.
    Mipv6,
    /// Hierarchical Mobile IPv6: a binding update to the mobility anchor point.
    Hmipv6,
    /// The paper's own.
    Comp,
}

impl Protocol {
    /// All, in the tables' order.
    pub const ALL: [Protocol; 3] = [Protocol::Mipv6, Protocol::Hmipv6, Protocol::Comp];

    /// The name as the paper writes it.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Mipv6 => "MIPv6",
            Protocol::Hmipv6 => "HMIPv6",
            Protocol::Comp => "CoMP",
        }
    }
}

/// What a term of table 3 counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// tL2.
    L2,
    /// tMD.
    MovementDetection,
    /// tAC.
    AddressConfiguration,
    /// One message on a way.
    Message(Path),
}

impl Quantity {
    /// The paper's symbol.
    pub fn symbol(self) -> &'static str {
        match self {
            Quantity::L2 => "tL2",
            Quantity::MovementDetection => "tMD",
            Quantity::AddressConfiguration => "tAC",
            Quantity::Message(path) => path.symbol(),
        }
    }
}

/// One term of a sum of table 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Term {
    /// How many times it counts.
    pub count: u32,
    /// What counts.
    pub quantity: Quantity,
    /// How long it takes once.
    pub each: Duration,
}

/// A handover delay as table 3 writes it. Prints as `tL2 + ... + 2 t(B,MAP)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum {
    /// In table 3's order.
    pub terms: Vec<Term>,
}

impl Sum {
    /// The delay.
    pub fn total(&self) -> Duration {
        self.terms.iter().fold(Duration::ZERO, |sum, term| {
            sum.saturating_add(term.each.saturating_mul(term.count))
        })
    }

    /// The sum with its figures, in milliseconds: `50 + 100 + 500 + 2 x 20.88`.
    pub fn evaluated(&self) -> String {
        self.written(" x ", |term| ms(term.each).to_string())
    }

    /// Neighbours that count equally often stand in one pair of brackets, as in the paper.
    fn written(&self, times: &str, one: impl Fn(&Term) -> String) -> String {
        let groups = self.terms.chunk_by(|a, b| a.count == b.count);
        let group = |terms: &[Term]| {
            let inner: Vec<String> = terms.iter().map(&one).collect();
            let inner = inner.join(" + ");
            match terms {
                [Term { count: 1, .. }, ..] => inner,
                [term] => format!("{}{times}{inner}", term.count),
                [term, ..] => format!("{}{times}({inner})", term.count),
                [] => inner,
            }
        };
        groups.map(group).collect::<Vec<_>>().join(" + ")
    }
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written(" ", |term| term.quantity.symbol().to_owned()))
    }
}

impl Model {
    /// The handover delay of a protocol as table 3's sum, under the model's readings.
    pub fn sum(&self, protocol: Protocol) -> Sum {
        // How often tBU counts.
        let update = match self.readings.binding_delay {
            BindingDelay::Once => 1,
            BindingDelay::Twice => 2,
        };
        let messages: Vec<(u32, Path)> = match protocol {
            // tBU = 2 (t(B,HA) + t(B,CN)), tRR = 2 (t(B,CN) + t(B,HA) + t(HA,CN)).
            Protocol::Mipv6 => vec![
                (2 * update + 2, Path::NodeToHa),
                (2 * update + 2, Path::NodeToCn),
                (2, Path::HaToCn),
            ],
            Protocol::Hmipv6 => vec![(2 * update, Path::NodeToMap)],
            Protocol::Comp => {
                let mut messages = vec![(update, Path::NodeToWmms), (update, Path::WmmsToNode)];
                if self.readings.comp_update == CompUpdate::Table3 {
                    messages.push((update, Path::NodeToClient));
                }
                messages
            }
        };
        let p = &self.parameters;
        let phases = [
            (Quantity::L2, p.l2_delay),
            (Quantity::MovementDetection, p.movement_detection_delay),
            (Quantity::AddressConfiguration, p.address_delay),
        ];
        let phases = phases.map(|(quantity, each)| Term {
            count: 1,
            quantity,
            each,
        });
        let messages = messages.into_iter().map(|(count, path)| Term {
            count,
            quantity: Quantity::Message(path),
            each: self.one_way(path),
        });
        Sum {
            terms: phases.into_iter().chain(messages).collect(),
        }
    }

    /// The handover delay of a protocol (table 3).
    pub fn delay(&self, protocol: Protocol) -> Duration {
        self.sum(protocol).total()
    }

    /// Table 4's formula for a protocol.
    pub fn loss_formula(&self, protocol: Protocol) -> &'static str {
        match (protocol, self.readings.comp_loss) {
            (Protocol::Mipv6, _) => "lambda D(MIPv6)",
            (Protocol::Hmipv6, _) => "lambda D(HMIPv6)",
            (Protocol::Comp, CompLoss::Zero) => "0",
            (Protocol::Comp, CompLoss::LambdaD) => "lambda D(CoMP)",
        }
    }

    /// How many packets are lost in a handover (table 4), as an expectation: not a whole number.
    pub fn lost_packets(&self, protocol: Protocol) -> f64 {
        match (protocol, self.readings.comp_loss) {
            (Protocol::Comp, CompLoss::Zero) => 0.0,
            _ => self.parameters.packet_rate.per_s * self.delay(protocol).as_secs_f64(),
        }
    }
}
