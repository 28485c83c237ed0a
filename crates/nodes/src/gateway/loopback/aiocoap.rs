//! aiocoap's client over `coap+ws`: another implementation of RFC 8323 asks the gateway as its proxy.

use std::path::Path;
use std::process::Command;

use super::*;

#[test]
fn aiocoap_asks_as_of_a_proxy_over_a_websocket() {
    let world = World::new(true);
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(here.join("../../target/peers/bin/python"))
        .arg(here.join("src/gateway/loopback/aiocoap_client.py"))
        .arg(world.http.to_string())
        .arg(world.coap.to_string())
        .output()
        .expect("aiocoap in target/peers; ./scripts/setup installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["read"], serde_json::json!(["2.05 Content", "off"]));
    assert_eq!(told["written"], "2.04 Changed");
    // 2 KB in blocks, both ways.
    assert_eq!(told["long"], serde_json::json!(["2.05 Content", 2048]));
    assert_eq!(told["missing"], "4.04 Not Found");
    assert_eq!(told["scheme"], "5.05 Proxying Not Supported");
    let links = told["links"].as_str().unwrap();
    assert!(links.contains("</nodes>"), "{links}");
    let counted: Vec<f64> = serde_json::from_value(told["counted"].clone()).unwrap();
    assert_eq!(counted.len(), 5, "{told}");
    assert!(counted.is_sorted_by(|a, b| a < b), "{told}");
}
