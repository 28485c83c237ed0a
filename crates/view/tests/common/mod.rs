//! A run directory to look at, and a server that shows it.
#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::oneshot;
use view::{Source, Steering};

/// `events.jsonl` of a run of `topologies/handover.yaml`.
pub const EVENTS: &str = include_str!("../data/handover.events.jsonl");
/// Its `result.json`.
pub const RESULT: &str = include_str!("../data/handover.result.json");

/// The directory of that run: with the plan that the topology has now.
pub fn run() -> TempDir {
    let dir = planned();
    fs::write(dir.path().join("events.jsonl"), EVENTS).unwrap();
    fs::write(dir.path().join("result.json"), RESULT).unwrap();
    dir
}

/// The same with its plan alone.
pub fn planned() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let text = include_str!("../../../../topologies/handover.yaml");
    let plan = topology::load("handover.yaml", text, topology::Overrides::default());
    fs::write(dir.path().join("plan.yaml"), plan.unwrap().to_yaml()).unwrap();
    dir
}

/// A server in a thread, until this is dropped.
pub struct Server {
    pub at: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Vec<String>>>,
}

impl Server {
    pub fn of(dir: &Path) -> Server {
        Server::steered(dir, Steering::default())
    }

    pub fn steered(dir: &Path, steering: Steering) -> Server {
        let source = Source::open(dir).unwrap().steered(steering);
        let (tell, told) = mpsc::channel();
        let (end, ended) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let mut complaints = Vec::new();
            runtime.unwrap().block_on(async {
                let tell = |at| tell.send(at).unwrap();
                let complain = |problem: &str| complaints.push(problem.to_owned());
                tokio::select! {
                    served = view::serve(source, 0, tell, complain) => served.unwrap(),
                    _ = ended => {}
                }
            });
            complaints
        });
        Server {
            at: told.recv().unwrap(),
            end: Some(end),
            thread: Some(thread),
        }
    }

    /// Ends it; what it complained of.
    pub fn end(mut self) -> Vec<String> {
        drop(self.end.take());
        self.thread.take().unwrap().join().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking());
        }
    }
}
