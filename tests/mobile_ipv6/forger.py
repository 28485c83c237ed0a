"""forger.py AGENT HOME-PREFIX REGIONAL-PREFIX PROTECTED BELOW OWN: Binding Updates for the home address PROTECTED, and for the regional address of the node that
has the home address BELOW, from somebody who has the keys of the home address OWN alone. Prints `WHAT STATUS` per answer, and `-` where nobody
answers.
"""

import hashlib
import struct
import sys
from ipaddress import IPv6Address

from wire import *

agent, prefix, below_anchor, protected, below, mine = (IPv6Address(argument) for argument in sys.argv[1:7])
# Each agent has the first address of its prefix.
anchor, free = below_anchor + 1, prefix + 2
regional = below_anchor + (int(below) & 0xFFFFFFFFFFFFFFFF)
SEED = 1
# Two for each node that registers at an agent, in the order of their names.
OWN_SPI, PROTECTED_SPI = 0x100, 0x106


def derived(*path):
    """The key that the seed gives for a path."""
    digest = hashlib.sha256(SEED.to_bytes(8, "big"))
    for part in path:
        digest.update(len(part).to_bytes(8, "big") + part.encode())
    return digest.digest()


def protect(what, home, sequence, spi, key):
    """Sends a Binding Update for `home` in ESP, and says what comes back."""
    send(agent, ESP, sealed(message(sequence, agent, home), spi, key), home)
    return told(what, agent)


own_key = derived("esp", "idle", "ha")
update("of-an-address-that-is-not-protected", agent, free, 7)
update("without-esp", agent, protected, 7)
update("deregistration", agent, protected, 7, lifetime=0)
send(agent, MOBILITY, message(7, agent, protected, lifetime=0), source=protected)
told("from-the-home-address", agent)
protect("wrong-key", protected, 7, PROTECTED_SPI, bytes(32))
protect("own-key", protected, 7, PROTECTED_SPI, own_key)
protect("own-association", protected, 7, OWN_SPI, own_key)
update("at-the-anchor-point", anchor, regional, 7, flags=A | M)
update("another-at-the-anchor-point", anchor, regional + 1, 7, flags=A | M)
send(anchor, MOBILITY, message(7, anchor, regional, flags=A | M, lifetime=0), source=regional)
told("from-the-regional-address", anchor)
# Above the number that the agent says it knows (135).
known = protect("of-its-own-address", mine, 7, OWN_SPI, own_key)
if known[0] == 135:
    sequence = struct.unpack("!H", known[2:4])[0] + 1
    protect("of-its-own-address", mine, sequence & 0xFFFF, OWN_SPI, own_key)
