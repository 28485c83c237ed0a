"""LwM2M: the third paper's tables IV and V, a device that moves, and one behind a NAT, docs/lwm2m.md."""

import json
from collections import Counter

from . import captures
from .tools import command, number, quantile, table

PAPERS = "topologies/papers"
# What a frame of the paper's network has beside what UDP carries: Ethernet 14, IPv4 20, UDP 8.
HEADERS = 42
# Messages of a registration, which the paper does not count.
REGISTRATION = ("register", "update", "deregister")

# The paper's runs, and its figures of each: payload sent and received, packets.
RUNS = {
    "V, separate requests": ("lwm2m-table5-separate", (14_976, 32_544, 1_152)),
    "V, Batch": ("lwm2m-table5-batch", (2_700, 19_411, 194)),
    "V, Reverse Batch": ("lwm2m-table5-reverse", (131, 19_411, 98)),
    "IV, three requests": ("lwm2m-table4-separate", (1_220, 379, 62)),
    "IV, Batch": ("lwm2m-table4-batch", (899, 158, 24)),
}


def counted(result, node, way, key):
    """A sum over the messages that the paper counts."""
    entry = next(a for a in result["applications"] if a["node"] == node)
    messages = (ways[way] for name, ways in entry["by_message"].items() if name not in REGISTRATION)
    return sum(message[key] for message in messages)


def radio(result, way):
    """Frames and octets of the device's radio for the same messages; none if the run could not tell."""
    entry = next(a for a in result["applications"] if a["node"] == "device")
    messages = [ways[way] for name, ways in entry["by_message"].items() if name not in REGISTRATION]
    if any("radio" not in message for message in messages if message["packets"]):
        return None
    frames = [message["radio"] for message in messages if message["packets"]]
    return sum(f["frames"] for f in frames), sum(f["octets"] for f in frames)


def tables(tools):
    """The third paper's tables IV and V: its figures, those of the run, and what the air carried."""
    rows = []
    for name, (topology, paper) in RUNS.items():
        _, result = tools.run(topology, f"{PAPERS}/{topology}.yaml")
        payload = [counted(result, "server", way, "payload_bytes") for way in ("sent", "received")]
        packets = [counted(result, "server", way, "packets") for way in ("sent", "received")]
        octets = [counted(result, "server", way, "ip_bytes") for way in ("sent", "received")]
        sent, received = (p + HEADERS * n for p, n in zip(payload, packets))
        of_air = [radio(result, way) for way in ("received", "sent")]
        air = ["not known" if way is None else f"{way[0]:,} / {way[1]:,}" for way in of_air]
        agrees = tuple(paper) == (*payload, sum(packets))
        rows.append([
            name,
            f"{paper[0]:,} / {paper[1]:,}, {paper[2]:,}",
            f"{payload[0]:,} / {payload[1]:,}, {sum(packets):,}" + ("" if agrees else " (differs)"),
            f"{sent:,} / {received:,} / {sent + received:,}",
            f"{octets[0]:,} / {octets[1]:,}",
            *air,
        ])
    header = ["table, column", "paper: payload sent / received, bytes, and packets", "run: the same", "with 42 for each packet: sent / received / exchanged",
              "IPv6 octets sent / received", "frames / octets on the air to the device", "from the device"]
    said = [f"wpanlab run {PAPERS}/{topology}.yaml" for topology, _ in RUNS.values()]
    return [tools.made_by(), *command(*said), *table(header, rows)]


# EU868: data rate, spreading factor, and the application payload that it takes, repeater-compatible (LoRaWAN Regional Parameters).
DATA_RATES = ((5, 7, 222), (4, 8, 222), (3, 9, 115), (2, 10, 51), (1, 11, 51), (0, 12, 51))
BANDWIDTH_HZ = 125_000
# MHDR 1, DevAddr 4, FCtrl 1, FCnt 2, FPort 1, MIC 4 (LoRaWAN 1.0.4 §4).
LORAWAN_OCTETS = 13
# Of an ACK-sized block: CoAP header 4, token 8, Content-Format 3, payload marker 1, and the Block2 option 2.
AROUND_A_BLOCK = 18


