//! Transmission parameters (RFC 7252 §4.8) and the times derived from them (§4.8.2).

use std::time::Duration;

use rand_core::Rng as _;
use units::Rng;
use units::seed::unit_interval;

use crate::block::BlockSize;

/// MAX_LATENCY: the longest a datagram is assumed to be on its way (RFC 7252 §4.8.2).
pub const MAX_LATENCY: Duration = Duration::from_secs(100);

/// Where the retransmission timeout comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CongestionControl {
    /// ACK_TIMEOUT, doubled with each retransmission (RFC 7252 §4.2).
    Fixed,
    /// Measured round trips (draft-ietf-core-cocoa-03): [`crate::cocoa`]. Only what is
    /// confirmable is governed.
    Cocoa,
}

/// What the tokens of requests are (RFC 7252 §5.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// 4 bytes, if [`Params::token_length`] does not say otherwise, that go up by one from a random
    /// start: short, and guessed by whoever has seen one.
    Counted,
    /// 8 bytes, if [`Params::token_length`] does not say otherwise, that nobody off the path can
    /// guess (RFC 7252 §5.3.1 asks for 32 random bits), and so many that no two in a life of the
    /// endpoint, or in several, are the same (RFC 9175 §4.2).
    Random,
}

/// How many bytes a token has: 0 to 8 (RFC 7252 §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenLength(u8);

impl TokenLength {
    /// None.
    pub const MIN: TokenLength = TokenLength(0);
    /// 8.
    pub const MAX: TokenLength = TokenLength(8);

    /// So many bytes; `None` if there are more than 8.
    pub fn new(bytes: usize) -> Option<TokenLength> {
        let bytes = u8::try_from(bytes).ok().filter(|bytes| *bytes <= 8)?;
        Some(TokenLength(bytes))
    }

    /// In bytes.
    pub const fn bytes(self) -> usize {
        self.0 as usize
    }
}

/// Transmission parameters of an endpoint (RFC 7252 §4.8).
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// ACK_TIMEOUT: the shortest time before the first retransmission; 2 s.
    pub ack_timeout: Duration,
    /// ACK_RANDOM_FACTOR: the first retransmission comes after ACK_TIMEOUT times a random
    /// number between 1 and this; 1.5. Less than 1 counts as 1.
    pub ack_random_factor: f64,
    /// MAX_RETRANSMIT: retransmissions after the first transmission; 4.
    pub max_retransmit: u32,
    /// NSTART: outstanding interactions per peer (§4.7); 1. Zero counts as 1.
    pub nstart: u32,
    /// How long a response is waited for after an empty ACK or after a non-confirmable
    /// request; RFC 7252 §4.7 leaves it open but bounds it by PROBING_RATE (1 byte/s), which
    /// the default of 93 s (MAX_TRANSMIT_WAIT) keeps for requests of up to 93 bytes.
    pub response_timeout: Duration,
    /// How long a request waits in its peer's line for NSTART to admit it, before it fails as
    /// [`Failure::NotSent`](crate::Failure::NotSent); none, the default: as long as it takes, which
    /// with a peer that is silent is [`Params::max_transmit_wait`] for each one before it.
    pub queue_timeout: Option<Duration>,
    /// How the first retransmission timeout to a peer is found; ACK_TIMEOUT.
    pub congestion_control: CongestionControl,
    /// The largest block that is sent or asked for (RFC 7959); 1024 B. A body that is no larger
    /// goes in one message. Under 1024 B it is named in the first request already (§2.4, "early
    /// negotiation").
    pub block_size: BlockSize,
    /// How long a notification without Max-Age is fresh, after which a client waits 15 s more for the next one and then
    /// registers again (RFC 7641 §3.3.1); 60 s, as RFC 7252 §5.10.5 has it. Who knows its servers to notify
    /// seldom, and not to say so, gives them longer.
    pub default_max_age: Duration,
    /// Every how many notifications to an observer one is confirmable (RFC 7641 §4.5); 10. Zero
    /// counts as 1.
    pub confirm_notifications: u32,
    /// The longest body that is put together from blocks, in bytes; 64 KiB.
    pub max_body: usize,
    /// What tokens are; counted.
    pub tokens: Tokens,
    /// How long tokens are at least; none, the default: 4 bytes if they are counted, 8 if they are
    /// random. With fewer than 4 a token is a byte longer where there is no other to its peer, or
    /// where a response to an earlier request may still come (RFC 7967 §3.1); 0 bytes are for
    /// requests that nobody answers, and for one request at a time per peer whose response comes in
    /// its ACK (RFC 7252 §5.3.1). Fewer than 4 random bytes are guessed, so they prove no source.
    pub token_length: Option<TokenLength>,
    /// Whether every block of a response has an entity tag, of 9 bytes with its option; yes. The
    /// response itself has the one that its owner gave it, or none. Without it a client cannot tell
    /// blocks of two representations apart unless their lengths differ ([`endpoint`](crate::endpoint)).
    pub block_etags: bool,
    /// Whether a source has to show that it is where it says before its requests change anything, or
    /// get it more than three times the bytes that it sent (RFC 9175 §2); no.
    pub verify_sources: bool,
}

