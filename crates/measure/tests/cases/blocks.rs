//! Bodies in blocks (RFC 7959).

use super::*;

/// A block of 64 bytes at `number`, of four.
fn block(message: &mut Message, option: u16, number: u64, more: bool) {
    message
        .options
        .push_uint(option, number << 4 | u64::from(more) << 3 | 2);
}

#[test]
fn two_fetches_of_one_body_at_once_are_two_bodies() {
    let analysis = analyse(&["interleaved.pcap"]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [2, 2, 0, 0, 0]);
    let requests = flow.requests();
    assert_eq!(requests.further_blocks, 6);
    let rtt = requests.rtt.unwrap();
    assert_eq!((rtt.min, rtt.max), (ms(303), ms(303)));
}

#[test]
fn bodies_are_told_apart_by_etag_and_by_request_tag_if_tokens_do_not() {
    let mut wire = Wire::new();
    let (mut id, mut us) = (0, 0);
    for number in 0..4 {
        for body in 0..2_u8 {
            // The second block of each is asked for in the other order.
            let body = if number == 1 { 1 - body } else { body };
            let more = number < 3;
            let mut request = get(Kind::Confirmable, id, id as u8, "/t");
            block(&mut request, option::BLOCK2, number, false);
            let mut response = content(Kind::Acknowledgement, id, id as u8);
            response.options.push(option::ETAG, [body]);
            block(&mut response, option::BLOCK2, number, more);
            wire.message(us, CLIENT, HERE, &request);
            wire.message(us + 1_000, HERE, CLIENT, &response);

            let mut request = get(Kind::Confirmable, 100 + id, 100 + id as u8, "/up");
            request.code = Code::PUT;
            request.options.push(292, [body]);
            block(&mut request, option::BLOCK1, number, more);
            request.payload = vec![0; 64];
            let mut response = content(Kind::Acknowledgement, 100 + id, 100 + id as u8);
            response.code = if more { Code::CONTINUE } else { Code::CHANGED };
            block(&mut response, option::BLOCK1, number, more);
            wire.message(us + 2_000, CLIENT, HERE, &request);
            wire.message(us + 3_000, HERE, CLIENT, &response);
            id += 1;
            us += 10_000;
        }
    }
    let analysis = of(&[wire.capture()]);
    assert_eq!(analysis.flows.len(), 2);
    for flow in &analysis.flows {
        assert_eq!(counts(flow), [2, 2, 0, 0, 0], "{}", flow.resource);
        assert_eq!(flow.requests().further_blocks, 6);
        let rtt = flow.requests().rtt.unwrap();
        assert_eq!((rtt.min, rtt.max), (ms(61), ms(61)), "{}", flow.resource);
    }
}

#[test]
fn further_blocks_of_what_is_notified_are_no_requests_of_their_own() {
    let mut wire = Wire::new();
    let with = |mut message: Message, number, more| {
        block(&mut message, option::BLOCK2, number, more);
        message
    };
    let answer = notification(Kind::Acknowledgement, 1, 9, 0);
    let changed = notification(Kind::NonConfirmable, 70, 9, 1);
    wire.message(0, CLIENT, HERE, &register(1, 9, 0)).message(
        1_000,
        HERE,
        CLIENT,
        &with(answer, 0, true),
    );
    for (us, id) in [(2_000, 2), (12_000, 3)] {
        if id == 3 {
            wire.message(10_000, HERE, CLIENT, &with(changed.clone(), 0, true));
        }
        let more = get(Kind::Confirmable, id, id as u8, "/t");
        let last = content(Kind::Acknowledgement, id, id as u8);
        wire.message(us, CLIENT, HERE, &with(more, 1, false));
        wire.message(us + 1_000, HERE, CLIENT, &with(last, 1, false));
    }
    let analysis = of(&[wire.capture()]);
    let flow = only(&analysis);
    assert_eq!(counts(flow), [1, 1, 0, 0, 0]);
    assert_eq!(flow.requests().further_blocks, 2);
    assert_eq!(flow.notifications().unwrap().received, 1);
}

#[test]
fn a_block_from_the_middle_of_a_body_may_be_all_that_is_wanted() {
    let mut wire = Wire::new();
    for (n, number) in [(0, 3), (1, 7)] {
        let mut request = get(Kind::Confirmable, n, n as u8, "/t");
        block(&mut request, option::BLOCK2, number, false);
        let mut response = content(Kind::Acknowledgement, n, n as u8);
        block(&mut response, option::BLOCK2, number, true);
        let us = u64::from(n) * 100_000;
        wire.message(us, CLIENT, HERE, &request);
        wire.message(us + 10_000, HERE, CLIENT, &response);
    }
    assert_eq!(counts(only(&of(&[wire.capture()]))), [2, 2, 0, 0, 0]);
}

#[test]
fn a_block_that_is_asked_for_again_by_another_message_is_of_the_same_body() {
    let mut wire = Wire::new();
    // Number and whether it is answered: the second one does not come at first.
    let blocks = [(0, true), (1, false), (1, true), (2, true), (3, true)];
    for (n, (number, answered)) in blocks.into_iter().enumerate() {
        let (id, us) = (n as u16, n as u64 * 100_000);
        let mut request = get(Kind::NonConfirmable, id, n as u8, "/t");
        block(&mut request, option::BLOCK2, number, false);
        wire.message(us, CLIENT, HERE, &request);
        let mut response = content(Kind::NonConfirmable, 500 + id, n as u8);
        block(&mut response, option::BLOCK2, number, number < 3);
        if answered {
            wire.message(us + 10_000, HERE, CLIENT, &response);
        }
    }
    let flow = of(&[wire.capture()]).flows.remove(0);
    assert_eq!(counts(&flow), [1, 1, 0, 0, 0]);
    assert_eq!(flow.requests().further_blocks, 4);
    assert_eq!(flow.requests().rtt.unwrap().max, ms(410));
}
