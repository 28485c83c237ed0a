"""The protocols of mobility side by side: docs/mobility.md."""

from .tools import command, mean, number, table

TOPOLOGIES = "topologies"
MOBILITY = "nodes.sensor.mobility"
PROTOCOLS = ("comp", "mipv6", "mipv6-ro", "hmipv6", "pmipv6")
# Where the node does not register, its router does before it advertises itself.
NODE_REGISTERS, ROUTER_REGISTERS = "binding", "movement_detection"
DELAYS_MS = (5, 10, 20, 40)


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
        has = name in PROTOCOLS
        phase = ROUTER_REGISTERS if name == "pmipv6" else NODE_REGISTERS
        binding = [1e3 * mean(point.handovers(phase)) for point in points] if has else []
        rows.append([
            f"`{name}`",
            ", ".join(number(time) for time in binding) if has else "",
            f"{fit(binding)[0]:.2f}" if has else "",
            ", ".join(number(1e3 * delay, 4) for delay in last.handovers("delay_s")),
            f"{last.figures('lost')[0]:,.0f}",
            number(1e3 * last.figures("rtt_median_s")[0], 4),
            number(mean([air["bytes"] for air in last.handovers("air")])),
        ])
    said = f"wpanlab run {topology} --seeds 1..1 --set {axes[0]} --set '{axes[1]}'"
    header = ["`mobility`", "registration, ms, at 5, 10, 20, 40 ms", "ways", "pauses at 40 ms, ms", "lost of 10,000 there",
              "round trip there, ms", "octets over the air, mean of both"]
    return [tools.made_by(), *command(said), *table(header, rows)]
