"""How the program is found, run and ended, and what its exit codes become."""

import json
import os
import signal
from unittest import mock

import wpanlab

from .pretend import DATA, InFolder

REFUSES = """
    print(json.dumps({"warning": "of no matter"}), file=sys.stderr)
    print(json.dumps({"error": "r1 exists; --force replaces it", "exit_code": %d}), file=sys.stderr)
    sys.exit(%d)
"""


class Program(InFolder):
    def test_the_argument_comes_before_the_variable_and_that_before_the_path(self) -> None:
        program = self.program("")
        other = self.folder / "other"
        other.mkdir()
        named = other / "wpanlab"
        named.symlink_to(program)
        with mock.patch.dict(os.environ, {"PATH": str(other)}):
            os.environ.pop("WPANLAB", None)
            self.assertEqual(wpanlab.find_program(), str(named))
            os.environ["WPANLAB"] = str(program)
            self.assertEqual(wpanlab.find_program(), str(program))
            self.assertEqual(wpanlab.find_program(named), str(named))

    def test_without_a_program_the_error_says_what_to_do(self) -> None:
        with mock.patch.dict(os.environ, {"PATH": str(self.folder)}):
            os.environ.pop("WPANLAB", None)
            with self.assertRaisesRegex(wpanlab.ProgramNotFound, "docs/install.md.*WPANLAB.*program="):
                wpanlab.find_program()
            os.environ["WPANLAB"] = "/nowhere/wpanlab"
            with self.assertRaisesRegex(wpanlab.ProgramNotFound, "WPANLAB=/nowhere/wpanlab"):
                wpanlab.find_program()

    def test_an_exit_code_is_an_exception_with_the_programs_words(self) -> None:
        codes = {2: wpanlab.UsageError, 3: wpanlab.RunFailed, 130: wpanlab.Interrupted, 7: wpanlab.WpanlabError}
        for code, kind in codes.items():
            with self.subTest(code=code), self.assertRaises(kind) as raised:
                wpanlab.run("a.yaml", out=self.folder / "out", program=self.program(REFUSES % (code, code)))
            self.assertIs(type(raised.exception), kind)
            self.assertEqual(str(raised.exception), "r1 exists; --force replaces it")
            self.assertEqual(raised.exception.exit_code, code)
            if isinstance(raised.exception, wpanlab.RunFailed):
                self.assertEqual(raised.exception.directory, self.folder / "out")

    def test_words_that_are_no_json_are_told_too(self) -> None:
        program = self.program("sys.stderr.write('cannot start\\n'); sys.exit(3)")
        with self.assertRaisesRegex(wpanlab.RunFailed, "^cannot start$"):
            wpanlab.run("a.yaml", out=self.folder / "out", program=program)

    def test_a_killed_program_interrupts(self) -> None:
        program = self.program("os.kill(os.getpid(), signal.SIGKILL)")
        with self.assertRaises(wpanlab.Interrupted):
            wpanlab.run("a.yaml", out=self.folder / "out", program=program)

    def test_an_expectation_that_does_not_hold_is_a_result(self) -> None:
        out = self.folder / "out"
        program = self.program(f"shutil.copytree({str(DATA / 'run')!r}, {str(out)!r}); sys.exit(1)")
        self.assertFalse(wpanlab.run("a.yaml", out=out, program=program).passed)

    def test_ctrl_c_interrupts_the_program_once_and_waits_for_it(self) -> None:
        # Who is started in the background has it ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)
        program = self.program("""
            def measure(*_):
                with open(sys.argv[-1] + ".signals", "a") as file:
                    file.write("SIGINT\\n")
                sys.exit(130)
            signal.signal(signal.SIGINT, measure)
            assert os.getsid(0) == os.getpid()
            os.kill(os.getppid(), signal.SIGINT)
            while True:
                signal.pause()
        """)
        with self.assertRaises(KeyboardInterrupt):
            wpanlab.run("a.yaml", out=self.folder / "out", force=False, program=program)
        self.assertEqual((self.folder / "out.signals").read_text(), "SIGINT\n")


