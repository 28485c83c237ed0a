"""An LwM2M client by aiocoap that has itself bootstrapped, by the server at the first port that is its argument.

It asks without a name and under one that nobody knows, then twice under its own: for TLV and for SenML JSON. It says each
request that it gets, with its Content-Format, its Accept and its payload, and ends after the second Bootstrap-Finish.
"""

import asyncio
import sys

import aiocoap
from aiocoap import CHANGED, CONTENT, DELETE, DELETED, GET, POST, Message, resource

LINK_FORMAT = 40
TLV = 11542
LINKS = b"</>;lwm2m=1.1,</0/1>;ssid=1;uri=\"coap://[fd00::9]\",</1/0>;ssid=1"


def say(*words):
    print(*words, flush=True)


def number(content_format):
    return "-" if content_format is None else int(content_format)


class Tree(resource.Resource):
    def __init__(self):
        super().__init__()
        self.finished = asyncio.Event()

    async def render(self, request):
        path = "/" + "/".join(request.opt.uri_path)
        formats = [number(request.opt.content_format), number(request.opt.accept)]
        say(request.code.name, path, *formats, request.payload.hex())
        if request.code is DELETE:
            return Message(code=DELETED)
        if request.code is GET and request.opt.accept == LINK_FORMAT:
            return Message(code=CONTENT, content_format=LINK_FORMAT, payload=LINKS)
        if request.code is GET:
            return Message(code=CONTENT, content_format=TLV, payload=bytes.fromhex("c10001"))
        if path == "/bs":
            self.finished.set()
        return Message(code=CHANGED)


async def main():
    server, tree = f"[::1]:{sys.argv[1]}", Tree()
    context = await aiocoap.Context.create_server_context(
        tree, bind=("::1", int(sys.argv[2])), transports=["udp6"]
    )
    for query in ["", "?ep=nobody", "?ep=aiocoap", "?ep=aiocoap&pct=110"]:
        tree.finished.clear()
        request = Message(code=POST, uri=f"coap://{server}/bs{query}")
        response = await context.request(request).response
        say("POST /bs" + query, response.code.dotted)
        if response.code is CHANGED:
            await tree.finished.wait()
    # The answer to the last one leaves before the socket closes.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await context.shutdown()


asyncio.run(main())
