//! What a client sends of its own accord (Send, LwM2M 1.1 Core §6.4.6).

use std::time::Duration;

use lwm2m::path::Level;
use serde::{Deserialize, Serialize};
use units::quantity::duration;

use super::client::AccountPlan;
use super::{FormatWord, Models, ValuePlan};
use crate::decode::At;
use crate::resolve::timers::s;
use crate::resolve::{Resolver, or};

/// Mute Send of a Server instance: a server that has it false wants what clients send (LwM2M 1.1 Core §E.2).
const MUTE_SEND: u16 = 23;

tables! {
    /// Values that a client sends again and again of its own accord (Send).
    pub struct Lwm2mSend {
        /// Of what: objects, instances, resources. What is not there is left out.
        pub paths: Vec<At<String>>,
        /// The server that gets them, one of the client's; default the first.
        pub to: Option<At<String>>,
        /// The time from one message to the next; over 0 s.
        pub every: At<Duration>,
        /// From the client's start to the first one; default `every`.
        pub first: Option<At<Duration>>,
        /// How often values are taken between two messages: each has all since the one before, with their times,
        /// and what a server has not taken is sent again with the next one; over 0 s; default they are taken when
        /// they are sent.
        pub sample: Option<At<Duration>>,
        /// Whether it sends by CON, else by NON; default true.
        pub confirmable: Option<At<bool>>,
        /// `senml-json` or `senml-cbor`; default the client's `format` if it is one of these, else `senml-cbor`.
        pub format: Option<At<FormatWord>>,
    }
}

/// Values that a client sends again and again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendPlan {
    /// The Short Server ID of the server that gets them.
    pub server: u16,
    /// Of what.
    pub paths: Vec<String>,
    /// From the client's start to the first one.
    #[serde(with = "duration")]
    pub first: Duration,
    /// The time from one to the next.
    #[serde(with = "duration")]
    pub every: Duration,
    /// How often values are taken between two; zero: when they are sent.
    #[serde(with = "duration")]
    pub sample: Duration,
    /// CON or NON.
    pub confirmable: bool,
    /// The format; absent: that of the client if it has names, else SenML CBOR.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatWord>,
}

impl Lwm2mSend {
    /// The plan; none if something of it cannot be, which is reported. `servers`: those of the client.
    pub(super) fn plan(
        &self,
        r: &mut Resolver<'_>,
        models: &Models,
        path: &str,
        servers: &[AccountPlan],
    ) -> Option<SendPlan> {
        let mut paths = Vec::new();
        for (i, given) in self.paths.iter().enumerate() {
            let key = format!("{path}.paths[{i}]");
            let Some(parsed) = r.lwm2m_path(&key, given, given.span) else {
                continue;
            };
            let object = parsed.object_id().filter(|_| parsed.level() > Level::Root);
            if object.is_none_or(|id| models.registry().object(id).is_none()) && !models.faulty {
                let known = models.known();
                let message = format!(
                    "`{key}`: `{parsed}` is of no object that is known here; there are {known}"
                );
                r.problem(given.span, message);
            }
            paths.push(parsed.to_string());
        }
        let senml = [FormatWord::SenmlJson, FormatWord::SenmlCbor];
        if let Some(given) = self.format.filter(|given| !senml.contains(&given.value)) {
            let message =
                format!("`{path}.format`: a Send has names; expected `senml-json` or `senml-cbor`");
            r.problem(given.span, message);
        }
        let every = r.positive(&format!("{path}.every"), Some(self.every), s(1));
        let sample = self
            .sample
            .map(|given| r.positive(&format!("{path}.sample"), Some(given), s(1)));
        Some(SendPlan {
            server: self.server(r, path, servers)?,
            paths,
            first: or(self.first, every),
            every,
            sample: sample.unwrap_or_default(),
            confirmable: or(self.confirmable, true),
            format: self.format.map(|given| given.value),
        })
    }

    /// The Short Server ID of the server that is named, or of the first.
    fn server(&self, r: &mut Resolver<'_>, path: &str, servers: &[AccountPlan]) -> Option<u16> {
        let Some(named) = &self.to else {
            return Some(1);
        };
        let place = servers
            .iter()
            .position(|account| account.node == named.value);
        let id = place.and_then(|place| u16::try_from(place + 1).ok());
        if id.is_none() {
            let message = format!("`{path}.to`: `{}` is no server of this client", named.value);
            r.problem(named.span, message);
        }
        id
    }
}

/// The values by which so many servers want what clients send, but for those that `given` has.
pub(super) fn unmuted(servers: usize, given: &[ValuePlan]) -> Vec<ValuePlan> {
    let paths = (0..servers).map(|place| format!("/1/{place}/{MUTE_SEND}"));
    let missing = paths.filter(|path| !given.iter().any(|value| value.path == *path));
    let values = missing.map(|path| ValuePlan {
        path,
        value: "0".to_owned(),
    });
    values.collect()
}
