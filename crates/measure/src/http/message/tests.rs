use proptest::prelude::*;

use super::*;

/// The parts of `bytes`, which come in these pieces, with bodies in one; and what is wrong.
fn parts(side: Side, pieces: &[&[u8]]) -> (Vec<Part>, Option<Unreadable>) {
    let (mut reader, mut parts) = (Reader::new(side), Vec::new());
    let tell = |parts: &mut Vec<Part>, part| match (parts.last_mut(), part) {
        (Some(Part::Body(body)), Part::Body(more)) => body.extend(more),
        (_, part) => parts.push(part),
    };
    for piece in pieces {
        let read = reader.read(piece, || false, |part| tell(&mut parts, part));
        if let Err(wrong) = read {
            return (parts, Some(wrong));
        }
    }
    reader.end(|part| tell(&mut parts, part));
    (parts, None)
}

fn response(status: u16) -> Part {
    Part::Head(Head::Response {
        status,
        retry_after: false,
        is_stream: false,
    })
}

#[test]
fn requests_follow_each_other_and_have_no_body_unless_they_say_so() {
    let text =
        b"\r\nGET /a HTTP/1.1\r\nHost: x\r\nAccept: text/html, Text/Event-Stream;q=1\r\n\r\n\
                 PUT /b HTTP/1.1\nContent-Length: 2, 2\n\nhiGET";
    let (parts, wrong) = parts(Side::Requests, &[text]);
    let head = |method: &str, target: &str, follows| {
        Part::Head(Head::Request {
            method: method.into(),
            target: target.into(),
            follows,
        })
    };
    let expected = [
        Part::Begins,
        head("GET", "/a", true),
        Part::Ends { octets: 70 },
        Part::Begins,
        head("PUT", "/b", false),
        Part::Body(b"hi".to_vec()),
        Part::Ends { octets: 40 },
        Part::Begins,
    ];
    assert_eq!((&parts[..], wrong), (&expected[..], None));
}

#[test]
fn a_body_is_as_long_as_its_head_says() {
    let read = |text: &str| parts(Side::Responses, &[text.as_bytes()]);
    let body = |text: &str| Part::Body(text.as_bytes().to_vec());
    let whole = |text: &str, body_part: Option<Part>| {
        let (parts, wrong) = read(text);
        let octets = text.len() as u64;
        let middle = body_part.into_iter();
        let expected = [Part::Begins, response(200)].into_iter().chain(middle);
        let expected: Vec<Part> = expected.chain([Part::Ends { octets }]).collect();
        assert_eq!((parts, wrong), (expected, None), "{text}");
    };
    let ok = "HTTP/1.1 200 OK\r\n";
    whole(&format!("{ok}Content-Length: 0\r\n\r\n"), None);
    whole(
        &format!("{ok}Content-Length: 3\r\n\r\nabc"),
        Some(body("abc")),
    );
    whole(&format!("{ok}\r\nto the end"), Some(body("to the end")));
    whole(
        &format!(
            "{ok}Content-Length: 9\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nEtag: 1\r\n\r\n"
        ),
        Some(body("abc")),
    );
    let (parts, wrong) = read("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n");
    let interim = [
        Part::Begins,
        Part::Begins,
        response(204),
        Part::Ends { octets: 27 },
    ];
    assert_eq!((&parts[..], wrong), (&interim[..], None));
}

#[test]
fn what_says_when_to_ask_again_and_what_is_a_stream_is_known() {
    let text = "HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\n\r\n";
    let (told, _) = parts(Side::Responses, &[text.as_bytes()]);
    let expected = Part::Head(Head::Response {
        status: 503,
        retry_after: true,
        is_stream: false,
    });
    assert_eq!(told[1], expected);
    let text = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n\r\n";
    let (told, _) = parts(Side::Responses, &[text.as_bytes()]);
    let expected = Part::Head(Head::Response {
        status: 200,
        retry_after: false,
        is_stream: true,
    });
    assert_eq!(told[1], expected);
}

#[test]
fn what_cannot_be_read_is_said_and_stays_so() {
    let wrong = |side, text: &[u8]| parts(side, &[text]).1;
    let long = [b"GET / HTTP/1.1\r\nX: ".to_vec(), vec![b'x'; MAX_HEAD]].concat();
    let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n").into_bytes();
    let chunked = "Transfer-Encoding: chunked\r\n\r\n";
    let cases: [(Side, Vec<u8>, Unreadable); 9] = [
        (
            Side::Requests,
            b"SSH-2.0\r\n\r\n".to_vec(),
            Unreadable::NotHttp,
        ),
        (
            Side::Responses,
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            Unreadable::NotHttp,
        ),
        (Side::Requests, long, Unreadable::LongHead),
        (
            Side::Responses,
            ok("Content-Length: 1, 2"),
            Unreadable::BodyLength,
        ),
        (
            Side::Responses,
            ok("Content-Length: +1"),
            Unreadable::BodyLength,
        ),
        (
            Side::Requests,
            b"GET / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n".to_vec(),
            Unreadable::BodyLength,
        ),
        (
            Side::Responses,
            ok(&format!("{chunked}x")),
            Unreadable::Chunk,
        ),
        (
            Side::Responses,
            ok(&format!("{chunked}1\r\nabc")),
            Unreadable::Chunk,
        ),
        (
            Side::Responses,
            b"HTTP/1.1 101 Switching Protocols\r\n\r\n".to_vec(),
            Unreadable::Upgraded,
        ),
    ];
    for (side, text, expected) in cases {
        let text_of = String::from_utf8_lossy(&text[..text.len().min(60)]).into_owned();
        assert_eq!(wrong(side, &text), Some(expected), "{text_of}");
    }
    let mut reader = Reader::new(Side::Requests);
    for bytes in [&b"?\n\n"[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let told = reader.read(bytes, || false, |part| assert_eq!(part, Part::Begins));
        assert_eq!(told, Err(Unreadable::NotHttp));
    }
}

/// Bytes that are often HTTP, and often nearly.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        &b"GET /hc/coap://%5B::1%5D/t HTTP/1.1\r\n"[..],
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 503 Busy\r\nRetry-After: 1\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Content-Type: text/event-stream\r\n",
        b"\r\n",
        b"\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
        b"HTTP/1.1 101 Up\r\n\r\n",
    ]);
    let words = words.prop_map(<[u8]>::to_vec);
    let any = prop::collection::vec(any::<u8>(), 0..6);
    let piece = prop_oneof![8 => words, 1 => any];
    prop::collection::vec(piece, 0..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// No bytes make it panic, and it does not matter in which pieces they come.
    #[test]
    fn pieces_do_not_matter(
        bytes in bytes(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
    ) {
        for side in [Side::Requests, Side::Responses] {
            let whole = parts(side, &[&bytes]);
            let mut at: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let pieces: Vec<&[u8]> = at.windows(2).map(|ends| &bytes[ends[0]..ends[1]]).collect();
            prop_assert_eq!(&parts(side, &pieces), &whole);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(&parts(side, &single), &whole);
        }
    }
}
