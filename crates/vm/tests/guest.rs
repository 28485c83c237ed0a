//! What holds inside a guest.

use std::fs;

fn modules_are_loaded() {
    let modules = fs::read_to_string("/proc/modules").unwrap();
    for module in vm::modules::TESTBED {
        assert!(
            modules
                .lines()
                .any(|l| l.starts_with(&format!("{module} "))),
            "{module}"
        );
    }
}

fn main() {
    vm::harness::main(&[("modules_are_loaded", modules_are_loaded)]);
}
