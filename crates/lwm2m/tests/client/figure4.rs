//! The third paper's figure 4: n resources of 4 bytes, read one by one and as a batch, in TLV and in JSON. Its values are
//! not in its text; these are those of the encodings of its tables, counted on the wire.

use std::sync::Arc;

use coap::Code;
use lwm2m::client::{Account, Client, Config};
use lwm2m::model::{ObjectModel, Operations, ResourceModel, Version};
use lwm2m::{Format, Path, Registry, Type, Value};

use crate::support::*;

/// An object with resources of four digits, as the paper's paths have them.
const OBJECT: u16 = 9999;
const FIRST: u16 = 1000;

fn registry() -> Registry {
    let mut registry = Registry::built_in();
    let resource = |id: u16| ResourceModel {
        id,
        name: "Value".to_owned(),
        operations: Operations {
            read: true,
            ..Operations::default()
        },
        multiple: false,
        mandatory: false,
        ty: Some(Type::Float),
        range: None,
        units: String::new(),
    };
    registry.insert(ObjectModel {
        id: OBJECT,
        name: "Figure 4".to_owned(),
        version: Version::V1_0,
        multiple: true,
        mandatory: false,
        resources: (FIRST..FIRST + 20).map(|id| (id, resource(id))).collect(),
    });
    registry
}

/// A device with n of them, each 4 bytes in TLV and 4 characters in text.
fn device_of(n: u16) -> Bench {
    let account = Account {
        server: 1,
        address: address(1),
        lifetime: LIFETIME,
        pmin: None,
        pmax: None,
    };
    let objects = [2346, OBJECT];
    let mut store = Client::tree(Arc::new(registry()), &[account], &objects).unwrap();
    let mut begun = store.transaction();
    begun.create(Path::instance(OBJECT, 0)).unwrap();
    for id in 0..n {
        begun
            .set(Path::resource(OBJECT, 0, FIRST + id), Value::Float(1.25))
            .unwrap();
    }
    begun.commit();
    let mut bench = Bench::with(Config::new("device"), store, 1);
    bench.start();
    bench.clear();
    bench
}

/// UDP payload of both ways, and datagrams.
fn said(bench: &Bench) -> (usize, usize) {
    let bytes = bench.sent.iter().chain(&bench.received).sum();
    (bytes, bench.sent.len() + bench.received.len())
}

#[test]
fn figure_4_has_its_closed_forms_for_every_number_of_resources() {
    for n in 1..=20u16 {
        let mut bench = device_of(n);
        let paths: Vec<String> = (0..n)
            .map(|id| format!("/{OBJECT}/0/{}", FIRST + id))
            .collect();
        let mut separate = |format| {
            bench.clear();
            paths
                .iter()
                .for_each(|at| assert_eq!(bench.get(at, format).code, Code::CONTENT));
            said(&bench)
        };
        let n = usize::from(n);
        assert_eq!(separate(Format::Tlv), (50 * n, 2 * n));
        assert_eq!(separate(Format::Json), (81 * n, 2 * n));
        let links: Vec<&str> = paths.iter().map(String::as_str).collect();
        assert_eq!(bench.ask(1, create_batch(&links)).code, Code::CREATED);
        let mut batch = |format| {
            bench.clear();
            assert_eq!(bench.get("/2346/0/5914", format).code, Code::CONTENT);
            said(&bench)
        };
        // A length byte is spared where there is one value only.
        let tlv = 47 + 6 * n - usize::from(n == 1);
        assert_eq!(batch(Format::Tlv), (tlv, 2));
        let long_ids = n.saturating_sub(10);
        assert_eq!(batch(Format::Json), (70 + 23 * n + long_ids, 2));
    }
}
