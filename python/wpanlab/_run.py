"""One run."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional

from ._analysis import report as make_report
from ._errors import WpanlabError
from ._files import lines_of, table_of, text_of, with_keys
from ._program import PathLike, call, options
from ._rows import Row, Rows, known_schema, library
from ._topology import Settings, Source, output, settings, topology_of

# What every result has.
_KEYS = ("topology", "seed", "passed", "scenario", "handovers", "requests", "flows", "expectations", "notes")


def run(
    topology: Source,
    *,
    seed: Optional[int] = None,
    backend: Optional[str] = None,
    clock: Optional[str] = None,
    out: Optional[PathLike] = None,
    set: Optional[Settings] = None,
    force: bool = False,
    kernel: Optional[PathLike] = None,
    syscall_cost: Optional[str] = None,
    program: Optional[PathLike] = None,
) -> "Run":
    """Runs a topology and measures it.

    `topology` is a `Topology`, a dictionary, or the path of a file. `seed` is in place of the topology's; `set` has
    values by path, `{"backbone.delay": "10 ms"}`: a string is written as on the command line, anything else as JSON.
    `backend` is `auto`, `native`, `vm` or `uml`, `clock` `virtual` or `realtime`. `out` is the run directory, by
    default `runs/NAME-N`; `force` replaces what a run left there. A topology that is of no file is written beside it,
    as `OUT.json` or `OUT.yaml`.

    That an expectation does not hold is a result: `Run.passed`. Raises `TopologyError` and `UsageError` before
    anything is run, `RunFailed` if the run itself fails, and `KeyboardInterrupt` after the run has ended and been
    measured as far as it came: `Run.open(out)` reads it.
    """
    topology = topology_of(topology)
    with output(topology, out, set, force, program) as (directory, file):
        arguments: List[PathLike] = ["run", file, "--out", directory, *settings(set)]
        arguments += options(seed=seed, backend=backend, clock=clock, force=force)
        arguments += options(kernel=kernel, syscall_cost=syscall_cost)
        answer = call(arguments, program)
        topology.raise_wrong(answer, set)
        answer.raise_unless(0, 1, directory=directory)
    return Run.open(directory)


class Run:
    """A run directory (docs/run-directory.md), and its `result.json` (docs/result.md)."""

    def __init__(self, directory: Path, result: Dict[str, Any]):
        self.directory = directory
        self.result = result
        """`result.json` as it stands."""

    @classmethod
    def open(cls, directory: PathLike) -> "Run":
        """Reads what a run left. Raises `WpanlabError` if it was not measured."""
        directory = Path(directory)
        file = directory / "result.json"
        try:
            result = known_schema(str(file), table_of(file), 2)
        except FileNotFoundError:
            error = directory / "error.txt"
            why = text_of(error).strip() if error.exists() else "it is not the directory of a run"
            raise WpanlabError(f"{directory} has no result.json: {why}") from None
        return cls(directory, with_keys(str(file), result, _KEYS))

    def __repr__(self) -> str:
        verdict = "passed" if self.passed else "partial" if self.partial else "failed"
        return f"<Run {self.result['topology']} seed {self.seed}: {verdict}, in {self.directory}>"

    @property
    def passed(self) -> bool:
        """Whether every expectation holds, and the run came to its end."""
        return bool(self.result["passed"])

    @property
    def partial(self) -> Optional[str]:
        """Why the run did not come to its end; `None` if it did."""
        return self.result.get("partial")

    @property
    def seed(self) -> int:
        """The root seed."""
        return int(self.result["seed"])

    @property
    def handovers(self) -> Rows:
        """One row per handover, client, method and resource, in time order; `delay_s` is `None` if it is not known."""
        return Rows(self.result["handovers"])

    @property
    def requests(self) -> Row:
        """All polls of all clients: `sent`, `answered`, `lost`, `rtt_s`, …"""
        requests: Row = self.result["requests"]
        return requests

    @property
    def flows(self) -> Rows:
        """The polls per client, node, method and resource."""
        return Rows(self.result["flows"])

    @property
    def radios(self) -> Rows:
        """What each radio used, in seconds and millijoules; empty with `medium: edges`."""
        return Rows(self.result.get("radios", []))

    @property
    def expectations(self) -> Rows:
        """One row per expectation: `metric`, `of`, `expected`, `measured`, `outcome`."""
        return Rows(self.result["expectations"])

    @property
    def failed_expectations(self) -> Rows:
        """Those that do not hold, or could not be measured."""
        return Rows(row for row in self.expectations if row["outcome"] != "passed")

    @property
    def notes(self) -> List[str]:
        """What could not be measured or does not fit together, and what failed and no expectation is about."""
        return [*self.result.get("uncovered", []), *self.result["notes"]]

    @cached_property
    def made(self) -> Dict[str, Any]:
        """`made.json`: `started`, `command`, `warnings`. Empty of a run of a sweep, which has one for all of them."""
        file = self.directory / "made.json"
        return table_of(file) if file.exists() else {}

    @property
    def warnings(self) -> List[str]:
        """What was said of the topology before the run, a sentence each."""
        return list(self.made.get("warnings", []))

    @property
    def plan_text(self) -> str:
        """`plan.yaml`: every default, address, identifier and seed."""
        return text_of(self.directory / "plan.yaml")

    @cached_property
    def plan(self) -> Dict[str, Any]:
        """`plan.yaml` taken apart, for which the extra `yaml` is needed. (`Topology.plan` needs none.)"""
        plan: Dict[str, Any] = library("yaml").safe_load(self.plan_text)
        return plan

    def events(self, *, node: Optional[str] = None, event: Optional[str] = None) -> Iterator[Row]:
        """The lines of `events.jsonl` in time order, all or those of a node or a kind.

        `time_ns` is Unix time in nanoseconds; `time_s`, which is put to it, seconds from the start of the scenario.
        """
        start_ns = self.result["scenario"]["start_unix_ns"]
        for told in lines_of(self.directory / "events.jsonl", ("time_ns", "node", "event"), ended=True):
            if node in (None, told["node"]) and event in (None, told["event"]):
                told["time_s"] = (told["time_ns"] - start_ns) / 1e9
                yield told

    @property
    def captures(self) -> Dict[str, Path]:
        """The captures (pcapng) by `NODE.IFACE`; also `all`, and `air` with `medium: phy`."""
        files = sorted((self.directory / "captures").glob("*.pcapng"))
        return {file.name[: -len(".pcapng")]: file for file in files}

    @property
    def logs(self) -> Dict[str, Path]:
        """The daemons' logs by node."""
        return {file.stem: file for file in sorted((self.directory / "log").glob("*.log"))}

    def report(self, out: Optional[PathLike] = None, **more: Any) -> Path:
        """Makes one HTML page of it: `wpanlab.report`."""
        return make_report(self.directory, out, **more)
