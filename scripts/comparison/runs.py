"""Reads a run directory (docs/run-directory.md) into what is compared."""

import json
from collections import Counter, defaultdict
from pathlib import Path

from . import captures
from .names import Names
from .sequences import Item

# The frames of radios, the air and everything at once: what the other captures have, or repetitions of the MAC.
LEFT_OUT = (".wpan0.pcapng", "air.pcapng", "all.pcapng")
# Keys of events that are times or figures and not what happened.
MEASURED = {"time_ns", "tx_s", "rx_s", "listen_s", "sleep_s", "millijoules"}


class Run:
    """One run of one seed. `problems`: what could not be read."""

    def __init__(self, directory):
        self.directory = Path(directory)
        self.problems = []
        self.plan = self.text("plan.yaml")
        self.names = Names(self.plan)
        self.phy = "medium: phy" in self.plan
        self.result = self.json("result.json")
        self.events = self.read_events()
        self.frames = {path.name.removesuffix(".pcapng"): path.read_bytes()
                       for path in sorted(self.directory.glob("captures/*.pcapng"))
                       if not path.name.endswith(LEFT_OUT)}

    def text(self, name):
        try:
            return (self.directory / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            self.problems.append(f"{name}: {getattr(error, 'strerror', None) or 'not UTF-8'}")
            return ""

    def json(self, name):
        text = self.text(name)
        try:
            value = json.loads(text) if text else {}
            if isinstance(value, dict):
                return value
            self.problems.append(f"{name}: no object")
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
        return {}

    def read_events(self):
        events = []
        for number, line in enumerate(self.text("events.jsonl").splitlines(), 1):
            try:
                event = json.loads(line)
                event["time_ns"], event["node"], event["event"]
                events.append(event)
            except (ValueError, KeyError, TypeError):
                self.problems.append(f"events.jsonl: line {number} is no event")
        return events

    def start_ns(self):
        """When the scenario started, or 0."""
        starts = [event["time_ns"] for event in self.events if event["event"] == "scenario_started"]
        return starts[0] if starts else 0

    def learn(self):
        """Which node has which address that is not in the plan."""
        for interface, data in self.frames.items():
            try:
                for link_address, address in captures.leases(data):
                    self.names.learn_lease(link_address, address)
            except captures.Malformed as error:
                self.problems.append(f"{interface}: {error}")
        for event in self.events:
            if "p_addr" in event and "t_addr" in event:
                self.names.learn_binding(event["p_addr"], event["t_addr"])

    def streams(self):
        """Messages by interface, nodes and protocol in their order; numbers of kernel-timed messages by interface and
        type; how many messages that is."""
        streams, timed, count, start = defaultdict(list), Counter(), 0, self.start_ns()
        for interface, data in self.frames.items():
            try:
                for message in captures.messages(data):
                    count += 1
                    if message.kernel_timed:
                        timed[interface, message.what] += 1
                        continue
                    stream, what = self.describe(message)
                    time_s = (message.time_ns - start) / 1e9
                    streams[(interface, *stream)].append(Item(time_s, what, message.ident))
            except captures.Malformed:
                pass  # in `problems` since `learn`
        return streams, timed, count

    def describe(self, message):
        """Which stream of an interface a message belongs to, and what it is there."""
        source, source_shown = self.names.of(message.source)
        target, target_shown = self.names.of(message.destination)
        what = message.what
        shown = [name for name, node in ((source_shown, source), (target_shown, target)) if node and name != node]
        if shown:
            what += f" ({' > '.join((source_shown, target_shown))})"
        if message.link:
            hop = [self.names.link(address) for address in message.link]
            if hop[0] != source or hop[1] not in (target, "group"):
                what += f" by {hop[0]} > {hop[1]}"
        return (f"{source or source_shown} > {target or target_shown}", message.protocol), what

    def event_streams(self, numbers=True):
        """What each node reported, in order, without times; without its numbers, too, if these are not asked for."""
        streams, start = defaultdict(list), self.start_ns()
        for event in self.events:
            told = {key: value for key, value in event.items() if key not in MEASURED and key not in ("node", "event")
                    and (numbers or isinstance(value, (str, bool)))}
            what = " ".join([event["event"]] + [f"{key} {self.named(value)}" for key, value in told.items()])
            streams[event["node"]].append(Item((event["time_ns"] - start) / 1e9, what, ()))
        return streams

    def named(self, value):
        return self.names.in_text(value) if isinstance(value, str) else value
