"""The protocols of mobility side by side: docs/mobility.md."""

from .tools import command, mean, number, quantile, table

TOPOLOGIES = "topologies"
MOBILITY = "nodes.sensor.mobility"
PROTOCOLS = ("comp", "mipv6", "mipv6-ro", "hmipv6")
DELAYS_MS = (5, 10, 20, 40)


def slope(times_ms):
    """How many ways over the backbone a time has, fitted over the delays."""
    middle = sum(DELAYS_MS) / len(DELAYS_MS)
    spread = sum((delay - middle) ** 2 for delay in DELAYS_MS)
    return sum((delay - middle) * (time - mean(times_ms)) for delay, time in zip(DELAYS_MS, times_ms)) / spread


def mobility(tools):
    """One node by each protocol, over delays of the backbone."""
    topology = f"{TOPOLOGIES}/mobility.yaml"
    axes = (f"{MOBILITY}={','.join(PROTOCOLS)},none", f"backbone.delay={','.join(f'{d} ms' for d in DELAYS_MS)}")
    found = tools.sweep("mobility", topology, "1..1", "--set", axes[0], "--set", axes[1])
    rows = []
    for at in range(0, len(found), len(DELAYS_MS)):
        points = found[at:at + len(DELAYS_MS)]
        binding = [1e3 * mean(point.handovers("binding")) for point in points]
        last = points[-1]
        name = last.values[MOBILITY]
        has = any(binding)
        rows.append([
            f"`{name}`",
            ", ".join(number(time) for time in binding) if has else "",
            f"{slope(binding):.2f}" if has else "",
            ", ".join(number(1e3 * delay, 4) for delay in last.handovers("delay_s")),
            f"{last.figures('lost')[0]:,.0f}",
            number(1e3 * last.figures("rtt_median_s")[0], 4),
            number(mean([air["bytes"] for air in last.handovers("air")])),
        ])
    said = f"wpanlab run {topology} --seeds 1..1 --set {axes[0]} --set '{axes[1]}'"
    header = ["`mobility`", "phase `binding`, ms, at 5, 10, 20, 40 ms", "ways", "pauses at 40 ms, ms", "lost of 10,000 there",
              "round trip there, ms", "octets over the air, mean of both"]
    return [tools.made_by(), *command(said), *table(header, rows)]


def fast(tools):
    """A hundred handovers as fast as they go, and ten of each protocol by requests that are not repeated."""
    topology = f"{TOPOLOGIES}/fast.yaml"
    # What is repeated after 2 s hides how soon a protocol is there.
    once = ("nodes.client.polls[0].confirmable=false", "nodes.client.coap.nstart=16", "nodes.client.coap.response_timeout=1 s")
    each = (f"{MOBILITY}={','.join(PROTOCOLS)}", *once)
    found = tools.sweep("fast", topology, "1..100")
    found += tools.sweep("fast-each", topology, "1..10", *(word for value in each for word in ("--set", value)))
    rows = []
    for name, point in zip(("`comp`, confirmable", *(f"`{name}`" for name in PROTOCOLS)), found):
        delays = [1e3 * delay for delay in point.handovers("delay_s")]
        rows.append([
            name, len(delays), *(number(quantile(delays, share)) for share in (0.5, 0.95, 1)),
            f"{sum(point.figures('lost')):,.0f} of {sum(point.figures('sent')):,.0f}",
            number(sum(point.figures("never_sent"))),
            *(number(1e3 * quantile(point.handovers(phase), 0.5), 2) for phase in ("link", "movement_detection", "address", "binding")),
        ])
    said = (f"wpanlab run {topology} --seeds 1..100",
            f"wpanlab run {topology} --seeds 1..10 " + " ".join(f"--set '{value}'" for value in each))
    header = ["`mobility`", "handovers", "delay, ms: median", "p95", "longest", "lost", "never sent",
              "medians, ms: `link`", "`movement_detection`", "`address`", "`binding`"]
    return [tools.made_by(), *command(*said), *table(header, rows)]
