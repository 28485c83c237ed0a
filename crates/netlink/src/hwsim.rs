//! Simulated radios: the generic netlink family `MAC802154_HWSIM`
//! (kernel `drivers/net/ieee802154/mac802154_hwsim.h`).
//!
//! An edge from A to B carries frames from A to B only: make both. It exists between radios
//! whatever namespaces their phys are in, and carries a frame when both are on the same
//! page and channel. Adding or deleting an edge waits for an RCU grace period in the kernel;
//! setting its LQI does not.

use std::fmt;

use units::Lqi;

use crate::error::{Errno, Error, Failure, Result};
use crate::genl::{self, Attr, Family, Message, attr, nested};
use crate::namespace::Namespace;

const FAMILY: &str = "MAC802154_HWSIM";
const MODULE: &str = "mac802154_hwsim";

// Commands.
const GET_RADIO: u8 = 1;
const NEW_RADIO: u8 = 3;
const DEL_RADIO: u8 = 4;
const SET_EDGE: u8 = 6;
const DEL_EDGE: u8 = 7;
const NEW_EDGE: u8 = 8;

// Attributes of a radio.
const RADIO_ID: u16 = 1;
const RADIO_EDGE: u16 = 2;
const RADIO_EDGES: u16 = 3;

// Attributes of an edge.
const EDGE_ENDPOINT: u16 = 1;
const EDGE_LQI: u16 = 2;

/// The number that hwsim gives a radio. It is not the number of its phy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RadioId(pub u32);

impl fmt::Display for RadioId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "radio {}", self.0)
    }
}

/// A simulated radio and whom it reaches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Radio {
    /// Its number.
    pub id: RadioId,
    /// The edges that leave it.
    pub edges: Vec<Edge>,
}

/// One direction of a link between two radios.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Who receives.
    pub to: RadioId,
    /// The link quality that the receiver sees. 255 for a new edge.
    pub lqi: Lqi,
}

/// A connection to hwsim. It answers in the initial network namespace only.
pub struct Hwsim {
    family: Family,
}

impl Hwsim {
    /// Connects in the namespace of the calling thread, which must be the initial one.
    pub async fn connect() -> Result<Hwsim> {
        match Family::connect(&Namespace::current()?, FAMILY, MODULE).await {
            Ok(family) => Ok(Hwsim { family }),
            Err(Error::ModuleNotLoaded { .. }) if is_loaded() => {
                Err(Error::NotInitialNamespace { family: FAMILY })
            }
            Err(error) => Err(error),
        }
    }

    /// A new radio without edges. The kernel makes a phy and a node interface for it in the
    /// initial namespace; [`crate::create_radio_with_phy`] finds them. Equals
    /// `wpan-hwsim add`.
    pub async fn create_radio(&self) -> Result<RadioId> {
        let answer = self.family.request(NEW_RADIO, &[]).await;
        answer
            .map(|answer| RadioId(answer.code))
            .map_err(|f| f.at("hwsim", "create radio", &[]))
    }

    /// As [`Hwsim::create_radio`], in a process of its own, which tells `made` and ends: a caller that is
    /// killed meanwhile has its radio written down all the same. `made` may make system calls only: other
    /// threads are not there to give back what they hold.
    pub fn create_radio_apart(&self, made: impl Fn(RadioId)) -> Result<RadioId> {
        let answered = |code| made(RadioId(code));
        let answer = self.family.request_apart(NEW_RADIO, answered);
        answer
            .map(RadioId)
            .map_err(|f| f.at("hwsim", "create radio", &[]))
    }

    /// Deletes a radio with its phy and interfaces, wherever these are. Equals
    /// `wpan-hwsim del ID`.
    pub async fn delete_radio(&self, radio: RadioId) -> Result<()> {
        let attrs = [attr(RADIO_ID, radio.0.to_ne_bytes())];
        self.command(DEL_RADIO, &attrs, radio, "delete radio").await
    }

    /// All radios, by number. Equals `wpan-hwsim`.
    pub async fn radios(&self) -> Result<Vec<Radio>> {
        let failed = |f: Failure| f.at("hwsim", "list radios", &[]);
        let messages = self.family.dump(GET_RADIO).await.map_err(failed)?;
        let radios: Result<Vec<_>, _> = messages.iter().map(Radio::decode).collect();
        let mut radios = radios.map_err(failed)?;
        radios.sort_by_key(|radio| radio.id);
        Ok(radios)
    }

    /// One radio as the kernel has it now. Equals `wpan-hwsim` for one radio.
    ///
    /// The kernel's answer about one radio is at most a page, which is some 180 edges. In the list
    /// of all radios one may take 32 KiB, some 1600 edges: there one with more is read.
    pub async fn radio(&self, radio: RadioId) -> Result<Radio> {
        match self.answer_about(radio).await {
            Err(error) if error.errno() == Some(Errno::EMSGSIZE) => {}
            answered => return answered,
        }
        let mut radios = self.radios().await?.into_iter();
        let found = radios.find(|found| found.id == radio);
        found.ok_or_else(|| Failure::Malformed("not in the list".into()).at(radio, "read", &[]))
    }

