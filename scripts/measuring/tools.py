"""What measures: the program, its sweeps, cargo, and what made the figures in words."""

import hashlib
import json
import os
import platform
import re
import shlex
import subprocess
import time
from pathlib import Path

from .pages import ROOT


def output(*command, ok=(0,), **options):
    """What a command prints. It ends with one of the exit codes `ok`."""
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, **options)
    if done.returncode not in ok:
        raise SystemExit(f"figures: {shlex.join(map(str, command))} ended with {done.returncode}")
    return done.stdout


def spent(act):
    """What `act` gives, its wall seconds, and the processor seconds of the children that ended meanwhile."""
    before, began = os.times(), time.monotonic()
    given = act()
    wall, after = time.monotonic() - began, os.times()
    return given, wall, after.children_user + after.children_system - before.children_user - before.children_system


class Tools:
    """The program that measures, and the directory that its runs are in."""

    def __init__(self, directory, handovers=None, backend="vm", syscall_cost=None):
        self.directory = directory
        # That of the runs, and its processor.
        self.backend = backend
        self.processor = ("--syscall-cost", syscall_cost) if syscall_cost else ()
        # How many at least are measured of a kind, where that can be chosen.
        self.handovers = handovers
        self.given = os.environ.get("WPANLAB")
        self.built = None
        self.kernel = None

    @property
    def program(self):
        """The path of wpanlab: WPANLAB, or built here."""
        if self.given:
            return self.given
        if self.built is None:
            self.built = output(ROOT / "scripts" / "build").strip()
        return self.built

    def wpanlab(self, *arguments, ok=(0, 1)):
        """What `wpanlab ARGUMENTS` prints. An expectation that does not hold is a result, too."""
        return output(self.program, *arguments, ok=ok, stderr=subprocess.DEVNULL)

    def run(self, name, topology, *options):
        """One run into the directory `name`, which is made anew; what it prints, and its result."""
        out = self.directory / name
        text = self.wpanlab("run", topology, "--out", out, "--force", *self.how(), *options)
        result = json.loads((out / "result.json").read_text())
        self.kernel = result["kernel"]
        return text, result

    def how(self):
        """The options that choose the backend."""
        return ("--backend", self.backend, *self.processor)

    def sweep(self, name, topology, seeds, *options, jobs=2):
        """The points of a sweep. One that was interrupted goes on."""
        out = self.directory / name
        self.wpanlab("run", topology, "--seeds", seeds, "--jobs", str(jobs), "--out", out, "--resume", *self.how(), *options)
        self.kernel = json.loads((out / "sweep.json").read_text())["kernel"].split()[0]
        return points(out)

    def timed(self, name, topology, seeds, *options):
        """Wall seconds and processor seconds of a sweep that begins anew."""
        self.program
        _, wall, used = spent(lambda: self.sweep(f"{name}-{time.monotonic_ns()}", topology, seeds, *options))
        return wall, used

    def made_by(self, vm=True):
        """The line that says what made the figures: versions, and how many processors."""
        parts = [f"wpanlab {self.version(vm)}"]
        if vm and self.backend == "uml":
            parts.append(f"User-Mode Linux {self.kernel}")
        elif vm:
            parts.append(f"kernel {self.kernel} in the VM")
            qemu = re.search(r"version (\S+)", output("qemu-system-x86_64", "--version"))
            parts.append(f"QEMU {qemu[1]}")
        else:
            # What a distribution or a host adds to the number says nothing about the figures.
            parts.append(f"Linux {re.match(r'[0-9]+[.][0-9]+', platform.release())[0]}")
        parts.append(f"rustc {output('rustc', '--version').split()[1]}")
        parts.append(f"{os.cpu_count()} processors ({platform.machine()})")
        return f"Measured with {', '.join(parts)}:"

    def version(self, vm):
        """The version, and which one of it: the digest of a program that was given, or the commit of what cargo built."""
        if vm and self.given:
            version = self.wpanlab("--version").split()[1]
            digest = hashlib.sha256(Path(self.given).read_bytes()).hexdigest()
            return f"{version} (program {digest[:12]})"
        version = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
        changed = " with changes" if output("git", "status", "--porcelain", "--", "crates", "Cargo.lock").strip() else ""
        return f"{version} (commit {output('git', 'rev-parse', '--short', 'HEAD').strip()}{changed})"


class Point:
    """The runs of one combination of parameters."""

    def __init__(self, values):
        self.values = values
        self.runs = []

    def figures(self, name):
        """A figure of each run."""
        return [run["figures"][name] for run in self.runs if name in run["figures"]]

    def handovers(self, key):
        """A figure of each handover that has it: `delay_s`, or a phase."""
        found = (h.get(key, h["phases"].get(key)) for run in self.runs for h in run["handovers"])
        return [value for value in found if value is not None]


def points(directory):
    """The points of the sweep in a directory, in order."""
    found = {}
    for line in (directory / "runs.jsonl").read_text().splitlines():
        run = json.loads(line)
        if run.get("error"):
            raise SystemExit(f"figures: {run['command']}: {run['error']}")
        run["result"] = directory / run["dir"] / "result.json"
        found.setdefault(run["point"], Point(run["set"])).runs.append(run)
    losses = json.loads((directory / "distribution.json").read_text())["points"]
    for point in losses:
        found[point["point"]].loss = point.get("loss")
    return [found[number] for number in sorted(found)]


def host():
    """The platform for which cargo builds here."""
    return re.search(r"^host: (.*)$", output("rustc", "-vV"), re.MULTILINE)[1]


def command(*lines):
    """Lines of a page that show commands."""
    return ["", *(f"    {line}" for line in lines), ""]


def table(header, rows):
    """Lines of a table."""
    lines = [header, ["---"] * len(header), *rows]
    return [f"| {' | '.join(str(cell) for cell in line)} |" for line in lines]


def quantile(values, share):
    """Between order statistics, as the sweeps do (Hyndman and Fan 1996, definition 7)."""
    values = sorted(values)
    place = share * (len(values) - 1)
    low = int(place)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (place - low)


def mean(values):
    """The mean; of nothing 0."""
    return sum(values) / len(values) if values else 0.0


def number(value, digits=3):
    """With so many significant digits, and without an exponent."""
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    whole = len(str(int(abs(value)))) if abs(value) >= 1 else 0
    leading = 0 if whole else len(re.match(r"0\.(0*)", f"{abs(value):.12f}")[1])
    return f"{value:.{max(digits - whole + leading, 0)}f}"
