//! Files that a topology names, by whole topologies: movements of other tools, object models.

use std::fs;
use std::path::Path;
use std::time::Duration;

use propagation::Waypoint;
use topology::{Overrides, load_with};

/// Where `sensor` is, of a topology in `fixtures`.
fn track(name: &str) -> Vec<Waypoint> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let mut files = |name: &str| fs::read(folder.join(name)).map_err(|error| error.to_string());
    let plan = load_with(name, &text, Overrides::default(), &mut files);
    let plan = plan.unwrap_or_else(|error| panic!("{error}"));
    plan.nodes["sensor"].radio.as_ref().unwrap().track.clone()
}

fn ends(track: &[Waypoint]) -> [(Duration, f64, f64); 2] {
    [track[0], track[track.len() - 1]].map(|w| (w.at, w.position.x_m, w.position.y_m))
}

#[test]
fn movements_that_gzip_compressed_are_read() {
    let (begin, end) = (Duration::ZERO, Duration::from_secs(20));
    // 100 m in 50 s, of which the scenario has 20 s.
    let wanted = [(begin, 100.0, 100.0), (end, 140.0, 140.0)];
    assert_eq!(ends(&track("import.yaml")), wanted);
}

#[test]
fn a_place_at_a_time_is_a_jump_in_the_plan() {
    let track = track("set-at.yaml");
    let jump = track
        .windows(2)
        .find(|pair| pair[0].at == pair[1].at)
        .unwrap();
    let [from, to] = [jump[0], jump[1]].map(|w| (w.at.as_secs(), w.position.x_m, w.position.y_m));
    assert_eq!([from, to], [(5, 100.0, 100.0), (5, 200.0, 200.0)]);
}

#[test]
fn an_animation_beside_the_movement_is_passed_over() {
    let last = ends(&track("initial-node-pos.yaml"))[1];
    assert_eq!(last.0, Duration::from_secs(20));
}

#[test]
fn a_damaged_or_endless_file_is_an_error_at_its_key() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let text = fs::read_to_string(folder.join("import.yaml")).unwrap();
    let whole = fs::read(folder.join("rwp.movements.gz")).unwrap();
    let mut files = |_: &str| Ok(whole[..whole.len() / 2].to_vec());
    let error = load_with("x.yaml", &text, Overrides::default(), &mut files).unwrap_err();
    let message = &error.problems()[0].message;
    assert!(
        message.contains("`rwp.movements.gz`: not unpacked by gzip"),
        "{message}"
    );
}

const THERMOSTAT: &str = include_str!("thermostat.xml");

