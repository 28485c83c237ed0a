"""The same topologies in QEMU and in User-Mode Linux, and on other kernels: docs/measured/speed.md."""

import json
import re
import subprocess
import time

from .pages import ROOT
from .papers import EVERY, NO_HOLD, PHASES
from .tools import command, mean, number, quantile, table


def uml(tools):
    """The line that says what made the figures of both backends."""
    kernels = {}
    for backend in ("uml", "vm"):
        tools.backend = backend
        kernels[backend] = tools.run("warm-up", "topologies/handover.yaml")[1]["kernel"]
    return f"{tools.made_by().rstrip(':')}; User-Mode Linux {kernels['uml']}:"


def backends_speed(tools):
    """Runs a minute in QEMU and in User-Mode Linux, in turns."""
    topology = "topologies/handover.yaml"
    made_by, rows = uml(tools), []
    for scenario, count in (("5 s", 10), ("30 s", 4)):
        for turn in range(2):
            row = [scenario, turn + 1]
            for backend in ("vm", "uml"):
                tools.backend = backend
                wall, used = tools.timed("backends-speed", topology, f"1..{count}", "--set", f"scenario.duration={scenario}")
                row += [number(count * 60 / wall), f"{used / count:.2f} s"]
            rows.append([*row, number(float(row[4].replace(",", "")) / float(row[2].replace(",", "")), 2)])
    said = [f"wpanlab run {topology} --seeds 1..{count} --jobs 2 --backend {backend} --set 'scenario.duration={scenario}'"
            for scenario, count in (("5 s", 10), ("30 s", 4)) for backend in ("vm", "uml")]
    header = ["scenario", "turn", "QEMU: runs a minute", "processor time of a run", "User-Mode Linux: runs a minute", "processor time of a run", "ratio"]
    return [made_by, *command(*said), *table(header, rows)]


def run_shipped(tools, path, name, *options):
    """One run of a shipped topology: whether its expectations held and its handovers, and wall time."""
    out = tools.directory / name
    began = time.monotonic()
    ended = subprocess.run([tools.program, "run", path, "--out", out, "--force", *options], cwd=ROOT, capture_output=True, text=True)
    wall = f"{time.monotonic() - began:.1f} s"
    if ended.returncode not in (0, 1):
        return (ended.stderr.strip().splitlines() or ["no word"])[-1], wall
    result = json.loads((out / "result.json").read_text())
    delays = [h["delay_s"] * 1e3 for h in result["handovers"] if h.get("delay_s") is not None]
    told = ", ".join(number(delay) for delay in delays[:4]) + (", …" if len(delays) > 4 else "")
    return ("" if result["passed"] else "missed; ") + (told or "-"), wall


def kernels(tools):
    """Every shipped topology on every Linux that Debian has: whether its expectations held, and its handovers."""
    backends = [["--backend", "vm"]]
    for suite in ("bookworm-backports", "trixie-backports"):
        told = json.loads(tools.wpanlab("--json", "vm", "fetch", "--suite", suite))
        backends.append(["--backend", "vm", "--kernel", told["directory"]])
    backends.append(["--backend", "uml"])
    made_by, names = uml(tools), []
    cases = [(path, []) for path in sorted((ROOT / "topologies").glob("*.yaml"))]
    by_protocol = [["--set", f"nodes.sensor.mobility={word}"] for word in ("mipv6", "mipv6-ro", "hmipv6", "pmipv6", "none")]
    cases += [(ROOT / "topologies" / "mobility.yaml", also) for also in by_protocol]
    rows = []
    for path, also in cases:
        row = [f"`{path.name}`" + (f", `{also[1].split('=')[1]}`" if also else "")]
        for at, options in enumerate(backends):
            row.append(run_shipped(tools, path, f"kernels-{at}", *options, *also)[0])
            if not rows:
                kernel = json.loads((tools.directory / f"kernels-{at}" / "result.json").read_text())["kernel"]
                names.append(f"{re.match('[0-9.]+', kernel)[0]} in {'QEMU' if options[1] == 'vm' else 'User-Mode Linux'}: handovers, ms")
        rows.append(row)
    said = ["wpanlab vm fetch --suite bookworm-backports  # and trixie-backports; says what --kernel is given",
            "wpanlab run topologies/NAME [--backend uml | --backend vm --kernel DIR]  # mobility.yaml with --set nodes.sensor.mobility=…, too"]
    return [made_by, *command(*said), *table(["topology", *names], rows)]


