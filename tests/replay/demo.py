"""Waits until the demo's broadcast of a file is a replay, and takes its files away.

    demo.py URL FILE FOLDER

Holds that the replay's XML has every line of FILE, with its mode, colour and text.
"""

import collections
import json
import pathlib
import sys
import time
import urllib.error
import urllib.request
import xml.etree.ElementTree as ElementTree

DEADLINE_S = 120
SEGMENT_MS = 360_000


def lines(xml):
    """Mode, colour and text of each line. Modes 2 and 3 are 1 here."""
    found = collections.Counter()
    for line in ElementTree.fromstring(xml).iter("d"):
        fields = line.get("p").split(",")
        mode = "1" if fields[1] in "123" else fields[1]
        found[mode, fields[3], (line.text or "").strip()] += 1
    return found


def get(url):
    with urllib.request.urlopen(url, timeout=30) as answer:
        return answer.read()


def replay(rooms):
    """The replay, when it is ready."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            for room in json.loads(get(f"{rooms}?limit=10"))["items"]:
                for found in json.loads(get(f"{rooms}/{room['id']}/replays"))["items"]:
                    if found["state"] == "ready":
                        return found
        except urllib.error.URLError:
            pass  # It is not up yet.
        time.sleep(0.2)
    raise TimeoutError(f"no replay after {DEADLINE_S} s")


def main():
    url, file, folder = sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3])
    found = replay(f"{url}/api/v1/rooms")
    here = f"{url}/api/v1/replays/{found['id']}"
    for extension in ("xml", "ass", "json", "pb"):
        (folder / f"replay.{extension}").write_bytes(get(f"{here}/danmaku.{extension}"))
    exported, original = lines((folder / "replay.xml").read_bytes()), lines(file.read_bytes())
    assert exported == original, f"missing {original - exported}, more {exported - original}"

    danmaku = json.loads((folder / "replay.json").read_text())["danmaku"]
    count = max(1, -(-found["duration_ms"] // SEGMENT_MS))
    segments = [0] * count
    for line in danmaku:
        segments[line["at_ms"] // SEGMENT_MS] += 1
    for n in range(1, count + 1):
        (folder / f"segment-{n}.pb").write_bytes(get(f"{here}/segments/{n}"))
    reverse = sum(line["mode"] == "reverse" for line in danmaku)
    expected = {"lines": sum(original.values()), "reverse": reverse, "segments": segments}
    (folder / "expected.json").write_text(json.dumps(expected))


main()
