"""Makes a room with a broadcast and a danmaku in a running server, and prints their ids
as shell assignments: prepare.py BASE_URL < accounts (lines of JSON from `goligoli seed`).
"""

import json
import sys
import urllib.request

base = sys.argv[1]
streamer, other = (json.loads(line) for line in sys.stdin.readlines()[:2])


def post(path: str, body: object, account: dict) -> dict:
    request = urllib.request.Request(
        f"{base}/api/v1{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {account['access_token']}"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


room = post("/rooms", {"title": "fuzzed"}, streamer)
session = post(f"/rooms/{room['id']}/sessions", None, streamer)
danmaku = post(f"/rooms/{room['id']}/danmaku", {"text": "hello"}, other)

print(f"export ROOM_ID={room['id']} SESSION_ID={session['id']} DANMAKU_ID={danmaku['id']}")
print(f"export OTHER_USER_ID={other['user_id']} TOKEN={streamer['access_token']}")