impl Default for Params {
    /// RFC 7252 §4.8, table 2.
    fn default() -> Params {
        Params {
            ack_timeout: Duration::from_secs(2),
            ack_random_factor: 1.5,
            max_retransmit: 4,
            nstart: 1,
            response_timeout: Duration::from_secs(93),
            queue_timeout: None,
            congestion_control: CongestionControl::Fixed,
            block_size: BlockSize::MAX,
            default_max_age: Duration::from_secs(60),
            confirm_notifications: 10,
            max_body: 1 << 16,
            tokens: Tokens::Counted,
            token_length: None,
            block_etags: true,
            verify_sources: false,
        }
    }
}

impl Params {
    /// MAX_TRANSMIT_SPAN: from the first transmission of a CON to its last retransmission,
    /// at most; 45 s.
    pub fn max_transmit_span(&self) -> Duration {
        self.backoff(self.max_retransmit)
    }

    /// MAX_TRANSMIT_WAIT: from the first transmission of a CON until its sender gives up, at
    /// most; 93 s.
    pub fn max_transmit_wait(&self) -> Duration {
        self.backoff(self.max_retransmit.saturating_add(1))
    }

    /// PROCESSING_DELAY: from the arrival of a CON to its ACK, at most: ACK_TIMEOUT, 2 s.
    pub fn processing_delay(&self) -> Duration {
        self.ack_timeout
    }

    /// EXCHANGE_LIFETIME: after that no duplicate of a CON can arrive; 247 s.
    pub fn exchange_lifetime(&self) -> Duration {
        self.max_transmit_span()
            .saturating_add(MAX_LATENCY * 2)
            .saturating_add(self.processing_delay())
    }

    /// NON_LIFETIME: after that no duplicate of a NON can arrive; 145 s.
    pub fn non_lifetime(&self) -> Duration {
        self.max_transmit_span().saturating_add(MAX_LATENCY)
    }

    /// TOKEN_REUSE_TIME: after that a late response to a request that wanted none, or had none, is
    /// not expected any more: "NON_LIFETIME + MAX_SERVER_RESPONSE_DELAY + MAX_LATENCY" (RFC 7967
    /// §3.1); 338 s. The server's delay is taken to be [`Params::response_timeout`], and more than
    /// DEFAULT_LEISURE, 5 s.
    pub fn token_reuse_time(&self) -> Duration {
        let server = self.response_timeout.max(Duration::from_secs(6));
        (self.non_lifetime())
            .saturating_add(server)
            .saturating_add(MAX_LATENCY)
    }

