"""Made-up runs, which `selftest` compares: a client polls a sensor over the router of the sensor's leased address."""

import copy
import json
import struct
from ipaddress import ip_address

START_NS = 1_577_836_801_000_000_000
PLAN = """\
version: 1
radio:
  medium: {medium}
nodes:
  client:
    backbone:
      mac: 02:00:00:00:00:01
      address: 2001:db8::1/64
      routes:
      - to: 2001:db8:1::/64
        via: 2001:db8::3
    role: client
    p_addr: 2001:db8::1
    polls:
    - node: sensor
      p_addr: 2001:db8:1:0:ff:fe00:0:5
  er1:
    backbone:
      mac: 02:00:00:00:00:03
      address: 2001:db8::3/64
    radio:
      eui64: 02:00:00:00:00:00:00:13
    role: edge-router
    prefix: 2001:db8:1::/64
    address: 2001:db8:1::1
  sensor:
    radio:
      eui64: {sensor}
    role: mobile-node
    wmms: 2001:db8::9
"""
MACS = {"client": bytes.fromhex("020000000001"), "er1": bytes.fromhex("020000000003")}
LEASED, ROUTER, CLIENT = "2001:db8:1::1950", "fe80::13", "2001:db8::1"
CON, NON, ACK = 0, 1, 2
GET, PUT, CONTENT = 1, 3, 0x45


