"""A client by aiocoap of the server at the port that it is told: prints what it was answered.

A response to a request that wants none would have come before that to the next request, since both
are between the same two sockets.
"""

import asyncio
import sys

import aiocoap
from aiocoap import FETCH, GET, PUT, Message, iPATCH
from aiocoap.numbers import Reliable, Unreliable


async def main(port):
    context = await aiocoap.Context.create_client_context(transports=["simple6"])

    def request(code, path, payload=b"", tuning=Reliable, **options):
        message = Message(
            code=code,
            uri=f"coap://[::1]:{port}{path}",
            payload=payload,
            transport_tuning=tuning(),
            **options,
        )
        return context.request(message).response

    async def show(response):
        answer = await response
        text = answer.payload.decode() if len(answer.payload) < 50 else len(answer.payload)
        print(answer.code.dotted, text, flush=True)

    for tuning in (Unreliable, Reliable):
        for unwanted, path in ((26, "/store"), (2, "/store"), (26, "/nowhere"), (8, "/nowhere")):
            unanswered = request(PUT, path, b"x", tuning, no_response=unwanted)
            await asyncio.sleep(0)
            await show(request(GET, "/store"))
            print("answered" if unanswered.done() else "silent", flush=True)
            unanswered.cancel()
        await show(request(PUT, "/nowhere", b"y", tuning, no_response=2))
        await show(request(PUT, "/store", b"y", tuning, no_response=8))
    for length in (5, 2000):
        body = bytes(97 + n // 16 % 26 for n in range(length))
        await show(request(FETCH, "/select", body, content_format=42))
        await show(request(iPATCH, "/store", body, content_format=42))
        await show(request(GET, "/store"))
    await context.shutdown()


asyncio.run(main(int(sys.argv[1])))
