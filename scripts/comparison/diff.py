"""Compares two directories of sweeps, run by run, then topology by topology."""

from collections import Counter, defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from . import figures, sequences
from .findings import Finding
from .runs import Run

# By these protocols a node that has the same seed begins with the same message, whatever timing does to the later ones.
BEGINNING = ("CoAP", "DHCPv6")


@dataclass
class Comparison:
    """What comparing one run gave."""

    run: str
    phy: bool
    messages: int
    by_timing: bool = False
    findings: list = field(default_factory=list)  # of whatever rule
    exact: list = field(default_factory=list)  # if nothing but the protocols decides what happens
    loose: list = field(default_factory=list)  # if timing does
    outcomes: list = field(default_factory=list)  # of before, its shifted runs, after
    numbers: list = field(default_factory=list)  # the same: counts and figures by kind and path
    shifted_changes: list = field(default_factory=list)  # of each shifted run: how many differences by the exact rule
    prefix: float = 1.0  # share of messages that are equal up to the first difference of their stream
    kernel_timed: list = field(default_factory=list)  # as outcomes: numbers by capture and type


@dataclass
class Topology:
    """One topology: its runs, and what is said of it as a whole."""

    name: str
    runs: list = field(default_factory=list)
    findings: list = field(default_factory=list)
    spreads: int = 0
    beyond: list = field(default_factory=list)

    @property
    def by_timing(self):
        return any(run.by_timing for run in self.runs)


class Side:
    """One run directory, read for comparison."""

    def __init__(self, directory, names=None):
        self.run = Run(directory)
        if names:
            self.run.names.fill_from(names)
        self.run.learn()
        self.streams, self.kernel_timed, self.messages = self.run.streams()
        self.events = self.run.event_streams()


def compare_run(name, before_directory, after_directory, shifted_directories):
    """Compares two run directories of the same seed, with those of the program of before with shifted times."""
    before = Side(before_directory)
    *shifted, after = sides = [Side(path, before.run.names) for path in [*shifted_directories, after_directory]]
    sides.insert(0, before)
    result = Comparison(name, before.run.phy or after.run.phy, before.messages)
    result.outcomes = [outcomes(side.run) for side in sides]
    result.kernel_timed = [side.kernel_timed for side in sides]
    result.shifted_changes = [len(changes(before, side)) for side in shifted]
    result.by_timing = result.phy or any(result.shifted_changes)
    result.numbers = [numbers(side.run, side.streams) for side in sides]
    result.prefix = equal_from_the_beginning(before.streams, after.streams)
    result.loose = beginnings(before.streams, after.streams)
    if not result.phy:
        result.exact = changes(before, after)
        for path, what, note in figures.compare([side.run.result for side in sides], [side.run.names for side in sides]):
            if not figures.is_outcome(path):
                result.exact.append(Finding("figures", path, what, note))
    for findings in (unreadable(before.run, after.run), captured(before.run, after.run), kernel_timed(result.kernel_timed),
                     readdressed(before.run.names, after.run.names)):
        result.findings += findings
    return result


def changes(before, after):
    """What differs between the messages and the events of two sides."""
    return compare_streams("messages", before.streams, after.streams) + compare_streams("events", before.events, after.events)


def unreadable(before, after):
    """What cannot be read on one side is a difference, on both a note."""
    for problem in dict.fromkeys(before.problems + after.problems):
        both = problem in before.problems and problem in after.problems
        side = "both sides" if both else "before" if problem in before.problems else "after"
        yield Finding("outcome", side, f"cannot be read: {problem}", both)


def captured(before, after):
    """Interfaces that only one side has a capture of."""
    for interface in before.frames.keys() - after.frames.keys():
        yield Finding("messages", interface, "no capture any more")
    for interface in after.frames.keys() - before.frames.keys():
        yield Finding("messages", interface, "new capture", note=True)


def outcomes(run):
    """Outcomes of a run by what they are of."""
    found = {"passed": run.result.get("passed")}
    for expectation in run.result.get("expectations", []):
        found[f"expectation {expectation.get('metric')} {expectation.get('expected')}"] = expectation.get("outcome")
    return found


def kernel_timed(sides):
    """Messages that the kernel's own timers send come and go: of a type in a capture so many as chance does, or shifted
    times do, are one note, more are a difference. `sides`: numbers of before, its shifted runs, after."""
    before, *_, after = sides
    captures, totals = 0, [Counter(), Counter()]
    for key in sorted(before.keys() | after.keys()):
        old, new = before[key], after[key]
        if not any(figures.little(side[key], new) for side in sides[:-1]):
            yield Finding("messages", f"{key[0]} {key[1]}", f"{old} -> {new}, too many more or less for the kernel's timers")
        elif old != new:
            captures += 1
            totals[0][key[1]] += old
            totals[1][key[1]] += new
    if captures:
        types = ", ".join(f"{what} {totals[0][what]} -> {totals[1][what]}" for what in sorted(totals[0] | totals[1]))
        yield Finding("messages", "timed by the kernel", f"{types} where they differ", note=True)


