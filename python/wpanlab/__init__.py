"""Scripting for wpanlab, the 6LoWPAN mobility testbed.

The package calls the program `wpanlab` and reads what that leaves. It measures nothing itself: every figure is
one of `result.json`, `runs.jsonl` or `distribution.json`, whose keys and units the project's documentation has
(docs/result.md, docs/sweep.md). Names that end in `_s` are seconds, in `_ns` nanoseconds, in `_mj` millijoules.

    import wpanlab

    run = wpanlab.run("handover.yaml", seed=7)
    print(run.handovers[0]["delay_s"])
"""

from ._analysis import Analysis, Verification, analyze, report, verify
from ._errors import (
    Interrupted,
    Problem,
    ProgramNotFound,
    RunFailed,
    TopologyError,
    UsageError,
    WpanlabError,
)
from ._program import find_program
from ._rows import Rows
from ._run import Run, run
from ._sweep import Sweep, sweep
from ._topology import Checked, Topology

__version__ = "0.1.0"

__all__ = [
    "Analysis",
    "Checked",
    "Interrupted",
    "Problem",
    "ProgramNotFound",
    "Rows",
    "Run",
    "RunFailed",
    "Sweep",
    "Topology",
    "TopologyError",
    "UsageError",
    "Verification",
    "WpanlabError",
    "analyze",
    "find_program",
    "report",
    "run",
    "sweep",
    "verify",
]
