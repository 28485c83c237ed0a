"""Many runs of one topology."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from ._analysis import report as make_report
from ._errors import UsageError, WpanlabError
from ._files import lines_of, table_of
from ._program import PathLike, call, options
from ._rows import Row, Rows, known_schema
from ._run import Run
from ._topology import Source, output, topology_of, written

Values = Mapping[str, Union[str, Sequence[Any]]]
"""Values by path: a list of them, or a string as the command line takes it, `10..80:10 ms`."""


def sweep(
    topology: Source,
    *,
    seeds: Iterable[int],
    set: Optional[Values] = None,
    jobs: Optional[int] = None,
    out: Optional[PathLike] = None,
    resume: bool = False,
    captures: bool = False,
    until: Optional[str] = None,
    backend: Optional[str] = None,
    clock: Optional[str] = None,
    force: bool = False,
    kernel: Optional[PathLike] = None,
    syscall_cost: Optional[str] = None,
    program: Optional[PathLike] = None,
) -> "Sweep":
    """Runs a topology once per seed and combination of values.

    `seeds` are seeds that follow each other, `range(1, 36)` for 35 of them. `set` has lists of values by path,
    `{"backbone.delay": ["10 ms", "20 ms"]}`; every combination is a point, the last path changing fastest. `jobs` runs
    are made at a time. `captures` keeps every run's captures. `resume` goes on with the sweep in `out`, and runs only
    what is missing. `until` ends it before the last seed, when a figure is known well enough:
    `"handover_delay_s median ±1 %"`. The others are those of `run`.

    That an expectation does not hold is a result: `Sweep.passed`. Raises `RunFailed` if a run of it failed itself; the
    others are in its `directory`, which `Sweep.open` reads.
    """
    if resume and out is None:
        raise UsageError("resume=True goes on with the sweep in out=, which is missing")
    topology = topology_of(topology)
    chosen = values(set)
    # One value of each parameter is enough for the topology's name; those in a string only the program takes apart.
    first = {path: value[0] for path, value in (set or {}).items() if not isinstance(value, str)}
    with output(topology, out, first, force, program) as (directory, file):
        arguments: List[PathLike] = ["run", file, "--out", directory]
        arguments.append(f"--seeds={_range(seeds)}")
        arguments += [argument for text in chosen for argument in ("--set", text)]
        arguments += options(jobs=jobs, until=until, resume=resume, captures=captures, force=force)
        arguments += options(backend=backend, clock=clock, kernel=kernel, syscall_cost=syscall_cost)
        answer = call(arguments, program)
        topology.raise_wrong(answer, dict(text.split("=", 1) for text in chosen))
        answer.raise_unless(0, 1, directory=directory)
    return Sweep.open(directory)


def _range(seeds: Iterable[int]) -> str:
    """Seeds as the command line has them, `A..B`."""
    listed = list(seeds)
    if not listed or listed != list(range(listed[0], listed[0] + len(listed))):
        raise UsageError("seeds= takes seeds that follow each other, such as range(1, 36)")
    return f"{listed[0]}..{listed[-1]}"


def values(set: Optional[Values]) -> List[str]:
    """`PATH=VALUE,VALUE` of each parameter."""
    listed = []
    for path, given in (set or {}).items():
        if not isinstance(given, (str, list, tuple, range)) or not given:
            raise UsageError(f"set={{{path!r}: …}} takes a list of values in a sweep")
        text = given if isinstance(given, str) else ",".join(_one(value) for value in given)
        listed.append(f"{path}={text}")
    return listed


def _one(value: Any) -> str:
    """One of several values: in quotes if it would be taken for several itself, which a table or a list is not."""
    text = written(value)
    if not isinstance(value, str) or text.lstrip().startswith(("{", "[", '"', "'")):
        return text
    return json.dumps(text, ensure_ascii=False) if "," in text or ".." in text else text


class Sweep:
    """The directory of a sweep (docs/sweep.md)."""

    def __init__(self, directory: Path, rows: Rows, distribution: Dict[str, Any]):
        self.directory = directory
        self.rows = rows
        """`runs.jsonl` as it stands: one row per finished run, in the order of points and seeds."""
        self.distribution = distribution
        """`distribution.json` as it stands; empty of a sweep that did not come to its end."""

    @classmethod
    def open(cls, directory: PathLike) -> "Sweep":
        """Reads what a sweep left, also one that was interrupted. Raises `WpanlabError` if there is none."""
        directory = Path(directory)
        table, distribution = directory / "runs.jsonl", directory / "distribution.json"
        if not (directory / "sweep.json").exists():
            raise WpanlabError(f"{directory} has no sweep.json: it is not the directory of a sweep")
        rows = Rows(lines_of(table, ("point", "seed", "set", "dir", "passed"), ended=True) if table.exists() else ())
        rows.sort(key=lambda row: (row["point"], row["seed"]))
        made: Dict[str, Any] = {}
        if distribution.exists():
            made = known_schema(str(distribution), table_of(distribution), 1)
        return cls(directory, rows, made)

    def __repr__(self) -> str:
        return f"<Sweep of {len(self.rows)} runs at {len(self.points)} points, in {self.directory}>"

    @cached_property
    def description(self) -> Dict[str, Any]:
        """`sweep.json`: what is run and by what."""
        return table_of(self.directory / "sweep.json", ("parameters",))

    @property
    def parameters(self) -> List[str]:
        """The paths of what was set."""
        return [parameter["path"] for parameter in self.description["parameters"]]

    @property
    def points(self) -> Rows:
        """The combinations of values: `point`, `set`, how many `runs`, `figures`, `loss`."""
        return Rows(self.distribution.get("points", []))

    @property
    def complete(self) -> bool:
        """Whether it came to its end."""
        return bool(self.distribution)

    @property
    def broken(self) -> Rows:
        """The runs that failed themselves; their `error` says why."""
        return Rows(row for row in self.rows if row.get("error") is not None)

    @property
    def passed(self) -> bool:
        """Whether it came to its end, every run was measured, and what is expected holds: `expect_sweep`, or of
        each run `expect` if there is none."""
        if not self.complete or self.broken:
            return False
        expected = self.expectations
        return (
            all(row["outcome"] == "passed" for row in expected) if expected else all(row["passed"] for row in self.rows)
        )

    @property
    def expectations(self) -> Rows:
        """What `expect_sweep` came to, one row per point and expectation."""
        return Rows({**_point(point), **row} for point in self.points for row in point.get("expectations", []))

    def handovers(self) -> Rows:
        """One row per handover of all runs: `point`, what was set by its path, `seed`, and the handover's keys."""
        return Rows(
            {**_point(row), "seed": row["seed"], **handover}
            for row in self.rows
            for handover in row.get("handovers", [])
        )

    def runs(self) -> Rows:
        """One row per run: `point`, what was set by its path, `seed`, `passed`, `error`, and the run's figures."""
        return Rows(
            {
                **_point(row),
                "seed": row["seed"],
                "passed": row["passed"],
                "error": row.get("error"),
                **row.get("figures", {}),
            }
            for row in self.rows
        )

    def figures(self) -> Rows:
        """One row per point and figure: `point`, what was set, `figure`, `per` (handover or run), `count`, `mean`,
        `min`, `p5`, `q1`, `median`, `q3`, `p95`, `max`."""
        return Rows(
            {**_point(point), "figure": figure["name"], "per": figure["per"], **(figure["percentiles"] or {})}
            for point in self.points
            for figure in point["figures"]
        )

    def run(self, seed: int, point: int = 1) -> Run:
        """One of its runs. Raises `WpanlabError` if there is none, or if it failed itself."""
        for row in self.rows:
            if (row["point"], row["seed"]) == (point, seed):
                return Run.open(self.directory / row["dir"])
        raise WpanlabError(f"{self.directory} has no run of seed {seed} at point {point}")

    def report(self, out: Optional[PathLike] = None, **more: Any) -> Path:
        """Makes one HTML page of it: `wpanlab.report`."""
        return make_report(self.directory, out, **more)


def _point(row: Mapping[str, Any]) -> Row:
    """Which point, and what was set there, by path."""
    return {"point": row["point"], **row["set"]}
