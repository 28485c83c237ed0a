"""LwM2M: the ways to have six resources, in messages, frames and energy, docs/lwm2m.md."""

import json

from .lwm2m import PAPERS, radio, radio_mj
from .tools import command, table

TOPOLOGY = f"{PAPERS}/lwm2m-table5-separate.yaml"
SIX = {"/3303/0/5700": 21.5, "/3304/0/5700": 48, "/3360/0/5702": 3.25, "/3360/0/5703": 7.125, "/3360/0/5704": 1.2, "/3/0/9": 100}
PATHS = list(SIX)
ROUNDS = 96
EVERY = "100 s"
LASTS = "9605 s"
FIRST = "10 s"
# What changes in a round of a notification: the temperature, by one degree.
CHANGE = {"path": PATHS[0], "value": {"counter": {"start": 21.5, "step": 1}}, "every": EVERY, "phase": FIRST}
BATCH = {"create": {"object": 2346, "values": {f"/5913/{i}": path for i, path in enumerate(PATHS)}}}


def notify(path):
    """An instance of Notify that sends the batch to a path without a response."""
    values = {"/5915": "/2346/0/5914", "/5916": 1, "/5917": path, "/5918": 100, "/5919": False, "/5920": True}
    return {"create": {"object": 2347, "values": values}}


def reads(operations, upon=()):
    """A server that does this every round, and `upon` when the device has registered."""
    poll = {"client": "device", "first": FIRST, "every": EVERY, "times": ROUNDS, "operations": operations}
    return {"upon_registration": list(upon), "polls": [poll]}


def ways():
    """Name, formats, and of a format the tables of server and client."""
    old, new = {"versions": ["1.0"]}, {"versions": ["1.1"]}
    senml = ("senml-json", "senml-cbor")
    yield "six reads", ("json", "tlv"), lambda f: ({**reads([{"read": path} for path in PATHS]), "read_format": f}, old)
    yield "Batch", ("json", "tlv", "cbor"), lambda f: ({**reads([{"read": "/2346/0/5914"}], [BATCH]), "read_format": f}, old)
    yield "Read-Composite", senml, lambda f: ({**reads([{"read-composite": PATHS}]), "read_format": f}, new)
    yield "Observe-Composite", senml, lambda f: ({"upon_registration": [{"observe-composite": PATHS}], "read_format": f}, {**new, "changes": [CHANGE]})
    yield "Send", senml, lambda f: ({}, {**new, "sends": [{"paths": PATHS, "first": FIRST, "every": EVERY, "format": f}]})
    yield "Notify", ("json", "tlv"), lambda f: ({"reports": [{"path": "/rd1", "of": "/2346/0/5914"}], "upon_registration": [BATCH, notify("/rd1")]}, {**old, "format": f})


# Of each way the message that is a round's.
MESSAGES = {"six reads": "read", "Batch": "batch read", "Read-Composite": "read-composite", "Observe-Composite": "notify", "Send": "send", "Notify": "notify report"}


def measured(tools, name, server, client):
    """The result of a run."""
    server = {"write_format": "tlv", **server}
    client = {"floats": "six-decimals", "values": SIX, **client}
    tables = {"server": {"lwm2m-server": server}, "device": {"lwm2m-client": client}}
    sets = [f"nodes.{node}.services={json.dumps([service])}" for node, service in tables.items()]
    sets += ["radio.medium=phy", f"scenario.duration={LASTS}"]
    return tools.run(name, TOPOLOGY, *(word for one in sets for word in ("--set", one)))[1]


def table_of_ways(tools):
    """The ways to have six resources: what a round is in messages, on the air, and in the device's energy."""
    idle = {version: radio_mj(measured(tools, f"lwm2m-ways-idle-{version}", {}, {"versions": [version]})) for version in ("1.0", "1.1")}
    rows = []
    for name, formats, made in ways():
        for chosen in formats:
            server, client = made(chosen)
            result = measured(tools, f"lwm2m-ways-{name.replace(' ', '-')}-{chosen}", server, client)
            entry = next(a for a in result["applications"] if a["node"] == "server")["by_message"][MESSAGES[name]]
            both = [entry[way] for way in ("sent", "received")]
            messages = [f"{way['payload_bytes'] / ROUNDS:,.1f}" if way["packets"] else "-" for way in both]
            air = [way for way in (radio(result, "sent"), radio(result, "received")) if way is not None]
            frames, octets = (sum(way[i] for way in air) / ROUNDS for i in (0, 1))
            energy = (radio_mj(result) - idle[client["versions"][0]]) / ROUNDS
            rows.append([name, f"`{chosen}`", *messages, f"{sum(way['packets'] for way in both) / ROUNDS:.2f}",
                         f"{frames:.2f} / {octets:,.0f}", f"{energy:.2f}"])
    header = ["way", "format", "from the server a round, B", "from the device, B", "packets", "frames / octets, both ways", "radio of the device, mJ"]
    said = [f"wpanlab run {TOPOLOGY} --set radio.medium=phy --set 'scenario.duration={LASTS}' \\",
            "    --set 'nodes.server.services=[…]' --set 'nodes.device.services=[…]'"]
    return [tools.made_by(), *command(*said), *table(header, rows)]
