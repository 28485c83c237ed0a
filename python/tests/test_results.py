"""Runs and sweeps as they were recorded."""

import importlib.util
import json
import shutil
import sys
import unittest
from unittest import mock

import wpanlab

from .pretend import DATA, InFolder


class Runs(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.run_ = wpanlab.Run.open(DATA / "run")

    def test_has_the_figures_of_its_result(self) -> None:
        result = json.loads((DATA / "run" / "result.json").read_text())
        self.assertEqual(self.run_.result, result)
        self.assertEqual([row["to"] for row in self.run_.handovers], ["er2"])
        self.assertEqual(self.run_.handovers[0]["delay_s"], result["handovers"][0]["delay_s"])
        self.assertEqual(self.run_.requests["sent"], 500)
        self.assertEqual(self.run_.flows[0]["client"], "client")
        self.assertEqual(self.run_.radios, [])
        self.assertIsNone(self.run_.partial)

    def test_tells_which_expectations_failed(self) -> None:
        self.assertFalse(self.run_.passed)
        self.assertEqual([row["metric"] for row in self.run_.failed_expectations], ["handover_delay"])
        self.assertEqual(len(self.run_.expectations), 3)

    def test_events_count_from_the_start_of_the_scenario(self) -> None:
        [started] = self.run_.events(event="scenario_started")
        self.assertEqual(started["time_s"], 0)
        [completed] = self.run_.events(node="sensor", event="handover_completed")
        self.assertAlmostEqual(completed["time_s"], self.run_.handovers[0]["completed_s"], places=6)
        self.assertGreater(len(list(self.run_.events())), 20)

    def test_names_its_files(self) -> None:
        self.assertEqual(list(self.run_.captures), ["dhcp.eth0", "wmms.eth0"])
        self.assertTrue(self.run_.captures["dhcp.eth0"].is_file())
        self.assertEqual(list(self.run_.logs), ["client"])
        self.assertIn("name: handover", self.run_.plan_text)
        self.assertTrue(self.run_.made["command"].startswith("wpanlab "))
        self.assertEqual(self.run_.warnings, [])

    def test_one_that_failed_says_why(self) -> None:
        (self.folder / "error.txt").write_text("the VM did not start\n")
        with self.assertRaisesRegex(wpanlab.WpanlabError, "result.json: the VM did not start"):
            wpanlab.Run.open(self.folder)

    def test_one_of_another_schema_is_refused(self) -> None:
        (self.folder / "result.json").write_text('{"schema": 3}')
        with self.assertRaisesRegex(wpanlab.WpanlabError, "schema 3, and this package reads 2"):
            wpanlab.Run.open(self.folder)

    def test_files_that_are_broken_are_named(self) -> None:
        whole = (DATA / "run" / "result.json").read_bytes()
        for wrong in (b"", b"[1]", b"\xff{}", whole[:-3], b"[" * 100_000, b'{"schema": 2}'):
            with self.subTest(wrong=wrong[:9]), self.assertRaisesRegex(wpanlab.WpanlabError, r"result\.json"):
                (self.folder / "result.json").write_bytes(wrong)
                wpanlab.Run.open(self.folder)
        (self.folder / "result.json").write_bytes(whole)
        run = wpanlab.Run.open(self.folder)
        line = '{"time_ns": 1, "node": "a", "event": "b"}\n'
        for second in ("nothing\n", "3\n", '{"node": "a"}\n'):
            with self.subTest(second=second), self.assertRaisesRegex(wpanlab.WpanlabError, r"events\.jsonl:2"):
                (self.folder / "events.jsonl").write_text(line + second)
                list(run.events())
        (self.folder / "events.jsonl").write_text(line + '{"time_ns": 2, "no')
        self.assertEqual(len(list(run.events())), 1)


class Sweeps(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.sweep = wpanlab.Sweep.open(DATA / "sweep")

    def test_rows_have_point_and_what_was_set(self) -> None:
        self.assertIn("backbone.delay", self.sweep.parameters)
        rows = self.sweep.handovers()
        self.assertEqual(
            [(row["point"], row["backbone.delay"], row["seed"]) for row in rows],
            [(1, "5 ms", 1), (1, "5 ms", 2), (2, "10 ms", 1), (2, "10 ms", 2)],
        )
        self.assertEqual(rows[0]["delay_s"], self.sweep.rows[0]["handovers"][0]["delay_s"])
        self.assertEqual([row["passed"] for row in self.sweep.runs()], [True, True, False, False])
        self.assertEqual(self.sweep.runs()[0]["sent"], 500)

    def test_figures_are_those_of_the_distribution(self) -> None:
        of = {(row["point"], row["figure"]): row for row in self.sweep.figures()}
        delays = [row["delay_s"] for row in self.sweep.handovers() if row["point"] == 2]
        self.assertEqual(of[2, "handover_delay_s"]["min"], min(delays))
        self.assertEqual(of[2, "handover_delay_s"]["count"], 2)

    def test_passes_if_what_is_expected_of_the_sweep_holds(self) -> None:
        self.assertEqual([row["outcome"] for row in self.sweep.expectations], ["passed", "failed"])
        self.assertFalse(self.sweep.passed)
        # Runs that fail are only counted where something is expected of the sweep.
        del self.sweep.distribution["points"][1]
        self.assertTrue(self.sweep.passed)
        for point in self.sweep.distribution["points"]:
            del point["expectations"]
        self.assertFalse(self.sweep.passed)

    def test_a_run_of_it_is_a_run(self) -> None:
        self.assertEqual(self.sweep.run(seed=1, point=2).seed, 1)
        with self.assertRaisesRegex(wpanlab.WpanlabError, "no run of seed 9 at point 2"):
            self.sweep.run(seed=9, point=2)

    def test_one_that_was_interrupted_has_what_there_is(self) -> None:
        shutil.copytree(DATA / "sweep", self.folder / "sweep")
        (self.folder / "sweep" / "distribution.json").unlink()
        table = self.folder / "sweep" / "runs.jsonl"
        first, second, *_ = table.read_text().splitlines()
        broken = {**json.loads(second), "error": "the VM did not start"}
        table.write_text(json.dumps(broken) + "\n" + first + '\n{"point":2,"se')
        sweep = wpanlab.Sweep.open(self.folder / "sweep")
        self.assertEqual([row["seed"] for row in sweep.rows], [1, 2])
        self.assertEqual([row["seed"] for row in sweep.broken], [2])
        self.assertEqual((sweep.complete, sweep.passed, sweep.figures()), (False, False, []))

    def test_a_broken_line_is_named(self) -> None:
        shutil.copytree(DATA / "sweep", self.folder / "sweep")
        table = self.folder / "sweep" / "runs.jsonl"
        first, *rest = table.read_text().splitlines()
        for second in ("{", "[]", '{"point": 1}'):
            with self.subTest(second=second), self.assertRaisesRegex(wpanlab.WpanlabError, r"runs\.jsonl:2"):
                table.write_text("\n".join([first, second, *rest]) + "\n")
                wpanlab.Sweep.open(self.folder / "sweep")

    def test_another_directory_is_none(self) -> None:
        with self.assertRaisesRegex(wpanlab.WpanlabError, "no sweep.json"):
            wpanlab.Sweep.open(DATA / "run")


class Tables(unittest.TestCase):
    ROWS = wpanlab.Rows([{"a": 1, "phases": {"link": 0.5}}, {"a": 2, "phases": {}, "b": None}])

    def test_dictionaries_are_spread_over_columns(self) -> None:
        self.assertEqual(self.ROWS.columns(), {"a": [1, 2], "phases.link": [0.5, None], "b": [None, None]})
        self.assertEqual(wpanlab.Rows().columns(), {})

    def test_a_library_that_is_missing_is_named_with_its_extra(self) -> None:
        for library, make in {"polars": self.ROWS.to_polars, "pandas": self.ROWS.to_pandas}.items():
            with self.subTest(library), mock.patch.dict(sys.modules, {library: None}):
                with self.assertRaisesRegex(ImportError, rf"pip install 'wpanlab\[{library}\]'"):
                    make()

    def test_a_plan_without_yaml_names_the_extra(self) -> None:
        with mock.patch.dict(sys.modules, {"yaml": None}), self.assertRaisesRegex(ImportError, r"wpanlab\[yaml\]"):
            wpanlab.Run.open(DATA / "run").plan  # noqa: B018

    @unittest.skipUnless(importlib.util.find_spec("polars"), "polars is not installed")
    def test_polars_has_the_same_columns(self) -> None:
        self.assertEqual(self.ROWS.to_polars().to_dict(as_series=False), self.ROWS.columns())
        delays = wpanlab.Sweep.open(DATA / "sweep").handovers().to_polars()["delay_s"]
        self.assertEqual(str(delays.dtype), "Float64")

    @unittest.skipUnless(importlib.util.find_spec("pandas"), "pandas is not installed")
    def test_pandas_has_the_same_columns(self) -> None:
        frame = self.ROWS.to_pandas()
        self.assertEqual(list(frame.columns), ["a", "phases.link", "b"])
        self.assertEqual(list(frame["a"]), [1, 2])

    @unittest.skipUnless(importlib.util.find_spec("yaml"), "PyYAML is not installed")
    def test_a_plan_is_read(self) -> None:
        self.assertEqual(wpanlab.Run.open(DATA / "run").plan["name"], "handover")
