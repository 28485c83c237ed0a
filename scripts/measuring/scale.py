"""How large one run may be: docs/measured/speed.md."""

import threading

from .tools import command, number, spent, table

# A router on each channel, and the squares that their nodes stand in.
ROUTERS, SPACE_M, SIDE_M = 16, 100, 30
SIZES = (125, 250, 500, 1000)


def network(count):
    """A topology of `count` sensors at sixteen edge routers, each asked every ten seconds for twenty."""
    nodes, polls = [], []
    for at in range(ROUTERS):
        x, y = at % 4 * SPACE_M, at // 4 * SPACE_M
        group, how_many = f"group-{chr(ord('a') + at)}", count // ROUTERS + (at < count % ROUTERS)
        nodes += [
            f"  er{at + 1}: {{ role: edge-router, channel: {11 + at}, position: [{x + SIDE_M // 2} m, {y + SIDE_M // 2} m] }}",
            f"  {group}:",
            "    role: sensor",
            f"    count: {how_many}",
            f"    attached_to: er{at + 1}",
            f"    position: {{ area: [[{x} m, {y} m], [{x + SIDE_M} m, {y + SIDE_M} m]] }}",
            "    resources: [{ path: /temperature, size: 16 B }]",
        ]
        polls.append(f"      - {{ node: {group}, path: /temperature, every: 10 s, confirmable: true }}")
    return "\n".join([
        "version: 1",
        f"name: scale-{count}",
        "backbone: { delay: 2 ms, rate: 100 Mbit/s }",
        "radio:",
        "  medium: phy",
        "  profile: cc2420",
        "  path_loss: { model: log-distance, exponent: 3.0, reference_loss: 40.2 dB }",
        # Frames of sixteen channels are handed over one by one.
        "  lateness_limit: 20 ms",
        "nodes:",
        "  dhcp: { role: dhcpv6-server, rapid_commit: true }",
        "  wmms: { role: wmms }",
        *nodes,
        "  client:",
        "    role: client",
        "    coap: { response_timeout: 60 s }",
        "    polls:",
        *polls,
        "scenario: { duration: 20 s }",
        "",
    ])


class Memory:
    """The shared memory of the machine, of which a guest of User-Mode Linux is made: its most above what it was before."""

    def __enter__(self):
        self.ended = threading.Event()
        self.before = self.most = self.now()
        self.watcher = threading.Thread(target=self.watch)
        self.watcher.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.watcher.join()

    @staticmethod
    def now():
        """MiB of it."""
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("Shmem:")) / 1024

    def watch(self):
        """Looks twice a second."""
        while not self.ended.wait(0.5):
            self.most = max(self.most, self.now())


def scale(tools):
    """Wall time, processor time and memory of one run, by its nodes, in User-Mode Linux."""
    tools.backend = "uml"
    tools.program  # built before it is timed
    rows = []
    for count in SIZES:
        path = tools.directory / f"{count}.yaml"
        path.write_text(network(count))
        with Memory() as memory:
            (_, result), wall, used = spent(lambda: tools.run(str(count), path))
        asked = result["requests"]
        rows.append([
            f"{count:,}", number(wall), number(used), number(1e3 * used / count),
            f"{memory.most - memory.before:,.0f}", number((memory.most - memory.before) / count),
            f"{asked['answered']:,} of {asked['sent']:,}",
        ])
    header = ["sensors beside 16 routers", "wall, s", "processor, s", "ms a node", "memory, MiB", "MiB a node", "answered"]
    said = "wpanlab run NETWORK --backend uml       # `network` in scripts/measuring/scale.py"
    return [tools.made_by(), *command(said), *table(header, rows)]
