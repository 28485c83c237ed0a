//! A disk that is full: the WMMS stays up, acknowledges nothing that is not stored, and goes on when
//! there is room again.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use crate::load::{Ask, option, p_addr, t_addr};
use crate::strangers::Beside;

/// How long nothing is to be heard of a binding that cannot be stored.
const SILENCE: Duration = Duration::from_millis(700);
/// Longer than a busy machine takes to write.
const PATIENCE: Duration = Duration::from_secs(30);
/// CoAP codes: 2.01, 2.05.
const CREATED: u8 = 0x41;
const CONTENT: u8 = 0x45;

/// A small disk on a directory, until it is dropped.
struct SmallDisk<'a>(&'a Path);

impl SmallDisk<'_> {
    fn mount(directory: &Path) -> SmallDisk<'_> {
        let (kind, flags) = (Some("tmpfs"), MsFlags::empty());
        mount(kind, directory, kind, flags, Some("size=8m")).expect("a small disk");
        SmallDisk(directory)
    }

    /// Fills it with a file.
    fn fill(&self) {
        let mut file = File::create(self.filler()).expect("a file");
        while file.write(&[1; 4096]).is_ok_and(|written| written > 0) {}
    }

    fn free(&self) {
        fs::remove_file(self.filler()).expect("the file is there");
    }

    fn filler(&self) -> std::path::PathBuf {
        self.0.join("filler")
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        // The daemon may have it in use still.
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

/// A socket that asks, a question at a time.
struct Asking {
    socket: UdpSocket,
    number: u16,
}

impl Asking {
    /// What the question is answered with within `limit`; it is repeated, as nodes do.
    fn ask(&mut self, ask: Ask, limit: Duration) -> Option<Vec<u8>> {
        self.number += 1;
        let datagram = ask.encode(self.number, self.number.into());
        let began = Instant::now();
        while began.elapsed() < limit {
            let _ = self.socket.send_to(&datagram, "[::1]:5683");
            let mut bytes = [0; 2048];
            while let Ok(length) = self.socket.recv(&mut bytes) {
                // Late answers to what was asked before are passed over.
                if bytes[2..4] == self.number.to_be_bytes() {
                    return Some(bytes[..length].to_vec());
                }
            }
        }
        None
    }
}

pub fn a_full_disk_is_waited_for_and_nothing_is_acknowledged_meanwhile(state: &Path) {
    let beside = Beside::new();
    let directory = state.join("small");
    fs::create_dir(&directory).expect("a directory");
    let disk = SmallDisk::mount(&directory);
    let daemon = beside.start(&directory);
    let socket = beside.local();
    let often = Some(Duration::from_millis(200));
    socket.set_read_timeout(often).expect("timeout");
    let mut asking = Asking { socket, number: 0 };
    let mut acknowledged = 0;
    let mut register = |asking: &mut Asking, limit| {
        let (p, t) = (p_addr(acknowledged), t_addr(acknowledged));
        let answer = asking.ask(Ask::Register(p, t), limit);
        if let Some(answer) = &answer {
            assert_eq!(answer[1], CREATED, "{answer:02x?}");
            acknowledged += 1;
        }
        answer.is_some()
    };
    assert!(register(&mut asking, PATIENCE));
    disk.fill();
    // There is room in the store's own file for some.
    let began = Instant::now();
    while register(&mut asking, SILENCE) {
        assert!(began.elapsed() < PATIENCE, "the disk is not full");
    }
    disk.free();
    assert!(register(&mut asking, PATIENCE), "there is room again");
    // What was said is there, also for the next daemon.
    daemon.kill();
    let _daemon = beside.start(&directory);
    for n in 0..acknowledged {
        let answer = asking
            .ask(Ask::Discover(p_addr(n)), PATIENCE)
            .expect("an answer");
        assert_eq!(answer[1], CONTENT, "node {n}");
        assert_eq!(option(&answer, 2050), Some(&t_addr(n).octets()[..]));
    }
}
