//! A mobile node's daemon as on a board: in the initial namespace, with nobody who tells it
//! signals. Its network is a run of the testbed in the same guest.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use netlink::{Hwsim, Links, Namespace, Nl802154, RadioId, create_radio_with_phy, sysctl};
use rundir::event::Reason;
use rundir::{Event, EventKind, HandoverEvent};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use topology::plan::RadioInterface;
use topology::{Overrides, Plan};
use units::Lqi;

use crate::common::block_on;
use crate::guest::{self, Job, RESULTS, WPANLAB};
use crate::loss;

/// What the daemon reported, and when its router began to fade.
const EVENTS: &str = "board.jsonl";
const FADED: &str = "faded";
const LOWPAN: &str = "lowpan9";

/// What the host wants.
#[derive(Serialize, Deserialize)]
pub struct Board {
    /// The plan of the network.
    network: String,
    /// The plan with the mobile node `sensor`.
    board: String,
}

fn plan(name: &str) -> Plan {
    let text = std::fs::read_to_string(loss::topology(name)).unwrap();
    topology::load(name, &text, Overrides::default()).unwrap_or_else(|d| panic!("{d}"))
}

pub fn hands_over_by_its_own_lqi() {
    let (network, board) = (plan("board-network.yaml"), plan("board.yaml"));
    assert_eq!(network.nodes["wmms"], board.nodes["wmms"], "the same place");
    let dir = tempfile::tempdir().unwrap();
    let job = Job::Board(Board {
        network: network.to_yaml(),
        board: board.to_yaml(),
    });
    guest::run_in_vm(network.seed, &job, dir.path());
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let faded: u64 = read(FADED).parse().unwrap();
    let events = rundir::event::read_all(read(EVENTS).as_bytes()).unwrap();
    let find = |wanted: fn(&EventKind) -> bool| events.iter().find(|event| wanted(&event.kind));
    let started =
        find(|kind| matches!(kind, EventKind::Handover(HandoverEvent::Started { .. }))).unwrap();
    assert!(started.time_ns > faded, "not while er1 was strong");
    let EventKind::Handover(HandoverEvent::Started { from, reason, .. }) = &started.kind else {
        unreachable!("found as such");
    };
    assert_eq!((from.as_str(), *reason), ("er1", Reason::Signal));
    let completed =
        find(|kind| matches!(kind, EventKind::Handover(HandoverEvent::Completed { .. }))).unwrap();
    let EventKind::Handover(HandoverEvent::Completed { to, t_addr, .. }) = &completed.kind else {
        unreachable!("found as such");
    };
    assert_eq!(to, "er2");
    assert!(t_addr.to_string().starts_with("2001:db8:2:"), "{t_addr}");
}

/// The guest's part.
pub fn run(job: &Board) -> Result<()> {
    let network = Plan::from_yaml(&job.network)?;
    let file = PathBuf::from("/run/board.yaml");
    std::fs::write(&file, &job.board)?;
    let radio = Plan::from_yaml(&job.board)?.nodes["sensor"].radio.clone();
    let radio = radio.context("a mobile node has a radio")?;
    let mut playing = None;
    guest::play(&network, &mut || {
        playing.get_or_insert_with(|| {
            let (file, radio) = (file.clone(), radio.clone());
            std::thread::spawn(move || block_on(walk(&file, &radio)))
        });
    })?;
    let played = playing.context("the scenario did not begin")?;
    anyhow::ensure!(
        played.is_finished(),
        "the scenario was over before the walk"
    );
    played.join().expect("the walk does not panic")
}

/// The node comes up between the two routers, and the first one fades.
async fn walk(plan: &Path, radio: &RadioInterface) -> Result<()> {
    let hwsim = Hwsim::connect().await?;
    // In the order in which they were made: those of the module, er1, er2.
    let ids: Vec<RadioId> = hwsim.radios().await?.iter().map(|radio| radio.id).collect();
    let [.., er1, er2] = ids[..] else {
        bail!("no routers: {ids:?}");
    };
    let (wpan, own) = board_radio(&hwsim, radio).await?;
    for (router, lqi) in [(er1, Lqi(200)), (er2, Lqi(150))] {
        hwsim.add_edge(router, own).await?;
        hwsim.add_edge(own, router).await?;
        hwsim.set_lqi(router, own, lqi).await?;
    }
    let (_daemon, mut lines) = daemon(plan, &wpan)?;
    let mut events = Vec::new();
    until(&mut lines, &mut events, |kind| *kind == EventKind::Ready).await?;
    tokio::time::sleep(Duration::from_secs(5)).await;
    std::fs::write(
        Path::new(RESULTS).join(FADED),
        driver::now().as_nanos().to_string(),
    )?;
    // -92.9 dBm with a CC2420; the trigger is at -80 dBm.
    hwsim.set_lqi(er1, own, Lqi(10)).await?;
    let completed =
        |kind: &EventKind| matches!(kind, EventKind::Handover(HandoverEvent::Completed { .. }));
    until(&mut lines, &mut events, completed).await?;
    std::fs::write(Path::new(RESULTS).join(EVENTS), events.concat())?;
    Ok(())
}

/// A radio in the initial namespace as a board's start scripts leave it, and its interface's name.
async fn board_radio(hwsim: &Hwsim, plan: &RadioInterface) -> Result<(String, RadioId)> {
    let here = Namespace::current()?;
    let host = Nl802154::connect(&here).await?;
    let links = Links::connect(&here).await?;
    let made = create_radio_with_phy(hwsim, &host, |_| {}).await?;
    links.set_address(made.wpan_ifindex, &plan.eui64.0).await?;
    host.set_pan_id(made.wpan_ifindex, plan.pan_id).await?;
    host.set_channel(made.phy, plan.channel).await?;
    links.add_lowpan(LOWPAN, made.wpan_ifindex).await?;
    sysctl::write(&format!("net.ipv6.conf.{LOWPAN}.addr_gen_mode"), 1)?;
    Ok((made.name, made.radio))
}

fn daemon(plan: &Path, wpan: &str) -> Result<(Child, Lines<BufReader<ChildStdout>>)> {
    let mut command = Command::new(WPANLAB);
    command.arg("node").arg("--plan").arg(plan);
    command.args(["--signal", "radio", "--wpan", wpan, "--lowpan", LOWPAN]);
    command
        .arg("sensor")
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().context(WPANLAB)?;
    let out = child.stdout.take().context("its output is piped")?;
    Ok((child, BufReader::new(out).lines()))
}

/// Keeps the daemon's events up to the wanted one.
async fn until(
    lines: &mut Lines<BufReader<ChildStdout>>,
    events: &mut Vec<String>,
    wanted: impl Fn(&EventKind) -> bool,
) -> Result<()> {
    loop {
        let line = lines.next_line().await?;
        let line = line.with_context(|| format!("the daemon ended after {events:#?}"))?;
        let event: Event = serde_json::from_str(&line)?;
        events.push(line + "\n");
        if wanted(&event.kind) {
            return Ok(());
        }
    }
}
