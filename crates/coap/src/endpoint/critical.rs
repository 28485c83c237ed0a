//! Critical options (RFC 7252 §5.4.1).

use crate::message::{Options, option};

/// Length in bytes and whether it may be repeated, of the critical options of RFC 7252
/// §5.10, table 4, and of RFC 7959 §2.1.
const fn format(number: u16) -> Option<(std::ops::RangeInclusive<usize>, bool)> {
    match number {
        option::IF_MATCH => Some((0..=8, true)),
        option::URI_HOST => Some((1..=255, false)),
        option::IF_NONE_MATCH => Some((0..=0, false)),
        option::URI_PORT => Some((0..=2, false)),
        option::URI_PATH | option::URI_QUERY => Some((0..=255, true)),
        option::ACCEPT => Some((0..=2, false)),
        option::PROXY_URI => Some((1..=1034, false)),
        option::PROXY_SCHEME => Some((1..=255, false)),
        option::BLOCK1 | option::BLOCK2 => Some((0..=3, false)),
        _ => None,
    }
}

/// The options that name the resource, which no server can do without (§5.10.1), and those
/// that the endpoint handles itself.
const KNOWN: [u16; 7] = [
    option::URI_HOST,
    option::URI_PORT,
    option::URI_PATH,
    option::URI_QUERY,
    option::ACCEPT,
    option::BLOCK1,
    option::BLOCK2,
];

/// What makes a request one for a proxy (§5.10.2): understood, and refused.
const PROXY: [u16; 2] = [option::PROXY_URI, option::PROXY_SCHEME];

impl Options {
    /// As [`Options::unrecognized`], of a request: what is for proxies is no unknown option there.
    pub(super) fn unrecognized_in_request(&self, known: &[u16]) -> Option<u16> {
        self.first_unrecognized(|number| known.contains(&number) || PROXY.contains(&number))
    }

    /// Whether it is a proxy that is asked.
    pub(super) fn are_for_a_proxy(&self) -> bool {
        PROXY.iter().any(|number| self.get(*number).is_some())
    }

    /// The first critical option that is neither in `known` nor known to every endpoint, or whose
    /// length or repetition is not what its definition says.
    pub fn unrecognized(&self, known: &[u16]) -> Option<u16> {
        self.first_unrecognized(|number| known.contains(&number))
    }

    fn first_unrecognized(&self, is_known: impl Fn(u16) -> bool) -> Option<u16> {
        let mut previous = None;
        for (number, value) in self.iter() {
            let repeated = previous.replace(number) == Some(number);
            if !option::is_critical(number) {
                continue;
            }
            if !KNOWN.contains(&number) && !is_known(number) {
                return Some(number);
            }
            // A length outside the defined range and a supernumerary occurrence "MUST be treated
            // like an unrecognized option" (§5.4.3, §5.4.5).
            if let Some((length, repeatable)) = format(number)
                && (!length.contains(&value.len()) || repeated && !repeatable)
            {
                return Some(number);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unrecognized(options: &Options, known: &[u16]) -> Option<u16> {
        options.unrecognized(known)
    }

    fn options(list: &[(u16, &[u8])]) -> Options {
        let mut options = Options::new();
        for (number, value) in list {
            options.push(*number, *value);
        }
        options
    }

    #[test]
    fn elective_and_known_options_pass() {
        let uri = options(&[
            (3, b"host"),
            (7, &[22, 51]),
            (11, b"a"),
            (11, b"b"),
            (15, b"q=1"),
        ]);
        assert_eq!(unrecognized(&uri, &[]), None);
        assert_eq!(
            unrecognized(&options(&[(2048, &[]), (60, &[1])]), &[]),
            None
        );
        assert_eq!(unrecognized(&options(&[(2049, &[0; 16])]), &[2049]), None);
    }

    #[test]
    fn the_first_unknown_critical_option_is_named() {
        let unknown = options(&[(11, b"a"), (2049, &[]), (2051, &[])]);
        assert_eq!(unrecognized(&unknown, &[]), Some(2049));
        assert_eq!(unrecognized(&unknown, &[2049]), Some(2051));
    }

    #[test]
    fn a_wrong_length_or_a_supernumerary_occurrence_is_unrecognized() {
        assert_eq!(unrecognized(&options(&[(3, b"")]), &[]), Some(3));
        assert_eq!(unrecognized(&options(&[(7, &[0, 0, 1])]), &[]), Some(7));
        assert_eq!(
            unrecognized(&options(&[(7, &[1]), (7, &[2])]), &[]),
            Some(7)
        );
        assert_eq!(unrecognized(&options(&[(17, &[0; 3])]), &[17]), Some(17));
    }
}