    /// The shortest token, in bytes.
    pub(crate) fn token_bytes(&self) -> usize {
        match (self.token_length, self.tokens) {
            (Some(length), _) => length.bytes(),
            (None, Tokens::Counted) => 4,
            (None, Tokens::Random) => 8,
        }
    }

    /// Whether nobody off the path guesses a token: "at least 32 bits of randomness" (RFC 7252
    /// §5.3.1).
    pub(crate) fn has_secret_tokens(&self) -> bool {
        self.tokens == Tokens::Random && self.token_bytes() >= 4
    }

    /// How long the owner has for a piggy-backed response before an empty ACK goes out and
    /// the response becomes a separate one: a quarter of ACK_TIMEOUT, 0.5 s, well inside
    /// PROCESSING_DELAY and before the peer's first retransmission.
    pub fn acknowledgement_delay(&self) -> Duration {
        self.ack_timeout / 4
    }

    /// "The initial timeout is set to a random duration (often not an integral number of
    /// seconds) between ACK_TIMEOUT and (ACK_TIMEOUT * ACK_RANDOM_FACTOR)" (§4.2); `rto` is
    /// ACK_TIMEOUT or an estimate in its place.
    pub(crate) fn dithered(&self, rto: Duration, rng: &mut Rng) -> Duration {
        let unit = unit_interval(rng.next_u64());
        scale(rto, 1.0 + (self.random_factor() - 1.0) * unit)
    }

    /// ACK_TIMEOUT * (2 ** doublings - 1) * ACK_RANDOM_FACTOR.
    fn backoff(&self, doublings: u32) -> Duration {
        let doublings = i32::try_from(doublings).unwrap_or(i32::MAX);
        scale(
            self.ack_timeout,
            (2f64.powi(doublings) - 1.0) * self.random_factor(),
        )
    }

    fn random_factor(&self) -> f64 {
        self.ack_random_factor.max(1.0)
    }
}

/// `duration * factor`, at most [`Duration::MAX`].
fn scale(duration: Duration, factor: f64) -> Duration {
    Duration::try_from_secs_f64(duration.as_secs_f64() * factor).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use units::Seed;

    #[test]
    fn derived_times_of_the_defaults_are_those_of_table_3() {
        let params = Params::default();
        assert_eq!(params.max_transmit_span(), Duration::from_secs(45));
        assert_eq!(params.max_transmit_wait(), Duration::from_secs(93));
        assert_eq!(params.processing_delay(), Duration::from_secs(2));
        assert_eq!(params.exchange_lifetime(), Duration::from_secs(247));
        assert_eq!(params.non_lifetime(), Duration::from_secs(145));
        assert_eq!(params.response_timeout, params.max_transmit_wait());
        assert_eq!(
            params.token_reuse_time(),
            Duration::from_secs(145 + 93 + 100)
        );
    }

    #[test]
    fn initial_timeouts_lie_between_ack_timeout_and_its_random_factor_and_differ() {
        let params = Params::default();
        let mut rng = Seed(7).rng(&["params"]);
        let drawn: Vec<_> = (0..1000)
            .map(|_| params.dithered(params.ack_timeout, &mut rng))
            .collect();
        let (min, max) = (drawn.iter().min().unwrap(), drawn.iter().max().unwrap());
        assert!(*min >= Duration::from_secs(2) && *min < Duration::from_millis(2010));
        assert!(*max < Duration::from_secs(3) && *max > Duration::from_millis(2990));
    }

    #[test]
    fn absurd_parameters_saturate_instead_of_panicking() {
        let params = Params {
            ack_timeout: Duration::MAX,
            ack_random_factor: f64::NAN,
            max_retransmit: u32::MAX,
            ..Params::default()
        };
        assert_eq!(params.exchange_lifetime(), Duration::MAX);
        let mut rng = Seed(7).rng(&["params"]);
        assert_eq!(params.dithered(params.ack_timeout, &mut rng), Duration::MAX);
    }
}
