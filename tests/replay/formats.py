"""Checks that other programs read every line of a replay's files, and complain about none.

    formats.py PROGRAMS FOLDER...

PROGRAMS is where they are installed; a FOLDER is one that `replay-formats` has written. All of
them turn danmaku into subtitles, so what they read is what comes out.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import pysubs2

# dmconvert replaces emoji and has no mode 6; biliass makes a line break of "/n". The number
# of lines is what all of them agree about.


def events(program, *arguments):
    """The events that a program writes when it is given an output file as last argument."""
    with tempfile.TemporaryDirectory() as folder:
        subtitles = pathlib.Path(folder) / "out.ass"
        run = subprocess.run([program, *arguments, subtitles], capture_output=True, text=True, timeout=120)
        complaint = run.stderr.strip()
        assert run.returncode == 0 and not complaint, f"{program} {arguments}: {run.returncode} {complaint}"
        text = subtitles.read_text(encoding="utf-8-sig")
    # dmconvert keeps as comments the lines that it finds no room for.
    return [line for line in text.splitlines() if line.startswith(("Dialogue:", "Comment:"))]


def shown(text):
    """A text as the subtitles have it, in which nothing may be a command."""
    return text.translate(str.maketrans("{}\\", "｛｝＼"))


def check(programs, folder):
    expected = json.loads((folder / "expected.json").read_text())
    lines, reverse, segments = expected["lines"], expected["reverse"], expected["segments"]
    xml = folder / "replay.xml"
    parts = [folder / f"segment-{n}.pb" for n in range(1, len(segments) + 1)]
    biliass = [programs / "biliass", "-s", "1920x1080", "--skip-reduce"]

    found = {
        "biliass, XML": (len(events(*biliass, xml, "-o")), lines),
        "biliass, segments": (len(events(*biliass, "-f", "protobuf", *parts, "-o")), lines),
        "biliass, one file of segments": (len(events(*biliass, "-f", "protobuf", folder / "replay.pb", "-o")), lines),
        "danmakuC, one file of segments": (len(events(programs / "danmakuC", folder / "replay.pb", "-o")), lines),
        "dmconvert, XML": (len(events(programs / "dmconvert", "-i", xml, "-o")), lines - reverse),
    }
    for part, count in zip(parts, segments):
        found[f"biliass, {part.name}"] = (len(events(*biliass, "-f", "protobuf", part, "-o")), count)
        found[f"danmakuC, {part.name}"] = (len(events(programs / "danmakuC", part, "-o")), count)

    document = json.loads((folder / "replay.json").read_text())
    assert document["replay"]["danmaku_count"] == len(document["danmaku"])
    found["JSON"] = (len(document["danmaku"]), lines)

    subtitles = pysubs2.load(str(folder / "replay.ass"))
    found["pysubs2, ASS"] = (len(subtitles), lines)
    for event, danmaku in zip(subtitles, document["danmaku"]):
        assert event.type == "Dialogue" and event.plaintext == shown(danmaku["text"]), event
        assert event.start == danmaku["at_ms"] // 10 * 10 and event.style.lower() == danmaku["size"], event

    for reader, (count, should_be) in found.items():
        assert count == should_be, f"{folder.name}: {reader}: {count} lines instead of {should_be}"
    print(f"{folder.name}: {lines} lines are read by {'; '.join(found)}")


def main():
    programs, *folders = map(pathlib.Path, sys.argv[1:])
    assert folders, __doc__
    for folder in folders:
        check(programs, folder)


main()
