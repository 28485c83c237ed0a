"""What can go wrong, by the exit codes of the program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional, Sequence


class WpanlabError(Exception):
    """The program ended with an error; the text is its own.

    `exit_code` is the program's, `None` if it was not started or what it left cannot be read.
    """

    def __init__(self, message: str, exit_code: Optional[int] = None):
        super().__init__(message)
        self.message = message
        self.exit_code = exit_code


class ProgramNotFound(WpanlabError):
    """There is no program `wpanlab` where it was looked for."""


class UsageError(WpanlabError):
    """Exit code 2: an argument is wrong, or a file that was named is not there."""


class RunFailed(WpanlabError):
    """Exit code 3: the run itself failed, or one of a sweep's did.

    `directory` has what it left: `error.txt` says why. A sweep can be opened there, and goes on with `resume=True`.
    """

    def __init__(self, message: str, exit_code: Optional[int] = None, directory: Optional[Path] = None):
        super().__init__(message, exit_code)
        self.directory = directory


class Interrupted(RunFailed):
    """A signal that was not Python's own ended the program: exit code 128 and its number, 130 for SIGINT.

    What a run has seen until then is measured and in `directory`. Ctrl-C is `KeyboardInterrupt` as ever.
    """


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a topology."""

    message: str
    """What is wrong, what was expected, and what to write instead."""
    file: Optional[str] = None
    """The topology's file; `None` if the topology is not of a file."""
    line: Optional[int] = None
    """From 1; `None` if it is about a value of `set`, or about no line."""
    column: Optional[int] = None
    """From 1, in characters."""
    set: Optional[str] = None
    """`PATH=VALUE`, if it is about a value of `set`."""
    source: Optional[str] = None
    """The line that it is about, as it stands."""

    def __str__(self) -> str:
        place = (
            f"set {self.set}"
            if self.set
            else ":".join([self.file or "topology", *(str(n) for n in (self.line, self.column) if n is not None)])
        )
        told = f"{place}: {self.message}"
        if self.source is None:
            return told
        caret = "" if self.column is None else f"\n    | {' ' * (self.column - 1)}^"
        return f"{told}\n    | {self.source}{caret}"


class TopologyError(UsageError):
    """The topology is wrong. Nothing was run."""

    def __init__(self, problems: Sequence[Problem], more: int = 0, exit_code: Optional[int] = 2):
        lines = [str(problem) for problem in problems]
        if more:
            lines.append(f"and {more} more")
        super().__init__("\n".join(lines), exit_code)
        self.problems = list(problems)
        """In the order of the file."""
        self.more = more
        """How many more there are, which the program does not list."""
