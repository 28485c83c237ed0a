//! A configuration of Wireshark with which it checks what a run's security associations protect.
//!
//! `WIRESHARK_CONFIG_DIR=RUN/wireshark` reads it: a table of associations (`esp_sa`), and the preferences that
//! have it used.

use std::fmt::Write as _;

use topology::Plan;
use topology::plan::SecurityAssociation;

/// Has Wireshark read what is in ESP, and check it.
pub(crate) const PREFERENCES: &str = "\
esp.enable_encryption_decode: TRUE
esp.enable_authentication_check: TRUE
";

/// The lines of `esp_sa`, one for each association of the plan; empty if it has none.
pub(crate) fn associations(plan: &Plan) -> String {
    let nodes = plan.nodes.values();
    let all = nodes.flat_map(|node| node.associations());
    all.map(|association| line(&association)).collect()
}

/// Protocol, addresses, SPI, encryption and its key, authentication and its key. (Wireshark takes a home address
/// for a packet's address where the packet has one.)
fn line(association: &SecurityAssociation) -> String {
    let SecurityAssociation {
        source,
        destination,
        spi,
        key,
    } = association;
    let mut line = format!(
        "\"IPv6\",\"{source}\",\"{destination}\",\"{spi:#010x}\",\"NULL\",\"\",\
         \"HMAC-SHA-256-128 [RFC4868]\",\"0x"
    );
    for byte in key {
        // A string takes everything.
        let _ = write!(line, "{byte:02x}");
    }
    line.push_str("\"\n");
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_association_is_a_line_of_wiresharks_table() {
        let association = SecurityAssociation {
            source: "2001:db8:f::5".parse().unwrap(),
            destination: "2001:db8:f::1".parse().unwrap(),
            spi: 0x100,
            key: std::array::from_fn(|at| at as u8),
        };
        let expected = "\"IPv6\",\"2001:db8:f::5\",\"2001:db8:f::1\",\"0x00000100\",\"NULL\",\"\",\
             \"HMAC-SHA-256-128 [RFC4868]\",\
             \"0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\"\n";
        assert_eq!(line(&association), expected);
    }
}
