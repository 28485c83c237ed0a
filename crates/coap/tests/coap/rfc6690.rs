//! The CoRE Link Format (RFC 6690 §2) read: examples of §5 and of OMA's registrations, every
//! mistake at its place, and what a server of ours writes.

use coap::link::{self, Attribute, Expected, Link, ParseError, ParsedLink, parse};
use coap_lite::link_format::LinkFormatParser;
use proptest::prelude::*;

use crate::support::get;

/// Target, then the attributes as `name` or `name=value`.
fn read(text: &str) -> Vec<Vec<String>> {
    let links = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"));
    let attributes = |link: &ParsedLink| {
        let attributes = link.attributes.iter();
        let shown = attributes.map(|a| match &a.value {
            Some(value) => format!("{}={value}", a.name),
            None => a.name.clone(),
        });
        [link.target.clone()].into_iter().chain(shown).collect()
    };
    links.iter().map(attributes).collect()
}

fn wrong(bytes: &[u8]) -> (usize, Expected) {
    let ParseError { offset, expected } = parse(bytes).expect_err("no list of links");
    (offset, expected)
}

#[test]
fn the_examples_of_section_5_are_read() {
    assert_eq!(
        read("</sensors/temp>;if=\"sensor\",</sensors/light>;if=\"sensor\""),
        [
            ["/sensors/temp", "if=sensor"],
            ["/sensors/light", "if=sensor"]
        ]
    );
    let links = read(
        "</sensors>;ct=40;title=\"Sensor Index\",</sensors/temp>;rt=\"temperature-c\";if=\"sensor\",\
         <http://www.example.com/sensors/t123>;anchor=\"/sensors/temp\";rel=\"describedby\",\
         </t>;anchor=\"/sensors/temp\";rel=\"alternate\"",
    );
    assert_eq!(links[0], ["/sensors", "ct=40", "title=Sensor Index"]);
    assert_eq!(links[1], ["/sensors/temp", "rt=temperature-c", "if=sensor"]);
    let t123 = "http://www.example.com/sensors/t123";
    assert_eq!(links[2], [t123, "anchor=/sensors/temp", "rel=describedby"]);
    assert_eq!(links[3].len(), 3);
    let firmware = read("</firmware/v2.1>;rt=\"firmware\";sz=262144");
    assert_eq!(firmware, [["/firmware/v2.1", "rt=firmware", "sz=262144"]]);
}

/// OMA-TS-LightweightM2M §6.2.1, and attributes as they come in a Discover.
#[test]
fn registrations_of_lwm2m_are_read() {
    let text = "</>;rt=\"oma.lwm2m\";ct=110,</1/0>,</3303>;ver=1.1,</3303/0>";
    let links = parse(text.as_bytes()).unwrap();
    assert_eq!(links.len(), 4);
    assert_eq!(links[0].value("rt"), Some("oma.lwm2m"));
    assert_eq!(links[2].value("ver"), Some("1.1"));
    let targets: Vec<&str> = links.iter().map(|link| link.target.as_str()).collect();
    assert_eq!(targets, ["/", "/1/0", "/3303", "/3303/0"]);
    let discovered = "</3/0/6>;dim=8;gt=50;lt=42.2,</0/0>;ssid=101;uri=\"coaps://a.example\"";
    assert_eq!(
        read(discovered),
        [
            vec!["/3/0/6", "dim=8", "gt=50", "lt=42.2"],
            vec!["/0/0", "ssid=101", "uri=coaps://a.example"]
        ]
    );
}

#[test]
fn names_stand_alone_and_values_are_tokens_or_quoted() {
    assert!(parse(b"").unwrap().is_empty());
    let text = "<>;obs;empty=\"\";title*=UTF-8''na%C3%AFve;x=!#$%&'()*+-./0:<=>?@A[]^_`{|}~";
    assert_eq!(
        read(text),
        [[
            "",
            "obs",
            "empty=",
            "title*=UTF-8''na%C3%AFve",
            "x=!#$%&'()*+-./0:<=>?@A[]^_`{|}~"
        ]]
    );
    let links = parse(b"</a>;obs;rt=1;rt=2").unwrap();
    assert!(links[0].has("obs") && !links[0].has("sz"));
    assert_eq!(
        (links[0].value("obs"), links[0].value("rt")),
        (None, Some("1"))
    );
}

/// "commas can also occur in quoted strings and URIs but do not end a description".
#[test]
fn separators_within_quotes_and_targets_do_not_separate() {
    assert_eq!(
        read("</a,b;c>;title=\"x, \\\"y\\\" \\\\;</z>\",</d>"),
        [vec!["/a,b;c", "title=x, \"y\" \\;</z>"], vec!["/d"]]
    );
    assert_eq!(
        read("</\u{e9}>;t=\"\u{fc}\t\""),
        [["/\u{e9}", "t=\u{fc}\t"]]
    );
}

