"""Nodes that tell a WMMS where they are, and know what it acknowledged."""

import random
import select
import socket
import struct
import time

# CoAP codes (RFC 7252, section 12.1): 2.01, 2.04, 2.05, 4.01, 4.04.
CREATED, CHANGED, CONTENT, UNAUTHORIZED, NOT_FOUND = 0x41, 0x44, 0x45, 0x81, 0x84
CONFLICT = 0x89
# An instance that does not know an address wants its own words back from there (RFC 9175, section 2).
ECHO = 252
# A request without an answer is sent again after this, to the next instance, as a node does that has several.
SEND_AGAIN_S = 0.25
# From an answer to the next update of the same node.
PAUSE_S = 0.05


def option(former, number, value):
    """An option as it stands on the wire (RFC 7252, section 3.1)."""
    def nibble(n):
        return (n, b"") if n < 13 else (13, bytes([n - 13])) if n < 269 else (14, struct.pack("!H", n - 269))
    (delta, more), (length, rest) = nibble(number - former), nibble(len(value))
    return bytes([delta << 4 | length]) + more + rest + value


def options_of(message):
    """The options of a message by their numbers; of one that repeats, the last."""
    found, number, place = {}, 0, 4 + (message[0] & 15)
    while place < len(message) and message[place] != 0xFF:
        delta, length = message[place] >> 4, message[place] & 15
        place += 1
        values = []
        for nibble in (delta, length):
            if nibble == 13:
                nibble, place = message[place] + 13, place + 1
            elif nibble == 14:
                nibble, place = struct.unpack_from("!H", message, place)[0] + 269, place + 2
            values.append(nibble)
        number += values[0]
        found[number] = bytes(message[place:place + values[1]])
        place += values[1]
    return found


def uint(n):
    return n.to_bytes((n.bit_length() + 7) // 8, "big")


class Node:
    """One node: what was acknowledged, what it asks for, and since when it waits for an update after a failure."""

    def __init__(self, number):
        self.p_addr = struct.pack("!IIQ", 0x20010DB8, 0, number)
        self.acknowledged = self.asked = 0
        self.looks = False
        self.asks = self.request = self.token = None
        self.sent = self.began = self.due = 0.0
        self.served = 0.0

    def next_request(self):
        """The method and the options of the protocol: a discovery if it is to look, or an update whose T_Addr is its number."""
        if self.looks:
            method, kind, rest = 1, b"", b""
        else:
            self.asked += 1
            method, kind = (3, b"\x01") if self.acknowledged else (2, b"\x02")
            t_addr = struct.pack("!IIQ", 0x20010DB8, 1, self.asked)
            rest = option(2049, 2050, t_addr) + option(2050, 2051, b"\xff\xff") + option(2051, 2052, uint(self.asked & 0xFFFF))
            rest += option(2052, 2053, b"") if method == 3 else b""
        return method, kind, option(2048, 2049, self.p_addr) + rest


class Load:
    """All nodes on one socket. Whoever wants to know what is left of the acknowledged bindings has them look."""

    def __init__(self, instances, count, seed):
        self.instances = instances
        self.nodes = [Node(number) for number in range(count)]
        self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
        self.socket.setblocking(False)
        self.chance = random.Random(seed)
        self.tokens, self.by_token = 0, {}
        self.acknowledged, self.sent_again, self.lost, self.began = 0, 0, [], 0.0
        self.stopped = False

    def failure(self):
        """Something is killed now: every node looks before it goes on."""
        self.began = time.monotonic()
        for node in self.nodes:
            node.looks = True
            node.served = 0.0

    def interruption(self):
        """Seconds from the failure until the last node had an update acknowledged that it began since; None before that."""
        served = [node.served for node in self.nodes]
        return max(served) - self.began if all(served) else None

    def send(self, node, now, anew):
        if anew:
            node.asks = node.next_request()
            self.write(node, b"")
            node.began, node.to = now, self.chance.randrange(len(self.instances))
        else:
            node.to = (node.to + 1) % len(self.instances)
            self.sent_again += 1
        self.transmit(node, now)

    def write(self, node, echo):
        """Writes what a node asks for as a new message, with the Echo option that it was given, if any."""
        self.by_token.pop(node.token, None)
        self.tokens += 1
        node.token = struct.pack("!I", self.tokens & 0xFFFFFFFF)
        self.by_token[node.token] = node
        method, kind, rest = node.asks
        proof = option(11, ECHO, echo) if echo else b""
        options = option(0, 11, b"comp") + proof + option(ECHO if echo else 11, 2048, kind) + rest
        node.request = bytes([0x44, method]) + struct.pack("!H", self.tokens & 0xFFFF) + node.token + options

    def transmit(self, node, now):
        node.sent = now
        try:
            self.socket.sendto(node.request, (self.instances[node.to], 5683))
        except OSError:
            pass  # Nobody is there at the moment: it is sent again.

    def take(self, message, now):
        if len(message) < 8:
            return
        node = self.by_token.pop(message[4:8], None)
        if node is None:
            return
        code, was_look = message[1], node.request[1] == 1
        if code == UNAUTHORIZED and (echo := options_of(message).get(ECHO)):
            self.write(node, echo)
            self.transmit(node, now)
            return
        node.request = None
        node.due = now + PAUSE_S
        if was_look and node.began > self.began:
            self.looked(node, code, options_of(message))
        elif code in (CREATED, CHANGED) and not was_look:
            node.acknowledged = node.asked
            self.acknowledged += 1
            if not node.served and node.began > self.began:
                node.served = now
        elif code in (NOT_FOUND, CONFLICT):
            # An entry that was acknowledged is gone, or a copy of this request came before: the table says.
            node.looks = True

    def looked(self, node, code, options):
        if code == CONTENT:
            found = int.from_bytes(options.get(2050, b"")[8:], "big")
        elif code == NOT_FOUND:
            found = 0
        else:
            return
        if not node.acknowledged <= found <= node.asked:
            self.lost.append((node.p_addr.hex(), node.acknowledged, node.asked, found))
        node.acknowledged = found
        node.looks = False
        node.due = 0.0

    def run(self):
        """Until it is stopped, from another thread."""
        looked_at = 0.0
        while not self.stopped:
            select.select([self.socket], [], [], 0.01)
            now = time.monotonic()
            try:
                while True:
                    self.take(self.socket.recv(2048), now)
            except OSError:
                pass
            if now - looked_at < 0.005:
                continue
            looked_at = now
            for node in self.nodes:
                if node.request is None:
                    if node.due <= now:
                        self.send(node, now, True)
                elif now - node.sent > SEND_AGAIN_S:
                    # A node that is to look does so instead of asking for the same once more.
                    self.send(node, now, node.looks and node.request[1] != 1)
