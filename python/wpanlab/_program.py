"""Finds the program, and runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

from ._errors import Interrupted, ProgramNotFound, RunFailed, UsageError, WpanlabError

PathLike = Union[str, "os.PathLike[str]"]


def find_program(program: Optional[PathLike] = None) -> str:
    """The program's path: of `program`, else of the variable `WPANLAB`, else of `PATH`.

    Raises `ProgramNotFound` if there is none, which says what to do.
    """
    asked, where = (os.fspath(program), "program=") if program is not None else (os.environ.get("WPANLAB"), "WPANLAB=")
    found = shutil.which(asked or "wpanlab")
    if found is not None:
        return found
    if asked:
        raise ProgramNotFound(f"{where}{asked}: no program is there; give the path of `wpanlab`")
    raise ProgramNotFound(
        "there is no `wpanlab` in PATH: install it (docs/install.md of the project), or give its path "
        "as the variable WPANLAB or as `program=`"
    )


def options(**values: Any) -> List[str]:
    """Options by their names: `max_retransmit=3` is `--max-retransmit=3`. `None` and `False` are left out."""
    names = {
        name.replace("_", "-"): value for name, value in values.items() if value is not None and value is not False
    }
    return [f"--{name}" if value is True else f"--{name}={value}" for name, value in names.items()]


@dataclass
class Answer:
    """What the program said."""

    code: int
    stdout: str
    error: Dict[str, Any] = field(default_factory=dict)
    """The object with `error`, empty if there was none."""
    warnings: List[str] = field(default_factory=list)

    def json(self) -> Any:
        """Standard output. Raises `WpanlabError` if that is no JSON."""
        try:
            return json.loads(self.stdout)
        except ValueError as error:
            raise WpanlabError(f"the program's answer is no JSON: {error}", self.code) from error

    def raise_unless(self, *codes: int, directory: Optional[Path] = None) -> "Answer":
        """Raises what the exit code stands for unless it is one of `codes`."""
        if self.code in codes:
            return self
        message = self.error.get("error") or f"wpanlab ended with exit code {self.code} and without a word"
        if self.code == 2:
            raise UsageError(message, self.code)
        if self.code == 3:
            raise RunFailed(message, self.code, directory)
        if self.code < 0 or self.code > 128:
            raise Interrupted(message, self.code, directory)
        raise WpanlabError(message, self.code)


def call(arguments: Sequence[PathLike], program: Optional[PathLike] = None) -> Answer:
    """Runs the program to its end.

    It has a session of its own, so that a Ctrl-C of the terminal reaches it once, from here: a second one would end
    it before it has written what it has seen. `KeyboardInterrupt` goes on when it has ended.
    """
    command = [find_program(program), "--json", *(os.fspath(argument) for argument in arguments)]
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = child.communicate()
    except BaseException:
        _end(child)
        raise
    return _read(child.returncode, stdout.decode("utf-8", "replace"), stderr.decode("utf-8", "replace"))


def _end(child: "subprocess.Popen[bytes]") -> None:
    """Interrupts the program and waits for it; again each time that the user does."""
    while True:
        child.send_signal(signal.SIGINT)
        try:
            child.communicate()
            return
        except KeyboardInterrupt:
            continue


def _read(code: int, stdout: str, stderr: str) -> Answer:
    answer = Answer(code, stdout)
    other = []
    for line in stderr.splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if isinstance(said, dict) and "error" in said:
            answer.error = said
        elif isinstance(said, dict) and "warning" in said:
            answer.warnings.append(str(said["warning"]))
        else:
            other.append(line)
    if other and not answer.error and code != 0:
        answer.error = {"error": "\n".join(other)}
    return answer