def backends(tools):
    """Every shipped topology in QEMU and in User-Mode Linux: handovers, wall time, and three runs the same."""
    made_by, rows = uml(tools), []
    for path in sorted((ROOT / "topologies").glob("*.yaml")):
        topology = str(path.relative_to(ROOT))
        row = [f"`{path.name}`"]
        for backend in ("vm", "uml"):
            row += run_shipped(tools, path, f"backends-{backend}-{path.stem}", "--backend", backend)
        said = subprocess.run([tools.program, "verify", topology, "--runs", "3", "--backend", "uml"], cwd=ROOT, capture_output=True, text=True)
        rows.append([*row, "yes" if said.returncode == 0 else "no"])
    said = [f"wpanlab run topologies/NAME --backend {backend}" for backend in ("vm", "uml")] + ["wpanlab verify topologies/NAME --runs 3 --backend uml"]
    header = ["topology", "QEMU: handovers, ms", "wall time", "User-Mode Linux: handovers, ms", "wall time", "three runs the same"]
    return [made_by, *command(*said), *table(header, rows)]


# The papers' figures that are held side by side: what, the topology, seeds, options, and what is read of each point.
PAPERS = (
    ("CoMM, figure 10", "topologies/paper-comm.yaml", "1..20", ()),
    ("the same with hold", "topologies/paper-comm-hold.yaml", "1..20", ()),
    ("CoMP, figure 15", "topologies/papers/comp-figures.yaml", "1..1", ("--set", "radio.mac.min_be=3,5,7")),
    ("CoMP, figure 16, no hold", "topologies/papers/comp-figures.yaml", "1..1", ("--set", f"{EVERY}=200 ms,50 ms,20 ms", *NO_HOLD)),
    ("CoMP, figure 17, no hold", "topologies/papers/comp-figures.yaml", "1..1", ("--set", "backbone.delay=20 ms,80 ms,160 ms", *NO_HOLD)),
)


def read(point, at_seeds):
    """The figures of a point that a paper has: name and value, in the paper's unit."""
    if at_seeds:
        yield "handover delay, s: median", quantile(point.handovers("delay_s"), 0.5)
        for name, phase in PHASES.items():
            yield f"{name}, s: median", quantile(point.handovers(phase), 0.5)
        return
    yield "interruption, ms: mean", 1e3 * mean(point.handovers("outage_s"))
    yield "of it binding, ms", 1e3 * mean(point.handovers("binding"))
    yield "lost of a handover: mean", mean(point.handovers("lost"))


def papers_backends(tools):
    """Figures of the papers in QEMU and in User-Mode Linux, side by side."""
    made_by, rows, said = uml(tools), [], []
    for at, (figure, topology, seeds, options) in enumerate(PAPERS):
        found = []
        for tools.backend in ("vm", "uml"):
            points = tools.sweep(f"papers-{tools.backend}-{at}", topology, seeds, *options)
            found.append([(point.values, name, value) for point in points for name, value in read(point, not options)])
        for (values, name, emulated), (_, _, executed) in zip(*found):
            of = ", ".join(f"`{path.rsplit('.', 1)[-1]}` {value}" for path, value in values.items() if path in options[1])
            difference = f"{100 * (executed / emulated - 1):+.1f} %" if emulated else "-"
            rows.append([figure + (f", {of}" if of else ""), name, number(emulated), number(executed), difference])
        quoted = " ".join(option if option.startswith("--") else f"'{option}'" for option in options)
        said.append(f"wpanlab run {topology} --seeds {seeds} {quoted}".rstrip())
    header = ["figure", "", "QEMU", "User-Mode Linux", "difference"]
    return [made_by, *command(*(f"{each}  # --backend vm and uml" for each in said)), *table(header, rows)]
