//! Batch (2346): what the paper leaves open, closed; and that it is another way to say what the composites say.

use std::collections::BTreeMap;

use coap::message::option;
use coap::{Code, Request};
use lwm2m::operations::{Change, Mode, Requester};
use lwm2m::value::FloatText;
use lwm2m::{Format, Path, Record, Value, operations};
use proptest::prelude::*;

use crate::support::*;

const VALUES: &str = "/2346/0/5914";

fn values(texts: &[&str]) -> Vec<Record> {
    let records = texts.iter().enumerate();
    records
        .map(|(n, text)| string(&format!("{VALUES}/{n}"), text))
        .collect()
}

/// A position's X, Y and Z as a batch.
fn position() -> Bench {
    let mut bench = Bench::registered(1);
    assert_eq!(bench.ask(1, create_batch(&SIX[2..5])).code, Code::CREATED);
    bench.clear();
    bench
}

#[test]
fn a_configuration_that_cannot_stand_is_refused_with_its_reason() {
    let mut bench = Bench::registered(1);
    for (links, expected) in [
        (
            vec!["/3303/0/5700", "/3303/0/5700"],
            "4.00 link /3303/0/5700: linked twice",
        ),
        (
            vec!["3303/0/5700"],
            "4.00 link `3303/0/5700` does not begin",
        ),
        (vec!["/3303/0"], "4.00 link /3303/0: expected a resource"),
        (
            vec!["/3/0/11"],
            "4.00 link /3/0/11: expected one of its instances",
        ),
        (
            vec!["/3303/0/5700/0"],
            "4.00 link /3303/0/5700/0: expected the resource",
        ),
        (vec!["/3/0/4"], "4.00 link /3/0/4: executed"),
        (
            vec!["/2346/0/5914/0"],
            "4.00 link /2346/0/5914/0: a batch links to no batch",
        ),
        (vec!["/0/0/0"], "4.01 /0/0/0: not yours"),
        (vec!["/3303/7/5700"], "4.04 /3303/7/5700: not here"),
        (vec!["/3303/0/1"], "4.04 /3303/0/1: not here"),
        (vec!["/9999/0/1"], "4.04 /9999/0/1: not here"),
        (vec!["/3/0/10"], "4.04 /3/0/10: not here"),
        (
            vec![],
            "4.00 /2346/0/5913: Batch Configuration is mandatory",
        ),
    ] {
        let response = bench.ask(1, create_batch(&links));
        let said = format!("{} {}", response.code, text(&response));
        assert!(said.starts_with(expected), "{said}");
        assert_eq!(bench.get("/2346/0", Format::Tlv).code, Code::NOT_FOUND);
    }
    // Between angle brackets, and an instance of a multiple resource: fine.
    assert_eq!(
        bench
            .ask(1, create_batch(&["</3303/0/5700>", "/3/0/11/0"]))
            .code,
        Code::CREATED
    );
    // A value is computed, and so cannot be given.
    let with_value = create(
        2346,
        &[
            string("/2346/0/5913/0", "/3/0/9"),
            string("/2346/0/5914/0", "1"),
        ],
    );
    assert_eq!(bench.ask(1, with_value).code, Code::BAD_REQUEST);
    // A configuration that is written later is checked, too, and stays as it was.
    let cyclic = with(
        Code::PUT,
        "/2346/0/5913",
        Format::Tlv,
        &[string("/2346/0/5913/0", VALUES)],
    );
    assert_eq!(bench.ask(1, cyclic).code, Code::BAD_REQUEST);
    assert!(text(&bench.get("/2346/0/5913", Format::Json)).contains("/3/0/11/0"));
}

#[test]
fn what_all_links_allow_is_allowed() {
    let mut bench = Bench::registered(1);
    // Temperature is read only.
    bench.ask(1, create_batch(&["/3303/0/5700", "/3360/0/5702"]));
    assert_eq!(bench.get(VALUES, Format::Json).code, Code::CONTENT);
    let put = with(Code::PUT, VALUES, Format::Tlv, &values(&["1", "2"]));
    assert_eq!(bench.ask(1, put).code, Code::METHOD_NOT_ALLOWED);
    // The Package of object 5 is written only.
    let mut store = device(1);
    store.support(5);
    let mut begun = store.transaction();
    begun.create(path("/5/0")).unwrap();
    begun.commit();
    let mut bench = Bench::with(lwm2m::client::Config::new("device"), store, 1);
    bench.start();
    let response = bench.ask(1, create_batch(&["/5/0/0", "/3303/0/5700"]));
    let said = text(&response);
    assert_eq!(response.code, Code::BAD_REQUEST);
    assert!(
        said.contains("/5/0/0 (not readable) and /3303/0/5700 (not writable)"),
        "{said}"
    );
    assert_eq!(bench.ask(1, create_batch(&["/5/0/0"])).code, Code::CREATED);
    assert_eq!(
        bench.get(VALUES, Format::Json).code,
        Code::METHOD_NOT_ALLOWED
    );
    assert_eq!(
        bench.ask(1, observe(VALUES, Format::Json)).code,
        Code::METHOD_NOT_ALLOWED
    );
}