def compare_streams(kind, before, after):
    """The changes of each stream."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        where = key if isinstance(key, str) else " ".join(key)
        for change in sequences.compare(before.get(key, []), after.get(key, [])):
            found.append(Finding(kind, where, change.what, time_s=change.time_s))
    return found


def readdressed(before, after):
    """Addresses that are another node's, or others of the same node: nodes are compared, so this is a note."""
    shown = [defaultdict(set), defaultdict(set)]
    for side, names in zip(shown, (before, after)):
        for address, (node, text) in names.cache.items():
            if node:
                side[text].add(address)
    for text in sorted(shown[0].keys() & shown[1].keys()):
        if not shown[0][text] & shown[1][text]:
            old, new = (", ".join(sorted(before.text_of(address) for address in side[text])) for side in shown)
            yield Finding("messages", text, f"address {old} -> {new}", note=True)


def numbers(run, streams):
    """What is counted and measured of a run, by kind and path: messages by what they are, and which is followed by which
    of the same stream; events likewise; figures."""
    messages, events = Counter(), Counter()
    for (interface, nodes, protocol), items in streams.items():
        where, seen, last = f"{interface} {nodes} {protocol}", set(), None
        for item in items:
            again = bool(item.ident) and sequences.full(item) in seen
            seen.add(sequences.full(item))
            messages[f"{where}: {item.what}{' again' if again else ''}"] += 1
            if last not in (None, item.what) and not again:
                messages[f"{where}: {last}, then {item.what}"] += 1
            last = last if again else item.what
    for node, items in run.event_streams(numbers=False).items():
        last = None
        for item in items:
            events[f"{node}: {item.what}"] += 1
            if last not in (None, item.what):
                events[f"{node}: {last}, then {item.what}"] += 1
            last = item.what
    return {"messages": messages, "events": events, "figures": figures.figures(run.result, run.names),
            "told": figures.told(run.result, run.names)}


def beginnings(before, after):
    """With the same seed the first message that a node sends by a protocol is one that the other side has, too, with its
    identifiers, whatever comes later."""
    found = []
    old, new = sent(before), sent(after)
    for key in sorted(old.keys() & new.keys()):
        first, second = (min(side[key], key=lambda item: item.time_s) for side in (old, new))
        if sequences.full(first) not in map(sequences.full, new[key]) \
                and sequences.full(second) not in map(sequences.full, old[key]):
            change = sequences.compare([first], [second])[0]
            found.append(Finding("messages", " ".join(key), f"begins elsewhere: {change.what}", time_s=first.time_s))
    return found


def sent(streams):
    """Messages that nodes send, by interface and protocol, as their own captures have them."""
    found = defaultdict(list)
    for (interface, nodes, protocol), items in streams.items():
        if protocol in BEGINNING and interface.split(".")[0] == nodes.split(" > ")[0]:
            found[interface, protocol] += items
    return found


def equal_from_the_beginning(before, after):
    """Which share of the messages is equal up to the first difference of its stream."""
    equal = sum(sequences.common_prefix(list(map(sequences.full, items)), list(map(sequences.full, after.get(key, []))))
                for key, items in before.items())
    return equal / max(1, sum(map(len, before.values())))


def compare_outcomes(topology):
    """Outcomes by seed. Where timing decides, one that went both ways before may go either way."""
    seen = defaultdict(set)
    for run in topology.runs:
        for side in run.outcomes[:-1]:
            for key, outcome in side.items():
                seen[key].add(outcome)
    for run in topology.runs:
        old, new = run.outcomes[0], run.outcomes[-1]
        for key in list(old) + [key for key in new if key not in old]:
            if old.get(key) != new.get(key):
                chance = topology.by_timing and new.get(key) in seen[key]
                what = f"{old.get(key)} -> {new.get(key)}" + (", as before in other runs" if chance else "")
                run.findings.append(Finding("outcome", key, what, note=chance or key not in old))


