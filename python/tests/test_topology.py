"""Topologies, and what is said of those that are wrong."""

import json

import wpanlab

from .pretend import InFolder


def small() -> wpanlab.Topology:
    topology = wpanlab.Topology("walk", radio={"medium": "edges"})
    topology.node("er1", role="edge-router").node("sensor", role="mobile-node", attached_to="er1")
    topology.link("sensor", "er1", attenuation="50 dB")
    topology.scenario(duration="20 s").step("5 s", link=["sensor", "er1"], state="down", from_="er1")
    return topology.expect(handovers=1).expect_sweep(passed=">= 90 %")


class Topologies(InFolder):
    def test_keywords_become_the_keys_of_the_file(self) -> None:
        self.assertEqual(
            json.loads(small().text),
            {
                "version": 1,
                "name": "walk",
                "radio": {"medium": "edges"},
                "nodes": {"er1": {"role": "edge-router"}, "sensor": {"role": "mobile-node", "attached_to": "er1"}},
                "links": [{"link": ["sensor", "er1"], "attenuation": "50 dB"}],
                "scenario": {
                    "duration": "20 s",
                    "steps": [{"at": "5 s", "link": ["sensor", "er1"], "state": "down", "from": "er1"}],
                },
                "expect": {"handovers": 1},
                "expect_sweep": {"passed": ">= 90 %"},
            },
        )

    def test_a_dictionary_is_copied(self) -> None:
        data = {"nodes": {}}
        wpanlab.Topology.from_dict(data).node("er1", role="edge-router")
        self.assertEqual(data, {"nodes": {}})

    def test_text_and_files_stay_as_they_are(self) -> None:
        text = "name: walk # on foot\n"
        topology = wpanlab.Topology.from_text(text)
        self.assertEqual(topology.save(self.folder / "walk.yaml").text, text)
        with self.assertRaisesRegex(TypeError, "set="):
            topology.node("er1", role="edge-router")

    def test_problems_have_place_and_line(self) -> None:
        told = {"line": 2, "column": 8, "message": "`cat` is not a duration"}
        program = self.program(f"""
            print(json.dumps([{{"topology": "t", "valid": False, "problems": [{told}], "more": 3}}]))
            sys.exit(2)
        """)
        text = "version: 1\nvalue: cat\n"
        with self.assertRaises(wpanlab.TopologyError) as raised:
            wpanlab.Topology.from_text(text).check(program=program)
        problem = raised.exception.problems[0]
        self.assertEqual((problem.line, problem.column, problem.file), (2, 8, None))
        expected = "topology:2:8: `cat` is not a duration\n    | value: cat\n    |        ^\nand 3 more"
        self.assertEqual(str(raised.exception), expected)
        with self.assertRaisesRegex(wpanlab.TopologyError, f"^{self.folder}/t.yaml:2:8: "):
            wpanlab.Topology.from_text(text).save(self.folder / "t.yaml").check(program=program)

    def test_problems_of_what_was_set_name_it(self) -> None:
        told = {"error": "…", "exit_code": 2, "problems": [{"set": 2, "column": 1, "message": "unknown key `b`"}]}
        program = self.program(f"print(json.dumps({told}), file=sys.stderr); sys.exit(2)")
        with self.assertRaises(wpanlab.TopologyError) as raised:
            wpanlab.run("a.yaml", out=self.folder / "out", set={"a": 1, "b": "2"}, program=program)
        self.assertEqual(str(raised.exception), "set b=2: unknown key `b`")

    def test_a_topology_of_no_file_stays_beside_the_run(self) -> None:
        out = self.folder / "new" / "out"
        program = self.program(f"os.makedirs({str(out)!r} + '/log', exist_ok=True); sys.exit(3)")
        with self.assertRaises(wpanlab.RunFailed):
            wpanlab.run(small(), out=out, program=program)
        self.assertEqual((self.folder / "new" / "out.json").read_text(), small().text)
        other = small().expect(lost=0)
        with self.assertRaisesRegex(wpanlab.WpanlabError, "out.json holds another topology"):
            wpanlab.run(other, out=out, program=program)
        self.assertEqual((self.folder / "new" / "out.json").read_text(), small().text)
        with self.assertRaises(wpanlab.RunFailed):
            wpanlab.run(other, out=out, force=True, program=program)
        self.assertEqual((self.folder / "new" / "out.json").read_text(), other.text)

    def test_of_a_run_that_was_refused_nothing_stays(self) -> None:
        with self.assertRaises(wpanlab.UsageError):
            wpanlab.run(small(), out=self.folder / "out", program=self.program("sys.exit(2)"))
        self.assertEqual([file.name for file in self.folder.iterdir()], ["wpanlab"])
