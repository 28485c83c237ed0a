//! The power goes while a store is written on ext4, by a record of what reached the device: what
//! `scripts/power-cut vm` starts. With no arguments, or libtest's, it boots a VM, with itself in it, where
//! the script's other half makes the devices and starts it twice:
//!
//! `write DIR DEVICE UPDATES` writes a load into the store in `DIR`, and after each group, the number of
//! groups that are acknowledged into the last 4 KiB of `DEVICE`, on which `DIR` is and whose writes
//! dm-log-writes records. That write is no barrier: where it is on the disk, the group's barriers are.
//!
//! `replay LOG DEVICE DIR UPDATES EVERY` replays the record in `LOG`, to every `EVERY`th barrier. What the
//! disk holds then goes onto `DEVICE`, is mounted on `DIR`, the store is opened, and its table is to be what
//! was acknowledged, or that with the next group.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use comp::Limits;
use comp::mmt::Mmt;
use nix::libc::O_DIRECT;
use nix::mount::{MsFlags, mount, umount};
use nix::unistd::chroot;
use units::Seed;
use vm::harness::{HOST_ROOT, Harness};
use wmms_store::{Journal, Store};

#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/disk/disk.rs"]
mod disk;
#[allow(dead_code, reason = "the tests use the rest")]
#[path = "../tests/disk/load.rs"]
mod load;

use disk::Disk;
use load::{Contents, contents};

/// Names the variable with the script and its arguments in it, a line each.
const SCRIPT: &str = "WPANLAB_POWER_CUT";
/// What ten thousand updates may take.
const LIMIT: Duration = Duration::from_secs(7200);
const SEED: Seed = Seed(13);
/// The store, and its mark.
const FILES: [&str; 2] = ["wmms.redb", "wmms.redb.mark"];
/// What is written at once at the device's end: a page, which needs no more than that of O_DIRECT.
const PAGE: usize = 4096;

fn main() -> io::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let number = |text: &str| text.parse().map_err(io::Error::other);
    match arguments.as_slice() {
        ["write", directory, device, updates] => write(directory, device, number(updates)?),
        ["replay", log, device, directory, updates, every] => {
            replay(log, device, directory, number(updates)?, number(every)?)
        }
        _ => Harness {
            memory_mib: 1024,
            share_host_root: true,
            environment: vec![SCRIPT.to_owned()],
            test_limit: LIMIT,
            stall_limit: LIMIT,
            ..Harness::default()
        }
        .main(&[(
            "no_power_cut_under_ext4_loses_or_invents_a_binding",
            in_the_vm,
        )]),
    }
}

/// The script's other half, among the host's files.
fn in_the_vm() {
    let script = std::env::var(SCRIPT).expect("started by scripts/power-cut");
    let mut words = script.lines();
    chroot(HOST_ROOT).expect("the host's files");
    std::env::set_current_dir("/").expect("its root");
    let done = Command::new(words.next().expect("the script"))
        .args(words)
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .status();
    assert!(done.expect("it can be started").success());
}

fn write(directory: &str, device: &str, updates: usize) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let device = options.write(true).custom_flags(O_DIRECT).open(device)?;
    let end = (&device).seek(SeekFrom::End(0))?;
    let mut pages = vec![0; 2 * PAGE];
    let aligned = pages.as_ptr().align_offset(PAGE);
    let path = Path::new(directory).join(FILES[0]);
    let open = || {
        let mut journal = Journal::open(&path).expect("a store");
        let mut table = Mmt::new(Limits::default());
        journal.load(&mut table).expect("a table");
        (journal, table)
    };
    let (_, states) = load::run(open, updates, &mut SEED.rng(&["load"]), |groups| {
        let page = &mut pages[aligned..aligned + PAGE];
        page[..8].copy_from_slice(&(groups as u64).to_le_bytes());
        device
            .write_all_at(page, end - PAGE as u64)
            .expect("the device");
    });
    println!("{updates} updates in {} groups", states.len() - 1);
    Ok(())
}