def compare_distributions(topology):
    """Where timing decides: what each run counted and measured, as distributions."""
    for kind in ("messages", "events", "figures"):
        before = [side[kind] for run in topology.runs for side in run.numbers[:-1]]
        after = [run.numbers[-1][kind] for run in topology.runs]
        for spread in figures.distributions(before, after):
            topology.spreads += 1
            if not spread.agrees:
                topology.findings.append(Finding(kind, spread.path, f"distribution over the runs: {spread}"))
            elif spread.beyond and kind == "figures":
                topology.beyond.append(Finding(kind, spread.path, str(spread), note=True))
    if topology.runs:
        # What of a result is no number: what every run of one side tells, and none of the other.
        before = [side["told"] for run in topology.runs for side in run.numbers[:-1]]
        after = [run.numbers[-1]["told"] for run in topology.runs]
        for path in sorted(set.intersection(*before) - set.union(*after)):
            topology.findings.append(Finding("figures", path, "not there any more"))
        for path in sorted(set.intersection(*after) - set.union(*before)):
            topology.findings.append(Finding("figures", path, "new", note=True))


def measured_by_chance(run):
    """How far a run without a phy is from the exact rule, beside how far the shifted runs are: a note."""
    found = [finding for finding in run.exact if finding.kind != "figures"]
    if not found:
        return []
    first = min(found, key=lambda finding: finding.time_s)
    what = (f"{len(found)} differences, of the shifted runs {', '.join(map(str, run.shifted_changes))}; "
            f"first {first.kind} {first.where}: {first.what}")
    return [Finding("messages", "by the exact rule", what, note=True)]


def finish(topology):
    """Chooses the rule that a topology is compared by, and says what its runs have together."""
    compare_outcomes(topology)
    if topology.by_timing:
        compare_distributions(topology)
    # A shifted directory that lacks a run is left out of the sums.
    sides = min((len(run.kernel_timed) for run in topology.runs), default=0)
    totals = [sum((run.kernel_timed[side] for run in topology.runs), Counter()) for side in [*range(sides - 1), -1]]
    topology.findings += [finding for finding in kernel_timed(totals) if not finding.note] if sides else []
    outcome = []
    for run in topology.runs:
        run.findings += run.loose + measured_by_chance(run) if topology.by_timing else run.exact
        outcome += [finding for finding in run.findings if finding.where == "passed"]
        for finding in run.findings:
            finding.run = run.run
    for finding in topology.findings + topology.beyond:
        finding.run = finding.run or f"{topology.name}/all"
        # An exit code that differs only as outcomes do that may go either way is a note as they are.
        if finding.where == "exit code" and outcome and all(finding.note for finding in outcome):
            finding.note = True


def sweeps(directory):
    """Names of the sweeps in a directory and exit codes by name."""
    names = sorted(path.parent.name for path in directory.glob("*/sweep.json"))
    codes = {}
    try:
        for line in (directory / "times").read_text(encoding="utf-8").splitlines():
            name, code = line.split()[:2]
            codes[name] = code.removeprefix("rc=")
    except (OSError, ValueError):
        pass
    return names, codes


def seeds(directory):
    """Paths of the runs of a sweep, in the order of points and seeds."""
    def order(path):
        return [int("".join(filter(str.isdigit, part)) or 0) for part in path.parts]
    found = (path.relative_to(directory) for path in directory.glob("point-*/seed-*") if path.is_dir())
    return sorted(found, key=order)


def compare(before, after, shifted, only, jobs):
    """Every topology of two directories, compared."""
    (old_names, old_codes), (new_names, new_codes) = sweeps(before), sweeps(after)
    topologies, tasks = [], []
    for name in sorted(set(old_names) | set(new_names)):
        if only and name not in only:
            continue
        topology = Topology(name)
        topologies.append(topology)
        if name not in new_names or name not in old_names:
            gone = name not in new_names
            what = "no sweep any more" if gone else "new sweep"
            topology.findings.append(Finding("outcome", "sweep", what, note=not gone))
            continue
        if old_codes.get(name) != new_codes.get(name):
            what = f"{old_codes.get(name)} -> {new_codes.get(name)}"
            topology.findings.append(Finding("outcome", "exit code", what))
        old, new = seeds(before / name), seeds(after / name)
        points = len({path.parts[0] for path in old}) > 1
        for path in old:
            run = f"{name}/{path.parts[0] + '/' if points else ''}{path.parts[1].removeprefix('seed-')}"
            if path in new:
                references = [directory / name / path for directory in shifted if (directory / name / path).is_dir()]
                if len(references) < len(shifted):
                    what = f"only in {len(references)} of {len(shifted)} directories of --shifted"
                    topology.findings.append(Finding("outcome", "run", what, note=True, run=run))
                tasks.append((topology, (run, before / name / path, after / name / path, references)))
            else:
                topology.findings.append(Finding("outcome", "run", "no run any more", run=run))
    with ProcessPoolExecutor(jobs) as pool:
        # Processes cost more than runs of a second.
        each = map if jobs == 1 else pool.map
        for (topology, _), run in zip(tasks, each(compare_run, *zip(*(task for _, task in tasks))) if tasks else ()):
            topology.runs.append(run)
    for topology in topologies:
        finish(topology)
    return topologies
