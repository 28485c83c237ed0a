"""The blocks of measured figures in the documentation.

A block stands between `<!-- measured: NAME -->` and `<!-- end -->`, each on a line of its own. A script writes what is
between them, and nobody else.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^<!-- measured: ([a-z0-9-]+) -->\n(.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL)
MARK = re.compile(r"^<!-- (measured: .*|end) -->$", re.MULTILINE)


def pages():
    """The pages that may have blocks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks():
    """Page and text of every block by its name. A name that stands twice has the last one."""
    return {name: (page, text) for page in pages() for name, text in BLOCK.findall(page.read_text())}


def write(name, lines):
    """Puts lines into the block `name`, and says which page that is."""
    page, _ = blocks()[name]
    block = "\n".join([f"<!-- measured: {name} -->", *lines, "<!-- end -->"])
    text = BLOCK.sub(lambda found: block if found[1] == name else found[0], page.read_text())
    page.write_text(text)
    return page.relative_to(ROOT)


def faults(known):
    """What is wrong with the blocks, if `known` are the names that can be measured."""
    for page in pages():
        text, where = page.read_text(), page.relative_to(ROOT)
        names = [name for name, _ in BLOCK.findall(text)]
        if len(MARK.findall(text)) != 2 * len(names):
            yield f"{where}: a mark of a block is without the other"
        for name in names:
            if name not in known:
                yield f"{where}: nothing measures the block {name}"
            if sum(name == other for other in all_names()) > 1:
                yield f"{where}: the block {name} stands twice"
        for name, inside in BLOCK.findall(text):
            if not inside.startswith("Measured with "):
                yield f"{where}: the block {name} does not say what it was measured with"
    for name in known:
        if name not in blocks():
            yield f"{name}: in no page"


def all_names():
    """The names of the blocks of all pages, as often as they stand there."""
    return [name for page in pages() for name, _ in BLOCK.findall(page.read_text())]
