"""peer.py AGENT HOME-PREFIX REGIONAL-PREFIX CORRESPONDENT: Mobility Headers that are refused, octet by octet, and what comes back.

Nothing of wpanlab is in it: packets are written as RFC 6275 §6 has them, and answers read from the wire. Prints `WHAT STATUS` per answer, with
`BE` in front of the status of a Binding Error, and `-` where nobody answers.
"""

import socket
import struct
import sys
import time
from ipaddress import IPv6Address

MOBILITY, DESTINATION_OPTIONS, ROUTING, UDP = 135, 60, 43, 17
CARE_OF_TEST_INIT, CARE_OF_TEST, UPDATE, ACKNOWLEDGEMENT, ERROR = 2, 4, 5, 6, 7
A, H, M = 0x8000, 0x4000, 0x0800

agent, prefix, regional, correspondent = (IPv6Address(argument) for argument in sys.argv[1:5])
with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
    probe.connect((str(agent), 9))
    own = IPv6Address(probe.getsockname()[0])
wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
seen.settimeout(0.3)


def checksum(source, to, upper, message):
    """RFC 8200 §8.1."""
    octets = source.packed + to.packed + struct.pack("!II", len(message), upper) + message
    total = sum(struct.unpack(f"!{len(octets) // 2}H", octets))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def header(kind, data, source, to):
    """A Mobility Header (§6.1.1)."""
    message = struct.pack("!BBBBH", 59, (6 + len(data)) // 8 - 1, kind, 0, 0) + data
    return message[:4] + struct.pack("!H", checksum(source, to, MOBILITY, message)) + message[6:]


def send(to, upper, payload, home=None):
    """A packet, with a Home Address option (§6.3) if it is from one."""
    if home is not None:
        payload = struct.pack("!BBBBBBBB", upper, 2, 1, 2, 0, 0, 201, 16) + home.packed + payload
        upper = DESTINATION_OPTIONS
    packet = struct.pack("!IHBB", 6 << 28, len(payload), upper, 64) + own.packed + to.packed + payload
    wire.sendto(packet, (str(to), 0))


def answers(source):
    """Mobility Headers that come from `source`: their type and what follows the checksum."""
    until = time.monotonic() + 0.3
    while time.monotonic() < until:
        try:
            packet, (_, _, kind, _, _) = seen.recvfrom(2048)
        except socket.timeout:
            return
        if kind == socket.PACKET_OUTGOING or packet[8:24] != source.packed:
            continue
        upper, message = packet[6], packet[40:]
        if upper == ROUTING:
            upper, message = message[0], message[8 + 8 * message[1]:]
        if upper == MOBILITY:
            yield message[2], message[6:]


def told(what, source):
    """Says what comes back."""
    for kind, data in answers(source):
        if kind == ACKNOWLEDGEMENT:
            return print(what, data[0], flush=True)
        if kind == ERROR:
            return print(what, "BE", data[0], flush=True)
    return print(what, "-", flush=True)


def update(what, to, home, sequence, flags=A | H, lifetime=15, options=b"\x01\x02\x00\x00"):
    """A Binding Update (§6.1.7) from `home`."""
    data = struct.pack("!HHH", sequence, flags, lifetime) + options
    send(to, MOBILITY, header(UPDATE, data, home, to), home)
    told(what, to)


def nonces(home, care_of, authenticator):
    """Nonce Indices, and Binding Authorization Data at 8n + 2 (§6.2.6, §6.2.7)."""
    return struct.pack("!BBHH", 4, 4, home, care_of) + b"\x05\x0c" + authenticator


# An agent has the first address of its prefix itself; a mobility anchor point is known by it.
taken, one, two = prefix + 1, prefix + 2, prefix + 3
anchor = regional + 1
alternate = b"\x01\x00\x03\x10"
update("taken", agent, taken, 7)
update("accepted", agent, one, 7)
update("other-address", agent, two, 7)
update("old-sequence", agent, one, 7)
update("other-type", agent, one, 8, flags=A)
update("multicast-care-of", agent, one, 9, options=alternate + IPv6Address("ff0e::1").packed)
update("not-home-subnet", agent, IPv6Address("2001:db8:ffff::1"), 7)
update("unknown-deregistered", agent, two, 7, lifetime=0)
update("at-an-anchor-point", anchor, one, 7)
update("of-another-domain", anchor, regional + 2, 7, flags=A | M)
send(correspondent, MOBILITY, header(CARE_OF_TEST_INIT, bytes(2) + b"cookie!!", own, correspondent))
index = next(struct.unpack("!H", data[:2])[0] for kind, data in answers(correspondent) if kind == CARE_OF_TEST)
wrong = bytes(12)
for what, indices in (("home-nonce", (60000, index)), ("care-of-nonce", (index, 60000)), ("both-nonces", (60000, 60001)), ("forged", (index, index))):
    update(what, correspondent, one, 1, flags=A, options=nonces(*indices, wrong))
datagram = struct.pack("!HHHH", 9, 5683, 8, 0)
datagram = datagram[:6] + struct.pack("!H", checksum(one, correspondent, UDP, datagram))
send(correspondent, UDP, datagram, one)
told("data-without-binding", correspondent)
send(correspondent, MOBILITY, header(99, bytes(2), own, correspondent))
told("unknown-message", correspondent)
update("still-bound-deregistered", agent, one, 10, lifetime=0)
