"""Which node an address belongs to, whatever the plan looks like: what a node says of itself, then what is learnt."""

import ipaddress
import re

LINK_ADDRESS = re.compile(r"^[0-9a-f]{2}(:[0-9a-f]{2}){5}(:[0-9a-f]{2}:[0-9a-f]{2})?$", re.IGNORECASE)
# An IPv6 address in a text; what only looks like one is told apart by the parser.
IPV6_IN_TEXT = re.compile(r"(?<![\w:])[0-9a-fA-F:]*:[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
GROUPS = {
    "::": "unspecified", "ff02::1": "all-nodes", "ff02::2": "all-routers", "ff02::16": "mldv2-routers",
    "ff02::1:2": "dhcp-servers", "ff02::6a": "all-snoopers",
}
SOLICITED = ipaddress.ip_address("ff02::1:ff00:0").packed[:13]


def interface_id(link_address):
    """The interface identifier of a MAC address or EUI-64 (RFC 4291 appendix A)."""
    if len(link_address) == 6:
        link_address = link_address[:3] + b"\xff\xfe" + link_address[3:]
    return bytes([link_address[0] ^ 2]) + link_address[1:]


def scalars(text):
    """Yields path and value of each scalar of a plan that is in no list; the plan is YAML as wpanlab writes it."""
    stack = []
    for line in text.splitlines():
        found = re.match(r"^( *)((?:- )*)([\w.-]+|\"[^\"]*\"):(?: +(.*))?$", line)
        if not found:
            continue
        indent = len(found[1]) + len(found[2])
        # A list's dash stands as deep as the key that the list is of.
        while stack and (stack[-1][0] >= indent or found[2] and stack[-1][0] > len(found[1])):
            stack.pop()
        in_list = bool(found[2]) or bool(stack and stack[-1][2])
        key, value = found[3].strip('"'), (found[4] or "").strip("\"'")
        if value:
            if not in_list:
                yield [entry[1] for entry in stack] + [key], value
            # What follows an item's first key belongs to the same item.
            if found[2]:
                stack.append((indent - 1, "-", True))
        else:
            stack.append((indent, key, in_list))


class Names:
    """Names of one run's addresses."""

    def __init__(self, plan):
        self.exact = {}  # address -> node
        self.links = {}  # MAC or EUI-64 -> node
        self.interfaces = {}  # interface identifier -> node
        self.leases = {}  # address -> node
        self.prefixes = {}  # first 64 bits -> router
        self.cache = {}
        disputed = set()
        for path, value in scalars(plan):
            if len(path) < 3 or path[0] != "nodes":
                continue
            for table, key in self.claims(path[-1], value):
                # What two nodes have in their plans is one's own address and another's peer: nothing says which.
                if table.setdefault(key, path[1]) != path[1]:
                    disputed.add((id(table), key))
        for table in (self.exact, self.links, self.interfaces, self.prefixes):
            for key in [key for key in table if (id(table), key) in disputed]:
                del table[key]

    def claims(self, key, value):
        """Tables and keys of what a scalar of a node says to be the node's own."""
        if LINK_ADDRESS.match(value):
            address = bytes.fromhex(value.replace(":", ""))
            return [(self.links, address), (self.interfaces, interface_id(address))]
        try:
            address = ipaddress.ip_address(value.split("/")[0]).packed
        except ValueError:
            return []
        if key == "prefix":
            return [(self.prefixes, address[:8])]
        return [(self.exact, address)] if key in ("address", "p_addr") and len(address) == 16 else []

    def fill_from(self, other):
        """What this plan does not tell, the other side's does: one seed gives one set of addresses."""
        for mine, theirs in ((self.exact, other.exact), (self.links, other.links), (self.interfaces, other.interfaces),
                             (self.prefixes, other.prefixes)):
            for key, node in theirs.items():
                if key not in mine:
                    mine[key] = node
        self.cache.clear()

    def learn_lease(self, link_address, address):
        """An address that a DHCPv6 server gave."""
        node = self.links.get(link_address)
        if node and self.leases.get(address) != node:
            self.leases[address] = node
            self.cache.clear()

    def learn_binding(self, p_addr, t_addr):
        """An address that a binding names."""
        try:
            home, care_of = ipaddress.ip_address(p_addr).packed, ipaddress.ip_address(t_addr).packed
        except ValueError:
            return
        node = self.of(home)[0] if len(home) == len(care_of) == 16 else None
        if node and self.of(care_of)[0] is None:
            self.leases[care_of] = node
            self.cache.clear()

    def of(self, address):
        """Node of an address, or None, and the address as it is shown: `sensor@er1`, `sensor/T@er1`, `sensor%link`."""
        if address not in self.cache:
            self.cache[address] = self.look_up(address)
        return self.cache[address]

    def look_up(self, address):
        node = self.exact.get(address) or self.interfaces.get(address[8:])
        mark = "" if node else "/T"
        node = node or self.leases.get(address)
        if node is None:
            return None, self.group(address)
        if address[:2] == b"\xfe\x80":
            return node, node + mark + "%link"
        router = self.prefixes.get(address[:8])
        return node, node + mark + (f"@{router}" if router and router != node else "")

    def group(self, address):
        """A multicast group by what it is for, anything else as text."""
        text = str(ipaddress.ip_address(address))
        if address[:13] == SOLICITED:
            known = {**self.leases, **self.exact}
            nodes = {node for full, node in known.items() if full[13:] == address[13:]}
            nodes |= {node for tail, node in self.interfaces.items() if tail[5:] == address[13:]}
            return f"solicited-node({','.join(sorted(nodes)) or text})"
        return GROUPS.get(text, text)

    def in_text(self, text):
        """A text with nodes in the place of addresses."""
        def name(found):
            try:
                return self.of(ipaddress.ip_address(found[0]).packed)[1]
            except ValueError:
                return found[0]
        return IPV6_IN_TEXT.sub(name, text)

    @staticmethod
    def text_of(address):
        """An address as text."""
        return str(ipaddress.ip_address(address))

    def link(self, address):
        """Node of a link-layer address, else the address."""
        return self.links.get(address) or ("group" if address[0] & 1 else address.hex(":"))
