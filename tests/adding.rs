//! `docs/adding.md`, followed: its files and patches on a copy of the sources, which is built, tested
//! and run.
//!
//! The copy stands in `target/adding/tree`, inside the project, so that cargo's settings are the
//! project's. It shares the target directory, and with it every crate of others. A file of the copy
//! is written only if it differs, so that the next time little is built.

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use common::{Run, profile, root, said};
use serde_json::Value;

/// Contents by path from the project's root.
type Tree = BTreeMap<PathBuf, Vec<u8>>;

/// What the page has to say about files.
#[derive(Debug, PartialEq)]
enum Block {
    /// A file, in full.
    File { path: PathBuf, text: String },
    /// Pieces of files with other ones in their place.
    Patch(Vec<Hunk>),
}

/// A piece of a file, and what is to stand there.
#[derive(Debug, PartialEq)]
struct Hunk {
    path: PathBuf,
    old: String,
    new: String,
}

/// The blocks of a page, each with the number of the line in which it begins.
fn blocks(page: &str) -> Vec<(usize, Block)> {
    let mut lines = (1..).zip(page.lines());
    let mut blocks = Vec::new();
    while let Some((number, line)) = lines.next() {
        let mark = line
            .strip_prefix("<!-- ")
            .and_then(|m| m.strip_suffix(" -->"));
        let Some(mark) = mark else { continue };
        let (_, fence) = lines.next().unwrap();
        assert!(fence.starts_with("```"), "line {number}: no block follows");
        let block = lines.by_ref().map(|(_, line)| line);
        let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
        let block = match mark.strip_prefix("file: ") {
            Some(path) => Block::File {
                path: path.into(),
                text: block.join("\n") + "\n",
            },
            None => {
                assert_eq!(mark, "patch", "line {number}: an unknown mark");
                Block::Patch(hunks(&block))
            }
        };
        blocks.push((number, block));
    }
    blocks
}

/// The hunks of a patch: each begins with `@@`, a file with `---` and `+++`.
fn hunks(patch: &[&str]) -> Vec<Hunk> {
    let (mut path, mut hunks) = (PathBuf::new(), Vec::<Hunk>::new());
    for line in patch {
        if let Some(file) = line.strip_prefix("+++ b/") {
            path = file.into();
        } else if line.starts_with("@@") {
            hunks.push(Hunk {
                path: path.clone(),
                old: String::new(),
                new: String::new(),
            });
        } else if !line.starts_with("--- a/") {
            let hunk = hunks.last_mut().expect("a hunk begins with @@");
            let (kind, rest) = line.split_at_checked(1).unwrap_or((" ", ""));
            for (text, others) in [(&mut hunk.old, "+"), (&mut hunk.new, "-")] {
                if kind != others {
                    *text += &format!("{rest}\n");
                }
            }
        }
    }
    hunks
}

/// Follows a block.
fn apply(block: Block, tree: &mut Tree) -> Result<(), String> {
    let hunks = match block {
        Block::File { path, text } => {
            tree.insert(path, text.into());
            return Ok(());
        }
        Block::Patch(hunks) => hunks,
    };
    for Hunk { path, old, new } in hunks {
        let shown = path.display();
        let bytes = tree.get(&path).ok_or(format!("no file {shown}"))?;
        let text = std::str::from_utf8(bytes).map_err(|e| format!("{shown}: {e}"))?;
        let begins = |at: &usize| text[*at..].starts_with(&old);
        let lines = text.match_indices('\n').map(|(end, _)| end + 1);
        let places: Vec<usize> = [0].into_iter().chain(lines).filter(begins).collect();
        let [at] = places[..] else {
            let times = places.len();
            return Err(format!("{shown} has this {times} times:\n{old}"));
        };
        let text = [&text[..at], &new, &text[at + old.len()..]].concat();
        tree.insert(path, text.into());
    }
    Ok(())
}

/// What is no source; cargo finds the settings of the project above the copy.
const NO_SOURCES: [&str; 7] = [
    ".git",
    ".cargo",
    "target",
    "runs",
    "corpus",
    "artifacts",
    "__pycache__",
];

/// The files below `folder`, which stands in `root`.
fn read(root: &Path, folder: &Path, tree: &mut Tree) {
    for entry in fs::read_dir(folder).unwrap() {
        let (path, name) = {
            let entry = entry.unwrap();
            (entry.path(), entry.file_name())
        };
        if NO_SOURCES.iter().any(|no_source| name == *no_source) {
            continue;
        }
        match path.is_dir() {
            true => read(root, &path, tree),
            false => {
                let contents = fs::read(&path).unwrap();
                tree.insert(path.strip_prefix(root).unwrap().to_owned(), contents);
            }
        }
    }
}

