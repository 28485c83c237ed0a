//! What is kept of a CoAP message: a capture has millions, and of most the payload is long.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;

use coap::block::Block;
use coap::message::option;
use coap::wire::{self, Message, Token};
use coap::{Code, Kind};
use topology::kind::requester::push_uri_part;

/// Request-Tag (RFC 9175 §3.2.1).
const REQUEST_TAG: u16 = 292;

/// Q-Block1 and Q-Block2 (RFC 9177 §4.1).
const Q_BLOCKS: [u16; 2] = [19, 31];

/// OSCORE (RFC 8613 §2).
const OSCORE: u16 = 9;

/// No-Response (RFC 7967 §2), and its bit of successful responses.
const NO_RESPONSE: u16 = 258;
const NO_SUCCESS: u64 = 0b10;

/// Proxy-Uri (RFC 7252 §5.10.2).
const PROXY_URI: u16 = 35;

/// Bytes of a resource that are kept; of a longer one a digest stands for the rest.
const LONGEST_RESOURCE: usize = 1024;

/// The bytes before the token (RFC 7252 §3).
const HEADER: usize = 4;

/// A message without its payload.
#[derive(Clone, Debug)]
pub(super) struct Brief {
    pub(super) kind: Kind,
    pub(super) code: Code,
    pub(super) message_id: u16,
    pub(super) token: Token,
    /// Of all its bytes: a message that is sent again has the same.
    digest: u64,
    /// What the capture cut off.
    cut: Cut,
    /// The value of the Observe option (RFC 7641 §2).
    pub(super) observe: Option<u32>,
    /// Path and query of a request, by its place in [`Resources`].
    pub(super) resource: Option<Rare>,
    /// Of a message with a block of a body, or that asks for one.
    pub(super) blocks: Option<Box<Blocks>>,
    /// Whether its block is one of several that nobody asks for one by one (RFC 9177).
    pub(super) in_q_block: bool,
    /// Whether OSCORE protects it: what it asks for is not known.
    pub(super) protected: bool,
    /// Whether its sender wants no response that tells of success.
    pub(super) wants_none: bool,
}

/// By what a message is known when it is seen again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Identity {
    kind: Kind,
    code: Code,
    message_id: u16,
    token: Token,
    digest: u64,
    cut: Cut,
}

impl Identity {
    /// Whether it is the same message, byte for byte, as far as was captured.
    pub(super) fn equals(&self, other: &Identity) -> bool {
        let identity = |m: &Identity| (m.kind, m.code, m.message_id);
        let whole = (self.cut, other.cut) == (Cut::Nothing, Cut::Nothing);
        let cut_alike = self.cut == other.cut && self.digest == other.digest;
        // One capture may have cut what another one has whole.
        let tokens = self.cut == Cut::Token || other.cut == Cut::Token;
        let differ = self.cut != other.cut && (tokens || self.token == other.token);
        identity(self) == identity(other)
            && match whole {
                true => self.digest == other.digest,
                false => cut_alike || differ,
            }
    }
}

/// What of a message the capture did not keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cut {
    Nothing,
    Payload,
    Options,
    Token,
}

/// Which block of which body a message has (RFC 7959, RFC 9175 §3).
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    pub(super) block1: Option<Block>,
    pub(super) block2: Option<Block>,
    /// Of the representation, up to 8 bytes as a token has.
    pub(super) etag: Option<Token>,
    pub(super) request_tag: Option<Token>,
    /// Bytes of the payload that were captured.
    pub(super) payload: usize,
}

/// A place in a table, of what not every message has: four bytes, also if it is optional.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rare(NonZeroU32);

impl Rare {
    /// The place `at`; there are no more of them than messages, of which no memory holds as many.
    pub(super) fn new(at: usize) -> Rare {
        let after = u32::try_from(at).unwrap_or(u32::MAX).saturating_add(1);
        Rare(NonZeroU32::new(after).unwrap_or(NonZeroU32::MAX))
    }

    /// The place.
    pub(super) fn at(self) -> usize {
        self.0.get() as usize - 1
    }
}

/// Resources that were asked for, each once in memory.
#[derive(Debug, Default)]
pub(super) struct Resources {
    all: Vec<Arc<str>>,
    places: HashMap<Arc<str>, Rare>,
}

impl Resources {
    fn of(&mut self, resource: String) -> Rare {
        if let Some(known) = self.places.get(resource.as_str()) {
            return *known;
        }
        let (new, place): (Arc<str>, Rare) = (resource.into(), Rare::new(self.all.len()));
        self.all.push(Arc::clone(&new));
        self.places.insert(new, place);
        place
    }

