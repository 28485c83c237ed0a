//! Messages that the snap length cut.

use super::*;

#[test]
fn messages_that_are_cut_are_answers_and_the_report_warns() {
    let analysis = analyse(&["snap68.pcap"]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [6, 6, 0, 0, 0]);
    assert_eq!(flow.resource, "/…");
    assert_eq!((analysis.other.cut, analysis.other.cut_requests), (12, 6));
    let text = report(&analysis, Table::None);
    assert!(text.contains("WARNING: 6 requests are cut"), "{text}");
}

#[test]
fn a_snap_length_may_cut_anywhere_and_another_capture_has_the_rest() {
    let mut wire = Wire::new();
    for n in 0..6 {
        let us = u64::from(n) * 100_000;
        let token = Token::new(&[1, 2, 3, 4, 5, 6, 7, n as u8]).unwrap();
        let mut request = get(
            Kind::Confirmable,
            n,
            0,
            if n % 2 == 0 { "/a" } else { "/b" },
        );
        let mut response = content(Kind::Acknowledgement, n, 0);
        (request.token, response.token) = (token, token);
        wire.message(us, CLIENT, HERE, &request);
        wire.message(us + 1_000, HERE, CLIENT, &response);
    }
    let whole = wire.capture();
    let cut = |snap: usize| {
        let mut capture = wire.capture();
        for packet in &mut capture.packets {
            packet.data.truncate(snap);
        }
        capture
    };
    // 48 bytes of headers, 4 of CoAP's, 8 of the token, 2 of the option.
    for snap in 52..62 {
        let analysis = of(&[cut(snap)]);
        let flow = only(&analysis);
        assert_eq!(counts(flow), [6, 6, 0, 0, 0], "{snap}");
        assert_eq!(analysis.other.cut_requests, 6, "{snap}");
        // Merged with a whole one it is known what was asked for.
        let analysis = of(&[cut(snap), only_frames(&whole, |_| true)]);
        let all: Vec<_> = analysis.flows.iter().map(counts).collect();
        assert_eq!(all, [[3, 3, 0, 0, 0]; 2], "{snap}");
    }
    assert_eq!(of(&[cut(62)]).flows.len(), 2, "only the payloads are cut");
    let blind = of(&[cut(45)]);
    assert_eq!(
        (blind.flows.len(), blind.other.unread.values().sum()),
        (0, 12)
    );
}
