//! How long the protocols take as their own specifications have them, where table 3 has them otherwise.
//!
//! Table 3 charges MIPv6 return routability and lets every message of it wait for the one before. RFC
//! 6275 §11.6.1 has the two tests leave together, and a node that tunnels everything needs none; HMIPv6
//! and CoMP tell the one who sends to the node in one exchange.

use std::time::Duration;

use serde::Serialize;

use crate::{Model, Path, ms};

/// A protocol as its specification has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variant {
    /// MIPv6 with a bidirectional tunnel (RFC 6275 §5.1).
    Tunnel,
    /// MIPv6 with route optimization, of which the tests begin with the home registration (RFC 6275
    /// §11.7.2).
    TestsWithRegistration,
    /// The same, of which the tests wait for the home agent's acknowledgement.
    TestsAfterRegistration,
    /// HMIPv6 within a domain (RFC 5380 §6.1).
    Hierarchical,
    /// CoMP in the direct mode of CoMM §4.2: the client is told at once with the WMMS.
    Direct,
}

/// A variant with its figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariantRow {
    /// `MIPv6, bidirectional tunnel`.
    pub variant: &'static str,
    /// The delay in symbols.
    pub formula: &'static str,
    /// From the address that may be used to the first packet there, milliseconds.
    pub binding_ms: f64,
    /// The delay, milliseconds.
    pub delay_ms: f64,
}

impl Variant {
    /// All.
    pub const ALL: [Variant; 5] = [
        Variant::Tunnel,
        Variant::TestsWithRegistration,
        Variant::TestsAfterRegistration,
        Variant::Hierarchical,
        Variant::Direct,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Variant::Tunnel => "MIPv6, bidirectional tunnel",
            Variant::TestsWithRegistration => "MIPv6, route optimization, tests with home BU",
            Variant::TestsAfterRegistration => "MIPv6, route optimization, tests after home BA",
            Variant::Hierarchical => "HMIPv6, within a domain",
            Variant::Direct => "CoMP, direct",
        }
    }

    /// Its delay in the symbols of table 3.
    pub fn formula(self) -> &'static str {
        match self {
            Variant::Tunnel => "tL2 + tMD + tAC + 2 t(B,HA)",
            Variant::TestsWithRegistration => {
                "tL2 + tMD + tAC + max(2 (t(B,HA) + t(HA,CN)), 2 t(B,CN)) + 2 t(B,CN)"
            }
            Variant::TestsAfterRegistration => {
                "tL2 + tMD + tAC + 2 t(B,HA) + max(2 (t(B,HA) + t(HA,CN)), 2 t(B,CN)) + 2 t(B,CN)"
            }
            Variant::Hierarchical => "tL2 + tMD + tAC + 2 t(B,MAP)",
            Variant::Direct => "tL2 + tMD + tAC + 2 t(B,A)",
        }
    }
}

impl Model {
    /// From the address that may be used to the first packet that arrives there.
    pub fn variant_binding(&self, variant: Variant) -> Duration {
        let both_ways = |path| self.one_way(path).saturating_mul(2);
        let (home, correspondent) = (Path::NodeToHa, Path::NodeToCn);
        // The home test goes through the home agent, and is answered that way.
        let home_test = both_ways(home).saturating_add(both_ways(Path::HaToCn));
        let tests = home_test.max(both_ways(correspondent));
        let updated = tests.saturating_add(both_ways(correspondent));
        match variant {
            Variant::Tunnel => both_ways(home),
            Variant::TestsWithRegistration => updated,
            Variant::TestsAfterRegistration => both_ways(home).saturating_add(updated),
            Variant::Hierarchical => both_ways(Path::NodeToMap),
            Variant::Direct => both_ways(Path::NodeToClient),
        }
    }

    /// The handover delay of a variant.
    pub fn variant_delay(&self, variant: Variant) -> Duration {
        let p = &self.parameters;
        let phases = [p.l2_delay, p.movement_detection_delay, p.address_delay];
        let binding = self.variant_binding(variant);
        phases.into_iter().fold(binding, Duration::saturating_add)
    }

    /// A variant with its figures.
    pub(crate) fn variant_row(&self, variant: Variant) -> VariantRow {
        VariantRow {
            variant: variant.name(),
            formula: variant.formula(),
            binding_ms: ms(self.variant_binding(variant)),
            delay_ms: ms(self.variant_delay(variant)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_the_papers_parameters_no_variant_takes_what_table_3_says_of_mipv6() {
        let paper = Model::default();
        let delays = Variant::ALL.map(|variant| paper.variant_delay(variant));
        // W 16.6 ms, and 4.28 ms for two wired hops.
        let expected = [691_760, 742_080, 783_840, 691_760, 691_760];
        assert_eq!(delays, expected.map(Duration::from_micros));
        let table_3 = paper.delay(crate::Protocol::Mipv6);
        assert!(delays.iter().all(|delay| *delay < table_3));
    }

    #[test]
    fn over_equal_ways_without_a_radio_the_slopes_are_those_of_the_closed_forms() {
        // As good as no wireless hop: one way is two wired hops of Lw.
        let at = |wired_ms: u32| {
            let wired = format!("wired_delay={wired_ms}ms");
            let nothing = [
                "wireless_delay=0ms",
                "queueing_delay=0ms",
                "message_size=0B",
            ];
            let set: Vec<&str> = nothing.into_iter().chain([wired.as_str()]).collect();
            let model = Model::with(&set).unwrap();
            Variant::ALL.map(|variant| model.variant_binding(variant).as_millis())
        };
        assert_eq!(at(5), [20, 60, 80, 20, 20]);
        assert_eq!(at(10), [40, 120, 160, 40, 40]);
    }
}
