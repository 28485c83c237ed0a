"""Mobility Headers octet by octet, and what comes back.

Nothing of wpanlab is in it: packets are written as RFC 6275 §6 has them, and answers read from the wire.
The first argument is the address of a node that is reached by the interface that is used.
"""

import hmac
import socket
import struct
import sys
import time
from ipaddress import IPv6Address

MOBILITY, DESTINATION_OPTIONS, ROUTING, ESP, UDP = 135, 60, 43, 50, 17
CARE_OF_TEST_INIT, CARE_OF_TEST, UPDATE, ACKNOWLEDGEMENT, ERROR = 2, 4, 5, 6, 7
ICV = 16
A, H, M = 0x8000, 0x4000, 0x0800

with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
    probe.connect((sys.argv[1], 9))
    own = IPv6Address(probe.getsockname()[0])
wire = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW)
seen = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x86DD))
seen.settimeout(0.02)


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


def sealed(payload, spi, key):
    """ESP without encryption (RFC 4303 §2, RFC 2410), with HMAC-SHA-256-128 (RFC 4868)."""
    pad = -(len(payload) + 2) % 4
    packet = struct.pack("!II", spi, 1) + payload + bytes(range(1, pad + 1)) + bytes((pad, MOBILITY))
    return packet + hmac.digest(key, packet, "sha256")[:ICV]


def send(to, upper, payload, home=None, source=None):
    """A packet from `source`, with a Home Address option (§6.3) if it is from one."""
    if home is not None:
        payload = struct.pack("!BBBBBBBB", upper, 2, 1, 2, 0, 0, 201, 16) + home.packed + payload
        upper = DESTINATION_OPTIONS
    packet = struct.pack("!IHBB", 6 << 28, len(payload), upper, 64)
    packet += (source or own).packed + to.packed + payload
    wire.sendto(packet, (str(to), 0))


def answers(source):
    """Mobility Headers that come from `source`: their type and what follows the checksum."""
    until = time.monotonic() + 0.1
    while time.monotonic() < until:
        try:
            packet, (_, _, kind, _, _) = seen.recvfrom(2048)
        except socket.timeout:
            continue
        if kind == socket.PACKET_OUTGOING or packet[8:24] != source.packed:
            continue
        upper, message = packet[6], packet[40:]
        if upper == ROUTING:
            upper, message = message[0], message[8 + 8 * message[1]:]
        if upper == ESP:
            pad, upper = message[-ICV - 2:-ICV]
            message = message[8:-ICV - 2 - pad]
        if upper == MOBILITY:
            yield message[2], message[6:]


def told(what, source):
    """Says what comes back, and gives an acknowledgement."""
    for kind, data in answers(source):
        if kind == ACKNOWLEDGEMENT:
            print(what, data[0], flush=True)
            return data
        if kind == ERROR:
            return print(what, "BE", data[0], flush=True)
    return print(what, "-", flush=True)


def message(sequence, to, home, flags=A | H, lifetime=15, options=b"\x01\x02\x00\x00"):
    """A Binding Update (§6.1.7) from `home`."""
    return header(UPDATE, struct.pack("!HHH", sequence, flags, lifetime) + options, home, to)


def update(what, to, home, sequence, **fields):
    """Sends one with a Home Address option, and says what comes back."""
    send(to, MOBILITY, message(sequence, to, home, **fields), home)
    return told(what, to)


def nonces(home, care_of, authenticator):
    """Nonce Indices, and Binding Authorization Data at 8n + 2 (§6.2.6, §6.2.7)."""
    return struct.pack("!BBHH", 4, 4, home, care_of) + b"\x05\x0c" + authenticator