#[test]
fn a_write_of_a_batch_is_whole_or_nothing() {
    let mut bench = position();
    let before = text(&bench.get(VALUES, Format::Json));
    for (texts, expected) in [
        (vec!["1", "2"], "4.00"),
        (vec!["1", "2", "3", "4"], "4.00"),
        (vec!["1", "2", "up"], "4.00"),
        (vec!["1", "2", "inf"], "4.00"),
    ] {
        let put = with(Code::PUT, VALUES, Format::Tlv, &values(&texts));
        assert_eq!(bench.ask(1, put).code.to_string(), expected, "{texts:?}");
        assert_eq!(text(&bench.get(VALUES, Format::Json)), before);
    }
    // POST takes some of them, and so does a PUT of one.
    let post = with(Code::POST, VALUES, Format::Tlv, &values(&["1.5", "2.5"]));
    assert_eq!(bench.ask(1, post).code, Code::CHANGED);
    let one = with(
        Code::PUT,
        "/2346/0/5914/2",
        Format::Text,
        &[string("/2346/0/5914/2", "9")],
    );
    assert_eq!(bench.ask(1, one).code, Code::CHANGED);
    let after = ["/3360/0/5702", "/3360/0/5703", "/3360/0/5704"]
        .map(|at| text(&bench.get(at, Format::Text)));
    assert_eq!(after, ["1.5", "2.5", "9"]);
}

#[test]
fn what_has_gone_is_left_out_of_a_read_and_stops_a_write() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create(3360, &[]));
    bench.ask(1, create_batch(&["/3360/0/5702", "/3360/1/5702"]));
    // No value there yet.
    assert_eq!(
        text(&bench.get(VALUES, Format::Json)),
        "{\"bn\":\"/2346/0/5914\",\"e\":[{\"n\":\"/0\",\"sv\":\"3.25\"}]}"
    );
    bench.ask(1, Request::new(Code::DELETE, "/3360/1"));
    let put = with(Code::PUT, VALUES, Format::Tlv, &values(&["8", "9"]));
    assert_eq!(bench.ask(1, put).code, Code::NOT_FOUND);
    assert_eq!(text(&bench.get("/3360/0/5702", Format::Text)), "3.25");
    bench.ask(1, Request::new(Code::DELETE, "/3360/0"));
    assert_eq!(bench.get(VALUES, Format::Json).code, Code::NOT_FOUND);
}

#[test]
fn a_batch_has_a_typed_form() {
    let mut bench = Bench::registered(1);
    bench.ask(1, create_batch(&["/3360/0/5702", "/3360/0/5704"]));
    let cbor = bench.get(VALUES, Format::Cbor);
    assert_eq!(cbor.payload[..6], [0x82, 0xfa, 0x40, 0x50, 0x00, 0x00]);
    let mut put = Request::new(Code::PUT, VALUES);
    put.options.push_uint(option::CONTENT_FORMAT, 60);
    put.payload = vec![0x82, 0x07, 0x08];
    assert_eq!(bench.ask(1, put).code, Code::CHANGED);
    assert_eq!(text(&bench.get("/3360/0/5704", Format::Text)), "8");
}

#[test]
fn the_rights_of_whoever_asks_count_at_every_use() {
    let mut store = device(2);
    // Server 2 may read and write the position, and read temperature; server 1 all that it owns.
    let mut begun = store.transaction();
    for (control, object, instance, rights) in [
        (0, 3360, 0, 3),
        (1, 3303, 0, 1),
        (2, 2346, 65_535, 16),
        (3, 3, 0, 1),
    ] {
        let control = Path::instance(2, control);
        begun.create(control).unwrap();
        for (id, value) in [(0, object), (1, instance), (3, 1)] {
            begun
                .set(control.child(id).unwrap(), Value::Integer(value))
                .unwrap();
        }
        for server in [1, 2] {
            let acl = control.child(2).unwrap().child(server).unwrap();
            begun.set(acl, Value::Integer(rights)).unwrap();
        }
    }
    begun.commit();
    let mut bench = Bench::with(lwm2m::client::Config::new("device"), store, 2);
    bench.start();
    // Humidity is nobody's.
    assert_eq!(
        bench.ask(2, create_batch(&["/3304/0/5700"])).code,
        Code::UNAUTHORIZED
    );
    assert_eq!(
        bench
            .ask(2, create_batch(&["/3303/0/5700", "/3360/0/5702"]))
            .code,
        Code::CREATED
    );
    assert_eq!(bench.ask(2, get(VALUES, Format::Json)).code, Code::CONTENT);
    // The batch is that of server 2: server 1 sees nothing of it.
    assert_eq!(
        bench.ask(1, get(VALUES, Format::Json)).code,
        Code::UNAUTHORIZED
    );
    // What server 2 may no longer read, it no longer reads by the batch.
    let none = Record::new(path("/2/1/2/2"), Value::Integer(0));
    assert_eq!(
        bench
            .ask(1, with(Code::POST, "/2/1/2", Format::Tlv, &[none]))
            .code,
        Code::CHANGED
    );
    assert_eq!(
        bench.ask(2, get(VALUES, Format::Json)).code,
        Code::UNAUTHORIZED
    );
}

