//! A protocol's name stands in its own rooms and nowhere else: what the rest of the code knows by
//! name, it would have to be taught again for the next protocol.
//!
//! The rooms are those of ARCHITECTURE.md's table "Where a protocol's name stands".

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    root.canonicalize().unwrap()
}

/// A protocol, by what it is called in code, and the paths under which its name may stand.
struct Protocol {
    words: BTreeSet<String>,
    rooms: Vec<String>,
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<String> {
    let parts = cell.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// The rows of a table of ARCHITECTURE.md, cell by cell.
fn table(heading: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let start = text
        .find(heading)
        .unwrap_or_else(|| panic!("no `{heading}`"));
    let lines = text[start..]
        .lines()
        .skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| {
        row.trim_matches('|')
            .split('|')
            .map(str::to_owned)
            .collect()
    };
    rows.map(cells).collect()
}

fn protocols() -> Vec<Protocol> {
    let rows = table("## Where a protocol's name stands");
    let protocols = rows.iter().map(|row| Protocol {
        words: quoted(&row[1]).into_iter().collect(),
        rooms: row[2..].iter().flat_map(|cell| quoted(cell)).collect(),
    });
    protocols.collect()
}

/// The files that list the kinds, a line for each.
fn registers() -> Vec<String> {
    table("## Registers")
        .iter()
        .flat_map(|row| quoted(&row[0]))
        .collect()
}

/// Every Rust file of the crates' sources.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The code of a line: without its comment. (A string with `//` in it loses its end, which hides no
/// name that matters.)
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or_default()
}

/// The words of an identifier: `wmms_store` and `WmmsPlan` both begin with `wmms`.
fn words(code: &str) -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    let mut word = String::new();
    let mut before = ' ';
    for c in code.chars().chain([' ']) {
        let begins = c.is_ascii_uppercase() && before.is_ascii_lowercase();
        if (!c.is_ascii_alphanumeric() || begins) && !word.is_empty() {
            words.insert(std::mem::take(&mut word).to_ascii_lowercase());
        }
        if c.is_ascii_alphanumeric() {
            word.push(c);
        }
        before = c;
    }
    words
}

#[test]
fn words_are_found_in_every_style_of_identifier() {
    let found = words("wmms_store::Wmms(CompPlan, ServicePlan::Wmms) \"/comp\" encompass");
    for word in ["wmms", "store", "comp", "plan", "service", "encompass"] {
        assert!(found.contains(word), "{word}: {found:?}");
    }
}

#[test]
fn a_protocols_name_stands_in_its_own_rooms_only() {
    let (protocols, registers) = (protocols(), registers());
    assert!(!protocols.is_empty() && !registers.is_empty());
    let root = root();
    for room in protocols.iter().flat_map(|p| &p.rooms).chain(&registers) {
        assert!(root.join(room).exists(), "ARCHITECTURE.md names {room}");
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(root.join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    assert!(files.len() > 200, "{} files", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let path = file
            .strip_prefix(&root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let is_in = |room: &String| Path::new(&path).starts_with(room);
        if registers.iter().any(is_in) {
            continue;
        }
        let foreign = protocols.iter().filter(|p| !p.rooms.iter().any(is_in));
        let foreign: Vec<&Protocol> = foreign.collect();
        let text = fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            let found = words(code(line));
            for name in foreign.iter().flat_map(|p| &p.words) {
                if found.contains(name) {
                    wrong.push(format!("{path}:{}: {name}: {}", number + 1, line.trim()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "a protocol's name outside its rooms (ARCHITECTURE.md, \"Where a protocol's name \
         stands\"): ask the plan, the seam or the register instead\n{}",
        wrong.join("\n")
    );
}
