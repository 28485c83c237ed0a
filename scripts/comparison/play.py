"""Plays topologies for some seeds, one sweep directory each, and goes on where an earlier call ended."""

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SHIPPED = ("topologies/*.yaml", "topologies/papers/*.yaml")
# A summary says nothing to a run but what it costs to read: the more of it, the later everything happens.
SHIFT = "Nothing but the instructions that reading this takes differs. "


def shipped():
    """Files of the shipped topologies, as they are named from the project's directory."""
    return [path.relative_to(ROOT) for pattern in SHIPPED for path in sorted(ROOT.glob(pattern))]


def chosen(names):
    """The shipped topologies, or those that are named: by name, or files."""
    if not names:
        return shipped()
    by_name = {path.stem: path for path in shipped()}
    files = []
    for name in names:
        file = by_name.get(name) or Path(name).resolve()
        if not (ROOT / file).is_file():
            raise FileNotFoundError(f"{name}: neither a shipped topology nor a file")
        files.append(file)
    return files


def main(arguments, passed_on):
    """Plays what is missing; the exit code."""
    binary, out = arguments.binary.resolve(), arguments.out.resolve()
    try:
        program = hashlib.sha256(binary.read_bytes()).hexdigest()
        files = chosen(arguments.topology)
    except OSError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    options = ["--seeds", arguments.seeds, "--captures", "--jobs", str(arguments.jobs), *passed_on]
    if arguments.shift:
        options += ["--set", f"summary={json.dumps(SHIFT * arguments.shift)}"]
    worst = 0
    try:
        for file in files:
            worst = max(worst, play(binary, program, file, out, options))
    except KeyboardInterrupt:
        print("compare: interrupted; the next call goes on", file=sys.stderr)
        return 2
    return worst


def play(binary, program, file, out, options):
    """Plays one topology if that is not done; 2 if it cannot be, else 0, whatever came out."""
    directory, log = out / file.stem, out / f"{file.stem}.log"
    sweep = directory / "sweep.json"
    # One that never got as far as a sweep is played anew.
    if sweep.is_file():
        by = json.loads(sweep.read_text(encoding="utf-8")).get("wpanlab_sha256")
        if by != program:
            print(f"compare: {directory} was made by another program: remove it, or name another", file=sys.stderr)
            return 2
        if done(out, file.stem):
            print(f"{file.stem}: done already")
            return 0
    command = [binary, "run", file, "--out", directory, *options] + (["--resume"] if sweep.is_file() else [])
    begin = time.monotonic()
    with log.open("ab") as output:
        code = subprocess.run(command, cwd=ROOT, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    seconds = time.monotonic() - begin
    # The distribution is written when the last run has ended.
    if sweep.is_file() and not (directory / "distribution.json").is_file():
        print(f"{file.stem}: interrupted; the next call goes on", file=sys.stderr)
        return 2
    # One line per topology that ended: what `diff` compares the exit codes of.
    with (out / "times").open("a", encoding="utf-8") as times:
        times.write(f"{file.stem} rc={code} {seconds:.1f}\n")
    print(f"{file.stem}: exit code {code}, {seconds:.1f} s", flush=True)
    return 0


def done(out, name):
    """Whether a topology ended, whatever its exit code."""
    try:
        return any(line.split()[:1] == [name] for line in (out / "times").read_text(encoding="utf-8").splitlines())
    except OSError:
        return False