#[test]
fn a_mistake_is_told_with_its_place() {
    use Expected::*;
    let cases: &[(&[u8], usize, Expected)] = &[
        (b"x", 0, Link),
        (b" </a>", 0, Link),
        (b"</a>,", 5, Link),
        (b"</a>, </b>", 5, Link),
        (b"</a>,,</b>", 5, Link),
        (b"</a", 3, Target),
        (b"</a\n>", 3, Target),
        (b"</a</b>", 3, Target),
        (b"</a></b>", 4, Separator),
        (b"</a> ;b", 4, Separator),
        (b"</a>;b c", 6, Separator),
        (b"</a>;b=\"c\"d", 10, Separator),
        (b"</a>;", 5, Name),
        (b"</a>; b", 5, Name),
        (b"</a>;=1", 5, Name),
        (b"</a>;*=1", 5, Name),
        (b"</a>;b=", 7, Value),
        (b"</a>;b=;c", 7, Value),
        (b"</a>;b= c", 7, Value),
        (b"</a>;b=\"c", 9, Quoted),
        (b"</a>;b=\"c\nd\"", 9, Quoted),
        (b"</a>;b=\"\\", 9, Escaped),
        (b"</a>;b=\"\\\xc3\xa9\"", 9, Escaped),
        (b"</a>;b=\"\xff\"", 7, Utf8),
        (b"</\xc3>", 1, Utf8),
    ];
    for (bytes, offset, expected) in cases {
        let text = String::from_utf8_lossy(bytes);
        assert_eq!(wrong(bytes), (*offset, *expected), "{text}");
    }
}

/// A list of links as coap-lite reads it: a name without a value has an empty one there.
fn as_coap_lite_reads(payload: &[u8]) -> Vec<ParsedLink> {
    let text = std::str::from_utf8(payload).unwrap();
    let links = LinkFormatParser::new(text).map(|link| {
        let (target, attributes) = link.unwrap();
        let attributes = attributes.map(|(name, value)| Attribute {
            name: name.to_owned(),
            value: (name != "obs").then(|| value.to_cow().into_owned()),
        });
        ParsedLink {
            target: target.to_owned(),
            attributes: attributes.collect(),
        }
    });
    links.collect()
}

fn values() -> impl Strategy<Value = Vec<String>> {
    proptest::collection::vec("[^\\p{Cc} ]{1,12}", 0..3)
}

proptest! {
    /// What a server of ours writes is read, whatever its links are called.
    #[test]
    fn what_is_written_is_read(
        written in proptest::collection::vec(
            ("/[^<>\\p{Cc}]{0,20}", proptest::option::of("[^\\p{Cc} ]{1,12}"), values(), values(), any::<Option<u16>>(), any::<Option<u64>>(), any::<bool>()),
            0..5,
        )
    ) {
        let links: Vec<Link> = written
            .into_iter()
            .map(|(path, anchor, types, interfaces, content_format, size, observable)| Link {
                path, anchor, types, interfaces, content_format, size, observable,
            })
            .collect();
        let payload = link::answer(&get(link::WELL_KNOWN_CORE), &links).payload;
        let parsed = parse(&payload).unwrap();
        prop_assert_eq!(parsed.len(), links.len());
        for (read, link) in parsed.iter().zip(&links) {
            let list = |values: &Vec<String>| (!values.is_empty()).then(|| values.join(" "));
            prop_assert_eq!(&read.target, &link.path);
            prop_assert_eq!(read.value("anchor"), link.anchor.as_deref());
            prop_assert_eq!(read.value("rt").map(str::to_owned), list(&link.types));
            prop_assert_eq!(read.value("if").map(str::to_owned), list(&link.interfaces));
            let number = |name| read.value(name).map(|n| n.parse::<u64>().unwrap());
            prop_assert_eq!(number("ct"), link.content_format.map(u64::from));
            prop_assert_eq!(number("sz"), link.size);
            prop_assert_eq!(read.has("obs"), link.observable);
        }
        prop_assert_eq!(&parsed, &as_coap_lite_reads(&payload));
    }

    /// Whatever is read can be written and is read as the same; a mistake is in the text.
    #[test]
    fn what_is_read_is_written(bytes in "([<>;,=\"\\\\a/*1 ]|\\PC|</a>|;b=\"c\"){0,24}") {
        match parse(bytes.as_bytes()) {
            Err(error) => prop_assert!(error.offset <= bytes.len()),
            Ok(links) => {
                let written: Vec<String> = links.iter().map(ParsedLink::to_string).collect();
                prop_assert_eq!(parse(written.join(",").as_bytes()), Ok(links));
            }
        }
    }
}