/// What dm-log-writes writes (drivers/md/dm-log-writes.c), little-endian: a sector with magic, version
/// (8 each), number of entries (8) and bytes of a sector (4), then each entry in a sector: where it goes and
/// how long it is, in sectors, its flags and the bytes of its data in this sector (8 each); its
/// other data in sectors after it.
mod log {
    pub const MAGIC: u64 = 0x006a_7366_7773_6872;
    pub const FLUSH: u64 = 1;
    pub const FUA: u64 = 2;
    pub const DISCARD: u64 = 4;
    pub const MARK: u64 = 8;
}

fn replay(
    log: &str,
    device: &str,
    directory: &str,
    updates: usize,
    every: usize,
) -> io::Result<()> {
    let (_, states) = load::run_on(&Disk::default(), updates, &mut SEED.rng(&["load"]));
    let mut target = OpenOptions::new().read(true).write(true).open(device)?;
    let mut image = vec![0; target.seek(SeekFrom::End(0))? as usize];
    let mut log_file = File::open(log)?;
    let mut head = [0; 512];
    log_file.read_exact(&mut head)?;
    let field = |sector: &[u8], n: usize| {
        let bytes = sector[8 * n..8 * n + 8].try_into().expect("8 bytes");
        u64::from_le_bytes(bytes)
    };
    if field(&head, 0) != log::MAGIC {
        return Err(io::Error::other("no record of dm-log-writes"));
    }
    let (entries, sector) = (field(&head, 2), field(&head, 3) as u32 as usize);
    let mut at = sector as u64;
    let (mut barriers, mut images, mut last) = (0, 0, 0);
    for _ in 0..entries {
        let mut entry = vec![0; sector];
        log_file.read_exact_at(&mut entry, at)?;
        at += sector as u64;
        let (place, length, flags) = (field(&entry, 0), field(&entry, 1), field(&entry, 2));
        let (from, bytes) = (place as usize * sector, length as usize * sector);
        if flags & (log::DISCARD | log::MARK) == 0 {
            log_file.read_exact_at(&mut image[from..from + bytes], at)?;
        }
        if flags & log::DISCARD == 0 {
            at += bytes as u64;
        }
        if flags & (log::FLUSH | log::FUA) != 0 {
            barriers += 1;
            if barriers % every == 0 {
                target.write_all_at(&image, 0)?;
                target.flush()?;
                last = check(device, directory, &image, &states)?;
                images += 1;
            }
        }
    }
    println!(
        "{entries} entries, {barriers} barriers: {images} images mounted and opened, up to {last} of {} groups: \
         none lost, none invented",
        states.len() - 1
    );
    match last + 2 > states.len() - 1 {
        true => Ok(()),
        false => Err(io::Error::other("the record ends before the load does")),
    }
}

/// Mounts what is on the device and opens the store; how many groups were acknowledged.
fn check(device: &str, directory: &str, image: &[u8], states: &[Contents]) -> io::Result<usize> {
    let said = image[image.len() - PAGE..][..8]
        .try_into()
        .expect("8 bytes");
    let acknowledged = u64::from_le_bytes(said) as usize;
    let none: Option<&str> = None;
    if let Err(error) = mount(
        Some(device),
        directory,
        Some("ext4"),
        MsFlags::empty(),
        none,
    ) {
        // The file system was being made.
        return match acknowledged {
            0 => Ok(0),
            _ => Err(error.into()),
        };
    }
    let read = |name: &str| fs::read(Path::new(directory).join(name)).unwrap_or_default();
    let files = FILES.map(read);
    umount(directory)?;
    let (journal, table) = load::open(&Disk::with(files)).map_err(io::Error::other)?;
    if let Some(notice) = journal.notice() {
        return Err(io::Error::other(format!(
            "{acknowledged} groups acknowledged: {notice}"
        )));
    }
    let found = contents(&table);
    let next = states.get(acknowledged + 1);
    match found == states[acknowledged] || next == Some(&found) {
        true => Ok(acknowledged),
        false => Err(io::Error::other(format!(
            "not the table of {acknowledged} groups"
        ))),
    }
}
