"""An LwM2M server by aiocoap, at the first port that is its argument, for the client at the second.

It refuses LwM2M 1.2 with 4.12 and takes what else a client says. Each line of its input is a request for the client, as a JSON
object; each line of its output is what it was asked, what it was answered, or a notification. It ends when its input does.
"""

import asyncio
import json
import sys

import aiocoap
from aiocoap import Message, numbers, resource
from aiocoap.tokenmanager import TokenManager

CODES = {
    "GET": numbers.codes.GET,
    "PUT": numbers.codes.PUT,
    "POST": numbers.codes.POST,
    "DELETE": numbers.codes.DELETE,
    "FETCH": numbers.codes.FETCH,
    "iPATCH": numbers.codes.iPATCH,
}
# Requests that observe, with their tokens: an observation that nobody holds is over.
OBSERVING = {}
# The loop itself holds no task.
LISTENERS = []
# aiocoap chooses its tokens itself; whoever cancels an observation has to say which.
TOKENS = []
next_token = TokenManager.next_token
TokenManager.next_token = lambda manager: TOKENS.pop() if TOKENS else next_token(manager)


def say(**what):
    print(json.dumps(what), flush=True)


def number(content_format):
    return None if content_format is None else int(content_format)


def answer(message):
    return {
        "code": message.code.dotted,
        "format": number(message.opt.content_format),
        "location": "".join("/" + segment for segment in message.opt.location_path),
        "payload": message.payload.hex(),
    }


class Server(resource.Resource):
    async def render(self, request):
        say(
            asked=f"{request.code.name} /" + "/".join(request.opt.uri_path),
            query="&".join(request.opt.uri_query),
            kind=request.mtype.name,
            format=number(request.opt.content_format),
            no_response=request.opt.no_response,
            payload=request.payload.hex(),
        )
        if request.opt.uri_path != ("rd",):
            return Message(code=numbers.codes.CHANGED)
        if "lwm2m=1.2" in request.opt.uri_query:
            return Message(code=numbers.codes.PRECONDITION_FAILED)
        return Message(code=numbers.codes.CREATED, location_path=["rd", "5a3f"])


async def listen(observation, id):
    async for notification in observation:
        say(notified=id, **answer(notification))


async def ask(context, client, wanted):
    """One request, with what stands in `wanted`; `cancels`: the observation that it ends by its token."""
    message = Message(
        code=CODES[wanted["method"]],
        uri=f"coap://{client}{wanted['path']}",
        payload=bytes.fromhex(wanted.get("payload", "")),
    )
    for option in ["accept", "observe", "content_format"]:
        setattr(message.opt, option, wanted.get(option))
    cancelled = OBSERVING.pop(wanted.get("cancels"), None)
    if cancelled:
        TOKENS.append(cancelled[1])
    request = context.request(message, handle_blockwise=False)
    response = await request.response
    if wanted.get("observe") == 0:
        OBSERVING[wanted["id"]] = request, response.token
        if response.opt.observe is not None:
            loop = asyncio.get_running_loop()
            LISTENERS.append(loop.create_task(listen(request.observation, wanted["id"])))
    say(done=wanted["id"], observes=response.opt.observe is not None, **answer(response))


async def main():
    context = await aiocoap.Context.create_server_context(
        Server(), bind=("::1", int(sys.argv[1])), transports=["udp6"]
    )
    say(ready=True)
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        wanted = json.loads(line)
        if "forget" in wanted:
            # Its next notification is answered with a Reset.
            OBSERVING.pop(wanted["forget"])[0].observation.cancel()
            say(done=wanted["id"])
        else:
            await ask(context, f"[::1]:{sys.argv[2]}", wanted)
    await context.shutdown()


asyncio.run(main())
