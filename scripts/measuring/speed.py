"""How fast the parts are: docs/measured/speed.md. They want a machine that does nothing else."""

import os
import re
import subprocess
from pathlib import Path

from .pages import ROOT
from .tools import command, number, output, table

HIDDEN = {
    "20 bytes, one 10 dB stronger": "hidden_nodes_lose_what_theory_says",
    "127 bytes, one 10 dB stronger": "hidden_nodes_with_the_longest_frames_lose_what_theory_says",
    "20 bytes, equal power": "hidden_nodes_of_equal_power_survive_what_their_sinr_lets_them",
}


def hidden_nodes(tools):
    """The medium's hidden senders beside their closed forms. It does not depend on the machine."""
    rows = []
    for frames, test in HIDDEN.items():
        said = output("cargo", "test", "--release", "--quiet", "-p", "medium", "--test", "goodput", test, "--", "--nocapture")
        shares = {}
        for what, measured, theory in re.findall(r"^\W*(\w.*): measured (\S+), theory (\S+)$", said, re.MULTILINE):
            shares.setdefault((what, theory), []).append(measured)
        rows += [[frames, what, ", ".join(measured), theory] for (what, theory), measured in shares.items()]
    said = "cargo test --release -p medium --test goodput hidden -- --nocapture --test-threads 1"
    return [tools.made_by(vm=False), *command(said), *table(["frames", "share", "measured", "theory"], rows)]


def medium_bench(tools):
    """Frames a second through the medium."""
    said = output("cargo", "bench", "--quiet", "-p", "medium", "--bench", "throughput")
    found = re.findall(r"^(.+): (\d+) frames/s, (\d+) transmissions/s, (\S+) us each$", said, re.MULTILINE)
    rows = [[what, f"{int(frames):,}", f"{int(sent):,}", f"{each} us"] for what, frames, sent, each in found]
    header = ["52 radios on one channel, frames of 102 bytes", "frames/s", "transmissions/s", "each"]
    return [tools.made_by(vm=False), *command("cargo bench -p medium"), *table(header, rows)]


def sweep_speed(tools):
    """Runs a minute of the shortest shipped topology with a handover."""
    tools.run("warm-up", "topologies/handover.yaml")
    turns = [tools.timed("sweep-speed", "topologies/handover.yaml", "1..40") for _ in range(3)]
    rows = [[turn + 1, number(40 * 60 / wall), f"{used / 40:.2f} s"] for turn, (wall, used) in enumerate(turns)]
    said = "wpanlab run topologies/handover.yaml --seeds 1..40 --jobs 2"
    return [tools.made_by(), *command(said), *table(["turn", "runs a minute", "processor time of a run"], rows)]


def wmms(tools):
    """The WMMS beside libcoap's server, and its memory."""
    said = output("cargo", "bench", "--quiet", "-p", "nodes", "--bench", "wmms").strip()
    return [tools.made_by(vm=False), *command("cargo bench -p nodes --bench wmms"), "```text", *said.splitlines(), "```"]


def wmms_kills(tools):
    """A thousand kills of the WMMS under load."""
    wanted = ("cargo", "test", "--release", "--quiet", "-p", "nodes", "--test", "wmms", "--", "--nocapture")
    said = output(*wanted, env={**os.environ, "WPANLAB_KILLS": "1000"})
    line = re.search(r"\d+ kills, .*", said)[0]
    shown = f"WPANLAB_KILLS=1000 {' '.join(wanted).replace(' --quiet', '')}"
    return [tools.made_by(vm=False), *command(shown), f"{line}."]


def postgresql():
    """Which PostgreSQL it is."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    return "PostgreSQL " + re.search(r"\d+[.]\d+", output(programs[-1], "--version"))[0]


def others(made_by):
    """What made a figure, beside what else ran on the machine: the load average."""
    load = os.getloadavg()[0]
    return f"{made_by.rstrip(':')}, {postgresql()}, load average {load:.1f} at the end:"


def wmms_failover(tools):
    """A hundred failovers of a WMMS on PostgreSQL under load."""
    asked, shown = dict(os.environ), "./scripts/failover 100"
    if "INSTANCE" in asked:
        shown = f"INSTANCE={Path(asked['INSTANCE']).name} {shown}"
    else:
        asked["WPANLAB"] = tools.program
    said = output(ROOT / "scripts/failover", "100", env=asked).strip()
    return [others(tools.made_by(vm=False)), *command(shown), "```text", *said.splitlines(), "```"]


def wmms_stores(tools):
    """Updates a second: the embedded store, PostgreSQL, and PostgreSQL with a synchronous standby."""
    said = output("cargo", "bench", "--quiet", "-p", "wmms-postgres", "--bench", "stores").strip()
    return [others(tools.made_by(vm=False)), *command("cargo bench -p wmms-postgres --bench stores"), "```text", *said.splitlines(), "```"]


def datagrams(tools):
    """A million malformed datagrams to each port of the daemons; needs root."""
    if os.geteuid() != 0:
        raise SystemExit("figures: datagrams needs root: its daemons are in namespaces of this machine")
    count = {"WPANLAB_NATIVE": "1", "WPANLAB_DATAGRAMS": "1000000"}
    wanted = ("cargo", "test", "--release", "--quiet", "-p", "wpanlab", "--test", "malformed_datagrams", "--", "--show-output")
    said = output(*wanted, env={**os.environ, **count})
    form = r"^(.+): (\d+) sent, (\d+) arrived in (\S+), resident (\d+), (\d+), (\d+) KiB$"
    rows = [[port, f"{int(sent):,}", int(sent) - int(arrived), f"{before}, {half}, {after}", took]
            for port, sent, arrived, took, before, half, after in re.findall(form, said, re.MULTILINE)]
    shown = f"WPANLAB_NATIVE=1 WPANLAB_DATAGRAMS=1000000 {' '.join(wanted).replace(' --quiet', '')}"
    header = ["port", "sent", "lost", "resident before, after half, after all (KiB)", "took"]
    return [tools.made_by(vm=False), *command(shown), *table(header, rows)]