def airtime_s(coap_bytes, sf):
    """Time on the air of a LoRaWAN frame with a CoAP message in it, nothing else between (Semtech AN1200.13): explicit header, CRC,
    coding rate 4/5, a preamble of 8."""
    low_rate = sf >= 11
    bits = 8 * (coap_bytes + LORAWAN_OCTETS) - 4 * sf + 28 + 16
    per_symbol = 4 * (sf - 2 * low_rate)
    symbols = 8 + max(0, -(-bits // per_symbol)) * 5
    return (8 + 4.25 + symbols) * 2 ** sf / BANDWIDTH_HZ


def blocks(body, most):
    """The CoAP messages that a body goes in: whole if it fits, else in the largest blocks that do (RFC 7959)."""
    if body + AROUND_A_BLOCK - 2 <= most:
        return [body + AROUND_A_BLOCK - 2]
    size = max(s for s in (16, 32, 64, 128, 256, 512, 1024) if s + AROUND_A_BLOCK <= most)
    whole, rest = divmod(body, size)
    return [size + AROUND_A_BLOCK] * whole + ([rest + AROUND_A_BLOCK] if rest else [])


def lora(tools):
    """The six resources of table V over LoRaWAN, computed from the messages of the runs: airtime per data rate."""
    found = {}
    for name in ("lwm2m-table5-separate", "lwm2m-table5-batch"):
        _, result = tools.run(f"{name}-lora", f"{PAPERS}/{name}.yaml", *(["--set", "nodes.server.services[0].lwm2m-server.read_format=tlv"]))
        reads = "read" if name.endswith("separate") else "batch read"
        entry = next(a for a in result["applications"] if a["node"] == "server")["by_message"][reads]
        rounds = 96
        found[name] = [entry[way]["payload_bytes"] / rounds for way in ("sent", "received")]
    (ask_six, six), (ask_one, one) = found["lwm2m-table5-separate"], found["lwm2m-table5-batch"]
    rows = []
    for rate, sf, most in DATA_RATES:
        batch = blocks(round(one) - AROUND_A_BLOCK + 2, most)
        separate = 6 * airtime_s(round(six / 6), sf)
        up = sum(airtime_s(b, sf) for b in batch)
        # 1 % of the time, so that 99 times its airtime passes after each message but the last (ETSI EN 300 220-2).
        wait = sum(99 * airtime_s(b, sf) for b in batch[:-1])
        rows.append([f"{rate} (SF{sf})", f"{1e3 * airtime_s(27, sf):,.3f}", f"{1e3 * separate:,.1f}", str(len(batch)), f"{1e3 * up:,.1f}",
                     f"{wait:,.1f}"])
    header = ["data rate", "a request of 27 B, ms", "six TLV answers, ms", "answers of the TLV batch", "the same, ms", "waiting at 1 % between them, s"]
    said = [f"wpanlab run {PAPERS}/{name}.yaml --set nodes.server.services[0].lwm2m-server.read_format=tlv" for name in found]
    return [tools.made_by(), *command(*said),
            f"A round of six reads: {ask_six:.0f} B asked, {six:.0f} B answered; as a batch {ask_one:.0f} B and {one:.0f} B.", "", *table(header, rows)]


MOBILITIES = ("comp", "mipv6", "mipv6-ro", "hmipv6", "pmipv6", "none")
HANDOVERS_OF_A_RUN = 2


def lost(seen):
    """Notifications that were lost in all runs, and of how many runs that is not known."""
    known = [n["lost"] for n in seen if n.get("lost") is not None]
    unknown = len(seen) - len(known)
    return f"{sum(known)}" + (f", not known of {unknown} runs" if unknown else "")


def moves(run):
    """Handovers of a run, each once, whatever was asked meanwhile."""
    seen = Counter(handover["resource"] for handover in run["handovers"])
    return max(seen.values(), default=0)


def mobility(tools):
    """An LwM2M client that hands over, by each protocol: registrations, notifications, silence."""
    topology = "topologies/lwm2m.yaml"
    runs = -(-(tools.handovers or 100) // HANDOVERS_OF_A_RUN)
    axis = f"nodes.device.mobility={','.join(MOBILITIES)}"
    rows = []
    for point in tools.sweep("lwm2m-mobility", topology, f"1..{runs}", "--set", axis):
        results = [json.loads(run["result"].read_text()) for run in point.runs]
        servers = [next(a for a in result["applications"] if a["node"] == "server") for result in results]
        seen = [server.get("notifications", {}) for server in servers]
        silences = [n["longest_silence_s"] for n in seen if n.get("longest_silence_s") is not None]
        happened = [server.get("happened", {}) for server in servers]
        reads = sum(s["by_message"].get("read", {}).get("sent", {}).get("packets", 0) for s in servers)
        repeated = sum(s["by_message"].get("read", {}).get("sent", {}).get("repeated", 0) for s in servers)
        rows.append([
            f"`{point.values['nodes.device.mobility']}`",
            str(sum(moves(run) for run in point.runs)),
            str(sum(h.get("registered_again", 0) for h in happened)),
            str(sum(h.get("updates_not_found", 0) for h in happened)),
            f"{sum(n.get('received', 0) for n in seen):,}",
            lost(seen),
            f"{number(1e3 * quantile(silences, 0.5))}, {number(1e3 * max(silences))}" if silences else "",
            f"{reads - repeated:,}, {repeated:,}",
        ])
    header = ["`mobility`", "handovers", "registered again", "updates that met 4.04", "notifications", "missing between two that came", "longest silence of a run, ms: median, longest",
              "reads, and sent again"]
    said = f"wpanlab run {topology} --seeds 1..{runs} --set {axis}"
    return [tools.made_by(), *command(said), *table(header, rows)]


# The NAT of topologies/lwm2m-rtr.yaml forgets a mapping after so many seconds.
NAT_TIMEOUT_S = 40
PERIODS_S = (10, 20, 40, 60, 80, 120, 160)
# Every so many seconds a write, so many times: each phase of a period of 60 s once.
WRITES = 60
WRITTEN_EVERY_S = 97
SERVER = "nodes.server.services[0].lwm2m-server"
PERIOD = f"{SERVER}.upon_registration[0].create.values./5918"
QUEUE = "nodes.device.services[0].lwm2m-client.queue"


def delays(polled):
    """Median and 95th percentile in seconds."""
    times = polled["delay_s"]
    return f"{times['median']:.2f}, {times['p95']:.2f}" if times else ""


def ready_to_receive(tools):
    """What reaches an LwM2M device behind a NAT, by how often it says that it is ready to receive."""
    topology = "topologies/lwm2m-rtr.yaml"
    lasts = WRITES * WRITTEN_EVERY_S + 200
    axes = [f"{PERIOD}={','.join(map(str, PERIODS_S))}", f"{QUEUE}=false,true",
            f"{SERVER}.polls[0].times={WRITES}", f"scenario.duration={lasts} s"]
    options = [word for axis in axes for word in ("--set", axis)]
    found = {}
    for point in tools.sweep("lwm2m-rtr", topology, "1..1", *options):
        result = json.loads(point.runs[0]["result"].read_text())
        server = next(a for a in result["applications"] if a["node"] == "server")
        reports = server["by_message"]["notify report"]["received"]["packets"]
        sent = server["by_message"]["write"]["sent"]["packets"]
        found[int(point.values[PERIOD]), point.values[QUEUE]] = server["polled"], reports, sent
    rows = []
    for period in PERIODS_S:
        (without, reports, _), (queued, _, sent) = (found[period, queue] for queue in ("false", "true"))
        share = [f"{polled['reached']} of {polled['due']}" for polled in (without, queued)]
        expected = min(1, NAT_TIMEOUT_S / period)
        rows.append([f"{period / NAT_TIMEOUT_S:.2f}", str(period), f"{reports:,}", share[0], f"{100 * without['reached'] / without['due']:.1f}", f"{100 * expected:.1f}",
                     delays(without), share[1], delays(queued), str(sent)])
    header = ["P / timeout", "P, s", "Ready-to-Receive", "writes that arrived, no queue", "%", "timeout / P, %", "delay s: median, p95",
              "with Queue Mode", "delay s: median, p95", "messages for that"]
    said = [f"wpanlab run {topology} --seeds 1..1 \\", *(f"    --set {axis!r} \\" if " " in axis else f"    --set {axis} \\" for axis in axes)]
    said[-1] = said[-1].removesuffix(" \\")
    return [tools.made_by(), *command(*said), *table(header, rows)]


LOSSES_PERCENT = (0, 5, 10, 15, 20)
LOSS_SEEDS = 3
# Table V's six resources, this often and so many times: CoAP has given a request up after 93 s.
ROUNDS = 96
ROUND_EVERY_S = 100
WAYS = {"six reads": ("lwm2m-table5-separate", "read", 6), "Batch": ("lwm2m-table5-batch", "batch read", 1)}
# CoAP's GET.
GET = 1


# A CC2420 at 0 dBm and 3.3 V: 17.4 mA sending, 18.8 mA receiving.
SENDING_MW, RECEIVING_MW = 17.4 * 3.3, 18.8 * 3.3


def radio_mj(result):
    """What the device's radio used for sending and receiving frames, in mJ, without listening."""
    use = next(radio for radio in result["radios"] if radio["node"] == "device")
    return use["tx_s"] * SENDING_MW + use["rx_s"] * RECEIVING_MW


def rounds(capture, size):
    """The rounds of a run: of each how many reads were answered, and the seconds from the first to the last answer of a whole one."""
    reads = captures.asked(capture, GET)
    groups = [reads[i:i + size] for i in range(0, len(reads), size)]
    answered = [[answer for _, answer in group if answer is not None] for group in groups]
    delays = [max(answers) - group[0][0] for group, answers in zip(groups, answered) if len(answers) == size]
    return sum(map(len, answered)), delays


def lossy(way, loss, tools):
    """A row: what a way of reading six resources gives and costs at a loss."""
    topology, message, size = WAYS[way]
    lasts = ROUNDS * ROUND_EVERY_S + 100
    options = loss_options(loss, lasts)
    read, delays, packets, payload, frames, octets, energy = 0, [], 0, 0, 0, 0, 0.0
    for seed in range(1, LOSS_SEEDS + 1):
        name = f"lwm2m-loss-{topology}-{loss}-{seed}"
        _, result = tools.run(name, f"{PAPERS}/{topology}.yaml", "--seed", str(seed), *options)
        answered, whole = rounds(tools.directory / name / "captures/server.eth0.pcapng", size)
        read, delays = read + answered, delays + whole
        entry = next(a for a in result["applications"] if a["node"] == "server")["by_message"][message]
        both = ("sent", "received")
        packets += sum(entry[one]["packets"] for one in both)
        payload += sum(entry[one]["payload_bytes"] for one in both)
        air = [radio(result, one) for one in both]
        frames, octets = frames + sum(n for n, _ in air), octets + sum(n for _, n in air)
        energy += radio_mj(result)
    due = LOSS_SEEDS * ROUNDS
    times = f"{1e3 * quantile(delays, 0.5):,.0f}, {1e3 * quantile(delays, 0.95):,.0f}, {1e3 * max(delays):,.0f}" if delays else ""
    return [f"{loss}", way, f"{100 * read / (due * size):.1f}", f"{100 * len(delays) / due:.1f}", f"{packets / due:.2f}", f"{payload / due:,.0f}",
            f"{frames / due:.2f} / {octets / due:,.0f}", times, f"{energy / due:.2f}"]


def loss_options(loss, lasts):
    """The options of a run: the radio's frames take their time and energy, and each packet of the backbone is lost by chance."""
    axes = (f"backbone.loss={loss} %", "radio.medium=phy", f"{SERVER}.polls[0].every={ROUND_EVERY_S} s", f"scenario.duration={lasts} s")
    return [word for axis in axes for word in ("--set", axis)]


def loss(tools):
    """Six resources one by one and as a batch, over a loss of 0 to 20 %: what arrives, how late, and what it costs."""
    rows = [lossy(way, percent, tools) for percent in LOSSES_PERCENT for way in WAYS]
    header = ["loss, %", "way", "values that arrived, %", "whole rounds, %", "packets a round", "payload a round, B", "frames / octets a round",
              "delay of a whole round, ms: median, p95, longest", "radio of the device a round, mJ"]
    options = loss_options("LOSS", ROUNDS * ROUND_EVERY_S + 100)
    said = " ".join(f"--set {axis!r}" if " " in axis else f"--set {axis}" for axis in options[1::2])
    lines = [f"wpanlab run {PAPERS}/{topology}.yaml --seed SEED \\" for topology, _, _ in WAYS.values()]
    return [tools.made_by(), *command(*(line for first in lines for line in (first, f"    {said}"))), *table(header, rows)]
