//! Register, Update, Deregister (LwM2M 1.1 Core §6.2, Transport §6.4.1).

use coap::message::option;
use coap::{Code, Request};
use lwm2m::model::Version;
use lwm2m::server::{Config, Event};
use units::SimTime;

use crate::support::{LINKS, World, at, path, registration, secs};

fn update(path: &str, queries: &[&str]) -> Request {
    let mut request = Request::new(Code::POST, path);
    for query in queries {
        request.options.push(option::URI_QUERY, query);
    }
    request
}

#[test]
fn a_client_registers_with_all_that_it_says() {
    let mut world = World::new(Config::default());
    let links = "</>;rt=\"oma.lwm2m\";ct=\"60 110 112\",</1/0>,</3303>;ver=1.1,</3303/0>, </3303/1>,</a/b>;title=\"x,y;z\"";
    let queries = [
        "lt=300",
        "lwm2m=1.1",
        "b=U",
        "Q",
        "sms=491701234567",
        "pid=7",
    ];
    let response = world.ask(1, registration("urn:dev:1", &queries, links));
    assert_eq!(response.code, Code::CREATED);
    let location: Vec<&[u8]> = response.options.get_all(option::LOCATION_PATH).collect();
    let known = world.server.registration("urn:dev:1").unwrap();
    let id = known.id.to_string();
    assert_eq!(location, [b"rd", id.as_bytes()]);
    let said = &known.description;
    assert_eq!(
        (said.lifetime, said.version),
        (Some(secs(300)), Version::V1_1)
    );
    assert_eq!((said.queue_mode, &*said.binding), (true, "U"));
    assert_eq!(said.sms.as_deref(), Some("491701234567"));
    assert_eq!(said.formats, [60, 110, 112]);
    let objects: Vec<_> = said.objects.iter().map(|e| (e.path, e.version)).collect();
    let expected = [
        (path("/1/0"), None),
        (path("/3303"), Some(Version::V1_1)),
        (path("/3303/0"), None),
        (path("/3303/1"), None),
    ];
    assert_eq!(objects, expected);
    assert_eq!(known.address, at(1));
}

#[test]
fn a_tree_below_an_alternate_path_is_found_there() {
    let mut world = World::new(Config::default());
    let links = "</lwm2m>;rt=\"oma.lwm2m\",</lwm2m/3/0>,</3303/0>";
    world.ask(1, registration("a", &[], links));
    let said = &world.server.registration("a").unwrap().description;
    assert_eq!(said.root, "/lwm2m");
    assert_eq!(said.objects.len(), 1);
    let read = lwm2m::server::Operation::Discover { path: path("/3/0") };
    world.operate("a", read);
    assert_eq!(world.asked_paths(1), ["/lwm2m/3/0"]);
}

#[test]
fn what_is_missing_or_malformed_is_answered_4_00() {
    let config = Config {
        min_lifetime: secs(60),
        max_lifetime: Some(secs(86_400)),
        max_links: 8,
        ..Config::default()
    };
    let mut world = World::new(config);
    let many = ["</3303/0>"; 9].join(",");
    let deep = format!("</{}>;rt=\"oma.lwm2m\"", "x".repeat(255));
    for (ep, queries, links) in [
        ("", &[][..], LINKS),
        ("a", &["lt=x"], LINKS),
        ("a", &["lt=-1"], LINKS),
        ("a", &["lt=+61"], LINKS),
        ("a", &["lt="], LINKS),
        ("a", &["lt=59"], LINKS),
        ("a", &["lt=0"], LINKS),
        ("a", &["lt=86401"], LINKS),
        ("a", &["lt=4294967296"], LINKS),
        ("a", &["lt=60", "lt=61"], LINKS),
        ("a", &["lwm2m=one"], LINKS),
        ("a", &["b=X"], LINKS),
        ("a", &["sms=0123456789012345678901"], LINKS),
        ("a", &[], ""),
        ("a", &[], "3/0"),
        ("a", &[], "</3/0"),
        ("a", &[], "</3/0>;a=\"b"),
        ("a", &[], "</3/0></3/1>"),
        ("a", &[], &deep),
        ("a", &[], &many),
    ] {
        let response = world.ask(1, registration(ep, queries, links));
        assert_eq!(response.code, Code::BAD_REQUEST, "{ep} {queries:?} {links}");
        assert!(!response.payload.is_empty(), "{queries:?} {links}");
    }
    assert_eq!(world.server.registrations().count(), 0);
    let refused = |event: &Event| matches!(event, Event::Refused { .. });
    assert!(world.take_events().iter().all(refused));
}

