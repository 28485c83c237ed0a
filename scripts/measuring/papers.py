"""What the two mobility papers measured, measured here: docs/measured/papers.md.

The sweeps have the names that topologies/papers/reproduce gives them: with --dir DIR its runs are not made again.
"""

import json

from .tools import command, mean, number, quantile, table

TOPOLOGIES = "topologies"
PAPERS = "topologies/papers"
QUARTILES = (0, 0.25, 0.5, 0.75, 1)
NO_HOLD = ("--set", "nodes.sensor.handover.hold=false", "--set", "nodes.client.polls[0].confirmable=false")
POISSON = ("--set", "nodes.client.polls[0].arrivals=poisson")
EVERY = "nodes.client.polls[0].every"


def first_run(tools):
    """What `wpanlab run` says, without the list of captures."""
    text, _ = tools.run("first-run", f"{TOPOLOGIES}/handover.yaml", "--seed", "1")
    said = text.split("run directory")[0].rstrip()
    return [tools.made_by(), "", "```text", *said.splitlines(), "```"]


PHASES = {
    "link (tL2)": "link",
    "movement detection (tMD)": "movement_detection",
    "address (tAC without DAD)": "address",
    "duplicate address detection": "dad",
    "binding (tBU)": "binding",
}


def comm_delay(tools):
    """CoMM, figure 10, over 50 seeds."""
    said = "wpanlab run topologies/paper-comm.yaml --seeds 1..50"
    point = tools.sweep("comm-delay", f"{TOPOLOGIES}/paper-comm.yaml", "1..50")[0]
    delays = point.handovers("delay_s")
    whole = quantile(delays, 0.5)
    rows = [["handover delay", *(number(quantile(delays, share)) for share in QUARTILES), "100 %"]]
    for name, phase in PHASES.items():
        values = point.handovers(phase)
        share = f"{100 * quantile(values, 0.5) / whole:.1f} %"
        rows.append([name, *(number(quantile(values, share)) for share in QUARTILES), share])
    lost = point.handovers("lost")
    rows.append(["lost Message IDs", *(f"{quantile(lost, share):.0f}" for share in QUARTILES), ""])
    header = [f"seconds, {len(delays)} handovers", "min", "q1", "median", "q3", "max", "share of the median delay"]
    shorter = sum(delay < 1.54 for delay in delays)
    return [tools.made_by(), *command(said), *table(header, rows), "",
            f"{shorter} of {len(delays)} delays are shorter than the paper's 1.54 s."]


def comm_delay_hold(tools):
    """The same with hold."""
    said = "wpanlab run topologies/paper-comm-hold.yaml --seeds 1..50"
    point = tools.sweep("comm-delay-hold", f"{TOPOLOGIES}/paper-comm-hold.yaml", "1..50")[0]
    delays = point.handovers("delay_s")
    rows = [["handover delay", *(number(quantile(delays, share)) for share in QUARTILES)]]
    header = [f"seconds, {len(delays)} handovers", "min", "q1", "median", "q3", "max"]
    lost = sum(point.figures("lost"))
    return [tools.made_by(), *command(said), *table(header, rows), "", f"Lost Message IDs in all runs: {lost:.0f}."]


def comp_simulation(tools):
    """CoMP's scenario in both readings of the range."""
    rows, said = [], []
    for metres, name in ((20, "comp-simulation"), (50, "comp-simulation-50m")):
        said.append(f"wpanlab run topologies/{name}.yaml --seed 1")
        _, result = tools.run(name, f"{TOPOLOGIES}/{name}.yaml", "--seed", "1")
        handovers = result["handovers"]

        def row(title, seconds, joules):
            quartiles = (number(quantile(seconds, share)) for share in QUARTILES)
            return [title, *quartiles, f"{quantile(joules, 0.5):.1f} mJ"]

        title = f"**{metres} m**: handover delay, {len(handovers)} handovers"
        energy = [h["energy_total_mj"] for h in handovers]
        rows.append(row(title, [h["delay_s"] for h in handovers], energy))
        if metres == 20:
            for title, phase in {"hold": "hold", **PHASES}.items():
                had = [h for h in handovers if phase in h["phases"] and phase in h["energy_mj"]]
                if had:
                    rows.append(row(title, [h["phases"][phase] for h in had], [h["energy_mj"][phase] for h in had]))
        requests = result["requests"]
        rows[-1 if metres == 50 else 0][0] += f", {requests['lost']} of {requests['sent']} requests lost"
    header = ["seconds, seed 1", "min", "q1", "median", "q3", "max", "median energy of the node"]
    return [tools.made_by(), *command(*said), *table(header, rows)]