    async fn answer_about(&self, radio: RadioId) -> Result<Radio> {
        const ADVICE: [(Errno, &str); 1] = [(Errno::ENODEV, "no such radio")];
        let failed = |f: Failure| f.at(radio, "read", &ADVICE);
        let attrs = [attr(RADIO_ID, radio.0.to_ne_bytes())];
        let answer = self.family.request(GET_RADIO, &attrs).await;
        let messages = answer.map_err(failed)?.messages;
        let message = messages.first();
        let message = message.ok_or_else(|| failed(Failure::Malformed("no radio".into())))?;
        Radio::decode(message).map_err(failed)
    }

    /// Lets `to` hear `from`, with LQI 255. Equals `wpan-hwsim edge add FROM TO`.
    pub async fn add_edge(&self, from: RadioId, to: RadioId) -> Result<()> {
        let attrs = edge(from, to, None);
        self.command(NEW_EDGE, &attrs, from, format_args!("add edge to {to}"))
            .await
    }

    /// Sets the LQI that `to` sees of frames from `from`. Equals
    /// `wpan-hwsim edge lqi FROM TO LQI`.
    pub async fn set_lqi(&self, from: RadioId, to: RadioId, lqi: Lqi) -> Result<()> {
        let attrs = edge(from, to, Some(lqi));
        let operation = format_args!("set LQI {lqi} of the edge to {to}");
        self.command(SET_EDGE, &attrs, from, operation).await
    }

    /// Lets `to` no longer hear `from`. Equals `wpan-hwsim edge del FROM TO`.
    pub async fn delete_edge(&self, from: RadioId, to: RadioId) -> Result<()> {
        let attrs = edge(from, to, None);
        self.command(DEL_EDGE, &attrs, from, format_args!("delete edge to {to}"))
            .await
    }

    async fn command(
        &self,
        command: u8,
        attrs: &[Attr],
        radio: RadioId,
        operation: impl fmt::Display,
    ) -> Result<()> {
        const ADVICE: [(Errno, &str); 4] = [
            (Errno::ENODEV, "no such radio"),
            (Errno::ENOENT, "no such radio or edge"),
            (Errno::EEXIST, "the edge exists already"),
            (Errno::EINVAL, "an edge joins two different radios"),
        ];
        match self.family.request(command, attrs).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(failure.at(radio, operation, &ADVICE)),
        }
    }
}

/// Whether hwsim is there, only not in this namespace. sysfs may not be mounted: then no.
fn is_loaded() -> bool {
    std::path::Path::new("/sys/module").join(MODULE).exists()
}

fn edge(from: RadioId, to: RadioId, lqi: Option<Lqi>) -> [Attr; 2] {
    let mut inner = vec![attr(EDGE_ENDPOINT, to.0.to_ne_bytes())];
    inner.extend(lqi.map(|lqi| attr(EDGE_LQI, [lqi.0])));
    [
        attr(RADIO_ID, from.0.to_ne_bytes()),
        nested(RADIO_EDGE, &inner),
    ]
}

impl Radio {
    /// The link quality that `to` sees of this radio's frames, if it hears them.
    pub fn lqi_at(&self, to: RadioId) -> Option<Lqi> {
        let edge = self.edges.iter().find(|edge| edge.to == to);
        edge.map(|edge| edge.lqi)
    }

    /// Reads one message of a `GET_RADIO` dump:
    ///
    /// ```text
    /// RADIO_ID u32 | RADIO_EDGES { RADIO_EDGE { ENDPOINT_ID u32 | LQI u8 } ... }
    /// ```
    ///
    /// A radio from NEW_RADIO has no RADIO_EDGES: that is a radio without edges.
    fn decode(message: &Message) -> Result<Radio, Failure> {
        let missing = |what: &str| Failure::Malformed(format!("{what} is missing"));
        let attrs = message.attrs();
        let id = genl::u32_of(attrs.iter(), RADIO_ID).ok_or_else(|| missing("RADIO_ID"))?;
        let mut edges = Vec::new();
        let list = attrs
            .iter()
            .find(|attr| *attr.nla_type().nla_type() == RADIO_EDGES);
        for edge in list.map(genl::inner).transpose()?.unwrap_or_default() {
            let edge = genl::inner(&edge)?;
            let to = genl::u32_of(edge.iter(), EDGE_ENDPOINT);
            let lqi = genl::u8_of(edge.iter(), EDGE_LQI);
            edges.push(Edge {
                to: RadioId(to.ok_or_else(|| missing("ENDPOINT_ID"))?),
                lqi: Lqi(lqi.ok_or_else(|| missing("LQI"))?),
            });
        }
        Ok(Radio {
            id: RadioId(id),
            edges,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::golden::answer;

    #[test]
    fn radios_are_read_with_their_edges() {
        let dump = answer(include_str!("../tests/golden/radios.hex")).unwrap();
        let radios: Vec<Radio> = dump
            .messages
            .iter()
            .map(|m| Radio::decode(m).unwrap())
            .collect();
        let edge = |to, lqi| Edge {
            to: RadioId(to),
            lqi: Lqi(lqi),
        };
        let radio = |id, edges: &[Edge]| Radio {
            id: RadioId(id),
            edges: edges.to_vec(),
        };
        assert_eq!(
            radios,
            [
                radio(0, &[edge(1, 255)]),
                radio(1, &[edge(0, 255)]),
                radio(2, &[edge(1, 42), edge(0, 255)]),
            ]
        );
    }
}
