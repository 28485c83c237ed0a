"""A server by aiocoap: prints its port, then serves /select until its input ends, over what the argument says: udp, or ws.

FETCH gives the payload twice, iPATCH stores it for GET; /count is observed by FETCH and counts up
from what the payload says.
"""

import asyncio
import socket
import sys

import aiocoap
from aiocoap import CHANGED, CONTENT, Message, resource


class Select(resource.Resource):
    stored = b""

    async def render_fetch(self, request):
        return Message(code=CONTENT, payload=request.payload * 2)

    async def render_ipatch(self, request):
        self.stored = request.payload
        return Message(code=CHANGED)

    async def render_get(self, request):
        return Message(code=CONTENT, payload=self.stored)


class Count(resource.ObservableResource):
    def __init__(self):
        super().__init__()
        self.count = 0
        asyncio.get_running_loop().create_task(self.tick())

    async def tick(self):
        while True:
            await asyncio.sleep(0.1)
            self.count += 1
            self.updated_state()

    async def render_fetch(self, request):
        number = int(request.payload) + self.count
        return Message(code=CONTENT, payload=str(number).encode())


async def main():
    over_ws = sys.argv[1] == "ws"
    free = socket.socket(socket.AF_INET6, socket.SOCK_STREAM if over_ws else socket.SOCK_DGRAM)
    free.bind(("::1", 0))
    port = free.getsockname()[1]
    free.close()
    site = resource.Site()
    site.add_resource(["select"], Select())
    site.add_resource(["count"], Count())
    # Its WebSockets are at a port 3000 higher than it is told.
    bind = ("::1", port - 3000 if over_ws else port)
    transports = ["ws"] if over_ws else ["simple6", "simplesocketserver"]
    context = await aiocoap.Context.create_server_context(site, bind=bind, transports=transports)
    print(port, flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