def figure_15(tools):
    """CoMP's figure 15: delay over the delay of the wireless link."""
    wireless = {3: 2.08, 4: 3.36, 5: 5.92, 6: 11.04, 7: 21.28, 8: 41.76}
    said = "wpanlab run topologies/papers/comp-figures.yaml --seeds 1..1 --set radio.mac.min_be=3..8:1"
    found = tools.sweep("figure-15", f"{PAPERS}/comp-figures.yaml", "1..1", "--set", "radio.mac.min_be=3..8:1")
    rows = []
    for point, (exponent, ms) in zip(found, wireless.items()):
        model = json.loads(tools.wpanlab("model", "--format", "json", "--set", f"wireless_delay={ms}ms"))
        modelled = next(row["delay_ms"] for row in model["table_3"] if row["protocol"] == "CoMP")
        outages, bindings = point.handovers("outage_s"), point.handovers("binding")
        rows.append([exponent, ms, f"{modelled:.0f}", len(point.handovers("delay_s")),
                     f"{1e3 * mean(outages):.0f}", f"{1e3 * mean(bindings):.0f}"])
    header = ["`min_be`", "wireless delay, ms", "model D, ms", "handovers, of 29", "measured interruption, ms", "of it binding, ms"]
    return [tools.made_by(), *command(said), *table(header, rows)]


def losses(tools, figure, values, axis):
    """Rows of figures 16 and 17: requests lost per handover with hold and without, lambda * D, and the model's."""
    topology = f"{PAPERS}/comp-figures.yaml"
    held = tools.sweep(f"figure-{figure}-hold", topology, "1..1", "--set", axis)
    free = tools.sweep(f"figure-{figure}-nohold", topology, "1..1", "--set", axis, *NO_HOLD)
    csv = tools.wpanlab("model", "--quiet", "--figure", str(figure), "--format", "csv", "--set", "comp_loss=lambda-d")
    lines = csv.splitlines()
    at = lines[0].split(",").index("comp_lost_packets")
    model = {line.split(",")[0]: line.split(",")[at] for line in lines[1:]}
    for value, with_hold, without in zip(values, held, free):
        lost = (number(mean(point.handovers("lost"))) for point in (with_hold, without))
        modelled = model.get(str(value))
        yield [value, len(without.handovers("delay_s")), *lost, number(without.loss["lambda_d"]),
               number(float(modelled)) if modelled else "not on its axis"]


def figure_16(tools):
    """CoMP's figure 16: losses over the rate of requests."""
    axis = f"{EVERY}=200 ms,100 ms,50 ms,40 ms,25 ms,20 ms"
    rows = list(losses(tools, 16, (5, 10, 20, 25, 40, 50), axis))
    return losses_block(tools, axis, "requests/s", rows)


def figure_17(tools):
    """CoMP's figure 17: losses over the delay of a wired hop."""
    axis = "backbone.delay=20..160:20 ms"
    rows = list(losses(tools, 17, range(10, 90, 10), axis))
    return losses_block(tools, axis, "delay of a wired hop, ms", rows)


def losses_block(tools, axis, what, rows):
    """Figures 16 and 17."""
    begin = "wpanlab run topologies/papers/comp-figures.yaml --seeds 1..1"
    said = [f"{begin} --set '{axis}'", f"{begin} --set '{axis}' \\", f"    {NO_HOLD[0]} {NO_HOLD[1]} --set '{NO_HOLD[3]}'"]
    header = [what, "handovers", "lost with hold", "without", "lambda * measured D", "model, lambda * D"]
    return [tools.made_by(), *command(*said), *table(header, rows)]


