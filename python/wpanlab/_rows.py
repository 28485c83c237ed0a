"""Tables."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Dict, List

from ._errors import WpanlabError

if TYPE_CHECKING:
    import pandas
    import polars

Row = Dict[str, Any]


class Rows(List[Row]):
    """A table: a list of dictionaries as the program wrote them.

    In `flat()` and the data frames a dictionary in a row is spread over columns whose names have a dot,
    `phases.link`; lists stay lists. What a row has not, and what is not known (`null`), is `None` there.
    """

    def flat(self) -> List[Row]:
        """The rows without dictionaries in them."""
        return [_flat(row) for row in self]

    def columns(self) -> Dict[str, List[Any]]:
        """The values by column, for any library that makes a table of those."""
        rows = self.flat()
        names = dict.fromkeys(name for row in rows for name in row)
        return {name: [row.get(name) for row in rows] for name in names}

    def to_polars(self) -> "polars.DataFrame":
        """A data frame of polars. Raises `ImportError` without it."""
        made = library("polars")
        columns = [made.Series(name, values, strict=False) for name, values in self.columns().items()]
        frame: polars.DataFrame = made.DataFrame(columns)
        return frame

    def to_pandas(self) -> "pandas.DataFrame":
        """A data frame of pandas. Raises `ImportError` without it."""
        frame: pandas.DataFrame = library("pandas").DataFrame(self.columns())
        return frame


def _flat(row: Row, prefix: str = "") -> Row:
    flat: Row = {}
    for key, value in row.items():
        # Empty, it says that there was nothing, which is no column.
        if isinstance(value, dict):
            flat.update(_flat(value, f"{prefix}{key}."))
        else:
            flat[prefix + key] = value
    return flat


def library(name: str) -> Any:
    """A library of one of the package's extras."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed: pip install 'wpanlab[{name}]'", name=name) from error


def known_schema(what: str, value: Row, schema: int) -> Row:
    """`value`, if its `schema` is the one that this package reads."""
    if value.get("schema") != schema:
        raise WpanlabError(
            f"{what} has schema {value.get('schema')}, and this package reads {schema}: "
            "install the package of the program's version"
        )
    return value
