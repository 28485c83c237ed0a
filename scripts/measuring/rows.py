"""One cheap row of each table of the papers' figures, measured again and held against the page.

Another program or kernel gives other figures, by microseconds and by chance. So a row is asked for what must not change, the
handovers and what is lost, and whether its figure lies where the page's row says, with room for one seed against many.
"""

import os
import re
from concurrent.futures import ThreadPoolExecutor

from .mobility import LOSSY, VARIANTS, lossy, options
from .pages import blocks
from .papers import EVERY, NO_HOLD, PAPERS, POISSON, TOPOLOGIES
from .tools import mean, quantile

# What one seed may differ from the page's figure, as a share of it: of the same seed, and of a mean over many.
SAME_SEED = 0.25
ONE_OF_MANY = 0.5
# The share of figures that come in heaps which must lie about the page's. Of a handover over the air it is two thirds: the rest waits
# for a back-off or for an advertisement, and with another program it is others that wait.
MANY = 1 / 3
# The column "lost" of the tables of lambda * D.
LOST = 3


class Row:
    """A row of the page, found by how it begins, and what does not agree with it."""

    def __init__(self, block, begins):
        self.name = f"{block}, {begins}"
        lines = blocks()[block][1].splitlines()
        # What a run prints has no columns, but a colon.
        cells = ([cell.strip(" *") for cell in re.split(r"[|]" if line[:1] == "|" else ": ", line.strip("|"))] for line in lines)
        self.cells = next(row for row in cells if row[0].startswith(begins))
        self.faults = []

    def number(self, column):
        """The first figure in a column."""
        return float(self.cells[column].split()[0].rstrip(",").replace(",", ""))

    def equal(self, what, measured, expected):
        """A figure that must be the page's."""
        if measured != expected:
            self.faults.append(f"{self.name}: {what}: {measured}, the page has {expected}")

    def near(self, what, measured, column, share):
        """A figure that lies about the page's."""
        page = self.number(column)
        self.within(what, measured, (1 - share) * page, (1 + share) * page)

    def often_near(self, what, values, column):
        """Figures of which many lie about the page's, where a median of few would fall between two heaps of them."""
        page = self.number(column)
        near = sum((1 - ONE_OF_MANY) * page <= value <= (1 + ONE_OF_MANY) * page for value in values)
        if near < MANY * len(values):
            self.faults.append(f"{self.name}: {what}: {near} of {len(values)} are within {ONE_OF_MANY:.0%} of {page}")

    def within(self, what, measured, low, high):
        """A figure between two of the page's."""
        if not low <= measured <= high:
            self.faults.append(f"{self.name}: {what}: {measured:.6g} is not between {low:.6g} and {high:.6g}")


def comm(run, block, topology):
    """CoMM: the delay of one seed lies among those of fifty."""
    row = Row(block, "handover delay")
    point = run(topology)
    row.within("delay, s", point.handovers("delay_s")[0], 0.9 * row.number(1), 1.1 * row.number(5))
    if "hold" in topology:
        row.equal("lost", point.figures("lost"), [0])
    return row


def comp_simulation(run):
    """CoMP's scenario, 20 m."""
    row = Row("comp-simulation", "20 m")
    point = run(f"{TOPOLOGIES}/comp-simulation.yaml")
    delays = point.handovers("delay_s")
    row.equal("handovers", f"{len(delays)} handovers", row.cells[0].split(", ")[1])
    row.equal("lost", f"{point.figures('lost')[0]:.0f} of", row.cells[0].split(", ")[2][:4])
    # What decides is the wait for an advertisement, which is drawn anew with every other instant.
    row.often_near("delay, s", delays, 3)
    return row


def figure_15(run):
    """The smallest backoff, and figure 16's row of 10 requests a second with hold, which is the same run."""
    row = Row("figure-15", "3")
    point = run(f"{PAPERS}/comp-figures.yaml", "--set", "radio.mac.min_be=3")
    row.equal("handovers", len(point.handovers("delay_s")), int(row.cells[3]))
    row.near("interruption, ms", 1e3 * mean(point.handovers("outage_s")), 4, SAME_SEED)
    row.equal("lost with hold", mean(point.handovers("lost")), Row("figure-16", "10").number(2))
    return row


def without_hold(run, block, begins, value):
    """A row of figures 16 and 17."""
    row = Row(block, begins)
    point = run(f"{PAPERS}/comp-figures.yaml", "--set", value, *NO_HOLD)
    row.equal("handovers", len(point.handovers("delay_s")), int(row.cells[1]))
    row.near("lost without hold", mean(point.handovers("lost")), 3, SAME_SEED)
    return row


