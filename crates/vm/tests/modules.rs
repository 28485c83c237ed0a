//! The order of modules against `depmod` (package `kmod`), the tool that the kernel's own
//! loader relies on.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use vm::modules::{HOST_ROOT, RESULTS, TESTBED, Tree};
use vm::{Kernel, KernelSource};

fn kernel() -> Kernel {
    Kernel::locate(&KernelSource {
        explicit: std::env::var_os("WPANLAB_KERNEL").map(Into::into),
        cache: vm::default_cache(),
    })
    .unwrap()
}

/// `modules.dep` as depmod would write it: each module with all that it needs.
fn depmod(kernel: &Kernel) -> BTreeMap<String, Vec<String>> {
    // The tree's root: ROOT/lib/modules/RELEASE.
    let root = kernel.modules.ancestors().nth(3).unwrap();
    let output = Command::new("/sbin/depmod")
        .args(["--dry-run", "--basedir"])
        .arg(root)
        .arg(&kernel.release)
        .output()
        .expect("the package `kmod` has this test's oracle, depmod");
    let name = |path: &str| {
        let file = Path::new(path).file_name().unwrap().to_str().unwrap();
        file.split_once(".ko").unwrap().0.replace('-', "_")
    };
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter(|line| line.starts_with("kernel/"))
        .filter_map(|line| line.split_once(':'))
        .filter(|(module, _)| module.contains(".ko"))
        .map(|(module, needs)| (name(module), needs.split_whitespace().map(name).collect()))
        .collect()
}

#[test]
fn every_module_comes_after_all_that_depmod_says_it_needs() {
    let kernel = kernel();
    let oracle = depmod(&kernel);
    let more = ["xfrm_user", "esp6", "authenc"];
    let wanted: Vec<&str> = [TESTBED, &more, RESULTS, HOST_ROOT].concat();
    let order = Tree::open(&kernel.modules)
        .unwrap()
        .load_order(&wanted)
        .unwrap();
    let order: Vec<&str> = order.iter().map(|module| module.name.as_str()).collect();
    let place = |name: &str| order.iter().position(|o| *o == name);
    for (index, module) in order.iter().enumerate() {
        for need in &oracle[*module] {
            assert!(
                place(need).is_some_and(|p| p < index),
                "{module} needs {need}: {order:?}"
            );
        }
    }
    // Nothing is loaded that nobody asked for.
    for module in &order {
        let needed = |wanted: &&str| oracle[*wanted].iter().any(|need| need == module);
        assert!(
            wanted.contains(module) || wanted.iter().any(needed),
            "{module}"
        );
    }
}
