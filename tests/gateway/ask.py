"""ask.py P_ADDR: asks a node by HTTP at one URL for 12 s, and follows it there. Prints each status, and how many states came."""

import http.client
import sys
import time

END = time.monotonic() + 12
TARGET = f"/hc/coap://%5B{sys.argv[1]}%5D/temperature"

stream = http.client.HTTPConnection("::1", 8080, timeout=10)
stream.request("GET", TARGET, headers={"Accept": "text/event-stream"})
events = stream.getresponse()
print("stream", events.status, events.getheader("Content-Type"), flush=True)

asked = http.client.HTTPConnection("::1", 8080, timeout=30)
while time.monotonic() < END:
    asked.request("GET", TARGET)
    answer = asked.getresponse()
    print("get", answer.status, answer.read().decode().strip(), flush=True)
    time.sleep(0.1)

# Each state that came meanwhile, and one more.
states = 0
lines = iter(events.readline, b"")
for line in lines:
    states += line == b"event: state\n"
    if line == b"event: error\n" or states == 20:
        break
print("states", states, flush=True)
