//! The No-Response option (RFC 7967): which responses a client does not want.

use crate::message::{Code, Options, option};

/// The classes of responses in which a client is not interested: bit n-1 for class n, "a bit map"
/// (RFC 7967 §2.1). Zero, or an empty option, is interest in all of them.
///
/// ```
/// use coap::{Code, NoResponse, Request};
///
/// let mut put = Request::new(Code::PUT, "/position");
/// NoResponse::SUCCESS.push(&mut put.options);
/// let wanted = NoResponse::of(&put.options);
/// assert!(wanted.suppresses(Code::CHANGED) && !wanted.suppresses(Code::NOT_FOUND));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct NoResponse(pub u8);

impl NoResponse {
    /// 2: errors only are wanted.
    pub const SUCCESS: NoResponse = NoResponse(2);
    /// 26: nothing is wanted of what RFC 7252 defines.
    pub const ALL: NoResponse = NoResponse(26);

    /// What the options of a request say; no option is interest in all. A value of more than a byte
    /// is none, as an elective option of a wrong length is ignored (RFC 7252 §5.4.3), and of a
    /// repeated one the first counts (§5.4.5).
    pub fn of(options: &Options) -> NoResponse {
        match options.get(option::NO_RESPONSE) {
            Some(&[value]) => NoResponse(value),
            _ => NoResponse::default(),
        }
    }

    /// Adds the option to those of a request.
    pub fn push(self, options: &mut Options) {
        options.push_uint(option::NO_RESPONSE, u64::from(self.0));
    }

    /// Whether the client is not interested in responses with this code.
    pub const fn suppresses(self, code: Code) -> bool {
        match code.class() {
            0 => false,
            class => self.0 >> (class - 1) & 1 == 1,
        }
    }

    /// Whether no response that RFC 7252 defines is wanted.
    pub const fn suppresses_all(self) -> bool {
        self.0 & NoResponse::ALL.0 == NoResponse::ALL.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7967 §2.1, table 2, and 18 of the text below it.
    #[test]
    fn a_bit_suppresses_a_class() {
        let classes = |value| {
            let no = NoResponse(value);
            [2, 4, 5].map(|class| no.suppresses(Code::new(class, 4)))
        };
        assert_eq!(classes(0), [false, false, false]);
        assert_eq!(classes(2), [true, false, false]);
        assert_eq!(classes(8), [false, true, false]);
        assert_eq!(classes(16), [false, false, true]);
        assert_eq!(classes(18), [true, false, true]);
        assert_eq!(classes(26), [true, true, true]);
        assert!(!NoResponse(u8::MAX).suppresses(Code::GET));
        let all = [26, 27, 0xff].map(|value| NoResponse(value).suppresses_all());
        assert_eq!(all, [true; 3]);
        assert!(!NoResponse(18).suppresses_all());
    }

    #[test]
    fn an_option_that_is_empty_or_too_long_is_interest_in_all() {
        let of = |values: &[&[u8]]| {
            let mut options = Options::new();
            values
                .iter()
                .for_each(|value| options.push(option::NO_RESPONSE, value));
            NoResponse::of(&options)
        };
        assert_eq!(of(&[]), NoResponse(0));
        assert_eq!(of(&[b""]), NoResponse(0));
        assert_eq!(of(&[&[0, 26]]), NoResponse(0));
        assert_eq!(of(&[&[26]]), NoResponse::ALL);
        assert_eq!(of(&[&[2], &[26]]), NoResponse::SUCCESS);
        let mut options = Options::new();
        NoResponse::default().push(&mut options);
        assert_eq!(options.get(option::NO_RESPONSE), Some(&b""[..]));
    }
}
