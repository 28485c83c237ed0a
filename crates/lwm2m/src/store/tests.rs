//! Transactions and what they change.

use super::*;
use proptest::prelude::*;

const X: Path = Path::resource(3360, 0, 5702);
const LINK: Path = Path::resource_instance(2346, 0, 5913, 0);

fn store() -> Store {
    let mut store = Store::new(Arc::new(Registry::built_in()));
    for object in [3, 2346, 3303, 3360] {
        assert!(store.support(object));
    }
    let mut begun = store.transaction();
    begun.create(Path::instance(3360, 0)).unwrap();
    begun.create(Path::instance(2346, 0)).unwrap();
    begun.create(Path::instance(3, 0)).unwrap();
    begun.set(X, Value::Float(1.0)).unwrap();
    begun
        .set(Path::resource(3, 0, 9), Value::Integer(100))
        .unwrap();
    begun.commit();
    store
}

#[test]
fn changes_are_what_is_other_in_the_end() {
    let mut store = store();
    let mut transaction = store.transaction();
    transaction.set(X, Value::Float(2.0)).unwrap();
    transaction.set(X, Value::Float(1.0)).unwrap();
    transaction.create(Path::instance(3360, 7)).unwrap();
    transaction.delete(Path::instance(3360, 7)).unwrap();
    assert!(transaction.commit().is_empty());
    let mut transaction = store.transaction();
    transaction.set(X, Value::Integer(3)).unwrap();
    transaction
        .set(LINK, Value::String("/3/0/9".into()))
        .unwrap();
    let changes = transaction.commit();
    assert_eq!(changes.values, BTreeSet::from([X, LINK]));
    assert_eq!(store.value(&X), Some(&Value::Float(3.0)));
    assert!(changes.meet(&Path::object(3360)) && !changes.meet(&Path::object(3)));
}

#[test]
fn what_is_dropped_has_never_been() {
    let mut store = store();
    let before = store.records(Path::ROOT, |_, _| true);
    let mut transaction = store.transaction();
    transaction.set(X, Value::Float(9.0)).unwrap();
    transaction.delete(Path::instance(3, 0)).unwrap();
    transaction.create(Path::instance(3303, 4)).unwrap();
    assert!(
        transaction
            .set(Path::resource(3360, 0, 5702), Value::Boolean(true))
            .is_err()
    );
    drop(transaction);
    assert_eq!(store.records(Path::ROOT, |_, _| true), before);
}

#[test]
fn what_cannot_be_is_named() {
    let mut store = store();
    let mut begun = store.transaction();
    let float = |x| Value::Float(x);
    for (error, expected) in [
        (
            begun.set(Path::resource(3360, 1, 5702), float(1.0)),
            "/3360/1: no such object instance",
        ),
        (
            begun.set(Path::resource(3360, 0, 1), float(1.0)),
            "/3360/0/1: no such resource",
        ),
        (
            begun.set(X.child(0).unwrap(), float(1.0)),
            "/3360/0/5702/0: no such resource",
        ),
        (
            begun.set(X, Value::String("1".into())),
            "/3360/0/5702: a value of type String, expected Float",
        ),
        (
            begun.set(Path::resource(3, 0, 9), Value::Integer(101)),
            "/3/0/9: 101 is outside 0 to 100",
        ),
        (
            begun.create(Path::instance(3, 0)),
            "/3/0: this instance cannot be created",
        ),
        (
            begun.create(Path::instance(3, 1)),
            "/3/1: this instance cannot be created",
        ),
        (begun.create(Path::instance(9, 1)), "/9: no such object"),
        (
            begun.delete(Path::instance(3303, 1)),
            "/3303/1: no such object instance",
        ),
        (begun.empty(X), "/3360/0/5702: no such resource"),
    ] {
        assert_eq!(error.unwrap_err().to_string(), expected);
    }
}

#[test]
fn instances_and_records_are_those_below_a_path() {
    let mut store = store();
    let mut begun = store.transaction();
    begun.set(LINK, Value::String("/3/0/9".into())).unwrap();
    begun.empty(Path::resource(3, 0, 11)).unwrap();
    begun.commit();
    let paths = |path: &str| {
        let records = store.records(path.parse().unwrap(), |_, _| true);
        records
            .iter()
            .map(|r| r.path.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(paths("/3"), ["/3/0/9", "/3/0/11"]);
    assert_eq!(paths("/2346/0/5913"), ["/2346/0/5913/0"]);
    assert_eq!(paths("/2346/0/5913/1"), [""; 0]);
    assert_eq!(store.instances(Path::ROOT).count(), 3);
    assert_eq!(store.free_instance(3360), Some(Path::instance(3360, 1)));
    assert_eq!(store.free_instance(3), None);
}

proptest! {
    /// Whatever is done within a transaction: dropped, it leaves everything as it was; committed, the changes
    /// are the difference.
    #[test]
    fn a_transaction_is_whole_or_nothing(
        steps in prop::collection::vec((0u8..4, 0u16..3, 0u16..3, -1.0f64..1.0), 0..20),
        commit: bool,
    ) {
        let mut store = store();
        let all = |store: &Store| {
            let records = store.records(Path::ROOT, |_, _| true).into_iter();
            records.map(|r| (r.path, r.value)).collect::<BTreeMap<_, _>>()
        };
        let before = all(&store);
        let instances: BTreeSet<Path> = store.instances(Path::ROOT).collect();
        let mut transaction = store.transaction();
        for (what, instance, resource, x) in steps {
            let instance = Path::instance(3360, instance);
            let _ = match what {
                0 => transaction.create(instance),
                1 => transaction.delete(instance),
                2 => transaction.remove(instance.child(5702 + resource).unwrap()),
                _ => transaction.set(instance.child(5702 + resource).unwrap(), Value::Float(x)),
            };
        }
        if !commit {
            drop(transaction);
            prop_assert_eq!(all(&store), before);
            prop_assert_eq!(store.instances(Path::ROOT).collect::<BTreeSet<_>>(), instances);
        } else {
            let changes = transaction.commit();
            let after = all(&store);
            let differ: BTreeSet<Path> = before.keys().chain(after.keys())
                .filter(|p| before.get(p) != after.get(p)).copied().collect();
            prop_assert_eq!(&changes.values, &differ);
            let now: BTreeSet<Path> = store.instances(Path::ROOT).collect();
            prop_assert_eq!(&changes.created, &(&now - &instances));
            prop_assert_eq!(&changes.deleted, &(&instances - &now));
        }
    }
}