class Arguments(InFolder):
    """What the program is called with."""

    def setUp(self) -> None:
        super().setUp()
        said = self.folder / "said"
        self.said = said
        self.told = self.program(f"json.dump(sys.argv[1:], open({str(said)!r}, 'w')); sys.exit(3)")

    def arguments(self, call: object, *given: object, **options: object) -> list:
        with self.assertRaises(wpanlab.RunFailed):
            call(*given, program=self.told, **options)  # type: ignore[operator]
        return json.loads(self.said.read_text())

    def test_of_a_run(self) -> None:
        given = {"backbone.delay": "10 ms", "nodes.sensor.handover.hold": True, "nodes.x": {"role": "client"}}
        said = self.arguments(wpanlab.run, "a.yaml", out="o", seed=7, backend="vm", set=given)
        expected = ["--json", "run", "a.yaml", "--out", "o", "--set", "backbone.delay=10 ms"]
        expected += ["--set", "nodes.sensor.handover.hold=true", "--set", 'nodes.x={"role": "client"}']
        self.assertEqual(said, expected + ["--seed=7", "--backend=vm"])

    def test_of_a_sweep(self) -> None:
        given = {"a": ["1 ms", "x,y", "1..2"], "b": [True, 3], "c": "10..80:10 ms"}
        said = self.arguments(wpanlab.sweep, "a.yaml", out="o", seeds=range(1, 6), jobs=3, resume=True, set=given)
        expected = ["--json", "run", "a.yaml", "--out", "o", "--seeds=1..5"]
        expected += ["--set", 'a=1 ms,"x,y","1..2"', "--set", "b=true,3", "--set", "c=10..80:10 ms"]
        self.assertEqual(said, expected + ["--jobs=3", "--resume"])

    def test_of_a_sweep_whose_values_have_commas_quotes_and_tables(self) -> None:
        given = {"a": ['say "a, b"', "it's"], "radio.path_loss": ["{ model: free-space, offset: 1 dB }"]}
        said = self.arguments(wpanlab.sweep, "a.yaml", out="o", seeds=[1], set=given)
        expected = ["--set", """a="say \\"a, b\\"",it's"""]
        self.assertEqual(said[6:], [*expected, "--set", "radio.path_loss={ model: free-space, offset: 1 dB }"])

    def test_of_a_sweep_until_a_figure_is_known(self) -> None:
        said = self.arguments(wpanlab.sweep, "a.yaml", out="o", seeds=range(1, 1001), until="lost mean ±5 %")
        self.assertEqual(said[4:], ["o", "--seeds=1..1000", "--until=lost mean ±5 %"])

    def test_of_an_analysis(self) -> None:
        nodes = {"sensor": ["2001:db8:1::5", "2001:db8:2::5"]}
        said = self.arguments(wpanlab.analyze, "a.pcap", ports=[61616], nodes=nodes, contexts={1: "2001:db8::/64"})
        expected = ["--json", "analyze", "--port=61616", "--node=sensor=2001:db8:1::5,2001:db8:2::5"]
        self.assertEqual(said, expected + ["--context=1=2001:db8::/64", "--", "a.pcap"])

    def test_seeds_that_do_not_follow_each_other_are_refused(self) -> None:
        for seeds in ([], [1, 3], range(5, 1, -1)):
            with self.subTest(seeds=seeds), self.assertRaisesRegex(wpanlab.UsageError, r"range\(1, 36\)"):
                wpanlab.sweep("a.yaml", seeds=seeds, out="o", program=self.told)

    def test_a_sweep_is_refused_without_lists_or_what_to_go_on_with(self) -> None:
        with self.assertRaisesRegex(wpanlab.UsageError, "takes a list"):
            wpanlab.sweep("a.yaml", seeds=[1], set={"a": 3}, out="o", program=self.told)  # type: ignore[dict-item]
        with self.assertRaisesRegex(wpanlab.UsageError, "out="):
            wpanlab.sweep("a.yaml", seeds=[1], resume=True, program=self.told)
