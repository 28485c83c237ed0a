"""The protocols of mobility side by side: docs/mobility.md."""

import json
from math import ceil, sqrt

from .tools import command, mean, number, quantile, table

TOPOLOGIES = "topologies"
MOBILITY = "nodes.sensor.mobility"
PROTOCOLS = ("comp", "mipv6", "mipv6-ro", "hmipv6", "pmipv6")
# Where the node does not register, its router does before it advertises itself.
NODE_REGISTERS, ROUTER_REGISTERS = "binding", "movement_detection"
DELAYS_MS = (5, 10, 20, 40)

# What a topology of CoMP's needs, so that its node can move by any of them.
ANY = ("nodes.ha={ role: home-agent }", "nodes.map={ role: map }", "nodes.client.services=[{ correspondent: {} }]",
       "nodes.sensor.handover.address=slaac")

# Frames are lost on the air. Requests are not repeated, and each leaves at its time: the one before is given up by then.
LOSSY = f"{TOPOLOGIES}/papers/loss-hold.yaml"
ASKED = ("nodes.client.polls[0].confirmable=false", "nodes.client.coap={ nstart: 2, response_timeout: 200 ms }")
HANDOVERS_OF_A_RUN = 29

# What is compared there: how the table calls it, its settings, and whose messages it is known by.
VARIANTS = {
    "`comp`": (("comp",), "comp"),
    "`comp`, `hold: false`": (("comp", "nodes.sensor.handover.hold=false"), "comp"),
    "`mipv6`": (("mipv6",), "mobile_ipv6"),
    "`mipv6-ro`": (("mipv6-ro",), "mobile_ipv6"),
    "`hmipv6`": (("hmipv6",), "mobile_ipv6"),
    "`pmipv6`": (("pmipv6", "nodes.lma={ role: lma }"), "mobile_ipv6"),
    "`none`": (("none",), "comp"),
}

# As many handovers CoMP has there; the others no more than are asked for.
FAST_RUNS = 100
FAST_ALSO = {
    # Its routers are its own, and asked on arrival: nobody waits at random.
    "pmipv6": ("nodes.sensor.handover.proxy_advertisements=false", "nodes.sensor.handover.router_solicitation={ max_delay: 0 ms }",
               "nodes.er1.router_advertisements.max_response_delay=0 ms", "nodes.er2.router_advertisements.max_response_delay=0 ms"),
}
# fast.yaml repeats requests, 2 s later: a protocol without a hold is asked without that, and no request waits for another.
FAST_ASKED = ("nodes.client.polls[0].confirmable=false", "nodes.client.coap={ nstart: 10000, response_timeout: 200 ms }")

# From the link that is left to the binding: what lies between two of these is in none of them.
INTERRUPTING = ("link", "movement_detection", "address", "dad", "binding")

# The CoMP paper's figures: the topology, what it needs for any of them, and how each axis is set. Its file leaves it to
# the protocol whether an address is leased.
FIGURES = f"{TOPOLOGIES}/papers/comp-figures.yaml"
FIGURES_ANY = ("nodes.ha={ role: home-agent }", "nodes.map={ role: map }", "nodes.lma={ role: lma }",
               "nodes.client.services=[{ correspondent: {} }]", "nodes.client.polls[0].confirmable=false",
               "nodes.client.coap={ nstart: 10000, response_timeout: 1 s }", f"{MOBILITY}={','.join(PROTOCOLS)},none")
AXES = {
    15: ("radio.mac.min_be=3..8:1", "wireless delay, ms", (2.08, 3.36, 5.92, 11.04, 21.28, 41.76)),
    16: ("nodes.client.polls[0].every=200 ms,100 ms,50 ms,40 ms,25 ms,20 ms", "requests/s", (5, 10, 20, 25, 40, 50)),
    17: ("backbone.delay=20..160:20 ms", "delay of a wired hop, ms", tuple(range(10, 90, 10))),
}


def fit(times_ms):
    """How many ways over the backbone a time has, fitted over the delays, and what is left at none."""
    middle = mean(DELAYS_MS)
    spread = sum((delay - middle) ** 2 for delay in DELAYS_MS)
    slope = sum((delay - middle) * (time - mean(times_ms)) for delay, time in zip(DELAYS_MS, times_ms)) / spread
    return slope, mean(times_ms) - slope * middle


def registering(phases):
    """The phase in which a node's new place becomes known."""
    return NODE_REGISTERS if NODE_REGISTERS in phases else ROUTER_REGISTERS


