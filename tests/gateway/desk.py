"""A gateway on a desk asks libcoap's server, by HTTP, as an event stream and over a WebSocket; see desk.rs. Argument: the
program. In a network namespace of its own."""
import asyncio
import contextlib
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request

import aiocoap
from aiocoap.proxy.client import ProxyForwarder

[program] = sys.argv[1:]
PATIENCE_S = 60
GATEWAY = "http://[::1]:8080"
TARGET = "/hc/coap://%5B::1%5D:5700"


def ask(path, data=None, method=None):
    request = urllib.request.Request(GATEWAY + path, data, {"Content-Type": "text/plain"} if data else {}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def until_there():
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return ask("/nodes")
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


async def over_a_websocket():
    context = await aiocoap.Context.create_client_context(transports=["ws"])
    proxy = ProxyForwarder("coap+ws://[::1]:8080", context)
    message = aiocoap.Message(code=aiocoap.GET, uri="coap://[::1]:5700/")
    answer = await asyncio.wait_for(proxy.request(message).response, PATIENCE_S)
    await context.shutdown()
    return str(answer.code), answer.payload.decode()


def end(process):
    process.terminate()
    process.wait(PATIENCE_S)


subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
with contextlib.ExitStack() as started:
    started.callback(end, subprocess.Popen(["coap-server-notls", "-A", "::1", "-p", "5700", "-d", "10"]))
    gateway = subprocess.Popen([program, "gateway", "--write", "desk=::1"], stdout=subprocess.DEVNULL)
    started.callback(end, gateway)
    told = {"nodes": until_there(), "index": ask(TARGET + "/"), "page": ask("/")[0], "absent": ask(TARGET + "/nothing")[0]}
    told["put"] = ask(TARGET + "/example_data", b"on", "PUT")[0]
    told["got"] = ask(TARGET + "/example_data")
    stream = urllib.request.Request(f"{GATEWAY}{TARGET}/time?ticks", headers={"Accept": "text/event-stream"})
    with urllib.request.urlopen(stream, timeout=PATIENCE_S) as lines:
        states = (json.loads(line[6:]) for line in lines if line.startswith(b"data: "))
        told["ticks"] = [int(next(states)["value"]) for _ in range(3)]
    told["websocket"] = asyncio.run(over_a_websocket())
    print(json.dumps(told))
sys.exit(gateway.returncode)
