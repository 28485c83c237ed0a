"""CoAP requests in a run's capture of a wired interface: when each was asked first, and answered first. The standard library alone."""

import struct
from pathlib import Path

PORT = 5683
UDP = 17
ETHERNET_HEADER, IPV6_HEADER, UDP_HEADER = 14, 40, 8
# pcapng: the enhanced packet block, and the interface description with its option if_tsresol (RFC draft-ietf-opsawg-pcapng §4.2, §4.3).
PACKET, INTERFACE, TSRESOL = 6, 1, 9


def packets(path):
    """Time in seconds and bytes of each packet of a capture of one interface."""
    data = Path(path).read_bytes()
    at, per_second = 0, 1_000_000
    while at + 12 <= len(data):
        kind, length = struct.unpack_from("<II", data, at)
        body = data[at + 8:at + length - 4]
        if kind == INTERFACE:
            per_second = resolution(body[8:]) or per_second
        elif kind == PACKET:
            _, high, low, captured = struct.unpack_from("<IIII", body)
            yield ((high << 32) + low) / per_second, body[20:20 + captured]
        at += length


def resolution(options):
    """Units of a second, if the options of an interface say so."""
    at = 0
    while at + 4 <= len(options):
        code, length = struct.unpack_from("<HH", options, at)
        if code == TSRESOL:
            value = options[at + 4]
            return 2 ** (value & 0x7F) if value & 0x80 else 10 ** value
        at += 4 + -(-length // 4) * 4
    return None


def coap(frame):
    """Code and token of a CoAP message over IPv6; none of anything else."""
    if frame[12:14] != b"\x86\xdd" or frame[ETHERNET_HEADER + 6] != UDP:
        return None
    datagram = frame[ETHERNET_HEADER + IPV6_HEADER:]
    if PORT not in struct.unpack_from(">HH", datagram):
        return None
    message = datagram[UDP_HEADER:]
    return message[1], bytes(message[4:4 + (message[0] & 0x0F)])


def asked(path, method):
    """The requests with this method code that the capture has, in the order of their first messages: when it was asked, and when the first
    success answered it; none if nothing did."""
    found = {}
    for time, frame in packets(path):
        message = coap(frame)
        if message is None:
            continue
        code, token = message
        if code == method:
            found.setdefault(token, [time, None])
        elif code >> 5 == 2 and token in found and found[token][1] is None:
            found[token][1] = time
    return list(found.values())