    /// The one at a place.
    pub(super) fn get(&self, place: Rare) -> &Arc<str> {
        &self.all[place.at()]
    }
}

/// Whether a message has a code that nobody may send in it: of a class that is reserved (RFC 7252
/// §12.1), a method in an ACK, or any in an RST (§4.2, §4.3). Whoever receives it takes no notice of it.
pub(super) fn is_reserved(message: &Message) -> bool {
    let code = message.code;
    match message.kind {
        Kind::Reset => code != Code::EMPTY,
        Kind::Acknowledgement => code != Code::EMPTY && !code.is_response(),
        Kind::Confirmable | Kind::NonConfirmable => !matches!(code.class(), 0 | 2 | 4 | 5),
    }
}

/// The message in a datagram, and what the capture cut off of it.
///
/// What is left of one that was cut may end inside an option, so that its longest beginning counts
/// that does not.
pub(super) fn decode(
    datagram: &[u8],
    truncated: bool,
) -> Result<(Message, Cut), wire::DecodeError> {
    let error = match Message::decode(datagram) {
        Ok(message) => {
            let cut = match (truncated, message.payload.is_empty()) {
                (false, _) => Cut::Nothing,
                (true, false) => Cut::Payload,
                (true, true) => Cut::Options,
            };
            return Ok((message, cut));
        }
        Err(error) if !truncated => return Err(error),
        Err(error) => error,
    };
    let (kind, message_id) = wire::header(datagram).ok_or(error)?;
    let mut beginnings = (HEADER..datagram.len()).rev();
    let found = beginnings.find_map(|end| Message::decode(&datagram[..end]).ok());
    match (found, error) {
        (Some(message), wire::DecodeError::MarkerWithoutPayload) => Ok((message, Cut::Payload)),
        (Some(message), _) => Ok((message, Cut::Options)),
        (None, wire::DecodeError::TokenTruncated) => {
            let header = Message {
                code: Code(datagram[1]),
                ..Message::empty(kind, message_id)
            };
            Ok((header, Cut::Token))
        }
        (None, error) => Err(error),
    }
}

impl Brief {
    /// Of a message that [`decode`] read from `datagram`, and that goes `to` an endpoint.
    pub(super) fn of(
        message: &Message,
        cut: Cut,
        datagram: &[u8],
        to: SocketAddr,
        resources: &mut Resources,
    ) -> Brief {
        let mut hasher = DefaultHasher::new();
        datagram.hash(&mut hasher);
        let protected = message.options.get(OSCORE).is_some();
        let wants_none = message.options.get_uint(NO_RESPONSE);
        let resource = message.code.is_request().then(|| {
            let mut resource = shortened(resource(message, to));
            if cut >= Cut::Options || protected {
                resource.push('…');
            }
            resources.of(resource)
        });
        let number = message.options.get_uint(option::OBSERVE);
        Brief {
            kind: message.kind,
            code: message.code,
            message_id: message.message_id,
            token: message.token,
            digest: hasher.finish(),
            cut,
            observe: number.and_then(|number| u32::try_from(number).ok()),
            resource,
            blocks: blocks(message),
            in_q_block: Q_BLOCKS.iter().any(|n| message.options.get(*n).is_some()),
            protected,
            wants_none: wants_none.is_some_and(|classes| classes & NO_SUCCESS != 0),
        }
    }

    /// By what it is known when it is seen again.
    pub(super) fn identity(&self) -> Identity {
        Identity {
            kind: self.kind,
            code: self.code,
            message_id: self.message_id,
            token: self.token,
            digest: self.digest,
            cut: self.cut,
        }
    }

    /// Whether it is the same message, byte for byte, as far as was captured.
    pub(super) fn equals(&self, other: &Brief) -> bool {
        self.identity().equals(&other.identity())
    }

    /// Of all its bytes, unless some are missing.
    pub(super) fn whole(&self) -> Option<u64> {
        (self.cut == Cut::Nothing).then_some(self.digest)
    }

    /// Whether it answers a request, or notifies.
    pub(super) fn is_separate(&self) -> bool {
        let own = matches!(self.kind, Kind::Confirmable | Kind::NonConfirmable);
        own && self.code.is_response()
    }

    /// Whether it notifies (RFC 7641 §4.2), or answers a registration by a message of its own.
    pub(super) fn notifies(&self) -> bool {
        self.is_separate() && self.observe.is_some()
    }