class MadeUp:
    """One run, to be changed and then written."""

    def __init__(self, seed, phy=False):
        self.seed = seed
        self.sensor = "02:00:00:00:00:00:00:05"
        self.plan = PLAN
        self.medium = "phy" if phy else "edges"
        self.packets = []  # time in s, interface, IPv6 packet, link-layer source and destination
        self.events = [{"node": "scenario", "event": "scenario_started", "at": 0.0},
                       {"node": "sensor", "event": "leased", "address": LEASED, "at": 0.1},
                       {"node": "sensor", "event": "phase_started", "phase": "link", "at": 1.0},
                       {"node": "sensor", "event": "phase_ended", "phase": "link", "at": 1.1},
                       {"node": "client", "event": "drained", "requested": 40, "at": 5.0}]
        self.result = {"schema": 1, "passed": True, "handovers": [
            {"node": "sensor", "client": "client", "delay_s": 0.1 + seed / 100_000, "energy_mj": {"link": 1.0}}],
            "requests": {"sent": 40, "rtt_s": {"median": 0.004}},
            "expectations": [{"metric": "lost", "expected": "0", "measured": 0.0, "outcome": "passed"}]}
        self.code = 0
        self.interfaces = {"client.eth0", "sensor.lowpan0"}
        local = "fe80::5"
        self.radio(0.01, local, "ff02::2", icmpv6(133, bytes(4) + b"\1\2" + bytes(14)))
        self.radio(0.02, ROUTER, "ff02::1", icmpv6(134, bytes(12) + b"\3\4" + bytes(30)))
        self.radio(0.03, local, "ff02::1:2", udp(546, 547, solicit(self)))
        self.radio(0.04, ROUTER, local, udp(547, 546, reply(self)))
        for at in range(10):
            self.radio(0.05 + at / 10, local, "ff02::16", icmpv6(143, bytes(4)))
            self.radio(0.06 + at / 10, ROUTER, LEASED, icmpv6(135, bytes(4) + ip_address(LEASED).packed))
        for at in range(40):
            self.poll(0.1 + at / 10, 1000 * seed + at)

    def radio(self, time_s, source, destination, payload):
        self.packets.append((time_s, "sensor.lowpan0", ipv6(source, destination, payload), None))

    def wire(self, time_s, source, destination, payload, hop=("client", "er1")):
        self.packets.append((time_s, "client.eth0", ipv6(source, destination, payload), hop))

    def poll(self, time_s, message_id, path="t", repeated=False):
        """A request and its answer, where client and sensor see them."""
        token = (0x37000000 + message_id).to_bytes(4, "big")
        request = udp(5683, 5683, coap(CON, GET, message_id, token, [(11, path.encode())]))
        answer = udp(5683, 5683, coap(ACK, CONTENT, message_id, token, [(12, b"")], b"21.5"))
        for at, (source, destination, payload) in enumerate([(CLIENT, LEASED, request), (LEASED, CLIENT, answer)]):
            if not repeated:
                self.radio(time_s + 0.002 + at / 10_000, source, destination, payload)
            self.wire(time_s + at * 0.004, source, destination, payload, ("client", "er1") if at == 0 else ("er1", "client"))
            if repeated:
                break

    def shift(self, by_s):
        """Everything later, which changes nothing."""
        self.packets = [(time_s + by_s, *rest) for time_s, *rest in self.packets]
        for event in self.events:
            event["at"] += by_s

    def write(self, directory):
        """The run directory."""
        (directory / "captures").mkdir(parents=True)
        (directory / "plan.yaml").write_text(self.plan.format(medium=self.medium, sensor=self.sensor))
        (directory / "result.json").write_text(json.dumps(self.result))
        events = copy.deepcopy(self.events)
        for event in events:
            event["time_ns"] = START_NS + round(event.pop("at") * 1e9)
        (directory / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
        for interface in self.interfaces:
            packets = sorted((packet for packet in self.packets if packet[1] == interface), key=lambda packet: packet[0])
            ethernet = interface.endswith("eth0")
            blocks = b"".join(frame_block(time_s, ethernet_frame(data, hop) if ethernet else data)
                              for time_s, _, data, hop in packets)
            (directory / "captures" / f"{interface}.pcapng").write_bytes(header(1 if ethernet else 101) + blocks)


def write(root, change=None, phy=False, name="walk", seeds=(1, 2, 3)):
    """A directory as `compare run` leaves it, of runs after `change(run)`."""
    code = 0
    for seed in seeds:
        run = MadeUp(seed, phy)
        if change:
            change(run)
        run.write(root / name / "point-1" / f"seed-{seed}")
        code = max(code, run.code)
    (root / name / "sweep.json").write_text("{}")
    with (root / "times").open("a") as times:
        times.write(f"{name} rc={code} 1.0\n")


def ipv6(source, destination, payload):
    header, body = payload
    addresses = ip_address(source).packed + ip_address(destination).packed
    return struct.pack("!IHBB", 6 << 28, len(body), header, 64) + addresses + body


def icmpv6(kind, rest):
    return 58, bytes([kind, 0, 0, 0]) + rest


def udp(source, destination, payload):
    return 17, struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload


def coap(kind, code, message_id, token=b"", options=(), payload=b""):
    """A CoAP message; options in order of their numbers."""
    message, last = struct.pack("!BBH", 0x40 | kind << 4 | len(token), code, message_id) + token, 0
    for number, value in options:
        delta, extension = (number - last, b"") if number - last < 13 else \
            (13, bytes([number - last - 13])) if number - last < 269 else (14, struct.pack("!H", number - last - 269))
        message += bytes([delta << 4 | len(value)]) + extension + value
        last = number
    return message + (b"\xff" + payload if payload else b"")


def option(code, value):
    return struct.pack("!HH", code, len(value)) + value


def solicit(run):
    return b"\1\0\0" + bytes([run.seed]) + option(1, duid(run)) + option(3, bytes(12))


def reply(run):
    address = option(5, ip_address(LEASED).packed + bytes(8))
    return b"\7\0\0" + bytes([run.seed]) + option(1, duid(run)) + option(3, bytes(12) + address)


def duid(run):
    return b"\0\3\0\x1b" + bytes.fromhex(run.sensor.replace(":", ""))


def ethernet_frame(packet, hop):
    return MACS[hop[1]] + MACS[hop[0]] + b"\x86\xdd" + packet


def header(link_type, order="<"):
    """Section header and interface of a pcapng file with time stamps in nanoseconds."""
    section = struct.pack(order + "IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    interface = struct.pack(order + "IIHHIHHBBBBI", 1, 28, link_type, 0, 0, 9, 1, 9, 0, 0, 0, 28)
    return section + interface


def frame_block(time_s, data, order="<"):
    """An enhanced packet block."""
    time_ns = START_NS + round(time_s * 1e9)
    padded = data + bytes(-len(data) % 4)
    length = 32 + len(padded)
    return struct.pack(order + "IIIIIII", 6, length, 0, time_ns >> 32, time_ns & 0xFFFFFFFF, len(data), len(data)) \
        + padded + struct.pack(order + "I", length)
