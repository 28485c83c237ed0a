//! A run directory on a disk that is full, or cannot be written.

use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::{Footprint, NATIVE, Run, said};

const PLACE: &str = "/tmp/disk";

/// A file system in memory at [`PLACE`]; dropped, it is gone.
struct Disk;

impl Disk {
    fn of(options: &str) -> Disk {
        std::fs::create_dir_all(PLACE).unwrap();
        let kind = Some("tmpfs");
        mount(kind, PLACE, kind, MsFlags::empty(), Some(options)).unwrap();
        Disk
    }

    fn make_read_only(&self) {
        let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
        mount(None::<&str>, PLACE, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = umount2(PLACE, MntFlags::MNT_DETACH);
    }
}

/// A run into the disk fails, says where and why, and leaves nothing.
fn fails(reason: &str) {
    let before = Footprint::now();
    let output = Run::start_in("full", NATIVE, &Path::new(PLACE).join("run")).end();
    let said = said(&output);
    assert!(matches!(output.status.code(), Some(2 | 3)), "{said}");
    assert!(said.contains(PLACE) && said.contains(reason), "{said}");
    assert_eq!(Footprint::now(), before, "{said}");
}

pub fn a_run_whose_disk_is_full_or_read_only_fails_with_a_file_and_leaves_nothing() {
    for size in ["size=16k", "size=160k"] {
        let _disk = Disk::of(size);
        fails("No space left");
    }
    let disk = Disk::of("size=1m");
    disk.make_read_only();
    fails("Read-only file system");
}
