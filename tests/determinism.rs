//! Two runs with one seed agree to the byte, also on a busy machine.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};

use common::{said, topology, wpanlab};

#[test]
fn runs_are_identical_also_with_the_other_core_busy() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let busy = std::thread::spawn(|| {
        let mut x = 0u64;
        while !DONE.load(Ordering::Relaxed) {
            x = std::hint::black_box(x.wrapping_add(1));
        }
    });
    let output = wpanlab(&["verify", "--runs", "3"])
        .arg(topology("handover.yaml"))
        .output()
        .unwrap();
    DONE.store(true, Ordering::Relaxed);
    busy.join().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("3 runs"), "{}", said(&output));
}
