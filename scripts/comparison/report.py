"""Prints what a comparison found."""

import os
import sys
from collections import Counter, defaultdict

from .diff import compare, sweeps


def differences(findings):
    return [finding for finding in findings if not finding.note and not finding.reason]


def verdict(findings):
    """The last column of the table: the earliest difference, of those without an instant the first."""
    left = differences(findings)
    if not left:
        return "same but for what is intended" if any(finding.reason for finding in findings) else "same"
    first = min(left, key=lambda finding: (finding.kind != "outcome", finding.time_s is None, finding.time_s or 0))
    more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
    return f"differs: {first.kind} {first.where}: {first.what}{more}"


def print_table(topologies):
    """One line per run, and one per topology that has something of its own."""
    width = max([len("topology")] + [len(topology.name) for topology in topologies])
    print(f"{'topology':{width}}  {'seed':>4}  {'medium':6}  {'rule':6}  {'messages':>8}  {'prefix':>6}  verdict")
    for topology in topologies:
        rule = "timing" if topology.by_timing else "exact"
        for run in topology.runs:
            seed, medium = run.run.removeprefix(topology.name + "/"), "phy" if run.phy else "edges"
            prefix, text = "", verdict(run.findings)
            if topology.by_timing:
                # All but the beginnings and outcomes of these runs is compared together.
                prefix, text = f"{run.prefix:.1%}", text if text != "same" or run.prefix == 1 else "see all"
            print(f"{topology.name:{width}}  {seed:>4}  {medium:6}  {rule:6}  {run.messages:8}  {prefix:>6}  {text}")
        if topology.findings or topology.spreads:
            text = verdict(topology.findings) + (f" [{topology.spreads} counts and figures]" if topology.spreads else "")
            print(f"{topology.name:{width}}   all  {'':6}  {rule:6}  {'':8}  {'':6}  {text}")


def print_section(title, findings, limit):
    """Findings under a title, the same of several runs once, at most so many of a topology."""
    if not findings:
        return
    print(f"\n{title}:")
    groups, shown = defaultdict(list), Counter()
    for finding in findings:
        groups[finding.run.split("/")[0], finding.kind, finding.where, finding.what, finding.reason].append(finding)
    for (topology, kind, where, what, reason), same in groups.items():
        shown[topology] += 1
        if not limit or shown[topology] <= limit:
            runs = ",".join(finding.run.removeprefix(topology + "/") for finding in same)
            print(f"  {topology}/{runs} {kind} {where}: {what}" + (f"\n      intended: {reason}" if reason else ""))
    for topology, count in shown.items():
        if limit and count > limit:
            print(f"  {topology}: {count - limit} more (--limit 0 shows all)")


def main(arguments, ignore):
    """Prints the comparison; the exit code."""
    for directory in [arguments.before, arguments.after] + arguments.shifted:
        names = sweeps(directory)[0]
        missing = [name for name in arguments.only if name not in names] if directory == arguments.before else []
        if not names or missing:
            print(f"compare: {directory}: no sweeps of {', '.join(missing) or 'topologies'} there", file=sys.stderr)
            return 2
    topologies = compare(arguments.before, arguments.after, arguments.shifted, arguments.only, arguments.jobs or os.cpu_count())
    everything = []
    for topology in topologies:
        for findings in [run.findings for run in topology.runs] + [topology.findings]:
            findings.sort(key=lambda finding: (finding.time_s is None, finding.time_s or 0))
            ignore.mark(findings)
            everything += findings
    print_table(topologies)
    left = differences(everything)
    print_section("differences", left, arguments.limit)
    print_section("intended differences", [finding for finding in everything if finding.reason], arguments.limit)
    notes = [finding for finding in everything if finding.note]
    print_section("notes: allowed differences", notes, arguments.limit)
    beyond = [finding for topology in topologies for finding in topology.beyond]
    print_section("notes: means beyond 2 %, within the spread of the runs", beyond, arguments.limit)
    for pattern in ignore.unused():
        print(f"\nnothing is like --ignore {pattern!r}")
    runs = sum(len(topology.runs) for topology in topologies)
    messages = sum(run.messages for topology in topologies for run in topology.runs)
    print(f"\ntopologies {len(topologies)}, runs {runs}, messages {messages}: "
          + (f"differences {len(left)}" if left else "no difference that is not allowed"))
    return 1 if left else 0
