"""discover_and_read.py WMMS P_ADDR: CoMP's discovery and the node's resource, by aiocoap.

Prints a line per answer. Fails if the node cannot be read at the address that the WMMS gives,
or does not move.
"""

import asyncio
import ipaddress
import sys

from aiocoap import GET, Context, Message, Reliable, Unreliable
from aiocoap.numbers.optionnumbers import OptionNumber
from aiocoap.optiontypes import OpaqueOption

MESSAGE_TYPE, PERMANENT, TEMPORARY, LIFETIME, HOLD = map(
    OptionNumber, (2048, 2049, 2050, 2051, 2053)
)


def option(message, number):
    """The one value of an option."""
    (only,) = message.opt.get_option(number)
    return only.value


async def get(context, host, path, tuning=Reliable, options=()):
    request = Message(code=GET, uri=f"coap://[{host}]{path}", transport_tuning=tuning)
    for number, value in options:
        request.opt.add_option(OpaqueOption(number, value))
    response = await context.request(request).response
    text = response.payload.decode().strip()
    kind = request.mtype.name
    print(f"{kind} {host} {path} {response.code.dotted} {text}".rstrip(), flush=True)
    return response


async def discover(context, wmms, p_addr):
    """T_Addr of a node."""
    options = [(MESSAGE_TYPE, b""), (PERMANENT, p_addr.packed)]
    response = await get(context, wmms, "/comp", options=options)
    assert option(response, PERMANENT) == p_addr.packed
    t_addr = ipaddress.IPv6Address(option(response, TEMPORARY))
    lifetime = int.from_bytes(option(response, LIFETIME), "big")
    hold = int.from_bytes(option(response, HOLD), "big")
    print(f"T_Addr {t_addr} lifetime {lifetime} hold {hold}", flush=True)
    return t_addr


async def main(wmms, p_addr):
    context = await Context.create_client_context()
    home = await discover(context, wmms, p_addr)
    await get(context, home, "/temperature")
    await get(context, home, "/temperature", tuning=Unreliable)
    await get(context, home, "/.well-known/core")
    await get(context, wmms, "/.well-known/core")
    while (away := await discover(context, wmms, p_addr)) == home:
        await asyncio.sleep(1)
    await get(context, away, "/temperature")
    await context.shutdown()
    print("done")


asyncio.run(main(sys.argv[1], ipaddress.IPv6Address(sys.argv[2])))
