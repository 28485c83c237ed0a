//! Where a node is, for a service that tells it.

use std::time::Duration;

use propagation::{Position, Waypoint};
use topology::kind::ServicePlan;
use topology::{Overrides, Plan, load};

/// A walk of 4 m with a device that tells where it is, and one that does not.
fn walk(medium: &str) -> Plan {
    let text = format!(
        "version: 1\nname: walk\nradio: {{ medium: {medium} }}\nnodes:\n  \
         er1: {{ role: edge-router, position: [0 m, 0 m] }}\n  \
         server: {{ place: wired, services: [{{ lwm2m-server: {{}} }}] }}\n  \
         device:\n    place: radio\n    attached_to: er1\n    position: [1 m, 0 m]\n    \
         services: [{{ lwm2m-client: {{ location: {{ latitude: 50.1, every: 500 ms }} }} }}]\n  \
         quiet:\n    place: radio\n    attached_to: er1\n    position: [2 m, 0 m]\n    \
         services: [{{ lwm2m-client: {{ connectivity: true }} }}]\n\
         scenario:\n  duration: 10 s\n  steps:\n    \
         - {{ at: 1 s, move: device, to: [5 m, 0 m], speed: 2 m/s }}\n    \
         - {{ at: 4 s, crash: device }}\n    - {{ at: 5 s, restart: device }}\n"
    );
    load("walk.yaml", &text, Overrides::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn track<'p>(plan: &'p Plan, name: &str) -> &'p [Waypoint] {
    &plan.nodes[name].radio.as_ref().unwrap().track
}

#[test]
fn a_device_that_tells_where_it_is_has_its_way_under_either_medium() {
    for (medium, quiet) in [("edges", 0), ("phy", 1)] {
        let plan = walk(medium);
        let way: Vec<(u64, f64)> = track(&plan, "device")
            .iter()
            .map(|point| (point.at.as_secs(), point.position.x_m))
            .collect();
        assert_eq!(way, [(0, 1.0), (1, 1.0), (3, 5.0)], "{medium}");
        assert_eq!(track(&plan, "quiet").len(), quiet, "{medium}");
        // What its daemon is told has it, too, and when the node lives again.
        let own = plan.of_node("device");
        assert_eq!(track(&own, "device"), track(&plan, "device"));
        let at: Vec<Duration> = own.scenario.steps.iter().map(|step| step.at).collect();
        assert_eq!(at, [Duration::from_secs(4), Duration::from_secs(5)]);
    }
}

#[test]
fn the_client_has_the_objects_that_its_node_feeds() {
    let plan = walk("edges");
    let objects = |name: &str| match &plan.nodes[name].services[0] {
        ServicePlan::Lwm2mClient(client) => client.objects.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((objects("device"), objects("quiet")), (vec![6], vec![4]));
    let ServicePlan::Lwm2mClient(client) = &plan.nodes["device"].services[0] else {
        panic!("a client");
    };
    let location = client.location.as_ref().unwrap();
    assert_eq!(location.every, Duration::from_millis(500));
    let place = location.origin().degrees(Position::default());
    assert_eq!(place, (50.1, 0.0));
    assert!(plan.nodes["quiet"].hears_signals() && !plan.nodes["device"].hears_signals());
}