def loss_hold(tools):
    """Handovers with hold while 5 % of the frames are lost."""
    axis = f"{EVERY}=100 ms,18182 us"
    said = f"wpanlab run topologies/papers/loss-hold.yaml --seeds 1..35 --set '{axis}'"
    found = tools.sweep("loss-hold", f"{PAPERS}/loss-hold.yaml", "1..35", "--set", axis)

    def quantiles(point, key, *shares, factor=1.0):
        return ", ".join(number(factor * quantile(point.handovers(key), share)) for share in shares)

    def total(name):
        return [f"{sum(point.figures(name)):,.0f}" for point in found]

    repeated = [1 - sum(p.figures("air_frames")) / sum(p.figures("air_transmissions")) for p in found]
    rows = [
        ["handovers", *(f"{len(point.handovers('delay_s')):,}" for point in found)],
        ["runs with all 29", *(f"{sum(n == 29 for n in point.figures('handovers'))} of {len(point.runs)}" for point in found)],
        ["requests", *total("sent")],
        ["lost", *total("lost")],
        ["sent again by CoAP", *total("retransmitted")],
        ["repetitions of the MAC, share of transmissions", *(f"{100 * share:.1f} %" for share in repeated)],
        ["handover delay, s: q1, median, q3", *(quantiles(point, "delay_s", 0.25, 0.5, 0.75) for point in found)],
        ["p95, max", *(quantiles(point, "delay_s", 0.95, 1) for point in found)],
        ["lambda * D, mean per handover", *(number(point.loss["lambda_d"]) for point in found)],
        ["energy of the node, mJ: median, p95", *(quantiles(point, "energy_mj", 0.5, 0.95) for point in found)],
    ]
    return [tools.made_by(), *command(said), *table(["", "10 requests/s", "55 requests/s"], rows)]


def follows(point):
    """What `distribution.json` says of lost - lambda * D."""
    loss = point.loss
    difference = f"{loss['difference']:.2f}"
    if loss["interval_95"]:
        low, high = loss["interval_95"]
        difference += f", {low:.2f} to {high:.2f}"
    word = {True: "yes", False: "no", None: "too few runs to say"}[loss["follows"]]
    return [loss["handovers"], f"{loss['lost']:.2f}", f"{loss['lambda_d']:.2f}", difference, word]


FOLLOWS = ["handovers", "lost", "lambda * D", "difference, 95 % interval", "follows"]


def loss_nohold(tools):
    """Handovers without hold while 5 % of the frames are lost."""
    axis = f"{EVERY}=100 ms,40 ms"
    found = tools.sweep("loss-nohold", f"{PAPERS}/loss-nohold.yaml", "1..35", "--set", axis)
    periodic = ("--set", f"{EVERY}=18182 us", "--set", "nodes.client.polls[0].arrivals=periodic")
    found += tools.sweep("loss-nohold-55", f"{PAPERS}/loss-nohold.yaml", "1..35", *periodic)
    kinds = (("10", "random"), ("25", "random"), ("55", "periodic"))
    rows = [[rate, instants, *follows(point)] for (rate, instants), point in zip(kinds, found)]
    begin = "wpanlab run topologies/papers/loss-nohold.yaml --seeds 1..35"
    said = [f"{begin} --set '{axis}'", f"{begin} --set '{periodic[1]}' --set '{periodic[3]}'"]
    return [tools.made_by(), *command(*said), *table(["requests/s", "instants", *FOLLOWS], rows)]


