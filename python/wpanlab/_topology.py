"""Topologies: from dictionaries, text and files."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Tuple, Union

from ._errors import Problem, TopologyError, WpanlabError
from ._program import Answer, PathLike, call, options

if TYPE_CHECKING:
    from ._run import Run
    from ._sweep import Sweep

Settings = Mapping[str, Any]
"""Values by path: `{"backbone.delay": "10 ms"}`."""


@dataclass(frozen=True)
class Checked:
    """A topology that is valid."""

    nodes: int
    """How many nodes it has."""
    steps: int
    """How many steps its scenario has."""
    too_large: Optional[str]
    """Why the VM would not hold it; `None` if it does."""
    warnings: List[str]
    """What is allowed and probably not meant, a sentence each."""


class Topology:
    """A topology, as the project's docs/topology.md has it.

    Made by keywords it is written as JSON, which is YAML. Quantities are strings with their units, `"10 ms"`. A key
    that is a word of Python's takes a `_` at its end: `from_="er1"`.

        walk = Topology("walk", backbone={"delay": "2 ms"})
        walk.node("er1", role="edge-router")
        walk.step("5 s", link=["sensor", "er1"], attenuation="95 dB", over="2 s")
        walk.scenario(duration="20 s")
        walk.expect(handovers=1)
    """

    def __init__(self, name: str, **keys: Any):
        self.data: Optional[Dict[str, Any]] = {"version": 1, "name": name, **_keys(keys), "nodes": {}}
        """What will be written; `None` of a topology from text or a file, which is not taken apart."""
        self.path: Optional[Path] = None
        """The file that it is of, if it is of one."""
        self._text: Optional[str] = None

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> "Topology":
        """Of a dictionary as the file nests. It is copied."""
        topology = cls("")
        topology.data = json.loads(json.dumps(data))
        return topology

    @classmethod
    def from_text(cls, text: str) -> "Topology":
        """Of YAML text."""
        topology = cls("")
        topology.data, topology._text = None, text
        return topology

    @classmethod
    def from_file(cls, path: PathLike) -> "Topology":
        """Of a file, which the program reads when it needs it."""
        topology = cls("")
        topology.data, topology.path = None, Path(path)
        return topology

    def node(self, node: str, **keys: Any) -> "Topology":
        """Puts a node, `role=` and what else it has, in place of the one of that name if there is one."""
        self._table("nodes")[node] = _keys(keys)
        return self

    def link(self, *ends: str, **keys: Any) -> "Topology":
        """Adds a link between two radios, as it is when the scenario begins."""
        self._own().setdefault("links", []).append({"link": list(ends), **_keys(keys)})
        return self

    def scenario(self, **keys: Any) -> "Topology":
        """Sets keys of the scenario: `duration="20 s"`."""
        self._table("scenario").update(_keys(keys))
        return self

    def step(self, at: str, **keys: Any) -> "Topology":
        """Adds a step of the scenario, at a time from its start."""
        self._table("scenario").setdefault("steps", []).append({"at": at, **_keys(keys)})
        return self

    def expect(self, **keys: Any) -> "Topology":
        """Sets what must hold of a run: `handovers=1, handover_delay="< 100 ms"`."""
        self._table("expect").update(_keys(keys))
        return self

    def expect_sweep(self, **keys: Any) -> "Topology":
        """Sets what must hold of a sweep, at each of its points."""
        self._table("expect_sweep").update(_keys(keys))
        return self

    @property
    def text(self) -> str:
        """The file's text: YAML, or JSON, which is YAML."""
        if self.path is not None:
            return self.path.read_text(encoding="utf-8")
        if self._text is not None:
            return self._text
        return json.dumps(self.data, indent=2, ensure_ascii=False) + "\n"

    def save(self, path: PathLike) -> "Topology":
        """Writes the file. Returns the topology of that file."""
        Path(path).write_text(self.text, encoding="utf-8")
        return Topology.from_file(path)

    def check(self, *, set: Optional[Settings] = None, program: Optional[PathLike] = None) -> Checked:
        """Validates it; nothing is run. Raises `TopologyError` with every problem that there is."""
        with self.placed() as file:
            answer = call(["check", file, *settings(set)], program)
            answer.raise_unless(0, 2)
            if answer.code == 2 and not answer.stdout:
                answer.raise_unless(0)
            told = answer.json()[0]
            if not told["valid"]:
                raise self._wrong(told, set)
        return Checked(told["nodes"], told["steps"], told["too_large"], told["warnings"])

    def plan(
        self, *, seed: Optional[int] = None, set: Optional[Settings] = None, program: Optional[PathLike] = None
    ) -> Dict[str, Any]:
        """The resolved plan: every default, address, EUI-64, channel and seed. Raises `TopologyError`."""
        chosen = options(seed=seed)
        with self.placed() as file:
            answer = call(["plan", file, *chosen, *settings(set)], program)
            self.raise_wrong(answer, set)
        plan: Dict[str, Any] = answer.raise_unless(0).json()
        return plan

    def run(self, **options: Any) -> "Run":
        """`wpanlab.run` of it."""
        from ._run import run

        return run(self, **options)

    def sweep(self, **options: Any) -> "Sweep":
        """`wpanlab.sweep` of it."""
        from ._sweep import sweep

        return sweep(self, **options)

    def raise_wrong(self, answer: Answer, set: Optional[Settings]) -> None:
        """Raises `TopologyError` if that is what the program says."""
        if "problems" in answer.error:
            raise self._wrong(answer.error, set)

    def _wrong(self, told: Mapping[str, Any], set: Optional[Settings]) -> TopologyError:
        given = settings(set)[1::2]
        try:
            lines = self.text.splitlines()
        except (OSError, UnicodeDecodeError):
            lines = []

        def problem(of: Mapping[str, Any]) -> Problem:
            line, column = of.get("line"), of.get("column")
            if of.get("set") is not None:
                return Problem(of["message"], column=column, set=given[of["set"] - 1])
            source = lines[line - 1] if line is not None and 0 < line <= len(lines) else None
            return Problem(of["message"], None if self.path is None else str(self.path), line, column, None, source)

        return TopologyError([problem(of) for of in told["problems"]], told.get("more", 0))

    @contextlib.contextmanager
    def placed(self) -> Iterator[Path]:
        """The file, for as long as the program reads it."""
        if self.path is not None:
            yield self.path
            return
        with tempfile.TemporaryDirectory(prefix="wpanlab-") as folder:
            file = Path(folder, "topology" + self._suffix())
            file.write_text(self.text, encoding="utf-8")
            yield file

    def beside(self, out: Path, force: bool) -> Path:
        """The file, which stays: `OUT.json` or `OUT.yaml`, so that what the run notes as its command can be run."""
        if self.path is not None:
            return self.path
        file = out.with_name(out.name + self._suffix())
        if _used(out) and not force and file.exists() and file.read_text(encoding="utf-8") != self.text:
            raise WpanlabError(f"{file} holds another topology: give another out=, or force=True to replace it")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.text, encoding="utf-8")
        return file

    def _suffix(self) -> str:
        return ".yaml" if self.data is None else ".json"

    def _own(self) -> Dict[str, Any]:
        if self.data is None:
            raise TypeError("a topology from text or a file is not taken apart: change it with set={'nodes.NAME': {…}}")
        return self.data

    def _table(self, key: str) -> Dict[str, Any]:
        table: Dict[str, Any] = self._own().setdefault(key, {})
        return table


