"""Follows a stream with httpx-sse and prints each event as a line of JSON: follow.py URL LAST_EVENT_ID"""

import json
import sys
import time

import httpx
import httpx_sse

url, last = sys.argv[1:]
retry_ms = 1000
with httpx.Client(timeout=None, trust_env=False) as client:
    while True:
        try:
            headers = {"Last-Event-ID": last} if last else {}
            with httpx_sse.connect_sse(client, "GET", url, headers=headers) as source:
                source.response.raise_for_status()
                for sse in source.iter_sse():
                    last = sse.id or last
                    retry_ms = sse.retry or retry_ms
                    if sse.data:
                        print(json.dumps({"id": last, "event": sse.event, "data": sse.data}), flush=True)
        except httpx.TransportError:
            pass
        time.sleep(retry_ms / 1000)
