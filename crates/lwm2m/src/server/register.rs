//! What Register and Update say: their queries and their body (LwM2M 1.1 Core §6.2.1, §6.2.2).

use std::ops::RangeInclusive;
use std::time::Duration;

use coap::link::ParsedLink;
use coap::message::option;
use coap::{Code, Options, Request};

use super::config::Config;
use super::registration::{Description, Entry};
use crate::format::Format;
use crate::model::Version;
use crate::path::{Level, Path};
use crate::refusal::Refusal;

/// Without `lt` (LwM2M 1.1 Core §6.2.1).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(86_400);

/// The longest telephone number: 15 digits (ITU-T E.164), and room for a prefix.
const MAX_SMS: usize = 20;

/// The longest alternate path, in bytes.
const MAX_ROOT: usize = 255;

/// The queries of a Register or Update; what is none of these is left alone.
#[derive(Debug, Default)]
struct Query {
    ep: Option<String>,
    lt: Option<String>,
    lwm2m: Option<String>,
    b: Option<String>,
    sms: Option<String>,
    q: bool,
}

impl Query {
    fn of(options: &Options) -> Result<Query, Refusal> {
        let mut query = Query::default();
        for text in options.get_all(option::URI_QUERY) {
            let text = std::str::from_utf8(text)
                .map_err(|_| Refusal::bad_request("a query is not UTF-8"))?;
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let place = match name {
                "ep" => &mut query.ep,
                "lt" => &mut query.lt,
                "lwm2m" => &mut query.lwm2m,
                "b" => &mut query.b,
                "sms" => &mut query.sms,
                "Q" => {
                    query.q = true;
                    continue;
                }
                _ => continue,
            };
            if place.replace(value.to_owned()).is_some() {
                return Err(Refusal::bad_request(format!("{name} is there twice")));
            }
        }
        Ok(query)
    }
}

/// What a Register says: who, and what of itself.
pub(super) fn register(
    request: &Request,
    config: &Config,
) -> Result<(String, Description), Refusal> {
    let query = Query::of(&request.options)?;
    let version = version(query.lwm2m.as_deref(), &config.versions)?;
    let endpoint = (query.ep.clone().filter(|ep| !ep.is_empty()))
        .ok_or_else(|| Refusal::bad_request("expected ?ep=, the endpoint name"))?;
    let mut description = Description {
        lifetime: Some(DEFAULT_LIFETIME),
        version,
        queue_mode: false,
        binding: "U".to_owned(),
        sms: None,
        objects: Vec::new(),
        root: String::new(),
        formats: Vec::new(),
    };
    if query.lt.is_none() {
        lifetime(DEFAULT_LIFETIME.as_secs(), config)?;
    }
    apply(query, config, &mut description)?;
    links(request, config, &mut description)?;
    Ok((endpoint, description))
}

/// What an Update changes of what is known.
pub(super) fn update(
    request: &Request,
    config: &Config,
    known: &Description,
) -> Result<Description, Refusal> {
    let mut description = known.clone();
    apply(Query::of(&request.options)?, config, &mut description)?;
    if !request.payload.is_empty() {
        links(request, config, &mut description)?;
    }
    Ok(description)
}

fn version(text: Option<&str>, spoken: &RangeInclusive<Version>) -> Result<Version, Refusal> {
    let Some(text) = text else {
        return Ok(Version::V1_0);
    };
    let version: Version = text
        .parse()
        .map_err(|error| Refusal::bad_request(format!("lwm2m: {error}")))?;
    match spoken.contains(&version) {
        true => Ok(version),
        // "4.12 Precondition Failed: The LwM2M version is not supported" (LwM2M 1.1 Transport, table 6.4-1).
        false => Err(Refusal {
            code: Code::PRECONDITION_FAILED,
            text: format!(
                "LwM2M {version}: expected {} to {}",
                spoken.start(),
                spoken.end()
            ),
        }),
    }
}

fn lifetime(secs: u64, config: &Config) -> Result<Option<Duration>, Refusal> {
    let shortest = config.min_lifetime;
    match (secs, config.max_lifetime) {
        (0, None) => Ok(None),
        (0, Some(longest)) => Err(Refusal::bad_request(format!(
            "lt=0 is without end: expected {} to {} s",
            shortest.as_secs(),
            longest.as_secs()
        ))),
        (secs, longest) => {
            let wanted = Duration::from_secs(secs);
            let fits = wanted >= shortest && longest.is_none_or(|longest| wanted <= longest);
            let longest = longest.map_or(u64::from(u32::MAX), |longest| longest.as_secs());
            fits.then_some(Some(wanted)).ok_or_else(|| {
                let shortest = shortest.as_secs();
                Refusal::bad_request(format!("lt={secs}: expected {shortest} to {longest} s"))
            })
        }
    }
}