Source = Union[Topology, Mapping[str, Any], str, "os.PathLike[str]"]
"""What is taken for a topology: one, a dictionary, or the path of a file."""


def topology_of(source: Source) -> Topology:
    """A topology of what a caller gave."""
    if isinstance(source, Topology):
        return source
    if isinstance(source, Mapping):
        return Topology.from_dict(source)
    return Topology.from_file(source)


def settings(set: Optional[Settings]) -> List[str]:
    """The arguments `--set PATH=VALUE` of values by path, one value each."""
    return [argument for path, value in (set or {}).items() for argument in ("--set", f"{path}={written(value)}")]


def written(value: Any) -> str:
    """A value as the command line has it: a string as it stands, everything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _keys(keys: Mapping[str, Any]) -> Dict[str, Any]:
    """Keywords as keys."""
    return {key[:-1] if key.endswith("_") else key: value for key, value in keys.items()}


def _used(directory: Path) -> bool:
    """Whether something is in a directory."""
    return directory.is_dir() and any(directory.iterdir())


def _claim(topology: Topology, set: Optional[Settings], program: Optional[PathLike]) -> Path:
    """An empty directory `runs/NAME-N` that nobody else has, as the program would take one."""
    name = topology.plan(set=set, program=program)["name"]
    number = 1
    while True:
        out = Path("runs", f"{name}-{number}")
        try:
            out.mkdir(parents=True)
            return out
        except FileExistsError:
            number += 1


@contextlib.contextmanager
def output(
    topology: Topology,
    out: Optional[PathLike],
    set: Optional[Settings],
    force: bool,
    program: Optional[PathLike],
) -> Iterator[Tuple[Path, Path]]:
    """The directory of a run or a sweep, and the topology's file. What was made for a run that was refused goes."""
    directory = _claim(topology, set, program) if out is None else Path(out)
    file = topology.beside(directory, force)
    try:
        yield directory, file
    finally:
        if not _used(directory):
            if topology.path is None:
                file.unlink()
            if out is None:
                directory.rmdir()
