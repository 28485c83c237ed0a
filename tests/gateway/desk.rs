//! `wpanlab gateway` outside of a testbed, before libcoap's server; `desk.py` asks, with aiocoap where it is over a WebSocket.

use std::process::Command;

use serde_json::{Value, json};

use crate::common::{root, said};

#[test]
fn a_gateway_on_a_desk_asks_a_server_of_libcoaps() {
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "--"])
        .arg(root().join("target/peers/bin/python"))
        .arg(root().join("tests/gateway/desk.py"))
        .arg(env!("CARGO_BIN_EXE_wpanlab"))
        .output()
        .expect("unshare");
    assert!(output.status.success(), "{}", said(&output));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let nodes: Value = serde_json::from_str(told["nodes"][1].as_str().unwrap()).unwrap();
    assert_eq!(
        (&nodes["write"], &nodes["nodes"][0]["name"]),
        (&json!(true), &json!("desk"))
    );
    let index = told["index"][1].as_str().unwrap();
    assert!(index.contains("libcoap"), "{told}");
    assert_eq!((&told["page"], &told["absent"]), (&json!(200), &json!(404)));
    assert!(
        [201, 204].contains(&told["put"].as_u64().unwrap()),
        "{told}"
    );
    assert_eq!(told["got"], json!([200, "on"]));
    let ticks: Vec<u64> = serde_json::from_value(told["ticks"].clone()).unwrap();
    assert!(ticks.windows(2).all(|two| two[0] < two[1]), "{ticks:?}");
    assert_eq!(told["websocket"][0], "2.05 Content");
    assert_eq!(told["websocket"][1], told["index"][1]);
}