/// What the queries say beside the name and the version.
fn apply(query: Query, config: &Config, known: &mut Description) -> Result<(), Refusal> {
    if let Some(text) = query.lt {
        let digits = text.bytes().all(|b| b.is_ascii_digit());
        // In 32 bits, as in the Lifetime of object 1.
        let secs: u32 = (text.parse().ok().filter(|_| digits)).ok_or_else(|| {
            Refusal::bad_request("lt: expected seconds as a decimal number of 32 bits")
        })?;
        known.lifetime = lifetime(u64::from(secs), config)?;
    }
    if let Some(binding) = query.b {
        // 1.0: U, UQ, S, SQ, US, UQS; 1.1: U, M, H, T, S, N, of which Q is none.
        let known_letters = binding.bytes().all(|b| b"UMHTSNQ".contains(&b));
        if binding.is_empty() || binding.len() > 8 || !known_letters {
            return Err(Refusal::bad_request("b: expected transports like U or UQ"));
        }
        known.queue_mode = binding.contains('Q');
        known.binding = binding;
    }
    known.queue_mode |= query.q;
    if let Some(sms) = query.sms {
        if sms.len() > MAX_SMS {
            return Err(Refusal::bad_request("sms: expected a telephone number"));
        }
        known.sms = Some(sms);
    }
    Ok(())
}

/// The body: what the client has.
fn links(request: &Request, config: &Config, known: &mut Description) -> Result<(), Refusal> {
    let format = request.options.get_uint(option::CONTENT_FORMAT);
    let link_format = u64::from(Format::Link.number());
    if format.is_some_and(|format| format != link_format) {
        return Err(Refusal::bad_request(
            "the body: expected Content-Format 40, link-format",
        ));
    }
    let links = coap::link::parse(&without_spaces(&request.payload))
        .map_err(|error| Refusal::bad_request(error.to_string()))?;
    if links.len() > config.max_links {
        let most = config.max_links;
        return Err(Refusal::bad_request(format!(
            "the body: more than {most} links"
        )));
    }
    if links.is_empty() {
        return Err(Refusal::bad_request("the body: expected links like </3/0>"));
    }
    // Where the tree begins, if not at the root (LwM2M 1.1 Transport §6.4.1).
    let root = (links.iter()).find(|link| link.value("rt") == Some("oma.lwm2m"));
    let path = root.map_or("", |link| link.target.trim_end_matches('/'));
    if path.len() > MAX_ROOT {
        return Err(Refusal::bad_request(format!(
            "the body: a root of more than {MAX_ROOT} bytes"
        )));
    }
    known.root = path.to_owned();
    known.formats = root.map_or_else(Vec::new, formats);
    let entries = links.iter().filter_map(|link| entry(link, path));
    known.objects = entries.collect();
    known.objects.sort_unstable();
    known.objects.dedup_by_key(|entry| entry.path);
    known.objects.shrink_to_fit();
    Ok(())
}

/// `ct="60 110"`
fn formats(link: &ParsedLink) -> Vec<u16> {
    let list = link.value("ct").unwrap_or_default().split(' ');
    list.filter_map(|text| text.parse().ok()).take(32).collect()
}

/// What a link says of an object or an object instance; none of one that is for somebody else.
fn entry(link: &ParsedLink, root: &str) -> Option<Entry> {
    let path: Path = link.target.strip_prefix(root)?.parse().ok()?;
    let version = link.value("ver").and_then(|text| text.parse().ok());
    matches!(path.level(), Level::Object | Level::Instance).then_some(Entry { path, version })
}

/// A list of links without the spaces between them, which the examples of LwM2M have and the grammar of RFC 6690 §2
/// has not.
fn without_spaces(body: &[u8]) -> Vec<u8> {
    let (mut quoted, mut in_target) = (false, false);
    let kept = |byte: &u8| {
        match byte {
            b'"' if !in_target => quoted = !quoted,
            b'<' if !quoted => in_target = true,
            b'>' if !quoted => in_target = false,
            _ => {}
        }
        quoted || in_target || !matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
    };
    body.iter().copied().filter(kept).collect()
}
