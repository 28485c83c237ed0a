"""peer.py AGENT HOME-PREFIX REGIONAL-PREFIX CORRESPONDENT: Mobility Headers that are refused, and what comes back. Prints `WHAT STATUS` per answer, with
`BE` in front of the status of a Binding Error, and `-` where nobody answers.
"""

import struct
import sys
from ipaddress import IPv6Address

from wire import *

agent, prefix, regional, correspondent = (IPv6Address(argument) for argument in sys.argv[1:5])
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