def loss_lambda_d(tools):
    """Handovers without hold where the air loses nothing by itself."""
    topology = f"{PAPERS}/comp-figures.yaml"
    axis = f"{EVERY}=100 ms,40 ms,25 ms"
    found = tools.sweep("loss-lambda-d", topology, "1..8", "--set", axis, *POISSON, *NO_HOLD)
    fast = ("--set", f"{EVERY}=18182 us", "--set", "radio.mac.min_be=2", "--set", "nodes.sensor.resources[0].size=56 B,64 B")
    found += tools.sweep("loss-lambda-d-55", topology, "1..8", *fast, *NO_HOLD)
    kinds = (("10", "random"), ("25", "random"), ("40", "random"),
             ("55, answers of 56 bytes: one frame", "periodic"), ("55, answers of 64 bytes: two frames", "periodic"))
    rows = [[rate, instants, *follows(point)] for (rate, instants), point in zip(kinds, found)]
    begin = "wpanlab run topologies/papers/comp-figures.yaml --seeds 1..8"
    no_hold = f"{NO_HOLD[0]} {NO_HOLD[1]} --set '{NO_HOLD[3]}'"
    said = [f"{begin} --set '{axis}' --set '{POISSON[1]}' \\", f"    {no_hold}",
            f"{begin} --set '{fast[1]}' {fast[2]} {fast[3]} --set '{fast[5]}' \\", f"    {no_hold}"]
    return [tools.made_by(), *command(*said), *table(["requests/s", "instants", *FOLLOWS], rows)]


def binding_modes(tools):
    """Who tells the clients, at 0, 5 and 10 % of the frames lost."""
    noise = "radio.profile.noise_figure=10 dB,15.1 dB,15.4 dB"
    found = []
    for mode in ("direct", "relayed"):
        found += tools.sweep(f"binding-{mode}", f"{PAPERS}/binding-{mode}.yaml", "1..20", "--set", noise)
    delays = [point.handovers("delay_s") for point in found]
    bindings = [[1e3 * value for value in point.handovers("binding")] for point in found]
    tries = [sum(p.figures("air_transmissions")) / sum(p.figures("air_frames")) for p in found]

    def signalling(where, what):
        return [number(mean([value[what] for value in point.handovers(where)])) for point in found]

    rows = [
        ["handovers, each seen by both clients", *(len(delay) // 2 for delay in delays)],
        ["requests lost, of", *(f"{sum(p.figures('lost')):.0f}, {sum(p.figures('sent')):,.0f}" for p in found)],
        ["handover delay, s: median", *(number(quantile(delay, 0.5)) for delay in delays)],
        ["mean", *(number(mean(delay)) for delay in delays)],
        ["binding, ms: median", *(number(quantile(binding, 0.5)) for binding in bindings)],
        ["mean", *(number(mean(binding)) for binding in bindings)],
        ["signalling on the air, messages", *signalling("air", "messages")],
        ["bytes", *signalling("air", "bytes")],
        ["signalling on the backbone, messages", *signalling("wired", "messages")],
        ["transmissions per frame on the air", *(f"{each:.2f}" for each in tries)],
    ]
    begin = "wpanlab run topologies/papers/binding"
    said = [f"{begin}-{mode}.yaml --seeds 1..20 --set '{noise}'" for mode in ("direct", "relayed")]
    header = ["", "direct, 0 %", "5 %", "10 %", "relayed, 0 %", "5 %", "10 %"]
    return [tools.made_by(), *command(*said), *table(header, rows)]


def sleep(tools):
    """What is sent on the air for a sleep that is announced, and for one that is not."""
    names = ("sleep", "sleep-unannounced")
    found = [tools.sweep(name, f"{TOPOLOGIES}/{name}.yaml", "1..10")[0] for name in names]
    kinds = {
        "requests": "sent", "answered": "answered", "sent again by CoAP": "retransmitted",
        "transmissions on the air, CoMP's own included": "air_transmissions",
        "frames, each counted once however often it was tried": "air_frames",
    }
    rows = [[title, *(f"{mean(point.figures(name)):.1f}" for point in found)] for title, name in kinds.items()]
    said = [f"wpanlab run topologies/{name}.yaml --seeds 1..10" for name in names]
    return [tools.made_by(), *command(*said), *table(["means of a run", "announced", "unannounced"], rows)]
