"""How fast a run is shown in a browser: docs/measured/speed.md."""

import json
import os
import re
import subprocess

from .pages import ROOT
from .tools import command, number, output, table

MANY = 1_000_000


def resident_mib(pid):
    """What a process has in memory."""
    with open(f"/proc/{pid}/status") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def shown(tools, directory):
    """What the browser says of the page of a run, and what its server has in memory then."""
    with subprocess.Popen([tools.program, "view", directory], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            address = server.stdout.readline().strip()
            told = json.loads(output("node", ROOT / "scripts" / "measuring" / "player.cjs", address))
            return told, resident_mib(server.pid)
        finally:
            server.terminate()


def lengthened(directory, out):
    """The run again and again, one after the other, until it has so many events."""
    events = (directory / "events.jsonl").read_text().splitlines()
    middle = [line for line in events if '"node":"scenario"' not in line]
    instants = [int(re.match(r'\{"time_ns":(\d+)', line)[1]) for line in middle]
    span = instants[-1] - instants[0] + 1_000_000
    out.mkdir()
    for name in ("plan.yaml", "result.json"):
        (out / name).write_bytes((directory / name).read_bytes())
    with open(out / "events.jsonl", "w") as lines:
        for at in range(MANY):
            turn, place = divmod(at, len(middle))
            lines.write(middle[place].replace(str(instants[place]), str(instants[place] + turn * span), 1) + "\n")


def player(tools):
    """Frames a second, first picture, jumps and memory of `wpanlab view` in headless Chromium."""
    tools.backend = "uml"
    tools.run("crowd", "topologies/crowd.yaml")
    directory = tools.directory / "crowd"
    lengthened(directory, tools.directory / "long")
    rows = []
    for what, at in (("`crowd.yaml`, 50 nodes", directory), (f"the same again and again: {MANY:,} events", tools.directory / "long")):
        told, memory = shown(tools, at)
        median, longest = told["jump_ms"]
        rows.append([
            what, number(told["first_picture_ms"]), number(told["all_read_ms"]), number(told["frames_per_s"]),
            number(told["longest_ms"]), f"{number(median)}, {number(longest)}", number(memory),
        ])
    header = [
        "run", "first picture, ms", "all of it read, ms", "frames a second, played at ×1", "longest frame, ms",
        "a jump, ms: median, longest of 20", "server's memory, MiB",
    ]
    load = f", load average {os.getloadavg()[0]:.1f} at the end:"
    said = ["wpanlab run topologies/crowd.yaml --backend uml", "wpanlab view DIR       # and scripts/measuring/player.cjs"]
    return [tools.made_by().rstrip(":") + load, *command(*said), *table(header, rows)]


def gateway_streams(tools):
    """A thousand event streams of one gateway, and 100,000 malformed requests to it."""
    test = ("cargo", "test", "--release", "-p", "nodes", "--lib", "--", "gateway::loopback", "--nocapture", "--test-threads", "1")
    environment = {"WPANLAB_STREAMS": "1000", "WPANLAB_MALFORMED": "100000"}
    text = output(*test, env={**os.environ, **environment}, stderr=subprocess.DEVNULL)
    streams = next(line for line in text.splitlines() if "event streams" in line)
    # One that fails ends this script.
    passed = next(line for line in text.splitlines() if line.startswith("test result: ok")).split(";")[0]
    said = " ".join(f"{name}={value}" for name, value in environment.items()) + " " + " ".join(test)
    return [tools.made_by(vm=False), *command(said), "```text", streams, f"{environment['WPANLAB_MALFORMED']} malformed requests, and the gateway answers; {passed}", "```"]
