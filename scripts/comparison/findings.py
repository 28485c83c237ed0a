"""What a comparison says: differences, and notes on what is allowed to differ."""

import re
from dataclasses import dataclass
from typing import Optional


@dataclass
class Finding:
    """One thing that is not the same on both sides."""

    kind: str  # outcome, messages, events, figures
    where: str
    what: str
    note: bool = False
    time_s: Optional[float] = None  # since the scenario started, if it has an instant
    run: str = ""  # TOPOLOGY/SEED
    reason: str = ""  # why it is intended

    def __str__(self):
        return f"{self.run} {self.kind} {self.where}: {self.what}"


class Ignore:
    """Intended differences: patterns in which `*` stands for anything, each with its reason."""

    def __init__(self, arguments):
        self.rules = []
        for argument in arguments:
            if argument.startswith("@"):
                with open(argument[1:], encoding="utf-8") as file:
                    lines = [line.strip() for line in file]
                self.rules += [rule(line) for line in lines if line and not line.startswith("#")]
            else:
                self.rules.append(rule(argument))
        self.used = set()

    def mark(self, findings):
        """Gives each difference that a pattern fits the pattern's reason."""
        for finding in findings:
            for at, (_, pattern, reason) in enumerate(self.rules):
                if not finding.note and not finding.reason and pattern.fullmatch(str(finding)):
                    finding.reason = reason
                    self.used.add(at)

    def unused(self):
        """Patterns that fitted nothing."""
        return [text for at, (text, _, _) in enumerate(self.rules) if at not in self.used]


def rule(argument):
    """PATTERN=REASON as text, compiled pattern, reason. The pattern may stand anywhere in the line."""
    text, equals, reason = argument.partition("=")
    if not equals or not text.strip() or not reason.strip():
        raise ValueError(f"{argument!r}: an intended difference is given as PATTERN=REASON")
    parts = [re.escape(part) for part in text.strip().split("*")]
    return text.strip(), re.compile(".*" + ".*".join(parts) + ".*", re.DOTALL), reason.strip()
