//! application/link-format (RFC 6690): what there is, without values and attributes.

use super::Record;

pub(super) fn encode(records: &[Record]) -> Vec<u8> {
    let links: Vec<String> = (records.iter())
        .map(|record| format!("<{}>", record.path))
        .collect();
    links.join(",").into_bytes()
}
