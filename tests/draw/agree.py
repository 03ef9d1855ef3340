#!/usr/bin/env python3
"""Holds both verifiers of draws against each other.

    agree.py GOLIGOLI [--all]

GOLIGOLI is the program whose `verify-draw` is one of them; verify_draw.py beside this file is
the other. Both have to give every test vector the exit code that it expects, to read the
longest proof and no longer one, and to report a proof, or its entries, in which a single byte
was changed: with the same exit code. Changed are 500 bytes drawn with a fixed seed, or every
byte with --all.
"""

import contextlib
import hashlib
import io
import itertools
import json
import random
import subprocess
import sys
import tempfile
from pathlib import Path

import verify_draw

VECTORS = Path(__file__).resolve().parent / "vectors"
CHANGED = 500
LONGEST = 32 << 20  # bytes of a document
# A proof with replacements, weights and receipts is small enough for --all.
TAMPERED = "redraw-chain"


def of_goligoli(goligoli, arguments):
    done = subprocess.run([goligoli, "verify-draw", *arguments], capture_output=True, text=True, timeout=300)
    return done.returncode, (done.stdout + done.stderr).strip().partition("\n")[0]


def of_python(arguments):
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = verify_draw.main(arguments)
        except SystemExit as stopped:
            code = stopped.code
    return code or 0, said.getvalue().partition("\n")[0]


def disagreement(goligoli, arguments, expected):
    """What is wrong with the answers; None if both are among the expected ones, and the same."""
    arguments = [str(argument) for argument in arguments]
    ours, theirs = of_goligoli(goligoli, arguments), of_python(arguments)
    if ours[0] == theirs[0] and ours[0] in expected:
        return None
    return f"expected {expected}; goligoli: {ours}; python: {theirs}"


def long_entries(path, into):
    """Makes the list of entries that entries.json describes."""
    made = json.loads(path.read_text())
    digest = hashlib.sha256()
    with into.open("wb") as file:
        for n in range(made["count"]):
            user_id = made["first_user_id"] + made["user_id_step"] * n
            at_ms = made["opens_at_ms"] + n // made["entries_per_ms"]
            line = b'{"n":%d,"user_id":"%d","entered_at_ms":%d,"weight":1}\n' % (n, user_id, at_ms)
            digest.update(line)
            file.write(line)
    assert digest.hexdigest() == made["sha256"], path


def on_vectors(goligoli, scratch):
    for folder in sorted(VECTORS.iterdir()):
        expected = json.loads((folder / "expected.json").read_text())
        arguments = [arg if arg.startswith("--") else folder / arg for arg in expected["args"]]
        if (folder / "entries.json").exists():
            arguments[1] = scratch / "entries.ndjson"
            long_entries(folder / "entries.json", arguments[1])
        yield folder.name, disagreement(goligoli, arguments, [expected["exit"]])


def on_long_documents(goligoli, scratch):
    """White space behind a document is no part of what it says."""
    proof, entries = ((VECTORS / "tiny" / name).read_bytes() for name in ("proof.json", "entries.ndjson"))
    paths = [scratch / "proof.json", scratch / "entries.ndjson"]
    paths[1].write_bytes(entries)
    for length, exit_code in ((LONGEST, 3), (LONGEST + 1, 2)):
        paths[0].write_bytes(proof.ljust(length))
        yield f"a proof of {length} bytes", disagreement(goligoli, paths, [exit_code])


def on_changed_bytes(goligoli, scratch, every):
    chosen = random.Random("goligoli-draw/1")
    whole = [(VECTORS / TAMPERED / name).read_bytes() for name in ("proof.json", "entries.ndjson")]
    positions = [(file, at) for file in (0, 1) for at in range(len(whole[file]))]
    if not every:
        positions = chosen.sample(positions, CHANGED)
    paths = [scratch / "proof.json", scratch / "entries.ndjson"]
    for file, at in positions:
        value = whole[file][at] ^ chosen.randrange(1, 256)
        for path, data in zip(paths, whole):
            path.write_bytes(data)
        paths[file].write_bytes(whole[file][:at] + bytes([value]) + whole[file][at + 1 :])
        what = f"{paths[file].name}, byte {at}: {bytes([whole[file][at]])} became {bytes([value])}"
        yield what, disagreement(goligoli, paths, [1, 2])


def main():
    goligoli, *options = sys.argv[1:]
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        tried, wrong = 0, 0
        changed = on_changed_bytes(goligoli, scratch, options == ["--all"])
        cases = itertools.chain(on_vectors(goligoli, scratch), on_long_documents(goligoli, scratch), changed)
        for name, problem in cases:
            tried += 1
            if problem:
                wrong += 1
                print(f"{name}: {problem}", file=sys.stderr)
    print(f"{tried} draws, on {wrong} of which the verifiers do not agree or are wrong")
    return 1 if wrong or not tried else 0


if __name__ == "__main__":
    sys.exit(main())