/// The values of a tree by their paths, without what a batch shows.
fn tree(bench: &Bench) -> BTreeMap<Path, Option<Value>> {
    let records = bench
        .client
        .store()
        .records(Path::ROOT, |_, _| true)
        .into_iter();
    records.map(|record| (record.path, record.value)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Writing by Batch is writing by composite, and reading by one is reading by the other: the same state and the
    /// same notifications.
    #[test]
    fn a_batch_says_what_composites_say(
        steps in prop::collection::vec((0usize..3, -1000i32..1000, any::<bool>()), 1..12),
    ) {
        let (mut by_batch, mut by_composite) = (position(), position());
        let observed: Vec<_> = [&mut by_batch, &mut by_composite].into_iter().map(|bench| {
            let of_one = bench.begin(1, observe("/3360/0/5702", Format::Text));
            let of_all = bench.begin(1, observe(VALUES, Format::Json));
            (of_one, of_all)
        }).collect();
        for (which, number, both) in steps {
            let at = [SIX[2], SIX[3], SIX[4]];
            let number = f64::from(number) / 8.0;
            let mut written = vec![(which, number)];
            if both {
                written.push(((which + 1) % 3, -number));
            }
            let in_batch = written.iter().map(|(n, x)| string(&format!("{VALUES}/{n}"), &x.to_string()));
            let in_batch: Vec<Record> = in_batch.collect();
            let first = by_batch.ask(1, with(Code::POST, VALUES, Format::Tlv, &in_batch));
            let named = written.iter().map(|(n, x)| Record::new(path(at[*n]), Value::Float(*x)));
            let named: Vec<Record> = named.collect();
            let second = by_composite.ask(1, with(Code::IPATCH, "/", Format::SenmlCbor, &named));
            prop_assert_eq!((first.code, second.code), (Code::CHANGED, Code::CHANGED));
        }
        prop_assert_eq!(tree(&by_batch), tree(&by_composite));
        let (one, two) = (observed[0], observed[1]);
        prop_assert_eq!(by_batch.notifications(one.0), by_composite.notifications(two.0));
        prop_assert_eq!(by_batch.notifications(one.1), by_composite.notifications(two.1));
        // Read as batch and as composite: the same values.
        let links: Vec<Path> = SIX[2..5].iter().map(|at| path(at)).collect();
        let store = by_batch.client.store();
        let who = Requester::Server(1);
        let batch = operations::read(store, who, path(VALUES), FloatText::Shortest).unwrap();
        let composite = operations::read_composite(store, who, &links, FloatText::Shortest);
        let of_batch: Vec<String> = batch.iter().map(|r| r.value.as_ref().unwrap().to_text(FloatText::Shortest)).collect();
        let of_composite: Vec<String> = composite.iter().map(|r| r.value.as_ref().unwrap().to_text(FloatText::Shortest)).collect();
        prop_assert_eq!(of_batch, of_composite);
    }

    /// A write that fails anywhere leaves the tree as it was, whatever it says.
    #[test]
    fn a_refused_write_changes_nothing(
        texts in prop::collection::vec("(-?[0-9]{1,3}|x|1e400)?", 0..5),
        whole: bool,
    ) {
        let mut bench = position();
        let before = tree(&bench);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let mode = if whole { Mode::Replace } else { Mode::Update };
        let mut store = bench.client.store().clone();
        let done = Change::new(&mut store, Requester::Server(1)).write(path(VALUES), mode, &values(&texts));
        let fine = texts.len() <= 3 && (!whole || texts.len() == 3) && texts.iter().all(|t| t.parse::<i32>().is_ok());
        prop_assert_eq!(done.is_ok(), fine, "{:?}", done);
        let method = if whole { Code::PUT } else { Code::POST };
        let response = bench.ask(1, with(method, VALUES, Format::Tlv, &values(&texts)));
        prop_assert_eq!(response.code.is_success(), fine);
        if !fine {
            prop_assert_eq!(tree(&bench), before);
        }
    }
}
