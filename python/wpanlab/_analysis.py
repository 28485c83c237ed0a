"""Captures from elsewhere, reports, and whether a run repeats."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence

from ._program import PathLike, call, options

if TYPE_CHECKING:
    from ._topology import Settings, Source


@dataclass(frozen=True)
class Analysis:
    """What captures show."""

    result: Dict[str, Any]
    """What `wpanlab analyze --json` prints: `flows`, `frames`, `messages`, …"""
    complete: bool
    """Whether there are requests, and every file was read to its end."""
    problem: Optional[str]
    """What could not be read, in the program's words."""


def analyze(
    *captures: PathLike,
    ports: Sequence[int] = (),
    nodes: Optional[Mapping[str, Sequence[str]]] = None,
    contexts: Optional[Mapping[int, str]] = None,
    max_transmit_span: Optional[str] = None,
    max_retransmit: Optional[int] = None,
    program: Optional[PathLike] = None,
) -> Analysis:
    """Measures captures (pcap, pcapng) taken anywhere.

    `ports` are UDP ports of CoAP besides 5683, `nodes` addresses by a node's name, `contexts` prefixes of 6LoWPAN by
    their identifier. `max_transmit_span` is a time with its unit, `"225 s"`. Raises `UsageError` if a file is not
    there or is no capture.
    """
    arguments: List[PathLike] = ["analyze", *(f"--port={port}" for port in ports)]
    arguments += [f"--node={name}={','.join(addresses)}" for name, addresses in (nodes or {}).items()]
    arguments += [f"--context={identifier}={prefix}" for identifier, prefix in (contexts or {}).items()]
    arguments += options(max_transmit_span=max_transmit_span, max_retransmit=max_retransmit)
    answer = call([*arguments, "--", *captures], program).raise_unless(0, 1)
    return Analysis(answer.json(), answer.code == 0, answer.error.get("error"))


def report(
    directory: PathLike,
    out: Optional[PathLike] = None,
    *,
    svg: Optional[PathLike] = None,
    junit: Optional[PathLike] = None,
    compare: Optional[str] = None,
    program: Optional[PathLike] = None,
) -> Path:
    """Makes one self-contained HTML page of a run's or a sweep's directory, and returns its path.

    `out` is the page, by default `report.html` there; `svg` a directory for its figures, `junit` a file for the
    expectations. `compare` places a delay with its unit in a sweep's distribution.
    """
    page = Path(directory, "report.html") if out is None else Path(out)
    given = options(out=page, svg=svg, junit=junit, compare=compare)
    call(["report", directory, *given], program).raise_unless(0)
    return page


@dataclass(frozen=True)
class Verification:
    """Whether runs with one seed left the same bytes."""

    identical: bool
    runs: int
    """How many were compared."""
    files: int
    """How many files each left."""
    difference: Any
    """The first difference; `None` if there is none."""


def verify(
    topology: "Source",
    *,
    runs: int = 2,
    seed: Optional[int] = None,
    backend: Optional[str] = None,
    set: Optional["Settings"] = None,
    program: Optional[PathLike] = None,
) -> Verification:
    """Runs a topology several times and compares every artefact byte by byte."""
    from ._topology import settings, topology_of

    topology = topology_of(topology)
    given = options(runs=runs, seed=seed, backend=backend)
    with topology.placed() as file:
        answer = call(["verify", file, *given, *settings(set)], program)
        topology.raise_wrong(answer, set)
    told = answer.raise_unless(0, 1).json()
    return Verification(told["identical"], told["runs"], told["files"], told["difference"])