    /// Whether it asks to be notified (RFC 7641 §3.1), or may: its options are not all there.
    pub(super) fn registers(&self) -> bool {
        self.code.is_request() && (self.observe == Some(0) || self.lacks_options())
    }

    /// Whether it only ends an observation (RFC 7641 §3.6).
    pub(super) fn deregisters(&self) -> bool {
        self.code.is_request() && self.observe == Some(1)
    }

    /// Whether the capture cut some of it off.
    pub(super) fn is_cut(&self) -> bool {
        self.cut != Cut::Nothing
    }

    /// Whether some of its options may not have been captured.
    pub(super) fn lacks_options(&self) -> bool {
        self.cut >= Cut::Options
    }

    /// Whether its token was not captured.
    pub(super) fn lacks_token(&self) -> bool {
        self.cut == Cut::Token
    }

    /// How much of it was captured, to compare: more is greater.
    pub(super) fn completeness(&self) -> impl Ord + use<> {
        std::cmp::Reverse(self.cut)
    }
}

/// A resource of which no more is kept than is worth a look, but still its own.
fn shortened(mut resource: String) -> String {
    if resource.len() > LONGEST_RESOURCE {
        let mut hasher = DefaultHasher::new();
        resource.hash(&mut hasher);
        resource.truncate(resource.floor_char_boundary(LONGEST_RESOURCE));
        resource.push_str(&format!("…{:016x}", hasher.finish()));
    }
    resource
}

/// What a request `to` a server asks for, as RFC 7252 §6.5 composes a URI of it, without the scheme, and
/// without the host and the port if they are those of the server.
pub(crate) fn resource(message: &Message, to: SocketAddr) -> String {
    if let Some(uri) = message.options.get(PROXY_URI) {
        return String::from_utf8_lossy(uri).into_owned();
    }
    let mut resource = authority(message, to).unwrap_or_default();
    let before = resource.len();
    for segment in message.options.get_all(option::URI_PATH) {
        resource.push('/');
        encode(segment, &['/', '?'], &mut resource);
    }
    if resource.len() == before {
        resource.push('/');
    }
    for (index, query) in message.options.get_all(option::URI_QUERY).enumerate() {
        resource.push(if index == 0 { '?' } else { '&' });
        encode(query, &['&'], &mut resource);
    }
    resource
}

/// `//example.org:5700`, if a request names another host than the address, or another port, than it is
/// sent to.
fn authority(message: &Message, to: SocketAddr) -> Option<String> {
    let address = to.ip().to_string();
    let host = message.options.get(option::URI_HOST);
    let host = host.map(|host| String::from_utf8_lossy(host).to_ascii_lowercase());
    let host = host.filter(|host| host.trim_matches(['[', ']']) != address);
    let port = message.options.get_uint(option::URI_PORT);
    let port = port.filter(|port| *port != u64::from(to.port()));
    if host.is_none() && port.is_none() {
        return None;
    }
    let mut authority = "//".to_owned();
    match (host, to.ip()) {
        (Some(host), _) if host.starts_with('[') => authority.push_str(&host),
        (Some(host), _) => encode(host.as_bytes(), &['/', '?', ':', '@'], &mut authority),
        (None, IpAddr::V4(_)) => authority.push_str(&address),
        (None, IpAddr::V6(_)) => authority.push_str(&format!("[{address}]")),
    }
    if let Some(port) = port {
        authority.push_str(&format!(":{port}"));
    }
    Some(authority)
}

/// Adds what an option has to a URI: [`push_uri_part`], and percent-encoded what is no text.
fn encode(value: &[u8], ends: &[char], uri: &mut String) {
    for chunk in value.utf8_chunks() {
        push_uri_part(uri, chunk.valid(), ends);
        let others = chunk.invalid().iter();
        others.for_each(|byte| uri.push_str(&format!("%{byte:02X}")));
    }
}

fn blocks(message: &Message) -> Option<Box<Blocks>> {
    let block = |number| Block::of(&message.options, number).ok().flatten();
    let tag = |number| message.options.get(number).and_then(Token::new);
    let (block1, block2) = (block(option::BLOCK1), block(option::BLOCK2));
    let request_tag = tag(REQUEST_TAG);
    if block1.is_none() && block2.is_none() && request_tag.is_none() {
        return None;
    }
    Some(Box::new(Blocks {
        block1,
        block2,
        etag: tag(option::ETAG),
        request_tag,
        payload: message.payload.len(),
    }))
}
