"""Messages out of a capture: pcapng (draft-ietf-opsawg-pcapng), Ethernet or raw IPv6, ICMPv6, CoAP, DHCPv6."""

import struct
from typing import NamedTuple

ETHERNET, RAW_IP, RAW_IPV6 = 1, 101, 229
COAP_PORT = 5683
COAP_TYPES = ("CON", "NON", "ACK", "RST")
COAP_METHODS = {1: "GET", 2: "POST", 3: "PUT", 4: "DELETE", 5: "FETCH", 6: "PATCH", 7: "iPATCH"}
URI_PATH = 11
ICMPV6_TYPES = {
    1: "Destination Unreachable", 2: "Packet Too Big", 3: "Time Exceeded", 4: "Parameter Problem",
    128: "Echo Request", 129: "Echo Reply", 130: "MLD Query", 131: "MLD Report", 132: "MLD Done",
    133: "RS", 134: "RA", 135: "NS", 136: "NA", 137: "Redirect", 143: "MLDv2 Report", 157: "DAR", 158: "DAC",
}
# Where the options of Neighbour Discovery begin (RFC 4861 §4).
ND_OPTIONS = {133: 8, 134: 16}
DHCPV6_TYPES = {
    1: "Solicit", 2: "Advertise", 3: "Request", 4: "Confirm", 5: "Renew", 6: "Rebind", 7: "Reply", 8: "Release",
    9: "Decline", 10: "Reconfigure", 11: "Information-request", 12: "Relay-forward", 13: "Relay-reply",
}
CLIENT_ID, IA_NA, IA_ADDRESS, RELAY_MESSAGE = 1, 3, 5, 9
# Hop-by-hop, routing, destination options: headers that a message may stand behind.
EXTENSION_HEADERS = (0, 43, 60)
UNSPECIFIED = bytes(16)


class Message(NamedTuple):
    """A packet. `what` is all that must be equal but `ident`, which two runs may have shifted against each other."""

    time_ns: int
    protocol: str
    source: bytes
    destination: bytes
    link: tuple  # link-layer source and destination, empty without such a layer
    what: str
    ident: tuple  # CoAP: Message ID, token; DHCPv6: transaction ID
    kernel_timed: bool


class Malformed(Exception):
    """The capture ends early, or is none."""


def packets(data):
    """Yields time (ns), link type and bytes of each packet; what a block cannot hold is `Malformed`."""
    at, order, interfaces = 0, "<", []
    while at < len(data):
        if at + 12 > len(data):
            raise Malformed(f"ends within a block at byte {at}")
        if data[at:at + 4] == b"\x0a\x0d\x0d\x0a":
            order = "<" if data[at + 8:at + 12] == b"\x4d\x3c\x2b\x1a" else ">"
            interfaces = []
        kind, length = struct.unpack_from(order + "II", data, at)
        if length < 12 or length % 4 or at + length > len(data):
            raise Malformed(f"ends within a block at byte {at}")
        if kind == 1:
            link_type = struct.unpack_from(order + "H", data, at + 8)[0]
            interfaces.append((link_type, tick_ns(data[at + 16:at + length - 4], order)))
        elif kind == 6 and length >= 32:
            interface, high, low, captured = struct.unpack_from(order + "IIII", data, at + 8)
            if interface >= len(interfaces) or captured > length - 32:
                raise Malformed(f"a packet that does not fit its block at byte {at}")
            link_type, tick = interfaces[interface]
            yield int((high << 32 | low) * tick), link_type, data[at + 28:at + 28 + captured]
        at += length


