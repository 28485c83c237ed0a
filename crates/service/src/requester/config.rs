//! What is asked, whom, and when.

use std::time::Duration;

use coap::message::option;
use coap::{Code, Reliability, Request};
use thiserror::Error;

use crate::node::Target;

/// A request that is made again and again, or an observation that is kept up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Poll {
    /// Names its random stream; it is best to say what it asks, so that another poll before it
    /// leaves its instants as they are. A second one of the same name has `name #2`.
    pub name: String,
    /// Whom to ask.
    pub target: Target,
    /// What to ask.
    pub ask: Ask,
    /// CON or NON.
    pub reliability: Reliability,
    /// Observe it (RFC 7641; GET or FETCH) instead of asking again and again. An observation that
    /// ends is begun again a second later.
    pub observe: bool,
    /// When to ask.
    pub timing: Timing,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// [`Code::GET`], [`Code::FETCH`], …
    pub method: Code,
    /// Path, `/a/b`.
    pub path: String,
    /// Queries, `q=1`.
    pub query: Vec<String>,
    /// Payload.
    pub payload: Vec<u8>,
    /// Content-Format of the payload (RFC 7252 §5.10.3). A FETCH must have one (RFC 8132 §2.3.1).
    pub content_format: Option<u16>,
    /// Content-Format wanted in the response (RFC 7252 §5.10.4).
    pub accept: Option<u16>,
    /// Further options: number and value.
    pub options: Vec<(u16, Vec<u8>)>,
}

/// When the requests of a poll come: at `first + n * every`, each up to `jitter` later. Polls that
/// are to be out of step have different `first`s: none is drawn here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// Period; of an observation it is unused.
    pub every: Duration,
    /// How the period is meant.
    pub arrivals: Arrivals,
    /// From the start of the scenario to the first request.
    pub first: Duration,
    /// By how much a request may be late, uniformly and each for itself; the ones after it are not.
    pub jitter: Duration,
}

/// How the period of a poll is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Constant.
    #[default]
    Periodic,
    /// The mean of a Poisson process: periods are exponential and independent.
    Poisson,
}

impl Ask {
    /// A GET of `path`.
    pub fn get(path: &str) -> Ask {
        Ask {
            method: Code::GET,
            path: path.to_owned(),
            query: Vec::new(),
            payload: Vec::new(),
            content_format: None,
            accept: None,
            options: Vec::new(),
        }
    }

    fn request(&self) -> Request {
        let mut request = Request::new(self.method, &self.path);
        for query in &self.query {
            request.options.push(option::URI_QUERY, query.as_bytes());
        }
        let formats = [
            (option::CONTENT_FORMAT, self.content_format),
            (option::ACCEPT, self.accept),
        ];
        for (number, format) in formats {
            if let Some(format) = format {
                request.options.push_uint(number, format.into());
            }
        }
        for (number, value) in &self.options {
            request.options.push(*number, value);
        }
        request.payload.clone_from(&self.payload);
        request
    }
}

impl Timing {
    /// Every `every` from the start of the scenario on.
    pub const fn every(every: Duration) -> Timing {
        Timing {
            every,
            arrivals: Arrivals::Periodic,
            first: Duration::ZERO,
            jitter: Duration::ZERO,
        }
    }
}

/// Why a poll cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PollError {
    /// Its period is zero.
    #[error("poll {0}: a period of zero")]
    NoPeriod(String),
    /// Its method is a response code, or none.
    #[error("poll {0}: {1} is no method")]
    NoMethod(String, Code),
    /// Only GET and FETCH can be observed (RFC 7641 §1.2, RFC 8132 §2.4).
    #[error("poll {0}: {1} cannot be observed, only GET and FETCH can")]
    NotObservable(String, Code),
    /// "A FETCH request MUST include a Content-Format option" (RFC 8132 §2.3.1).
    #[error("poll {0}: a FETCH without Content-Format")]
    NoContentFormat(String),
    /// An option is longer than it may be, or than one can be.
    #[error("poll {0}: option {1} has {2} bytes, expected at most {3}")]
    LongOption(String, u16, usize, usize),
}

impl Poll {
    /// The request, if everything about the poll fits.
    pub(super) fn checked(&self) -> Result<Request, PollError> {
        let name = || self.name.clone();
        let method = self.ask.method;
        if self.timing.every.is_zero() && !self.observe {
            return Err(PollError::NoPeriod(name()));
        }
        if !method.is_request() {
            return Err(PollError::NoMethod(name(), method));
        }
        if self.observe && !method.is_safe() {
            return Err(PollError::NotObservable(name(), method));
        }
        let request = self.ask.request();
        if method == Code::FETCH && request.options.get(option::CONTENT_FORMAT).is_none() {
            return Err(PollError::NoContentFormat(name()));
        }
        for (number, value) in request.options.iter() {
            // RFC 7252 §5.10, table 4; of any, what fits a datagram with blocks of 1 KiB.
            let most = match number {
                option::URI_PATH | option::URI_QUERY => 255,
                _ => 1024,
            };
            if value.len() > most {
                return Err(PollError::LongOption(name(), number, value.len(), most));
            }
        }
        Ok(request)
    }
}
