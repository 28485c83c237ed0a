"""A program that pretends to be `wpanlab`, and where the recorded directories are."""

import stat
import sys
import tempfile
import textwrap
import unittest
from pathlib import Path

DATA = Path(__file__).parent / "data"


class InFolder(unittest.TestCase):
    """A test with a folder of its own, `self.folder`."""

    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def program(self, body: str) -> Path:
        """A program in Python; `body` finds its arguments in `sys.argv`, after `--json`."""
        file = self.folder / "wpanlab"
        file.write_text(f"#!{sys.executable}\nimport json, os, shutil, signal, sys\n{textwrap.dedent(body)}")
        file.chmod(file.stat().st_mode | stat.S_IXUSR)
        return file