/// Makes what stands in `folder` what `tree` says.
fn write(folder: &Path, tree: &Tree) {
    fs::create_dir_all(folder).unwrap();
    let mut present = Tree::new();
    read(folder, folder, &mut present);
    for path in present.keys().filter(|path| !tree.contains_key(*path)) {
        fs::remove_file(folder.join(path)).unwrap();
    }
    for (path, contents) in tree {
        if present.get(path) != Some(contents) {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, contents).unwrap();
        }
    }
}

/// The copy's program has a name of its own: the other tests run the one that stands beside it.
const PROGRAM: &str = "wpanlab-adding";

/// Whose tests are run, and the example's own. Together they want of the crates of others what the whole
/// workspace wants. Of fewer cargo would build those again.
const PACKAGES: [&str; 5] = ["wpanlab", "measure", "service", "medium", "herald"];

/// The copy, with a program.
struct Copy(PathBuf);

static COPY: LazyLock<Copy> = LazyLock::new(Copy::build);

impl Copy {
    /// Follows the page, builds the program, and makes schema and golden plans anew.
    fn build() -> Copy {
        let mut tree = Tree::new();
        read(&root(), &root(), &mut tree);
        let page = fs::read_to_string(root().join("docs/adding.md")).unwrap();
        for (line, block) in blocks(&page) {
            let applied = apply(block, &mut tree);
            applied.unwrap_or_else(|error| panic!("docs/adding.md:{line}: {error}"));
        }
        let name = |program| format!("[[bin]]\nname = \"{program}\"\n");
        let renamed = Hunk {
            path: "crates/wpanlab/Cargo.toml".into(),
            old: name("wpanlab"),
            new: name(PROGRAM),
        };
        apply(Block::Patch(vec![renamed]), &mut tree).unwrap();
        let copy = Copy(root().join("target/adding/tree"));
        write(&copy.0, &tree);

        // With the tests of `wpanlab` comes its program.
        let valid = ["-p", "topology", "--test", "valid"];
        copy.tests(
            &[],
            &[&valid[..], &["--no-run", "--test", "architecture"]].concat(),
        );
        copy.tests(&[("UPDATE_GOLDEN", "1")], &valid);
        copy
    }

    /// `cargo test` on the copy, in the profile of this test, so that crates of others are the same.
    ///
    /// The project's own are optimised otherwise than the project's, which keeps them apart: cargo
    /// knows a crate by its place in its workspace, and would take the one for the other.
    fn tests(&self, environment: &[(&str, &str)], arguments: &[&str]) {
        let mut command = Command::new(env!("CARGO"));
        command.envs(environment.iter().copied());
        command.current_dir(&self.0).args(["test", "--offline"]);
        command.arg("--target-dir").arg(target());
        let profile = profile();
        let other = match cfg!(debug_assertions) {
            true => "opt-level=1",
            false => "opt-level=0",
        };
        command.args(["--profile", &profile]);
        for own in fs::read_dir(self.0.join("crates")).unwrap() {
            let own = own.unwrap().file_name().into_string().unwrap();
            for setting in [other, "debug=false"] {
                let setting = format!("profile.{profile}.package.{own}.{setting}");
                command.args(["--config", &setting]);
            }
        }
        command.args(PACKAGES.iter().flat_map(|name| ["-p", name]));
        let output = command.args(arguments).output().unwrap();
        let call = format!("cargo test {}", arguments.join(" "));
        assert!(output.status.success(), "{call}: {}", said(&output));
    }

    /// The program, in the copy's folder.
    fn program(&self) -> Command {
        // This test stands in `deps`, and programs beside that.
        let own = std::env::current_exe().unwrap();
        let program = own.parent().unwrap().with_file_name(PROGRAM);
        let mut command = Command::new(program);
        command.current_dir(&self.0);
        command
    }

    /// Runs a topology of the page in the VM; it has to pass.
    fn run(&self, arguments: &[&str]) -> Run {
        let dir = tempfile::tempdir().unwrap();
        let mut command = self.program();
        command.args(["run", "--backend", "vm", "--out"]);
        command.arg(dir.path().join("run")).args(arguments);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        Run { dir, output }
    }
}

/// Where cargo builds.
fn target() -> PathBuf {
    let mut metadata = cargo_metadata::MetadataCommand::new();
    let metadata = metadata.current_dir(root()).no_deps().exec().unwrap();
    metadata.target_directory.into()
}

#[test]
fn the_code_of_the_page_passes_its_tests_and_those_of_the_project() {
    COPY.tests(&[], &["--lib"]);
    // Schema and plans, that every key is documented and in the file of all keys, and who is named where. The
    // page changes nothing that the crate's other tests are about.
    let others = [
        "valid",
        "docs",
        "register",
        "architecture",
        "protocol_names",
    ];
    let others = others.map(|name| ["--test", name]).concat();
    COPY.tests(&[], &[&["-p", "topology"], &others[..]].concat());
}