#[test]
fn a_version_that_is_not_spoken_is_answered_4_12_and_an_older_one_is_taken() {
    let mut world = World::new(Config {
        versions: Version::V1_0..=Version::V1_1,
        ..Config::default()
    });
    let response = world.ask(1, registration("a", &["lwm2m=1.2"], LINKS));
    assert_eq!(response.code, Code::PRECONDITION_FAILED);
    world.register(1, "a", &["lwm2m=1.1"]);
    world.register(1, "b", &[]);
    let version = |ep| world.server.registration(ep).unwrap().description.version;
    assert_eq!((version("a"), version("b")), (Version::V1_1, Version::V1_0));
}

#[test]
fn another_registration_of_an_endpoint_takes_the_place_of_the_first() {
    let mut world = World::new(Config::default());
    let first = world.register(1, "a", &[]);
    let second = world.register(2, "a", &[]);
    assert_ne!(first, second);
    assert_eq!(world.server.registrations().count(), 1);
    assert_eq!(world.server.registration("a").unwrap().address, at(2));
    assert_eq!(world.ask(1, update(&first, &[])).code, Code::NOT_FOUND);
    let replaced = world.take_events().into_iter().any(|event| {
        matches!(event, Event::Registered { replaced: Some(id), .. } if first.ends_with(&id.to_string()))
    });
    assert!(replaced);
}

#[test]
fn an_update_prolongs_changes_what_it_says_and_moves_the_client_with_its_address() {
    let mut world = World::new(Config::default());
    let place = world.register(1, "a", &["lt=100"]);
    world.pass(secs(90));
    assert_eq!(world.ask(1, update(&place, &[])).code, Code::CHANGED);
    world.pass(secs(90));
    let mut links = update(&place, &["lt=50", "b=UQ"]);
    links.payload = b"</3303/7>".to_vec();
    assert_eq!(world.ask(2, links).code, Code::CHANGED);
    let known = world.server.registration("a").unwrap();
    assert_eq!(known.address, at(2));
    assert_eq!(known.description.lifetime, Some(secs(50)));
    assert!(known.description.queue_mode);
    assert_eq!(known.description.objects[0].path, path("/3303/7"));
    assert_eq!(world.server.ends(known.id), Some(SimTime::ZERO + secs(230)));
    let moved: Vec<bool> = (world.take_events().into_iter())
        .filter_map(|event| match event {
            Event::Updated { moved, .. } => Some(moved),
            _ => None,
        })
        .collect();
    assert_eq!(moved, [false, true]);
}

#[test]
fn an_update_or_deregistration_of_nothing_is_answered_4_04() {
    let mut world = World::new(Config::default());
    let place = world.register(1, "a", &[]);
    for nothing in ["/rd/0123456789", "/rd/x", "/rd/%00"] {
        assert_eq!(
            world.ask(1, update(nothing, &[])).code,
            Code::NOT_FOUND,
            "{nothing}"
        );
        let delete = Request::new(Code::DELETE, nothing);
        assert_eq!(world.ask(1, delete).code, Code::NOT_FOUND, "{nothing}");
    }
    let delete = Request::new(Code::DELETE, &place);
    assert_eq!(world.ask(1, delete.clone()).code, Code::DELETED);
    assert_eq!(world.ask(1, delete).code, Code::NOT_FOUND);
    assert_eq!(
        world.ask(1, Request::new(Code::GET, "/rd")).code,
        Code::METHOD_NOT_ALLOWED
    );
}

#[test]
fn a_registration_ends_with_its_lifetime_and_one_without_end_does_not() {
    let mut world = World::new(Config::default());
    world.register(1, "brief", &["lt=10"]);
    world.register(2, "endless", &["lt=0"]);
    world.pass(secs(9));
    assert!(world.server.registration("brief").is_some());
    world.take_events();
    world.pass(secs(1));
    assert!(world.server.registration("brief").is_none());
    let events = world.take_events();
    assert!(matches!(&events[..], [Event::Expired { endpoint, .. }] if &**endpoint == "brief"));
    world.pass(secs(10_000_000));
    assert!(world.server.registration("endless").is_some());
}

#[test]
fn there_is_room_for_so_many_registrations() {
    let mut world = World::new(Config {
        max_registrations: 2,
        ..Config::default()
    });
    world.register(1, "a", &[]);
    world.register(2, "b", &[]);
    let third = world.ask(3, registration("c", &[], LINKS));
    assert_eq!(third.code, Code::SERVICE_UNAVAILABLE);
    // Who has one may renew it.
    world.register(3, "a", &[]);
}
