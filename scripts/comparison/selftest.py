"""Checks the comparison on made-up runs: each kind of difference is found, and what is allowed is not."""

import contextlib
import io
import sys
import tempfile
import unittest
from pathlib import Path
from types import SimpleNamespace

from . import captures, made_up, play, report, sequences
from .findings import Ignore
from .made_up import ACK, CLIENT, CON, GET, LEASED, NON, PUT, coap, icmpv6, udp


class Case(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = Path(directory.name)

    def diff(self, change=None, before=None, phy=False, shifted=(), ignore=(), rewrite=None):
        """Exit code and text of comparing made-up runs with those after a change."""
        made_up.write(self.root / "before", before, phy)
        made_up.write(self.root / "after", change, phy)
        for at, shift in enumerate(shifted):
            made_up.write(self.root / f"shifted-{at}", shift, phy)
        if rewrite:
            rewrite(self.root)
        asked = SimpleNamespace(before=self.root / "before", after=self.root / "after", only=[], jobs=1, limit=0,
                                shifted=[self.root / f"shifted-{at}" for at in range(len(shifted))])
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
            code = report.main(asked, Ignore(ignore))
        return code, text.getvalue()

    def same(self, *arguments, **options):
        code, text = self.diff(*arguments, **options)
        self.assertEqual(code, 0, text)
        return text

    def differs(self, *arguments, says, **options):
        code, text = self.diff(*arguments, **options)
        self.assertEqual(code, 1, text)
        for part in [says] if isinstance(says, str) else says:
            self.assertIn(part, text)
        return text


def drop(run, interface, number, count=1):
    """Takes out messages of a capture, from a number on."""
    at = [index for index, packet in enumerate(run.packets) if packet[1] == interface][number:number + count]
    run.packets = [packet for index, packet in enumerate(run.packets) if index not in at]


class Messages(Case):
    def test_the_same_runs_are_the_same(self):
        self.assertIn("no difference", self.same())

    def test_times_that_shift_are_no_difference(self):
        self.same(lambda run: run.shift(0.000_1))

    def test_streams_may_shift_against_each_other(self):
        def later(run):
            run.packets = [(time_s + 2, *rest) if rest[1][6] == 17 and rest[1][42:44] == b"\x02\x23" else (time_s, *rest)
                           for time_s, *rest in run.packets]
        self.same(later)

    def test_a_missing_message_is_named(self):
        self.differs(lambda run: drop(run, "client.eth0", 20), says=[
            "walk/1 messages client.eth0 client > sensor CoAP: missing: CON GET /t "
            "(client > sensor/T@er1) by client > er1 #1010 token 370003f2 at 1.100000 s", "differences 3"])

    def test_an_additional_message_is_named(self):
        def more(run):
            run.wire(2.55, CLIENT, LEASED, udp(5683, 5683, coap(CON, PUT, 7, b"", [(11, b"comp"), (2048, b"\4")])))
        self.differs(more, says="additional: CON PUT /comp options 2048 (client > sensor/T@er1) by client > er1 #7 at 2.55")

    def test_messages_in_another_order_are_a_difference(self):
        def swapped(run):
            at = [index for index, packet in enumerate(run.packets) if packet[1] == "client.eth0"]
            first, second = run.packets[at[20]], run.packets[at[22]]
            run.packets[at[20]] = (second[0], *first[1:])
            run.packets[at[22]] = (first[0], *second[1:])
        self.differs(swapped, says="in another order: CON GET /t")

    def test_a_message_with_another_path_and_one_with_other_options_are_changed_ones(self):
        def other(run):
            drop(run, "client.eth0", 0, 1)
            token = (0x37000000 + 1000 * run.seed).to_bytes(4, "big")
            run.wire(0.1, CLIENT, LEASED, udp(5683, 5683, coap(CON, GET, 1000 * run.seed, token, [(11, b"u"), (12, b"")])))
        self.differs(other, says="changed: CON GET /t (client > sensor/T@er1) by client > er1, "
                                 "now CON GET /u options 12 (client > sensor/T@er1) by client > er1")

    def test_identifiers_that_are_all_shifted_are_one_difference_of_a_stream(self):
        def shifted(run):
            run.packets = [packet for packet in run.packets if b"\x16\x33\x16\x33" not in packet[2]]
            for at in range(40):
                run.poll(0.1 + at / 10, 1000 * run.seed + at + 5)
        text = self.differs(shifted, says="identifiers of 40 from number 1 on are shifted: Message IDs +5, tokens +5")
        self.assertIn("differences 12", text)

    def test_identifiers_that_are_shifted_after_an_additional_message_are_not_a_difference_each(self):
        def shifted(run):
            run.packets = [packet for packet in run.packets if b"\x16\x33\x16\x33" not in packet[2]]
            run.poll(0.05, 1000 * run.seed, path="first")
            for at in range(40):
                run.poll(0.1 + at / 10, 1000 * run.seed + at + 1)
        self.differs(shifted, says=["/first", "differences 18"])

    def test_another_hop_is_another_message(self):
        def direct(run):
            run.packets = [(*packet[:3], ("client", "client") if packet[3] == ("client", "er1") else packet[3])
                           for packet in run.packets]
        self.differs(direct, says="by client > client")

    def test_an_icmpv6_message_that_a_program_sends_is_in_a_sequence(self):
        self.differs(lambda run: run.radio(2, "fe80::5", "ff02::2", icmpv6(133, bytes(4))), says="additional: RS")

    def test_a_few_kernel_timed_messages_more_are_a_note_and_many_are_a_difference(self):
        def more(count):
            def change(run):
                for at in range(count if run.seed == 1 else 0):
                    run.radio(3 + at / 100, "fe80::5", "ff02::16", icmpv6(143, bytes(4)))
            return change
        self.assertIn("MLDv2 Report 10 -> 14 where they differ", self.same(more(4)))
        self.root /= "many"
        self.differs(more(40), says="sensor.lowpan0 MLDv2 Report: 10 -> 50")

    def test_kernel_timed_messages_that_every_seed_has_more_of_are_a_difference_together(self):
        def more(run):
            for at in range(10):
                run.radio(3 + at / 100, "fe80::5", "ff02::16", icmpv6(143, bytes(4)))
        self.differs(more, says="walk/all messages sensor.lowpan0 MLDv2 Report: 30 -> 60")

    def test_addresses_are_compared_as_nodes(self):
        def renumbered(run):
            run.sensor = "02:00:00:00:00:00:00:06"
            old, new = (bytes.fromhex(f"fe80{'0' * 27}{digit}") for digit in "56")
            old_duid, new_duid = (bytes.fromhex(f"0003001b02{'0' * 13}{digit}") for digit in "56")
            run.packets = [(time_s, interface, data.replace(old, new).replace(old_duid, new_duid), hop)
                           for time_s, interface, data, hop in run.packets]
        self.assertIn("messages sensor%link: address fe80::5 -> fe80::6", self.same(renumbered))

    def test_a_plan_of_another_form_names_nodes_as_well(self):
        def nested(run):
            run.plan = run.plan.replace("    radio:\n      eui64", "    place:\n      radio:\n        eui64") \
                .replace("    wmms: 2001:db8::9\n", "    wmms:\n      address: 2001:db8::1\n")
        self.same(nested)

    def test_a_capture_that_is_gone_is_a_difference_and_a_new_one_is_a_note(self):
        self.differs(lambda run: run.interfaces.remove("client.eth0"), says="messages client.eth0: no capture any more")
        self.root /= "new"
        self.assertIn("messages er1.eth0: new capture", self.same(lambda run: run.interfaces.add("er1.eth0")))

    def test_a_damaged_capture_is_named(self):
        def damage(root):
            file = root / "after/walk/point-1/seed-2/captures/client.eth0.pcapng"
            file.write_bytes(file.read_bytes()[:-5])
        self.differs(rewrite=damage, says="walk/2 outcome after: cannot be read: client.eth0: ends within a block")


class Outcomes(Case):
    def test_an_expectation_that_fails_and_another_exit_code_are_differences(self):
        def failed(run):
            run.result["passed"] = False
            run.result["expectations"][0].update(outcome="failed", measured=1.0)
            run.code = 1
        self.differs(failed, says=["walk/1,2,3 outcome passed: True -> False", "walk/all outcome exit code: 0 -> 1",
                                   "outcome expectation lost 0: passed -> failed"])

    def test_a_run_and_a_sweep_that_are_gone_are_differences(self):
        def gone(root):
            (root / "after/walk/point-1/seed-3").rename(root / "seed-3")
            made_up.write(root / "before", name="other")
        self.differs(rewrite=gone, says=["walk/3 outcome run: no run any more", "other/all outcome sweep: no sweep any more"])

    def test_a_new_sweep_is_a_note(self):
        self.assertIn("new sweep", self.same(rewrite=lambda root: made_up.write(root / "after", name="other")))

    def test_a_result_that_is_no_json_is_a_difference(self):
        def torn(root):
            (root / "after/walk/point-1/seed-1/result.json").write_text("{")
        self.differs(rewrite=torn, says="walk/1 outcome after: cannot be read: result.json")

    def test_an_intended_difference_is_listed_with_its_reason(self):
        text = self.same(lambda run: drop(run, "client.eth0", 20),
                         ignore=["walk/*client > sensor*missing: CON GET=polls end earlier", "nothing=at all"])
        self.assertIn("intended: polls end earlier", text)
        self.assertIn("nothing is like --ignore 'nothing'", text)

    def test_intended_differences_come_from_a_file_too_and_need_a_reason(self):
        (self.root / "intended").write_text("# of issue 11\nmissing: CON GET=polls end earlier\n")
        self.same(lambda run: drop(run, "client.eth0", 20), ignore=[f"@{self.root / 'intended'}"])
        self.assertRaises(ValueError, Ignore, ["missing: CON GET"])


class Events(Case):
    def test_a_missing_event_is_a_difference_and_its_time_is_not(self):
        self.differs(lambda run: run.events.pop(3), says="walk/1,2,3 events sensor: missing: phase_ended phase link")

    def test_another_value_of_an_event_is_a_difference(self):
        self.differs(lambda run: run.events[4].update(requested=41), says="missing: drained requested 40")

    def test_events_of_two_nodes_may_shift_against_each_other(self):
        self.same(lambda run: run.events.insert(1, run.events.pop(4)))


class Figures(Case):
    def figure(self, **change):
        """A change of figures by name."""
        def apply(run):
            handover = run.result["handovers"][0]
            handover["delay_s"] += change.get("delay_s", 0)
            handover["energy_mj"]["link"] *= change.get("energy", 1)
            run.result["requests"]["sent"] += change.get("sent", 0)
        return apply

    def test_figures_within_2_percent_or_1_ms_are_the_same(self):
        self.same(self.figure(energy=1.019, delay_s=0.001_9))
        self.root /= "floor"
        self.assertIn("within 1 ms", self.same(lambda run: run.result["requests"]["rtt_s"].update(median=0.004_9)))

    def test_figures_further_apart_are_differences(self):
        self.differs(self.figure(energy=1.021), says="figures handovers[client sensor].energy_mj.link: 1 -> 1.021 (+2.10%)")
        self.root /= "time"
        self.differs(self.figure(delay_s=0.003), says="figures handovers[client sensor].delay_s: 0.10001 -> 0.10301")

    def test_a_count_must_be_equal(self):
        self.differs(self.figure(sent=1), says="walk/1,2,3 figures requests.sent: 40 -> 41")

    def test_a_key_that_is_gone_is_a_difference_and_a_new_one_is_a_note(self):
        self.differs(lambda run: run.result["requests"].pop("sent"), says="figures requests.sent: not there any more")
        self.root /= "new"
        self.assertIn("figures requests.kept: new", self.same(lambda run: run.result["requests"].update(kept=1)))


class Timing(Case):
    """What is compared as distributions."""

    @staticmethod
    def lossy(by):
        """Repeats some requests, which it is depends on the seed and on `by`."""
        def change(run):
            for at in range((run.seed * 7 + by * 3) % 5 + 2):
                run.poll(0.15 + at / 10, 1000 * run.seed + (at * 3 + by) % 40, repeated=True)
            run.result["handovers"][0]["delay_s"] = 0.1 + (run.seed * 5 + by * 7) % 4 / 20
        return change

    def test_what_the_air_repeats_and_delays_by_chance_is_the_same(self):
        text = self.same(self.lossy(1), before=self.lossy(0), phy=True)
        self.assertRegex(text, r"walk +1 +phy +timing")

    def test_what_every_run_did_and_none_does_is_a_difference(self):
        self.differs(lambda run: drop(run, "sensor.lowpan0", 0), before=self.lossy(0), phy=True,
                     says="messages sensor.lowpan0 sensor > all-routers ICMPv6: RS options 1 (sensor%link > all-routers): "
                          "distribution over the runs: mean 1 -> 0")

    def test_far_more_messages_are_a_difference(self):
        def more(run):
            for at in range(40):
                run.poll(0.15 + at / 10, 1000 * run.seed + at, repeated=True)
        self.differs(more, before=self.lossy(0), phy=True, says="by client > er1 again: distribution over the runs")

    def test_another_order_of_events_is_a_difference(self):
        def swapped(run):
            run.events[2], run.events[3] = run.events[3], run.events[2]
        self.differs(swapped, phy=True, says="events sensor: phase_ended phase link, then phase_started phase link: distribution")

    def test_a_key_that_is_gone_and_another_word_are_differences_and_a_new_key_is_a_note(self):
        def change(run):
            run.result["handovers"][0]["client"] = "someone"
            run.result["requests"].pop("sent")
            run.result["requests"]["kept"] = 1
        text = self.differs(change, phy=True, says=["figures requests.sent: not there any more",
                                                    "figures handovers[client sensor].client client: not there any more"])
        self.assertIn("figures requests.kept: new", text)

    def test_another_word_of_an_event_is_a_difference_and_another_number_is_not(self):
        self.differs(lambda run: run.events[2].update(phase="hold"), phy=True, says="events sensor: phase_started phase hold")
        self.root /= "number"
        self.same(lambda run: run.events[4].update(requested=41), phy=True)

    def test_a_figure_that_moves_beyond_its_spread_is_a_difference(self):
        def slower(run):
            run.result["handovers"][0]["delay_s"] *= 1.1
        self.differs(slower, phy=True, says="figures handovers[client sensor].delay_s: distribution over the runs")

    def test_what_is_now_one_thing_and_now_another_may_be_the_one_every_time(self):
        def delay(*values):
            return lambda run: run.result["handovers"][0].update(delay_s=values[run.seed - 1])
        self.same(delay(0.100, 0.101, 0.102), before=delay(0.1, 6.5, 6.5), phy=True)
        self.root /= "neither"
        self.differs(delay(19.1, 19.2, 19.3), before=delay(0.1, 6.5, 6.5), shifted=[delay(6.5, 6.5, 0.1)] * 3,
                     phy=True, says="delay_s: distribution")

    def test_a_shifted_directory_may_lack_runs(self):
        def lacking(root):
            (root / "shifted-0/walk/point-1/seed-3").rename(root / "seed-3")
        text = self.same(shifted=[lambda run: run.events.pop(3)], rewrite=lacking)
        self.assertIn("walk/3 outcome run: only in 0 of 1 directories of --shifted", text)

    def test_a_figure_that_shifted_times_give_too_is_a_note_by_the_exact_rule(self):
        def slower(run):
            run.result["handovers"][0]["delay_s"] += 0.05 if run.seed == 2 else 0
        self.assertIn("as with shifted times", self.same(slower, shifted=[None, slower]))
        self.root /= "others"
        self.differs(slower, shifted=[None], says="walk/2 figures handovers[client sensor].delay_s")

    def test_kernel_timed_messages_that_shifted_times_bring_are_a_note(self):
        def more(run):
            for at in range(40):
                run.radio(3 + at / 100, "fe80::5", "ff02::16", icmpv6(143, bytes(4)))
        self.same(more, shifted=[more])

    def test_another_beginning_is_a_difference_whatever_the_air_does(self):
        def other(run):
            run.packets = [packet for packet in run.packets if b"\x16\x33\x16\x33" not in packet[2]]
            for at in range(40):
                run.poll(0.1 + at / 10, 1000 * run.seed + at + 500)
        self.differs(other, phy=True, says="begins elsewhere: identifiers of 1 from number 1 on are shifted: Message IDs +500")

    def test_an_outcome_may_go_either_way_only_if_it_did_before(self):
        def failed(*seeds):
            def change(run):
                if run.seed in seeds:
                    run.result["passed"], run.code = False, 1
            return change
        self.assertIn("as before in other runs", self.same(failed(1, 2), before=failed(3), phy=True))
        self.root /= "first"
        self.differs(failed(1), phy=True, says=["outcome passed: True -> False", "outcome exit code: 0 -> 1"])

    def test_without_a_phy_shifted_runs_say_that_timing_decides(self):
        def one_less(run):
            drop(run, "client.eth0", 20 + run.seed)
        self.differs(one_less, says="missing: CON GET /t")
        self.root /= "shifted"
        text = self.same(one_less, shifted=[lambda run: drop(run, "client.eth0", 24)])
        self.assertRegex(text, r"walk +1 +edges +timing")
        self.root /= "equal"
        self.differs(one_less, shifted=[lambda run: run.shift(0.000_1)], says="missing: CON GET /t")
        self.root /= "events"

        def one_more(run):
            run.events.insert(2, {"node": "sensor", "event": "phase_ended", "phase": "hold", "at": 0.9})
        self.assertRegex(self.diff(one_less, shifted=[one_more])[1], r"walk +1 +edges +timing")


class Parts(unittest.TestCase):
    def test_a_capture_of_the_other_byte_order_is_read(self):
        packet = made_up.ipv6("fe80::1", "ff02::2", icmpv6(133, bytes(4)))
        data = made_up.header(101, ">") + made_up.frame_block(1.5, packet, ">")
        message, = captures.messages(data)
        self.assertEqual((message.what, message.time_ns), ("RS", made_up.START_NS + 1_500_000_000))

    def test_no_damaged_capture_ends_the_comparison(self):
        packet = made_up.ipv6(CLIENT, LEASED, udp(5683, 5683, coap(CON, GET, 1, b"token", [(11, b"a"), (2048, b"\1")], b"x")))
        whole = made_up.header(101) + made_up.frame_block(0, packet)
        for at in range(len(whole)):
            for data in (whole[:at], whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1:]):
                with contextlib.suppress(captures.Malformed):
                    list(captures.messages(data))
                    list(captures.leases(data))

    def test_options_with_long_numbers_and_an_empty_message_are_what_they_are(self):
        self.assertEqual(captures.coap(coap(NON, PUT, 9, b"", [(11, b"a"), (11, b"b"), (60, b"\1"), (2053, b"\2")], b"xyz")),
                         ("NON PUT /a/b options 60,2053 payload 3", (9, b"")))
        self.assertEqual(captures.coap(coap(ACK, 0, 9)), ("ACK empty", (9, b"")))

    def test_long_streams_of_one_shape_are_compared_in_time(self):
        before = [sequences.Item(at / 1000, "GET", (at, b"")) for at in range(20_000)]
        change, = sequences.compare(before, before[:7_000] + before[7_001:])
        self.assertEqual(change.what, "missing: GET #7000 at 7.000000 s")
        change, = sequences.compare(before, [item._replace(ident=(item.ident[0] + 1, b"")) for item in before])
        self.assertIn("GET", change.what)