/// What is wrong with a client and a server of a thermostat whose file is this.
fn thermostat(xml: &str, value: &str) -> Result<(), String> {
    let text = format!(
        "version: 1\nname: own\nnodes:\n  er1: {{ role: edge-router }}\n  server:\n    place: wired\n    services:\n      \
         - lwm2m-server: {{ models: [thermostat.xml], upon_registration: [{{ write: {{ path: /33000/0/1, values: {{ \"\": {value} }} }} }}] }}\n  \
         device:\n    place: radio\n    attached_to: er1\n    services:\n      \
         - lwm2m-client: {{ models: [thermostat.xml], values: {{ /33000/0/1: 20 }} }}\n\
         scenario: {{ duration: 5 s }}\n"
    );
    let mut files = |name: &str| match name {
        "thermostat.xml" => Ok(xml.as_bytes().to_vec()),
        other => Err(format!("no {other}")),
    };
    let read = topology::load_with(
        "own.yaml",
        &text,
        topology::Overrides::default(),
        &mut files,
    );
    read.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn an_object_of_a_file_has_its_types_at_the_client_and_in_operations() {
    thermostat(THERMOSTAT, "19.5").unwrap();
    let error = thermostat(THERMOSTAT, "warm").unwrap_err();
    assert!(
        error.contains("own.yaml:8:") && error.contains("`warm`"),
        "{error}"
    );
}

/// A client whose `models` is the directory `objects/` with these files.
fn of_directory(files: &[(&str, &str)]) -> Result<topology::Plan, String> {
    let text = "version: 1\nname: own\nnodes:\n  er1: { role: edge-router }\n  \
                server: { place: wired, services: [{ lwm2m-server: { models: [objects/] } }] }\n  \
                device:\n    place: radio\n    attached_to: er1\n    services:\n      \
                - lwm2m-client: { models: [objects/], values: { /33000/0/1: 20, /33001/0/1: 20 } }\n\
                scenario: { duration: 5 s }\n";
    let listing: Vec<&str> = files.iter().map(|(name, _)| *name).collect();
    let mut loader = |name: &str| match name.strip_prefix("objects/") {
        Some("") => Ok(listing.join("\n").into_bytes()),
        Some(file) => {
            let found = files.iter().find(|(name, _)| *name == file);
            found
                .map(|(_, text)| text.as_bytes().to_vec())
                .ok_or_else(|| "gone".to_owned())
        }
        None => Err(format!("no {name}")),
    };
    let overrides = topology::Overrides::default();
    topology::load_with("own.yaml", text, overrides, &mut loader).map_err(|error| error.to_string())
}

#[test]
fn a_directory_is_every_object_model_in_it_in_the_order_of_the_names() {
    let other = THERMOSTAT.replace("33000", "33001");
    let plan = of_directory(&[
        ("b.xml", THERMOSTAT),
        ("notes.txt", "none"),
        ("a.xml", &other),
    ]);
    let plan = plan.unwrap_or_else(|error| panic!("{error}"));
    let models = |name: &str| match &plan.nodes[name].services[0] {
        topology::kind::ServicePlan::Lwm2mClient(client) => client.models.clone(),
        topology::kind::ServicePlan::Lwm2mServer(server) => server.models.clone(),
        service => panic!("{service:?}"),
    };
    assert_eq!(models("device"), [&other, THERMOSTAT]);
    assert_eq!(models("server"), models("device"));
}

#[test]
fn a_file_of_a_directory_that_is_no_object_model_is_named_and_a_directory_without_one_too() {
    let error = of_directory(&[("a.xml", THERMOSTAT), ("b.xml", "<LWM2M>")]).unwrap_err();
    assert!(
        error.contains("lwm2m-client.models[0]`: `objects/b.xml`: no XML"),
        "{error}"
    );
    assert_eq!(error.matches(": error: ").count(), 2, "{error}");
    let error = of_directory(&[("notes.txt", "none")]).unwrap_err();
    let expected = "`objects/` has no file whose name ends in `.xml`";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn an_object_that_two_files_have_is_refused_and_both_are_named() {
    let error = of_directory(&[("a.xml", THERMOSTAT), ("b.xml", THERMOSTAT)]).unwrap_err();
    let expected = "`objects/b.xml`: object 33000 is in `objects/a.xml` already";
    assert!(error.contains(expected), "{error}");
}

#[test]
fn a_file_that_is_no_object_model_is_named_with_the_line_and_what_was_expected() {
    for (right, wrong, expected) in [
        (
            "<Type>Float</Type>",
            "<Type>Real</Type>",
            "`thermostat.xml`: line 12: ",
        ),
        (
            "<Operations>RW<",
            "<Operations>X<",
            "`thermostat.xml`: line 11: ",
        ),
        (
            "<ObjectID>33000<",
            "<ObjectID>x<",
            "expected a number from 0 to 65535",
        ),
        (
            "<ObjectID>33000<",
            "<ObjectID>3<",
            "object 3 is that of this testbed",
        ),
        ("</LWM2M>", "", "`thermostat.xml`: no XML: "),
        (
            "<Item ID=\"2\">",
            "<Item ID=\"1\">",
            "object 33000 has resource 1 twice",
        ),
    ] {
        let error = thermostat(&THERMOSTAT.replace(right, wrong), "19.5").unwrap_err();
        assert!(error.contains(expected), "{wrong}: {error}");
        // What follows from it is not said.
        assert_eq!(error.matches(": error: ").count(), 2, "{error}");
        assert!(error.contains("lwm2m-server.models[0]`"), "{error}");
        assert!(error.contains("lwm2m-client.models[0]`"), "{error}");
    }
}