#[test]
fn the_code_of_the_page_is_formatted() {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(&COPY.0).args(["fmt", "--check"]);
    for touched in [
        "herald", "topology", "nodes", "measure", "service", "medium",
    ] {
        command.args(["-p", touched]);
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}

#[test]
fn handovers_by_the_new_protocol_are_known_by_events_and_its_messages_are_counted() {
    let run = COPY.run(&["herald.yaml"]);
    let result = run.result();
    let handovers = result["handovers"].as_array().unwrap();
    assert_eq!(handovers.len(), 2, "{result:#}");
    for handover in handovers {
        assert_eq!(handover["by"], "events", "{handover:#}");
        let announcing = handover["phases"]["announcing"].as_f64().unwrap();
        assert!((announcing - 0.050).abs() < 0.005, "{announcing} s");
        // An IPv6 header, a UDP header, a byte and an address.
        let announcements = serde_json::json!({ "messages": 2, "bytes": 2 * (40 + 8 + 17) });
        for medium in ["air", "wired"] {
            let counted = &handover["signalling"][medium]["herald"];
            assert_eq!(*counted, announcements, "{handover:#}");
        }
    }
    let delay = |at: usize| handovers[at]["delay_s"].as_f64().unwrap();
    assert!((delay(0) - 3.95).abs() < 0.1, "{} s away", delay(0));
    assert!((delay(1) - 0.05).abs() < 0.005, "{} s back", delay(1));
    let lost = result["requests"]["lost"].as_u64().unwrap();
    assert!((77..=79).contains(&lost), "{lost} of 3.95 s");

    let events = run.read("events.jsonl");
    let events = events
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let heard = |event: &Value| event["node"] == "client" && event["event"] == "binding_changed";
    let heard: Vec<Value> = events.filter(heard).collect();
    assert_eq!(heard.len(), 3, "at the start, there and back: {heard:#?}");
    assert_eq!(heard[0]["t_addr"], heard[0]["p_addr"]);
    assert_ne!(heard[1]["t_addr"], heard[1]["p_addr"]);
}

/// How often `part` stands in `bytes`.
fn count(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).filter(|w| *w == part).count()
}

#[test]
fn the_new_service_answers_with_what_was_sent() {
    let run = COPY.run(&["echo.yaml"]);
    let result = run.result();
    let flow = &result["flows"][0];
    assert_eq!(
        (&flow["method"], &flow["resource"]),
        (&"POST".into(), &"/echo".into())
    );
    let requests = &flow["requests"];
    let sent = requests["sent"].as_u64().unwrap();
    assert!(sent >= 49, "5 s at one request per 100 ms: {sent}");
    assert_eq!(requests["answered"], sent);
    let capture = fs::read(run.path("captures/client.eth0.pcapng")).unwrap();
    let there_and_back = 2 * usize::try_from(sent).unwrap();
    assert_eq!(count(&capture, b"who is there"), there_and_back);
}

#[test]
fn the_new_part_draws_what_its_datasheet_says() {
    let part = ["radio.medium=phy", "nodes.rock.profile=acme"];
    let run = COPY.run(&["--set", part[0], "--set", part[1], "echo.yaml"]);
    assert!(run.read("plan.yaml").contains("part: acme"));
    let result = run.result();
    let radios = result["radios"].as_array().unwrap();
    let rock = radios.iter().find(|radio| radio["node"] == "rock").unwrap();
    let figure = |key: &str| rock[key].as_f64().unwrap();
    let (sends, listens) = (figure("tx_s"), figure("rx_s") + figure("listen_s"));
    assert!(
        sends > 0.1 && (sends + listens - 5.0).abs() < 0.01,
        "{rock:#}"
    );
    let millijoules = 1.8 * (12.0 * sends + 10.0 * listens);
    assert!(
        (figure("millijoules") - millijoules).abs() < 1e-6,
        "{rock:#}"
    );
}

#[test]
fn lines_that_are_not_there_once_are_refused() {
    let page = "\
# A page

<!-- patch -->
```diff
--- a/list
+++ b/list
@@ here @@
 one
-two
+three
```
";
    let patched = |text: &str| {
        let mut tree = Tree::from([("list".into(), text.into())]);
        let [(3, patch)] = <[_; 1]>::try_from(blocks(page)).unwrap() else {
            panic!("it begins in line 3");
        };
        apply(patch, &mut tree)?;
        Ok::<_, String>(String::from_utf8(tree.remove(Path::new("list")).unwrap()).unwrap())
    };
    assert_eq!(
        patched("zero\none\ntwo\nfour\n").unwrap(),
        "zero\none\nthree\nfour\n"
    );
    for wrong in ["one\n", "none\ntwo\n", "one\ntwo\none\ntwo\n"] {
        let refused = patched(wrong).unwrap_err();
        assert!(refused.starts_with("list has this "), "{refused}");
    }
}
