"""Files of a run directory, which may have come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Dict, Iterator, Optional, Sequence

from ._errors import WpanlabError

Table = Dict[str, Any]


def text_of(file: Path) -> str:
    """A file's text. Raises `WpanlabError` if it cannot be read or is not UTF-8, `FileNotFoundError` if it is not there."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise WpanlabError(f"{file} cannot be read: {error}") from error


def table_of(file: Path, keys: Sequence[str] = ()) -> Table:
    """The JSON object that a file holds; it has these keys. Raises as `text_of`, and `WpanlabError` if it does not."""
    return _table(str(file), text_of(file), keys)


def lines_of(file: Path, keys: Sequence[str] = (), ended: bool = False) -> Iterator[Table]:
    """The JSON objects that a file has, one a line; each has these keys. Raises as `table_of`.

    A run that was killed left the beginning of a line. With `ended` a last line without a line break is taken for one
    and passed over.
    """
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if ended and not line.endswith("\n"):
                    return
                yield _table(f"{file}:{number}", line, keys)
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise WpanlabError(f"{file} cannot be read: {error}") from error


def with_keys(what: str, value: Table, keys: Sequence[str]) -> Table:
    """`value`, which has these keys. Raises `WpanlabError` if it has not."""
    missing: Optional[str] = next((key for key in keys if key not in value), None)
    if missing is not None:
        raise WpanlabError(f"{what} has no `{missing}`")
    return value


def _table(what: str, text: str, keys: Sequence[str]) -> Table:
    try:
        value = json.loads(text)
    # A number of too many digits is a ValueError, too, and brackets without an end are a RecursionError.
    except (ValueError, RecursionError) as error:
        raise WpanlabError(f"{what} is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise WpanlabError(f"{what} has no JSON object")
    return with_keys(what, value, keys)
