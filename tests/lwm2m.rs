//! LwM2M over the kernel's 6LoWPAN: the third paper's tables to the byte, and a device that moves.

mod common;

use common::{Run, root, said, tshark};
use serde_json::Value;

fn ran(topology: &str, options: &[&str]) -> Run {
    let run = Run::of(&root().join("topologies").join(topology), options);
    assert_eq!(run.output.status.code(), Some(0), "{}", said(&run.output));
    run
}

/// What a node sent and received of LwM2M.
fn of_node(result: &Value, node: &str) -> Value {
    let all = result["applications"].as_array().unwrap();
    let found = all.iter().find(|entry| entry["node"] == node);
    found
        .unwrap_or_else(|| panic!("nothing of {node}: {result:#}"))
        .clone()
}

/// Of the messages that the paper counts, all but those of the registration: payload sent and received by the server, and
/// packets.
fn counted(result: &Value) -> (u64, u64, u64) {
    let server = of_node(result, "server");
    let mut sum = (0, 0, 0);
    for (name, ways) in server["by_message"].as_object().unwrap() {
        if ["register", "update", "deregister"].contains(&name.as_str()) {
            continue;
        }
        let of = |way: &str, key: &str| ways[way][key].as_u64().unwrap();
        sum.0 += of("sent", "payload_bytes");
        sum.1 += of("received", "payload_bytes");
        sum.2 += of("sent", "packets") + of("received", "packets");
    }
    sum
}

/// Two hours of the paper's 24, which `./scripts/figures lwm2m-tables` runs whole: of 96 rounds 8.
const TWO_HOURS: [&str; 2] = ["--set", "scenario.duration=2 h"];
const ROUNDS: u64 = 8;

#[test]
fn a_round_of_table_v_is_the_papers_to_the_byte() {
    let run = ran("papers/lwm2m-table5-separate.yaml", &TWO_HOURS);
    let (asked, answered) = (5 * 27 + 21, 59 + 59 + 58 + 58 + 58 + 47);
    assert_eq!(
        counted(&run.result()),
        (ROUNDS * asked, ROUNDS * answered, ROUNDS * 12)
    );
    let run = ran("papers/lwm2m-table5-batch.yaml", &TWO_HOURS);
    let (created, told) = (108, 19);
    assert_eq!(
        counted(&run.result()),
        (created + ROUNDS * 27, told + ROUNDS * 202, 2 + ROUNDS * 2)
    );
}

/// The paper's own figures do not go together: these are those of what its text describes.
#[test]
fn a_device_reports_by_itself_as_the_papers_text_describes() {
    let hours = ["--set", "scenario.duration=7195 s"];
    let run = ran("papers/lwm2m-table5-reverse.yaml", &hours);
    let (created, told) = (108 + 60, 19 + 19);
    assert_eq!(
        counted(&run.result()),
        (created, told + ROUNDS * 208, 4 + ROUNDS)
    );
}

#[test]
fn table_iv_is_the_papers_to_the_byte() {
    let run = ran("papers/lwm2m-table4-separate.yaml", &[]);
    assert_eq!(counted(&run.result()), (1_220, 379, 62));
    let run = ran("papers/lwm2m-table4-batch.yaml", &[]);
    assert_eq!(counted(&run.result()), (899, 158, 24));
    // Another reader of TLV: tshark finds nothing wrong with what was sent.
    let capture = run.path("captures/server.eth0.pcapng");
    let wrong = tshark(&capture, "coap && _ws.malformed", &["frame.number"]);
    assert_eq!(wrong, [[""; 0]; 0]);
    let writes = tshark(
        &capture,
        "coap.opt.ctype == \"application/vnd.oma.lwm2m+tlv\" && coap.code == 3",
        &["frame.number"],
    );
    assert_eq!(writes.len(), 10);
}

/// A device behind a NAT of 40 s: half the period of its Ready-to-Receive later nobody finds it, with Queue Mode later.
#[test]
fn what_is_written_behind_a_nat_arrives_while_the_device_keeps_its_mapping() {
    let period = |seconds: u32| {
        let script = "nodes.server.services[0].lwm2m-server.upon_registration[0]";
        format!("{script}.create.values./5918={seconds}")
    };
    let polled = |options: &[&str]| {
        let run = ran("lwm2m-rtr.yaml", options);
        let server = of_node(&run.result(), "server");
        let [due, reached] = ["due", "reached"].map(|key| server["polled"][key].as_u64().unwrap());
        let longest = server["polled"]["delay_s"]["max"].as_f64().unwrap();
        assert_eq!(due, 20);
        (reached, longest, run)
    };
    let (kept, delay_s, run) = polled(&["--set", &period(20)]);
    assert!(kept == 20 && delay_s < 1.0, "{kept}, {delay_s} s");
    // The server sees the router, at one port, and never the device.
    let seen = tshark(
        &run.path("captures/server.eth0.pcapng"),
        "coap && ipv6.dst == 2001:db8::2",
        &["ipv6.src"],
    );
    assert!(
        !seen.is_empty() && seen.iter().all(|line| line == &["2001:db8::1"]),
        "{seen:?}"
    );

    let (some, delay_s, _) = polled(&["--set", &period(80)]);
    assert!(
        (8..=12).contains(&some) && delay_s < 1.0,
        "{some}, {delay_s} s"
    );
    let queue = "nodes.device.services[0].lwm2m-client.queue=true";
    let (all, delay_s, _) = polled(&["--set", &period(80), "--set", queue]);
    assert!(
        all == 20 && (20.0..=80.0).contains(&delay_s),
        "{all}, {delay_s} s"
    );
}

/// The registration and the observation outlive handovers by CoMP, and every notification reaches the server.
#[test]
fn a_device_that_moves_stays_registered_and_observed() {
    let run = ran("lwm2m.yaml", &[]);
    let result = run.result();
    let server = of_node(&result, "server");
    assert!(server.get("happened").is_none(), "{server:#}");
    let notified = &server["notifications"];
    // A change every 200 ms over 10 s.
    assert!(notified["received"].as_u64().unwrap() >= 45, "{notified:#}");
    let registers = &server["by_message"]["register"]["received"];
    assert_eq!(registers["packets"], 1, "{server:#}");
}
