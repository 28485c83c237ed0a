"""A client by aiocoap: asks the gateway at the first argument, over coap+ws and as its proxy, for what the sensor at the
second one has. Prints what it was told as JSON."""

import asyncio
import json
import sys

import aiocoap
from aiocoap import GET, PUT, Message
from aiocoap.proxy.client import ProxyForwarder

gateway, sensor = sys.argv[1:]


async def ask(of, code, uri, **more):
    return await of.request(Message(code=code, uri=uri, **more)).response


async def main():
    context = await aiocoap.Context.create_client_context(transports=["ws"])
    proxy = ProxyForwarder(f"coap+ws://{gateway}", context)
    lamp = f"coap://{sensor}/lamp"
    told = {}
    read = await ask(proxy, GET, lamp)
    told["read"] = [str(read.code), read.payload.decode()]
    body = b"0123456789abcdef" * 128
    told["written"] = str((await ask(proxy, PUT, lamp, payload=body, content_format=0)).code)
    long = await ask(proxy, GET, lamp)
    assert long.payload == body, long.payload
    told["long"] = [str(long.code), len(long.payload)]
    told["missing"] = str((await ask(proxy, GET, f"coap://{sensor}/nothing")).code)
    other = Message(code=GET, uri=f"coap+ws://{gateway}/lamp")
    other.opt.proxy_scheme = "http"
    told["scheme"] = str((await context.request(other).response).code)
    links = await ask(context, GET, f"coap+ws://{gateway}/.well-known/core")
    told["links"] = links.payload.decode()
    counting = proxy.request(Message(code=GET, uri=f"coap://{sensor}/count", observe=0))
    counted = [float((await counting.response).payload)]
    async for state in counting.observation:
        counted.append(float(state.payload))
        if len(counted) == 5:
            break
    counting.observation.cancel()
    told["counted"] = counted
    print(json.dumps(told))
    await context.shutdown()


asyncio.run(main())