def mobility(tools):
    """One node by each protocol, over delays of the backbone."""
    topology = f"{TOPOLOGIES}/mobility.yaml"
    axes = (f"{MOBILITY}={','.join(PROTOCOLS)},none", f"backbone.delay={','.join(f'{d} ms' for d in DELAYS_MS)}")
    found = tools.sweep("mobility", topology, "1..1", "--set", axes[0], "--set", axes[1])
    rows = []
    for at in range(0, len(found), len(DELAYS_MS)):
        points = found[at:at + len(DELAYS_MS)]
        last = points[-1]
        name = last.values[MOBILITY]
        rows.append([
            f"`{name}`",
            *(registration(points) if name in PROTOCOLS else ("", "")),
            ", ".join(number(1e3 * delay, 4) for delay in last.handovers("delay_s")),
            f"{last.figures('lost')[0]:,.0f}",
            number(1e3 * last.figures("rtt_median_s")[0], 4),
            number(mean([air["bytes"] for air in last.handovers("air")])),
        ])
    said = f"wpanlab run {topology} --seeds 1..1 --set {axes[0]} --set '{axes[1]}'"
    header = ["`mobility`", "registration, ms, at 5, 10, 20, 40 ms", "ways", "pauses at 40 ms, ms", "lost of 10,000 there",
              "round trip there, ms", "octets over the air, mean of both"]
    return [tools.made_by(), *command(said), *table(header, rows)]


def registration(points):
    """How long it takes at each delay until the node's new place is known, and how many ways over the backbone that is."""
    phase = registering(points[0].runs[0]["handovers"][0]["phases"])
    times_ms = [1e3 * mean(point.handovers(phase)) for point in points]
    return ", ".join(number(time) for time in times_ms), f"{fit(times_ms)[0]:.2f}"


def options(settings):
    """Settings as the program takes them."""
    return [word for setting in settings for word in ("--set", setting)]


def of_variants(also):
    """Lines of a command that say what VARIANTS set besides, and `also` by the word of `mobility`."""
    return [f"# {name.replace('`', '')}: --set '{setting}'" for name, ((word, *more), _) in VARIANTS.items()
            for setting in (*more, *also.get(word, ()))]


def lossy(settings):
    """The settings of one of VARIANTS where frames are lost."""
    word, *more = settings
    return (*ANY, *ASKED, f"{MOBILITY}={word}", *more)


def interruptions_ms(point):
    """How long each handover took from the link that it left to the binding."""
    handovers = (handover["phases"] for run in point.runs for handover in run["handovers"])
    return [1e3 * sum(phases.get(phase, 0) for phase in INTERRUPTING) for phases in handovers]


def messages(point, protocol):
    """By message of a protocol how many a handover takes and their octets, over the air and on the backbone."""
    told, handovers = {}, 0
    for run in point.runs:
        for handover in json.loads(run["result"].read_text())["handovers"]:
            handovers += 1
            for name, sides in handover.get("signalling", {}).get("by_message", {}).get(protocol, {}).items():
                sums = told.setdefault(name, [0, 0, 0, 0])
                counts = (sides[side][what] for side in ("air", "wired") for what in ("messages", "bytes"))
                told[name] = [one + other for one, other in zip(sums, counts)]
    return {name: [count / handovers for count in counts] for name, counts in sorted(told.items())}


def with_interval(values):
    """The mean, and half of its 95 % interval: many values are taken as independent."""
    middle = mean(values)
    if len(values) < 2:
        return number(middle)
    variance = sum((value - middle) ** 2 for value in values) / (len(values) - 1)
    return f"{number(middle)} ± {number(1.96 * sqrt(variance / len(values)), 2)}"


def modelled(tools, figure, value):
    """What the model has for MIPv6, HMIPv6 and CoMP at a place of a figure, if that is on its axis."""
    if figure == 15:
        model = json.loads(tools.wpanlab("model", "--format", "json", "--set", f"wireless_delay={value}ms"))
        delays = {row["protocol"]: row["delay_ms"] for row in model["table_3"]}
        return [number(delays[name]) for name in ("MIPv6", "HMIPv6", "CoMP")]
    lines = tools.wpanlab("model", "--quiet", "--figure", str(figure), "--format", "csv").splitlines()
    rows = {float(line.split(",")[0]): line.split(",")[1:] for line in lines[1:]}
    return [number(float(lost)) for lost in rows[value]] if value in rows else [""] * 3