def tick_ns(options, order):
    """Nanoseconds of a unit of an interface's time stamps: its option if_tsresol, else microseconds."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from(order + "HH", options, at)
        if code == 9 and length == 1 and at + 5 <= len(options):
            power = options[at + 4]
            return 1e9 / 2 ** (power & 127) if power & 128 else 10 ** (9 - power) if power <= 9 else 10.0 ** (9 - power)
        if code == 0:
            break
        at += 4 + (length + 3) // 4 * 4
    return 1000


def messages(data):
    """All messages of a capture, in its order."""
    for time_ns, link_type, frame in packets(data):
        link = ()
        if link_type == ETHERNET:
            link, frame = (frame[6:12], frame[0:6]), frame[14:]
        elif link_type not in (RAW_IP, RAW_IPV6):
            raise Malformed(f"link type {link_type}")
        try:
            yield decode(time_ns, link, frame)
        except (IndexError, struct.error):
            what = f"cut short after {len(frame)} bytes"
            source, destination = frame[8:24].ljust(16, b"\0"), frame[24:40].ljust(16, b"\0")
            yield Message(time_ns, "IPv6", source, destination, link, what, (), False)


def decode(time_ns, link, packet):
    """The message of an IP packet. Of IPv4 there is only what a kernel says by itself (IGMP)."""
    if packet[0] >> 4 != 6:
        what = "IGMP" if packet[9] == 2 else f"IPv4 protocol {packet[9]}"
        return Message(time_ns, "IPv4", UNSPECIFIED, UNSPECIFIED, link, what, (), packet[9] == 2)
    source, destination = packet[8:24], packet[24:40]
    header, at = packet[6], 40
    while header in EXTENSION_HEADERS:
        header, at = packet[at], at + 8 + packet[at + 1] * 8
    body = packet[at:]
    if header == 58:
        what, timed = icmpv6(body, source)
        # The sender of a probe for an address that it does not use yet is who is to have that address.
        if source == UNSPECIFIED and body[0] == 135:
            source = body[8:24]
        return Message(time_ns, "ICMPv6", source, destination, link, what, (), timed)
    if header == 17:
        protocol, what, ident = udp(body)
        return Message(time_ns, protocol, source, destination, link, what, ident, False)
    return Message(time_ns, "IPv6", source, destination, link, f"next header {header}, {len(body)} bytes", (), False)


def icmpv6(body, source):
    """What it is, and whether only the kernel's own timers say when: neighbour discovery's solicitations, MLD."""
    kind = body[0]
    what = ICMPV6_TYPES.get(kind, f"type {kind}")
    if kind in ND_OPTIONS:
        options, at = [], ND_OPTIONS[kind]
        while at + 2 <= len(body) and body[at + 1]:
            options.append(str(body[at]))
            at += body[at + 1] * 8
        what += " options " + ",".join(options) if options else ""
    elif kind < 128:
        what += f" code {body[1]}"
    elif kind == 135 and source == UNSPECIFIED:
        return "NS of duplicate address detection", False
    return what, kind in (130, 131, 132, 135, 136, 143)


def udp(body):
    """Protocol, what it is, identifiers."""
    ports = struct.unpack_from("!HH", body)
    payload = body[8:]
    if COAP_PORT in ports:
        what, ident = coap(payload)
        other = [port for port in ports if port != COAP_PORT]
        return "CoAP", what + (f" other port {other[0]}" if other else ""), ident
    if 546 in ports or 547 in ports:
        what, ident = dhcpv6(payload)
        return "DHCPv6", what, ident
    return "UDP", f"port {min(ports)}, {len(payload)} bytes", ()


def coap(message):
    """RFC 7252 §3: type, code, path, numbers of the other options, length of the payload; Message ID and token."""
    first, code, message_id = struct.unpack_from("!BBH", message)
    at = 4 + (first & 15)
    token = message[4:at]
    path, numbers, number = [], [], 0
    while at < len(message) and message[at] != 0xFF:
        delta, length, at = message[at] >> 4, message[at] & 15, at + 1
        delta, at = extended(message, delta, at)
        length, at = extended(message, length, at)
        number += delta
        if number == URI_PATH:
            path.append(message[at:at + length].decode("utf-8", "replace"))
        else:
            numbers.append(str(number))
        at += length
    name = COAP_METHODS.get(code) or ("empty" if code == 0 else f"{code >> 5}.{code & 31:02}")
    parts = [COAP_TYPES[first >> 4 & 3], name]
    if path:
        parts.append("/" + "/".join(path))
    if numbers:
        parts.append("options " + ",".join(numbers))
    if at < len(message):
        parts.append(f"payload {len(message) - at - 1}")
    return " ".join(parts), (message_id, token)


def extended(message, value, at):
    """An option's delta or length with its extension (RFC 7252 §3.1)."""
    if value == 13:
        return message[at] + 13, at + 1
    if value == 14:
        return (message[at] << 8 | message[at + 1]) + 269, at + 2
    return value, at


def dhcpv6(message):
    """RFC 8415 §8, §9: type, numbers of the options, and the same of what a relay wraps; transaction ID."""
    kind = message[0]
    name = DHCPV6_TYPES.get(kind, f"type {kind}")
    relayed = kind in (12, 13)
    numbers, inner, ident = [], None, () if relayed else (int.from_bytes(message[1:4], "big"),)
    for code, value in dhcpv6_options(message[34 if relayed else 4:]):
        numbers.append(str(code))
        if code == RELAY_MESSAGE and relayed:
            inner, ident = dhcpv6(value)
    what = f"{name} options {','.join(numbers)}"
    return (f"{what} ({inner})" if inner else what), ident


def dhcpv6_options(data):
    """Code and value of each option."""
    at = 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from("!HH", data, at)
        yield code, data[at + 4:at + 4 + length]
        at += 4 + length


def leases(data):
    """Yields the link-layer address of a DUID-LL (RFC 8415 §11.4) and the address that a Reply gives its client."""
    for _, link_type, frame in packets(data):
        packet = frame[14:] if link_type == ETHERNET else frame
        if len(packet) < 52 or packet[0] >> 4 != 6 or packet[6] != 17 or packet[42:44] not in (b"\x02\x22", b"\x02\x23"):
            continue
        message = packet[48:]
        if message[0] == 13:
            message = dict(dhcpv6_options(message[34:])).get(RELAY_MESSAGE, b"\0")
        options = dict(dhcpv6_options(message[4:])) if message[:1] == b"\x07" else {}
        duid = options.get(CLIENT_ID, b"")
        for code, value in dhcpv6_options(options.get(IA_NA, b"")[12:]):
            if code == IA_ADDRESS and duid[:2] == b"\0\x03":
                yield duid[4:], value[:16]