class Play(Case):
    def test_a_topology_is_played_once_and_an_interrupted_sweep_goes_on(self):
        program = self.root / "program"
        # Interrupted the first time, leaving a sweep.
        program.write_text("""#!/bin/sh
while [ "$1" != --out ]; do shift; done
mkdir -p "$2"; echo "$@" >> "$2/calls"
[ -e "$2/sweep.json" ] && { touch "$2/distribution.json"; exit 1; }
echo "{\\"wpanlab_sha256\\": \\"$(sha256sum "$0" | cut -d' ' -f1)\\"}" > "$2/sweep.json"
exit 3
""")
        program.chmod(0o755)
        asked = SimpleNamespace(binary=program, out=self.root / "out", topology=["minimal"], seeds="1..2", jobs=1, shift=0)

        def run():
            text = io.StringIO()
            with contextlib.redirect_stdout(text), contextlib.redirect_stderr(text):
                return play.main(asked, ["--clock", "virtual"]), text.getvalue()
        self.assertIn("minimal: interrupted", run()[1])
        self.assertIn("exit code 1", run()[1])
        self.assertIn("done already", run()[1])
        calls = (self.root / "out/minimal/calls").read_text().splitlines()
        self.assertEqual([call.endswith("--clock virtual --resume") for call in calls], [False, True])
        program.write_text(program.read_text() + "# another\n")
        code, text = run()
        self.assertEqual(code, 2)
        self.assertIn("made by another program", text)


def main():
    """Runs all of it; the exit code."""
    tests = unittest.defaultTestLoader.loadTestsFromModule(sys.modules[__name__])
    return 0 if unittest.TextTestRunner(verbosity=0).run(tests).wasSuccessful() else 1
