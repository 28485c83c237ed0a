//! What is on the machine besides a run, and must be there after it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use netlink::{Hwsim, Links, Namespace, Nl802154, Radio};

use super::common::block_on;
use super::{CLAIMS_OF_RUNS, STATE, is_running, running, tree};

/// What there is on the machine that a run could leave something in.
#[derive(Debug, PartialEq)]
pub(super) struct Footprint {
    radios: Vec<Radio>,
    phys: Vec<u32>,
    links: Vec<String>,
    namespaces: BTreeSet<String>,
    mounts: Vec<String>,
    processes: BTreeSet<(i32, String)>,
    state: Vec<PathBuf>,
}

impl Footprint {
    pub(super) fn now() -> Footprint {
        let (radios, phys, links) = block_on(async {
            let here = Namespace::current().unwrap();
            let hwsim = Hwsim::connect().await.unwrap();
            let nl802154 = Nl802154::connect(&here).await.unwrap();
            let links = Links::connect(&here).await.unwrap();
            (
                hwsim.radios().await.unwrap(),
                nl802154.phys().await.unwrap(),
                links.links().await.unwrap(),
            )
        });
        let mounts: Vec<String> = fs::read_to_string("/proc/self/mountinfo")
            .unwrap()
            .lines()
            .filter(|line| line.contains(" nsfs ") || line.contains(CLAIMS_OF_RUNS))
            .map(str::to_owned)
            .collect();
        let mut namespaces: BTreeSet<String> = mounts
            .iter()
            .filter_map(|line| line.split(' ').nth(3).map(str::to_owned))
            .collect();
        let mut processes = BTreeSet::new();
        for (pid, arguments) in running() {
            if let Ok(namespace) = fs::read_link(format!("/proc/{pid}/ns/net")) {
                namespaces.insert(namespace.display().to_string());
            }
            processes.insert((pid, arguments));
        }
        Footprint {
            radios,
            phys: phys.iter().map(|phy| phy.index.0).collect(),
            links: links.into_iter().map(|link| link.name).collect(),
            namespaces,
            mounts,
            processes,
            state: tree(Path::new(STATE)),
        }
    }
}

/// What is not wpanlab's, though it looks a little like it.
pub(super) struct Foreign {
    namespace: PathBuf,
    radio: netlink::RadioId,
    process: Child,
    dir: PathBuf,
}

impl Foreign {
    pub(super) fn make() -> Foreign {
        let namespace = PathBuf::from("/run/wpanlab-foreign");
        Namespace::create().unwrap().bind_to(&namespace).unwrap();
        let radio = block_on(async {
            let hwsim = Hwsim::connect().await.unwrap();
            hwsim.create_radio().await.unwrap()
        });
        let binary = "/tmp/wpanlab-foreign";
        fs::copy(std::env::current_exe().unwrap(), binary).unwrap();
        let process = Command::new(binary).arg("sleeper").spawn().unwrap();
        // It has our arguments until it has begun.
        let own = |(pid, arguments): &(i32, String)| {
            *pid == process.id() as i32 && arguments.starts_with(binary)
        };
        while !running().iter().any(own) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let dir = Path::new(STATE).join("native-77777");
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("mine"), "x").unwrap();
        Foreign {
            namespace,
            radio,
            process,
            dir,
        }
    }

    pub(super) fn is_still_there(&self) {
        Namespace::open(&self.namespace)
            .unwrap()
            .run(|| ())
            .unwrap();
        let radios = Footprint::now().radios;
        assert!(radios.iter().any(|radio| radio.id == self.radio));
        assert!(is_running(self.process.id() as i32));
        assert_eq!(fs::read_to_string(self.dir.join("mine")).unwrap(), "x");
    }

    pub(super) fn remove(mut self) {
        Namespace::unbind(&self.namespace).unwrap();
        block_on(async {
            let hwsim = Hwsim::connect().await.unwrap();
            hwsim.delete_radio(self.radio).await.unwrap();
        });
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        fs::remove_dir_all(&self.dir).unwrap();
    }
}
