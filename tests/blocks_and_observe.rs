//! `block-transfer.yaml` and `observe.yaml` in the VM, the captures judged by tshark.

mod common;

use common::{Run, said, topology, tshark};
use serde_json::Value;

fn passed(name: &str) -> (Run, Value) {
    let run = Run::of(&topology(name), &[]);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    let result = run.result();
    (run, result)
}

#[test]
fn bodies_of_2_kb_arrive_whole_also_the_one_that_the_handover_interrupts() {
    let (run, result) = passed("block-transfer.yaml");
    let requests = &result["requests"];
    let count = |key: &str| requests[key].as_u64().unwrap();
    // A body each 250 ms for 30 s.
    assert!(count("sent") >= 115, "{requests:#}");
    assert_eq!(count("answered"), count("sent"));
    // 2048 B in blocks of 64 B are 32 requests.
    assert_eq!(count("further_blocks"), 31 * count("sent"), "{requests:#}");
    let handover = &result["handovers"][0];
    let capture = run.path("captures/client.eth0.pcapng");
    // The last block before and the first one after are of the same body: block 0 is not between.
    let between = format!(
        "coap.code == 69 && coap.opt.block_number == 0 && ipv6.src == {}",
        handover["first_after"]["address"]
            .as_str()
            .unwrap()
            .trim_start_matches('[')
            .split(']')
            .next()
            .unwrap()
    );
    let first_blocks = tshark(&capture, &between, &["coap.mid"]);
    let first_after = handover["first_after"]["message_id"].as_u64().unwrap();
    let of_first_block: u64 = first_blocks[0][0].parse().unwrap();
    assert_ne!(
        of_first_block, first_after,
        "in the middle of a body: {handover:#}"
    );
}

#[test]
fn notifications_go_on_after_the_handover_and_none_is_lost() {
    let (run, result) = passed("observe.yaml");
    for (client, resource, at_least) in
        [("client", "/temperature", 270), ("archive", "/history", 13)]
    {
        let flows = result["flows"].as_array().unwrap();
        let flow = flows.iter().find(|flow| flow["client"] == client).unwrap();
        assert_eq!(flow["resource"], resource);
        let notifications = &flow["notifications"];
        assert_eq!(notifications["lost"], 0, "{flow:#}");
        assert_eq!(notifications["reordered"], 0, "{flow:#}");
        assert!(
            notifications["received"].as_u64().unwrap() >= at_least,
            "{flow:#}"
        );
        assert!(
            notifications["confirmable"].as_u64().unwrap() >= 1,
            "{flow:#}"
        );
        assert_eq!(flow["addresses"].as_array().unwrap().len(), 2, "{flow:#}");
        // One registration for both addresses: GETs of the client with its token.
        let capture = run.path(&format!("captures/{client}.eth0.pcapng"));
        let observing = tshark(
            &capture,
            "coap.code == 1 && coap.opt.observe == 0",
            &["coap.mid"],
        );
        assert_eq!(observing.len(), 1, "{client}");
    }
}