def loss_hold(run):
    """Frames are lost on the air, no request is."""
    row = Row("loss-hold", "handover delay, s")
    point = run(f"{PAPERS}/loss-hold.yaml")
    row.equal("lost", point.figures("lost"), [Row("loss-hold", "lost").number(1)])
    low, median, high = sorted(float(word.rstrip(",")) for word in row.cells[1].split() if word[0].isdigit())
    row.within("median delay, s", quantile(point.handovers("delay_s"), 0.5), low, high)
    return row


def lost_without_hold(run, block, topology, *options):
    """Lost per handover at 10 requests a second."""
    row = Row(block, "10")
    row.near("lost", mean(run(topology, "--set", f"{EVERY}=100 ms", *options).handovers("lost")), LOST, ONE_OF_MANY)
    return row


def binding_modes(run):
    """The direct mode without loss on the air."""
    row = Row("binding-modes", "handover delay, s: median")
    # Two clients that ask at the same instants do so for a whole run: one seed is too few.
    point = run(f"{PAPERS}/binding-direct.yaml", "--set", "radio.profile.noise_figure=10 dB", seeds="1..3")
    row.often_near("delay, s", point.handovers("delay_s"), 1)
    row.equal("lost", sum(point.figures("lost")), Row("binding-modes", "requests lost").number(1))
    return row


def sleep(run):
    """A sleep that is announced: all is answered, and hardly anything sent again."""
    row = Row("sleep", "requests")
    point = run(f"{TOPOLOGIES}/sleep.yaml")
    sent, = point.figures("sent")
    row.within("requests", sent, row.number(1) - 3, row.number(1) + 3)
    row.equal("answered", point.figures("answered"), [sent])
    row.within("sent again", point.figures("retransmitted")[0], 0, 6)
    return row


def mobility_loss(run):
    """The first two of the handovers through a home agent: the messages, and what a request costs."""
    row = Row("mobility-loss", "`mipv6`")
    short = ("scenario.duration=9 s", *(f"scenario.steps[{step}].times=1" for step in range(4)))
    point = run(LOSSY, *options((*lossy(VARIANTS["`mipv6`"][0]), *short)))
    row.equal("handovers", len(point.handovers("lost")), 2)
    row.near("energy of a request, mJ", mean(point.figures("energy_per_request_mj")), 8, SAME_SEED)
    # A message that the air takes is sent again a second or more later, and the requests until then are lost: how many is chance,
    # what each message and each request that arrives cost is not.
    tunnelled, sent, answered = (mean(point.figures(name)) for name in ("overhead_per_request_bytes", "sent", "answered"))
    row.within("octets of a tunnel, of a request that is answered", tunnelled * sent / answered, row.number(13), 1.15 * row.number(13))
    messages, octets = (mean([cost[what] for cost in point.handovers("wired")]) for what in ("messages", "bytes"))
    exact = row.number(12) / row.number(11)
    row.within("octets of a message on the backbone", octets / messages, 0.98 * exact, 1.02 * exact)
    return row


def first_run(run):
    """What the README shows."""
    row = Row("first-run", "handover of sensor")
    row.near("delay, ms", 1e3 * run(f"{TOPOLOGIES}/handover.yaml").handovers("delay_s")[0], 1, SAME_SEED)
    return row


ROWS = (
    first_run,
    lambda run: comm(run, "comm-delay", f"{TOPOLOGIES}/paper-comm.yaml"),
    lambda run: comm(run, "comm-delay-hold", f"{TOPOLOGIES}/paper-comm-hold.yaml"),
    comp_simulation,
    figure_15,
    loss_hold,
    lambda run: lost_without_hold(run, "loss-nohold", f"{PAPERS}/loss-nohold.yaml"),
    binding_modes,
    sleep,
    mobility_loss,
)


# Half a minute each: more than a test of every day has.
LONG = (
    lambda run: without_hold(run, "figure-16", "10", f"{EVERY}=100 ms"),
    lambda run: without_hold(run, "figure-17", "10", "backbone.delay=20 ms"),
    lambda run: lost_without_hold(run, "loss-lambda-d", f"{PAPERS}/comp-figures.yaml", *POISSON, *NO_HOLD),
)


def faults(tools, long):
    """What does not agree with the pages, of the `long` rows too if they are wanted."""
    tools.program  # built once, before two want it

    def measure(numbered):
        number, row = numbered
        def run(topology, *options, seeds="1..1"):
            return tools.sweep(f"row-{number}", topology, seeds, *options, jobs=1)[0]

        return row(run).faults

    # Each with a processor of its own: two programs that start at once may choose the same one for their VMs.
    free = sorted(os.sched_getaffinity(0))[:2]
    with ThreadPoolExecutor(len(free), initializer=lambda: os.sched_setaffinity(0, {free.pop()})) as workers:
        for found in workers.map(measure, enumerate(ROWS + LONG if long else ROWS)):
            yield from found
