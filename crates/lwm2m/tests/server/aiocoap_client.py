"""An LwM2M client by aiocoap, for the server at the port that is its argument.

It registers for LwM2M 1.2, and for 1.1 after 4.12; it serves a temperature and a humidity one by one,
observed, and as composites; it sends three timed values and one more in other formats by Send, and writes a line for each thing that it sees. It
deregisters and ends when its input does.
"""

import asyncio
import json
import socket
import sys

import aiocoap
from aiocoap import CHANGED, CONTENT, NOT_FOUND, POST, DELETE, Message, resource

SENML_JSON = 110
SENML_CBOR = 112
LWM2M_CBOR = 11544
LINK_FORMAT = 40
VALUES = {"/3303/0/5700": 21.5, "/3304/0/5700": 48.0}


def say(*words):
    print(*words, flush=True)


def senml(paths):
    records = [{"n": path, "v": VALUES[path]} for path in paths if path in VALUES]
    return json.dumps(records).encode()


class Value(resource.ObservableResource):
    def __init__(self, path):
        super().__init__()
        self.path = path

    async def render_get(self, request):
        say("GET", self.path, request.opt.accept, request.opt.observe)
        return Message(code=CONTENT, content_format=SENML_JSON, payload=senml([self.path]))

    async def render_put(self, request):
        VALUES[self.path] = json.loads(request.payload)[0]["v"]
        say("PUT", self.path, VALUES[self.path])
        self.updated_state()
        return Message(code=CHANGED)


class Root(resource.Resource):
    async def render_fetch(self, request):
        names = [record.get("bn", "") + record.get("n", "") for record in json.loads(request.payload)]
        say("FETCH", *names)
        return Message(code=CONTENT, content_format=SENML_JSON, payload=senml(names))

    async def render_ipatch(self, request):
        for record in json.loads(request.payload):
            VALUES[record.get("bn", "") + record.get("n", "")] = record["v"]
        say("iPATCH", len(VALUES))
        return Message(code=CHANGED)


async def ask(context, server, method, path, **fields):
    request = Message(code=method, uri=f"coap://{server}{path}", **fields)
    response = await context.request(request).response
    say(method.name, path.split("?")[0], response.code.dotted)
    return response


async def main():
    server = f"[::1]:{sys.argv[1]}"
    site = resource.Site()
    for path in VALUES:
        site.add_resource(path[1:].split("/"), Value(path))
    site.add_resource([], Root())
    context = await aiocoap.Context.create_server_context(
        site, bind=("::1", int(sys.argv[2])), transports=["udp6"]
    )
    links = b"</>;rt=\"oma.lwm2m\";ct=\"110\",</1/0>,</3303/0>,</3304/0>"
    for version in ["1.2", "1.1"]:
        registered = await ask(
            context,
            server,
            POST,
            f"/rd?ep=aiocoap&lt=300&lwm2m={version}&b=U",
            payload=links,
            content_format=LINK_FORMAT,
        )
        if registered.code.is_successful():
            break
    series = [{"n": "/3303/0/5700", "v": 20.0 + k, "t": 1_700_000_000 + 60 * k} for k in range(3)]
    await ask(
        context, server, POST, "/dp", payload=json.dumps(series).encode(), content_format=SENML_JSON
    )
    # The same value in both formats of CBOR; text says no path, and is refused.
    value = bytes.fromhex("fa41ac0000")
    for payload, content_format in [
        (b"\x81\xa2\x00\x6c/3303/0/5700\x02" + value, SENML_CBOR),
        (bytes.fromhex("a1190ce7a100a1191644") + value, LWM2M_CBOR),
        (b"21.5", 0),
    ]:
        await ask(context, server, POST, "/dp", payload=payload, content_format=content_format)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await ask(context, server, DELETE, "/" + "/".join(registered.opt.location_path))
    await context.shutdown()


asyncio.run(main())
