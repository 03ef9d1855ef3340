#!/usr/bin/env python3
"""Writes night-train.xml, the danmaku of the demo broadcast.

Four minutes at the window of a night train, from the dark to the sunrise. Every line was
written for goligoli and has its licence; nothing is taken from a song, a film or
somebody's chat.

The journey is told in journey.py; this draws who says it when, and how it looks.

Deterministic: running this reproduces night-train.xml byte for byte. Chance comes
from a fixed seed and only through `random.random()`, the one method whose sequence Python
promises to keep from version to version. Standard library only.

    python3 generate.py
"""

import hashlib
import random
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import List, Optional, Tuple
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from journey import BLACK, CAST, JOURNEY, LAST_S, PALETTE, WHITE, Scene

SEED = 20260118
STARTED_AT = 1768693080  # unix seconds: a January morning, before dawn
VIEWERS = 120
REST_S = 5.0  # nobody but the cast speaks twice within this time

MODES = {"scroll": 1, "bottom": 4, "top": 5, "reverse": 6}
# Odds are whole numbers: how sums of fractions are rounded differs between Pythons.
MODE_ODDS = (("scroll", 930), ("bottom", 34), ("top", 26), ("reverse", 10))
SIZES = {"small": 18, "standard": 25, "large": 36}
SIZE_ODDS = (("standard", 95), ("small", 3), ("large", 2))


@dataclass(frozen=True)
class Line:
    """A danmaku before its sender and look are drawn; `words` are the fixed ones."""

    at_s: float
    words: Tuple[str, ...]
    text: str
    scene: Scene


class Chance:
    """Draws from a fixed seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability

    def one_of(self, things):
        return things[int(self._random.random() * len(things))]

    def weighted(self, odds):
        """One of (thing, weight) pairs."""
        left = self._random.random() * sum(weight for _, weight in odds)
        for thing, weight in odds:
            left -= weight
            if left < 0:
                return thing
        return odds[-1][0]


def read_line(written: str) -> Tuple[Tuple[str, ...], str, List[str]]:
    """The fixed words, the text and the echoes of one line of a scene."""
    words, rest = re.fullmatch(r"(?:\{([^}]*)\} )?(.*)", written).groups()
    text, *echoes = rest.split(" // ")
    return tuple((words or "").split()), text, echoes


def tell(scene: Scene, chance: Chance) -> List[Line]:
    """A scene's lines: those told, in their order, and between them the shouts."""
    told = scene.told.strip().splitlines()
    if scene.crowd:
        return tell_peak(scene, told, chance)
    lines = []
    step_s = (scene.end_s - scene.start_s) / len(told)
    for i, written in enumerate(told):
        words, text, echoes = read_line(written)
        at_s = scene.start_s + (i + chance.between(0.3, 0.7)) * step_s
        lines.append(Line(at_s, words, text, scene))
        for echo in echoes:
            at_s += chance.between(0.35, 1.1)
            lines.append(Line(min(at_s, LAST_S), (), echo, scene))
    return lines


