//! The client's settings.

use std::time::Duration;

use crate::retransmission as rt;
use crate::{ConfigError, Duid};

/// What a client is and how patient it is; the constants of RFC 8415 §7.6.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The client's identifier.
    pub duid: Duid,
    /// The number of its identity association.
    pub iaid: u32,
    /// Whether it asks for a two-message exchange.
    pub rapid_commit: bool,
    /// SOL_MAX_DELAY; zero: the first Solicit is sent at once.
    pub solicit_max_delay: Duration,
    /// SOL_TIMEOUT: also how long Advertise messages with a preference under 255 are collected.
    pub solicit_timeout: Duration,
    /// SOL_MAX_RT, until a server says otherwise.
    pub solicit_max_rt: Duration,
    /// REQ_TIMEOUT.
    pub request_timeout: Duration,
    /// REQ_MAX_RT.
    pub request_max_rt: Duration,
    /// REQ_MAX_RC.
    pub request_max_rc: u32,
    /// REN_TIMEOUT.
    pub renew_timeout: Duration,
    /// REN_MAX_RT.
    pub renew_max_rt: Duration,
    /// REB_TIMEOUT.
    pub rebind_timeout: Duration,
    /// REB_MAX_RT.
    pub rebind_max_rt: Duration,
}

impl Config {
    /// The constants of RFC 8415 §7.6, four messages.
    pub fn new(duid: Duid, iaid: u32) -> Config {
        Config {
            duid,
            iaid,
            rapid_commit: false,
            solicit_max_delay: rt::SOL_MAX_DELAY,
            solicit_timeout: rt::SOL_TIMEOUT,
            solicit_max_rt: rt::SOL_MAX_RT,
            request_timeout: rt::REQ_TIMEOUT,
            request_max_rt: rt::REQ_MAX_RT,
            request_max_rc: rt::REQ_MAX_RC,
            renew_timeout: rt::REN_TIMEOUT,
            renew_max_rt: rt::REN_MAX_RT,
            rebind_timeout: rt::REB_TIMEOUT,
            rebind_max_rt: rt::REB_MAX_RT,
        }
    }

    /// Refuses an initial timeout of zero, with which a client would never stop sending.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        for (variable, timeout) in [
            ("SOL_TIMEOUT", self.solicit_timeout),
            ("REQ_TIMEOUT", self.request_timeout),
            ("REN_TIMEOUT", self.renew_timeout),
            ("REB_TIMEOUT", self.rebind_timeout),
        ] {
            if timeout.is_zero() {
                return Err(ConfigError {
                    variable: variable.to_owned(),
                    value: "0".to_owned(),
                    expected: "a time longer than 0",
                });
            }
        }
        Ok(())
    }
}
