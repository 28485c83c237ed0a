//! Location (LwM2M 1.1 Core §E.7) of a client that is told where it is.

use std::time::Duration;

use coap::{Code, Request};
use lwm2m::client::{Client, Config, Fix, Locating, Whereabouts};
use lwm2m::{Format, Store};
use service::{Reach, Service};
use units::Seed;

use crate::support::*;

/// It goes north by an eighth of a degree a second for five seconds.
#[derive(Debug)]
struct North;

impl Whereabouts for North {
    fn at(&self, at: Duration) -> Fix {
        let seconds = at.as_secs_f64();
        Fix {
            latitude_deg: 50.0 + seconds.min(5.0) / 8.0,
            longitude_deg: 8.5,
            speed_m_s: if seconds < 5.0 { 1.5 } else { 0.0 },
        }
    }
}

fn tree() -> Store {
    let mut store = device(1);
    store.support(6);
    let mut begun = store.transaction();
    begun.create(path("/6/0")).unwrap();
    begun.commit();
    store
}

/// A registered client with a fix every 2 s; `began`: the scenario's time at its start.
fn bench(config: Config, began: u64) -> Bench {
    let client = Client::new(config, tree(), Seed(1).rng(&["client"]), false);
    let locating = Locating {
        whereabouts: Box::new(North),
        every: Duration::from_secs(2),
        began: Duration::from_secs(began),
    };
    let mut bench = Bench::of(client.with_location(locating), 1);
    bench.start();
    bench
}

fn location(bench: &mut Bench) -> String {
    text(&bench.get("/6/0", Format::Json))
}

fn expected(latitude: &str, time: i64, speed: &str) -> String {
    format!(
        r#"{{"bn":"/6/0","e":[{{"n":"/0","v":{latitude}}},{{"n":"/1","v":8.5}},{{"n":"/5","v":{time}}},{{"n":"/6","v":{speed}}}]}}"#
    )
}

#[test]
fn it_is_there_at_the_start_and_then_as_of_every_period() {
    let mut bench = bench(Config::new("device"), 0);
    assert_eq!(location(&mut bench), expected("50", 0, "1.5"));
    bench.pass(Duration::from_millis(3900));
    assert_eq!(location(&mut bench), expected("50.25", 2, "1.5"));
    bench.pass(Duration::from_secs(4));
    assert_eq!(location(&mut bench), expected("50.625", 6, "0"));
}

#[test]
fn a_fix_is_one_change_and_at_rest_only_its_time_is_another_one() {
    let mut bench = bench(Config::new("device"), 0);
    let all = bench.begin(1, observe("/6/0", Format::Json));
    let latitude = bench.begin(1, observe("/6/0/0", Format::Text));
    bench.pass(Duration::from_secs(10));
    assert_eq!(bench.notifications(all).len(), 6);
    let told = bench.notifications(latitude);
    assert_eq!(told, ["50", "50.25", "50.5", "50.625"]);
}

#[test]
fn what_was_missed_off_the_link_is_made_up_for_by_the_last() {
    let mut bench = bench(Config::new("device"), 0);
    let latitude = bench.begin(1, observe("/6/0/0", Format::Text));
    let off = Reach {
        sends: false,
        asks: false,
    };
    assert!(bench.client.poll_timeout(off).is_none());
    bench.now += Duration::from_millis(5_500);
    bench.pass(Duration::ZERO);
    assert_eq!(bench.notifications(latitude), ["50", "50.5"]);
    // The next one is when it would have been.
    bench.pass(Duration::from_millis(500));
    assert_eq!(bench.notifications(latitude).last().unwrap(), "50.625");
}

#[test]
fn a_device_that_lives_again_is_where_the_scenario_has_it_by_now() {
    let mut bench = bench(Config::new("device"), 100);
    assert_eq!(location(&mut bench), expected("50.625", 100, "0"));
}

#[test]
fn a_calendar_says_the_time_and_a_deleted_instance_stays_away() {
    let config = Config {
        epoch_s: Some(1_700_000_000.0),
        ..Config::new("device")
    };
    let mut bench = bench(config, 0);
    bench.pass(Duration::from_secs(2));
    assert_eq!(
        location(&mut bench),
        expected("50.25", 1_700_000_002, "1.5")
    );
    let delete = Request::new(Code::DELETE, "/6/0");
    assert_eq!(bench.ask(1, delete).code, Code::DELETED);
    bench.pass(Duration::from_secs(4));
    assert_eq!(bench.get("/6/0", Format::Json).code, Code::NOT_FOUND);
}
