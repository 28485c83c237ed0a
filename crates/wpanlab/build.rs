//! How the program is linked.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // In a VM it stands in memory of 2 MiB a page (`vm::guest`), which maps only what begins at
    // multiples of that in the file and in memory alike.
    println!("cargo::rustc-link-arg-bins=-Wl,-z,max-page-size=0x200000");
}
