//! `coap::link::parse`: what is read is written and is read as the same; a mistake is in the text,
//! and what stands before it is no reason to refuse it.

#![no_main]

use coap::link::{Expected, ParsedLink, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| match parse(bytes) {
    Ok(links) => {
        let written: Vec<String> = links.iter().map(ParsedLink::to_string).collect();
        let written = written.join(",");
        assert_eq!(parse(written.as_bytes()).as_ref(), Ok(&links));
        // Every comma outside of targets and quotes begins a link, so their number is bounded.
        assert!(links.len() <= bytes.len() / 2 + 1);
    }
    Err(error) => {
        assert!(error.offset <= bytes.len());
        // Up to there it is the beginning of a list: that is refused at its end, or not at all.
        let before = parse(&bytes[..error.offset]);
        let at = before.err().map_or(error.offset, |error| error.offset);
        assert!(at == error.offset || error.expected == Expected::Utf8);
    }
});