def tell_peak(scene: Scene, told: List[str], chance: Chance) -> List[Line]:
    tongues = [row.split(" | ") for row in scene.shouts.strip().splitlines()]
    times = [
        scene.start_s + second + (i + chance.between(0.05, 0.95)) / count
        for second, count in enumerate(scene.crowd)
        for i in range(count)
    ]
    told_at = {i * len(times) // len(told): written for i, written in enumerate(told)}
    lines = []
    for i, at_s in enumerate(times):
        words, text = read_line(told_at[i])[:2] if i in told_at else ((), chance.one_of(chance.one_of(tongues)))
        lines.append(Line(at_s, words, text, scene))
    return lines


def hash_of(viewer: int) -> str:
    """Eight hexadecimal digits, as a sender's hash in this format."""
    return hashlib.sha256(f"night train, viewer {viewer}".encode()).hexdigest()[:8]


class Audience:
    """Who speaks next: the cast when named, otherwise somebody who has been quiet."""

    def __init__(self, chance: Chance) -> None:
        self._chance = chance
        self._hashes = [hash_of(viewer) for viewer in range(VIEWERS)]
        assert len(set(self._hashes)) == VIEWERS
        # Some talk more than others.
        self._zeal = {viewer: int(chance.between(4, 25)) for viewer in range(len(CAST), VIEWERS)}
        self._spoke_s = dict.fromkeys(self._zeal, -REST_S)

    def sender(self, name: Optional[str], at_s: float) -> str:
        if name is not None:
            return self._hashes[CAST.index(name)]
        rested = [
            (viewer, zeal) for viewer, zeal in self._zeal.items() if at_s - self._spoke_s[viewer] >= REST_S
        ]
        viewer = self._chance.weighted(rested)
        self._spoke_s[viewer] = at_s
        return self._hashes[viewer]


def element(number: int, line: Line, audience: Audience, chance: Chance) -> str:
    """The <d> of a line."""
    fixed = {}
    for word in line.words:
        if word in MODES:
            fixed["mode"] = word
        elif word in SIZES:
            fixed["size"] = word
        elif word in CAST:
            fixed["name"] = word
        else:
            assert word in (*PALETTE, WHITE, BLACK), f"unknown word {word!r}"
            fixed["color"] = word
    mode = fixed.get("mode") or ("scroll" if line.words else chance.weighted(MODE_ODDS))
    size = fixed.get("size") or ("standard" if line.words else chance.weighted(SIZE_ODDS))
    color = fixed.get("color") or (WHITE if chance.happens(line.scene.white) else tint(line.scene, chance))
    sender = audience.sender(fixed.get("name"), line.at_s)
    sent_at = STARTED_AT + int(line.at_s)
    p = f"{line.at_s:.5f},{MODES[mode]},{SIZES[size]},{int(color, 16)},{sent_at},0,{sender},{number}"
    return f'<d p="{p}">{escape(line.text)}</d>'


def tint(scene: Scene, chance: Chance) -> str:
    return chance.one_of(scene.tints if chance.happens(0.7) else PALETTE)


def document() -> str:
    chance = Chance(SEED)
    lines = [line for scene in JOURNEY for line in tell(scene, chance)]
    # Whole milliseconds, so that no reader has to round.
    lines = [Line(round(line.at_s, 3), line.words, line.text, line.scene) for line in lines]
    lines.sort(key=lambda line: line.at_s)
    audience = Audience(chance)
    elements = [element(number, line, audience, chance) for number, line in enumerate(lines, start=1)]
    head = (
        '<?xml version="1.0" encoding="UTF-8"?><i>'
        "<chatserver>goligoli</chatserver><chatid>1</chatid><mission>0</mission><maxlimit>8000</maxlimit>"
        "<state>0</state><real_name>0</real_name><source>k-v</source>"
    )
    return "\n".join([head, *elements, "</i>", ""])


def describe(xml: str) -> str:
    """Reads the document back and counts."""
    fields = [(d.get("p").split(","), d.text) for d in ElementTree.fromstring(xml.encode()).iter("d")]
    seconds = Counter(int(float(p[0])) for p, _ in fields)
    return "\n".join([
        f"lines     {len(fields)}, {len({text for _, text in fields})} different, to {fields[-1][0][0]} s",
        f"senders   {len({p[6] for p, _ in fields})}",
        f"modes     {dict(Counter(p[1] for p, _ in fields).most_common())}",
        f"sizes     {dict(Counter(p[2] for p, _ in fields).most_common())}",
        f"colours   {dict(Counter(format(int(p[3]), '06X') for p, _ in fields).most_common())}",
        f"peaks     {({s: n for s, n in sorted(seconds.items()) if n >= 12})} (second: lines)",
    ])  # fmt: skip


def main() -> None:
    xml = document()
    path = Path(__file__).with_name("night-train.xml")
    path.write_bytes(xml.encode())
    print(describe(xml))


if __name__ == "__main__":
    main()
