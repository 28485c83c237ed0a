//! What a user may name on the command line.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::symlink;
use std::path::Path;

use files::{read_named, write_named};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

const MIB: u64 = 1 << 20;

#[test]
fn a_file_that_is_named_is_written_whole_or_not_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let page = dir.path().join("page.html");
    write_named(&page, b"one").unwrap();
    write_named(&page, b"two").unwrap();
    assert_eq!(fs::read(&page).unwrap(), b"two");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let refused = write_named(dir.path(), b"x").unwrap_err();
    assert!(refused.to_string().contains("directory"), "{refused}");
    let nowhere = dir.path().join("no/folder/page.html");
    assert_eq!(
        write_named(&nowhere, b"x").unwrap_err().kind(),
        ErrorKind::NotFound
    );
    // Nobody can make a file there, not even root.
    assert!(write_named(Path::new("/proc/self/page.html"), b"x").is_err());
}

#[test]
fn a_link_to_a_file_is_replaced_and_one_to_a_device_is_written_through() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("precious"), "precious").unwrap();
    symlink(at("precious"), at("page")).unwrap();
    write_named(&at("page"), b"page").unwrap();
    assert_eq!(fs::read(at("precious")).unwrap(), b"precious");
    assert_eq!(fs::read(at("page")).unwrap(), b"page");
    symlink("/dev/null", at("null")).unwrap();
    write_named(&at("null"), b"page").unwrap();
    assert!(at("null").is_symlink());
    let full = write_named(Path::new("/dev/full"), b"page").unwrap_err();
    assert_eq!(full.kind(), ErrorKind::StorageFull);
}

#[test]
fn a_fifo_that_is_named_takes_the_bytes_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| fs::read(&fifo).unwrap());
        write_named(&fifo, b"page").unwrap();
        assert_eq!(reader.join().unwrap(), b"page");
        let writer = scope.spawn(|| {
            let mut writer = OpenOptions::new().write(true).open(&fifo).unwrap();
            writer.write_all(b"ver").unwrap();
            writer.write_all(b"sion: 1").unwrap();
        });
        assert_eq!(read_named(&fifo, MIB).unwrap(), b"version: 1");
        writer.join().unwrap();
    });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_fifo_into_which_nobody_writes_is_not_waited_for_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("fifo");
    mkfifo(&fifo, Mode::from_bits_truncate(0o600)).unwrap();
    let refused = read_named(&fifo, MIB).unwrap_err();
    assert!(refused.to_string().contains("nobody writes"), "{refused}");
}

#[test]
fn what_is_too_large_or_endless_is_refused_before_it_fills_the_memory() {
    let dir = tempfile::tempdir().unwrap();
    let large = dir.path().join("large");
    let file = fs::File::create(&large).unwrap();
    file.set_len(1 << 40).unwrap();
    for path in [large.as_path(), Path::new("/dev/zero")] {
        let refused = read_named(path, 16 * MIB).unwrap_err();
        assert_eq!(refused.to_string(), "it has more than 16 MiB");
    }
    file.set_len(MIB).unwrap();
    assert_eq!(read_named(&large, MIB).unwrap().len() as u64, MIB);
    assert_eq!(read_named(Path::new("/dev/null"), MIB).unwrap(), b"");
    let folder = read_named(dir.path(), MIB).unwrap_err();
    assert_eq!(folder.to_string(), "it is a directory, no file");
}
