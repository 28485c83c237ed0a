//! What may lie in a run directory, and what becomes of it.

use std::collections::BTreeSet;
use std::fs;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Barrier;

use files::{Tree, make_numbered};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap();
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string();
    entries.map(|entry| name(entry).unwrap()).collect()
}

#[test]
fn nothing_but_a_regular_file_is_read_or_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("secret"), "secret").unwrap();
    symlink(at("secret"), at("link")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    mkfifo(&at("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    symlink("/dev/zero", at("zero")).unwrap();
    let _socket = UnixListener::bind(at("socket")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    let tree = Tree::new(dir.path());
    for (name, what) in [
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("zero", "a symbolic link"),
        ("fifo", "a FIFO"),
        ("socket", "a socket"),
        ("folder", "a directory"),
    ] {
        let refused = tree.read(&at(name)).unwrap_err();
        assert!(refused.to_string().contains(what), "{name}: {refused}");
        let refused = tree.append(&at(name)).unwrap_err();
        assert!(refused.to_string().contains(what), "{name}: {refused}");
    }
    let absent = tree.read(&at("absent")).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    assert!(!at("nowhere").exists());
    assert_eq!(tree.read_to_string(&at("secret")).unwrap(), "secret");
    // A device by itself, of those that every machine has.
    let refused = Tree::new(Path::new("/dev")).read(Path::new("/dev/zero"));
    assert!(refused.unwrap_err().to_string().contains("a device"));
}

#[test]
fn what_lies_at_a_files_place_is_replaced_and_where_it_led_stays_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let elsewhere = tempfile::tempdir().unwrap();
    let victim = elsewhere.path().join("victim");
    fs::write(&victim, "precious").unwrap();
    symlink(&victim, at("link")).unwrap();
    symlink(elsewhere.path().join("new"), at("dangling")).unwrap();
    symlink("/dev/full", at("device")).unwrap();
    mkfifo(&at("fifo"), Mode::from_bits_truncate(0o600)).unwrap();
    fs::hard_link(&victim, at("hard")).unwrap();
    let tree = Tree::new(dir.path());
    for name in [
        "link",
        "dangling",
        "device",
        "fifo",
        "hard",
        "not/there/yet",
    ] {
        tree.replace(&at(name), b"new").unwrap();
        assert_eq!(tree.read(&at(name)).unwrap(), b"new", "{name}");
    }
    assert_eq!(fs::read(&victim).unwrap(), b"precious");
    assert_eq!(names(elsewhere.path()), ["victim".to_owned()].into());
    assert_eq!(names(dir.path()).len(), 6, "{:?}", names(dir.path()));
}

#[test]
fn a_folder_that_leads_elsewhere_is_not_entered() {
    let dir = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    fs::write(elsewhere.path().join("all.pcapng"), "precious").unwrap();
    symlink(elsewhere.path(), dir.path().join("captures")).unwrap();
    let tree = Tree::new(dir.path());
    let file = dir.path().join("captures/all.pcapng");
    for refused in [
        tree.read(&file).err(),
        tree.replace(&file, b"x").err(),
        tree.create(&file).err(),
        tree.append(&file).err(),
        tree.make_folder(&dir.path().join("captures/seed-1")).err(),
    ] {
        let refused = refused.unwrap();
        assert_eq!(refused.kind(), ErrorKind::NotADirectory, "{refused}");
        assert!(refused.to_string().contains("captures"), "{refused}");
    }
    assert_eq!(names(elsewhere.path()), ["all.pcapng".to_owned()].into());
    // The directory itself may be reached by a link: `runs/latest`.
    let latest = elsewhere.path().join("latest");
    symlink(dir.path(), &latest).unwrap();
    let file = latest.join("result.json");
    Tree::new(&latest).replace(&file, b"{}").unwrap();
    assert_eq!(fs::read(dir.path().join("result.json")).unwrap(), b"{}");
    // No path leads out.
    let out = dir.path().join("../out");
    assert!(tree.replace(&out, b"x").is_err() && !out.exists());
    assert!(tree.read(Path::new("/etc/passwd")).is_err());
}

#[test]
fn a_file_that_is_not_finished_leaves_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("result.json");
    let tree = Tree::new(dir.path());
    tree.replace(&path, b"before").unwrap();
    let mut half = tree.new_file(&path).unwrap();
    half.write_all(b"ha").unwrap();
    drop(half);
    assert_eq!(tree.read(&path).unwrap(), b"before");
    assert_eq!(names(dir.path()), ["result.json".to_owned()].into());
    // In a directory's place nothing is put.
    let folder = dir.path().join("folder");
    fs::create_dir(&folder).unwrap();
    assert!(tree.replace(&folder, b"x").is_err());
    assert_eq!(names(dir.path()).len(), 2);
}

#[test]
fn a_file_that_grows_is_made_once_and_never_through_a_link() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let tree = Tree::new(dir.path());
    tree.create(&at("events.jsonl")).unwrap();
    symlink(at("nowhere"), at("dangling")).unwrap();
    for name in ["events.jsonl", "dangling"] {
        let refused = tree.create(&at(name)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::AlreadyExists, "{name}");
    }
    assert!(!at("nowhere").exists());
    tree.append(&at("log")).unwrap().write_all(b"1").unwrap();
    tree.append(&at("log")).unwrap().write_all(b"2").unwrap();
    assert_eq!(tree.read(&at("log")).unwrap(), b"12");
}

#[test]
fn of_a_hundred_at_once_each_makes_a_directory_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let base = dir.path().join("runs");
    fs::create_dir(&base).unwrap();
    fs::write(base.join("lab-7"), "no directory").unwrap();
    symlink("nowhere", base.join("lab-9")).unwrap();
    let start = Barrier::new(100);
    let made: BTreeSet<_> = std::thread::scope(|scope| {
        let one = || {
            start.wait();
            make_numbered(&base, "lab").unwrap()
        };
        let all: Vec<_> = (0..100).map(|_| scope.spawn(one)).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(made.len(), 100);
    assert_eq!(names(&base).len(), 102);
    assert!(base.join("lab-102").is_dir());
    assert!(!fs::symlink_metadata(base.join("lab-7")).unwrap().is_dir());
}