def compared(figure):
    """What measures one of the CoMP paper's figures by each protocol."""
    axis, title, values = AXES[figure]

    def measure(tools):
        seeds = f"1..{ceil(tools.handovers / HANDOVERS_OF_A_RUN)}"
        found = tools.sweep(f"figure-{figure}-compared", FIGURES, seeds, *options((*FIGURES_ANY, axis)))
        rows = []
        for at, value in enumerate(values):
            points = found[at::len(values)]
            assert [point.values[MOBILITY] for point in points] == [*PROTOCOLS, "none"]
            if figure == 15:
                cells = [with_interval([1e3 * delay for delay in point.handovers("delay_s")]) for point in points]
            else:
                cells = [with_interval(point.handovers("lost")) for point in points]
            fewest = min(len(point.handovers("lost")) for point in points)
            rows.append([value, fewest, *cells, *modelled(tools, figure, value)])
        said = [f"wpanlab run {FIGURES} --seeds {seeds} \\", *(f"    --set '{setting}' \\" for setting in FIGURES_ANY), f"    --set '{axis}'"]
        header = [title, "handovers, each", *(f"`{word}`" for word in (*PROTOCOLS, "none")), "model: MIPv6", "HMIPv6", "CoMP"]
        return [tools.made_by(), *command(*said), *table(header, rows)]

    what = "delay that the client sees" if figure == 15 else "requests lost per handover"
    measure.__doc__ = f"The CoMP paper's figure {figure} by each protocol: {what}."
    return measure


def fast(tools):
    """A walk between two routers, everything known beforehand: what the client sees, by each protocol."""
    topology = f"{TOPOLOGIES}/fast.yaml"
    rows = []
    for at, (name, ((word, *more), _)) in enumerate(VARIANTS.items()):
        settings = [f"{MOBILITY}={word}", *more, *FAST_ALSO.get(word, ())]
        if "hold" not in name and word == "comp":
            asked, seeds = "confirmable", f"1..{FAST_RUNS}"
        else:
            asked, seeds = "not", f"1..{min(FAST_RUNS, tools.handovers)}"
            settings += FAST_ASKED
        point = tools.sweep(f"fast-{at}", topology, seeds, *options(settings))[0]
        delays = [1e3 * delay for delay in point.handovers("delay_s")]
        rows.append([name, asked, len(delays), *(number(quantile(delays, share)) for share in (0, 0.5, 0.95, 1)),
                     number(quantile(interruptions_ms(point), 0.5)), f"{sum(point.handovers('lost')):.0f}",
                     f"{sum(point.figures('lost')):,.0f} of {sum(point.figures('sent')):,.0f}"])
    said = [f"wpanlab run {topology} --seeds 1..{FAST_RUNS}  # comp; the others as many as have handovers here",
            f"wpanlab run {topology} --seeds {seeds} --set {MOBILITY}=…", f"# not confirmable: --set {FAST_ASKED[0]} --set '{FAST_ASKED[1]}'"]
    said += of_variants(FAST_ALSO)
    header = ["`mobility`", "requests confirmable", "handovers", "delay, ms: min", "median", "p95", "max", "link left to binding, ms: median",
              "lost in handovers", "lost in all"]
    return [tools.made_by(), *command(*said), *table(header, rows)]


def mobility_loss(tools):
    """Handovers by each protocol while 5 % of the frames are lost on the air."""
    seeds = f"1..{ceil(tools.handovers / HANDOVERS_OF_A_RUN)}"
    rows, costs = [], []
    for at, (name, (settings, protocol)) in enumerate(VARIANTS.items()):
        point = tools.sweep(f"mobility-loss-{at}", LOSSY, seeds, *options(lossy(settings)))[0]
        rows.append([name, *loss_row(point)])
        costs += [[name, message, *(number(each) for each in counts)] for message, counts in messages(point, protocol).items()]
    said = [f"wpanlab run {LOSSY} --seeds {seeds} \\", *(f"    --set '{setting}' \\" for setting in (*ANY, *ASKED)), f"    --set {MOBILITY}=…"]
    said += of_variants({})
    header = ["`mobility`", "handovers", "link left to binding, ms: median", "p95", "p99", "lost of a handover: mean", "handovers that lost nothing",
              "energy of a handover, mJ: median", "of a request, mJ", "signalling of a handover over the air: messages", "octets", "on the backbone: messages",
              "octets", "octets of tunnels and extension headers, a request"]
    of_messages = ["`mobility`", "message", "of a handover, over the air", "octets", "on the backbone", "octets"]
    return [tools.made_by(), *command(*said), *table(header, rows), "", *table(of_messages, costs)]


def loss_row(point):
    """What a row says of the handovers by one protocol."""
    took, lost = interruptions_ms(point), point.handovers("lost")

    def signalling(side):
        costs = point.handovers(side)
        return [number(mean([cost[what] for cost in costs])) for what in ("messages", "bytes")]

    return [
        f"{len(took):,}", *(number(quantile(took, share)) for share in (0.5, 0.95, 0.99)),
        f"{mean(lost):.2f}", f"{sum(count == 0 for count in lost):,}",
        number(quantile(point.handovers("energy_mj"), 0.5)), number(mean(point.figures("energy_per_request_mj"))),
        *signalling("air"), *signalling("wired"), number(mean(point.figures("overhead_per_request_bytes"))),
    ]
