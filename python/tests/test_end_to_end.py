"""The program itself: what README.md shows, and what it says of itself.

`WPANLAB` names the program, as tests/python.rs does; without one these tests fail, they are not skipped.
"""

import contextlib
import io
import os
import re
import subprocess
from pathlib import Path

import wpanlab

from .pretend import DATA, InFolder

README = Path(__file__).parent.parent / "README.md"
# The project's own, with a topology and what is done with it from Python.
PROJECT = Path(__file__).parent.parent.parent / "README.md"


class EndToEnd(InFolder):
    def setUp(self) -> None:
        super().setUp()
        # From a directory of its own: the README's runs are in `runs`.
        self.addCleanup(os.chdir, os.getcwd())
        program = os.path.abspath(wpanlab.find_program())
        os.chdir(self.folder)
        os.environ["WPANLAB"] = program

    def test_readme_runs_as_it_stands(self) -> None:
        blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
        self.assertEqual(len(blocks), 3)
        said, names = io.StringIO(), {}
        with contextlib.redirect_stdout(said):
            for block in blocks:
                exec(compile(block, str(README), "exec"), names)
        lines = said.getvalue().splitlines()
        self.assertRegex(lines[0], r"^er1 to er2 in [0-9.]+ s$")
        self.assertEqual(lines[1:3], ["80 of 80 answered", "passed"])
        self.assertRegex(lines[3], r"^10 ms seed 1 [0-9.]+ s$")
        self.assertRegex(lines[5], r"^median [0-9.]+ s, of 2$")
        self.assertRegex(lines[6], r"^\d+ .*`sensro`; did you mean `sensor`\?$")

        run = names["run"]
        self.assertIn("client.eth0", run.captures)
        self.assertIn("walk.json", run.made["command"])
        again = wpanlab.analyze(run.captures["client.eth0"])
        self.assertEqual(again.result["flows"][0]["requests"]["sent"], run.requests["sent"])
        self.assertIn("<html", run.report().read_text())

        # Nothing is missing of it, so that nothing is run again; and it is not begun anew.
        walk = wpanlab.Topology.from_text(Path("runs/delays.json").read_text())
        walk = walk.save("runs/delays.json")
        options = {"seeds": range(1, 3), "set": {"backbone.delay": ["10 ms"]}, "out": "runs/delays"}
        self.assertEqual(walk.sweep(**options, resume=True).rows, names["sweep"].rows)
        with self.assertRaisesRegex(wpanlab.UsageError, "--force"):
            walk.sweep(**options)

    def test_the_projects_readme_runs_as_it_stands(self) -> None:
        blocks = dict(re.findall(r"^```(yaml|python)\n(.*?)^```$", PROJECT.read_text(), re.MULTILINE | re.DOTALL))
        Path("two-sensors.yaml").write_text(blocks["yaml"])
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            exec(compile(blocks["python"], str(PROJECT), "exec"), {})
        lines = said.getvalue().splitlines()
        self.assertEqual([line.split()[0] for line in lines], ["normal", "optimistic"])
        normal, optimistic = (float(line.split()[-2]) for line in lines)
        self.assertGreater(normal, optimistic + 1)

    def test_a_topology_is_checked_and_planned(self) -> None:
        topology = wpanlab.Topology("small").node("er1", role="edge-router").scenario(duration="1 s")
        self.assertEqual(topology.check().nodes, 1)
        self.assertEqual(topology.plan(seed=5, set={"backbone.delay": "7 ms"})["backbone"]["delay"], "7 ms")
        with self.assertRaises(wpanlab.TopologyError) as raised:
            topology.check(set={"nodes.er1.chanel": 15})
        self.assertEqual(raised.exception.problems[0].set, "nodes.er1.chanel=15")

    def test_what_is_not_there_is_told(self) -> None:
        with self.assertRaisesRegex(wpanlab.UsageError, "nothing.yaml"):
            wpanlab.run("nothing.yaml")
        self.assertFalse(any(self.folder.glob("runs/*")))
        with self.assertRaises(wpanlab.UsageError):
            wpanlab.analyze(self.folder / "nothing.pcap")
        with self.assertRaises(wpanlab.UsageError):
            wpanlab.report(self.folder)

    def test_captures_without_requests_are_a_result(self) -> None:
        self.assertFalse(wpanlab.analyze(DATA / "run" / "captures" / "dhcp.eth0.pcapng").complete)

    def test_package_and_program_have_one_version(self) -> None:
        said = subprocess.run([wpanlab.find_program(), "--version"], capture_output=True, text=True, check=True).stdout
        self.assertEqual(said.split()[-1], wpanlab.__version__)
