#!/usr/bin/env python3
"""Checks a lottery draw of the protocol goligoli-draw/1, offline.

    verify_draw.py PROOF ENTRIES [--opened F] [--closed F] [--receipt F]...

This is a second implementation, written from the protocol's text alone; it shares no code
with the server. It needs Python 3.9 or newer, `cryptography` (for Ed25519 only) and about 200
bytes an entry; its time grows with the sum of the weights.

PROOF and ENTRIES are what the server publishes after the draw. `opened`, `closed` and the
receipts are what you saved while the lottery ran. The first line printed is the result:

    exit 0  agrees with what was signed at the time (--opened and --closed were given)
    exit 3  only consistent in itself: all of it could have been made up afterwards
    exit 1  does not agree; the line names the first thing that does not
    exit 2  unreadable: not documents of this protocol, or a draw with a beacon
"""

import argparse
import hashlib
import heapq
import hmac
import itertools
import json
import re
import struct
import sys
from bisect import bisect_right

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
except ImportError:
    print("cannot verify: install the Python package `cryptography`", file=sys.stderr)
    sys.exit(2)  # the default, 1, would read as "does not agree"

LARGEST = 2**53 - 1  # of ids and integers
LARGEST_WEIGHT = 2**32 - 1  # it is a u32 in the leaf
LARGEST_RULE = 65_535  # each chance is an HMAC; a rule gives no entry more
REASONS = {"unclaimed": 1, "declined": 2}
DOCUMENT_BYTES = 32 << 20  # a proof of some 250,000 winners; a longer document is refused
LINE_BYTES = 1024  # with its newline; a line of ENTRIES without white space has at most 106
P = 2**255 - 19  # of Ed25519's field
ORDER_8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
SMALL_ORDER = (0, 1, P - 1, ORDER_8, P - ORDER_8)  # the y of the eight points of small order
u32, u64 = struct.Struct(">I").pack, struct.Struct(">Q").pack


class Unreadable(Exception):
    """Not a document of this protocol."""


class Disagrees(Exception):
    """Readable, and not what the protocol gives."""


def agrees(holds, otherwise, **values):
    if not holds:
        raise Disagrees(otherwise.format(**values) if values else otherwise)


def sha256(data):
    return hashlib.sha256(data).digest()


# Strict JSON. A reader takes a value as JSON gave it and its name; it returns the value or refuses.


def once(pairs):
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a field is there twice")
    return found


def digits(number):
    if len(number) > 16 or not number.isdigit():  # longer ones could take int() minutes
        raise ValueError("a number is not an integer in 0..2^53")
    return int(number)


JSON = json.JSONDecoder(object_pairs_hook=once, parse_int=digits, parse_float=digits, parse_constant=digits)


def decoded(data, name):
    try:
        return JSON.decode(data.decode("utf-8"))
    except RecursionError:
        raise Unreadable(f"{name} is nested too deeply") from None
    except ValueError as error:
        raise Unreadable(f"{name} is not strict JSON in UTF-8: {error}") from None


def record(**fields):
    """Reads an object with exactly these fields, each by its own reader."""

    def read(value, name):
        if type(value) is not dict:
            raise Unreadable(f"{name} is not an object")
        if value.keys() != fields.keys():
            field = min(value.keys() ^ fields.keys())
            raise Unreadable(f"{name}: {'no' if field in fields else 'unknown'} field {ascii(field[:40])}")
        return {field: reader(value[field], field) for field, reader in fields.items()}

    return read


def array_of(reader):
    def read(value, name):
        if type(value) is not list:
            raise Unreadable(f"{name} is not an array")
        return [reader(item, name) for item in value]

    return read


def integer(smallest, largest):
    def read(value, name):
        if type(value) is not int or not smallest <= value <= largest:  # True is no integer here
            raise Unreadable(f"{name} is not an integer in {smallest}..={largest}")
        return value

    return read


def lowercase_hex(size):
    pattern = re.compile(f"[0-9a-f]{{{2 * size}}}")

    def read(value, name):
        if type(value) is not str or not pattern.fullmatch(value):
            raise Unreadable(f"{name} is not {size} bytes in lowercase hex")
        return bytes.fromhex(value)

    return read


def text(value, name):
    if type(value) is not str or re.search("[\ud800-\udfff]", value):  # half of a surrogate pair
        raise Unreadable(f"{name} is not a string of Unicode characters")
    return value


def identifier(value, name, pattern=re.compile("[1-9][0-9]{0,15}")):
    if type(value) is not str or not pattern.fullmatch(value) or int(value) > LARGEST:
        raise Unreadable(f"{name} is not a decimal string from 1 to 2^53 - 1")
    return int(value)


def one_of(*values):
    def read(value, name):
        if type(value) is not str or value not in values:
            raise Unreadable(f"{name} is not {' or '.join(values)}")
        return value

    return read


def or_null(reader):
    return lambda value, name: None if value is None else reader(value, name)


def condition(value, name):
    known = {"posted": record(posted=identifier), "keyword": record(keyword=text)}
    if type(value) is not dict or len(value) != 1 or not value.keys() <= known.keys():
        raise Unreadable(f"{name} is not a known condition")
    return known[min(value)](value, name)


def largest_weight(value, name):
    return 1 if value == "one" else record(rule=text, max=integer(1, LARGEST_RULE))(value, name)["max"]


def canonical_spec(value, name):
    """Reads the spec, whose text has to be the one that RFC 8785 makes of its values: names
    sorted, no white space, the fewest escapes. As all names are ASCII and all numbers
    integers, json.dumps makes that text too."""
    canonical = text(value, name).encode()
    values = decoded(canonical, name)
    spec = SPEC(values, name)
    if json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")) != value:
        raise Unreadable(f"{name} is not canonical JSON (RFC 8785)")
    return {**spec, "hash": sha256(canonical)}


NUMBER, HASH, SIGNATURE = integer(0, LARGEST), lowercase_hex(32), lowercase_hex(64)
SPEC = record(
    v=integer(1, 1), lottery_id=identifier, room_id=identifier, title=text,
    prizes=array_of(record(name=text, count=NUMBER)), conditions=array_of(condition),
    weight=largest_weight, claim_ms=NUMBER, opens_at_ms=NUMBER, draw_at_ms=NUMBER,
    receipt_key=lowercase_hex(32), beacon=or_null(record(chain_hash=HASH, round=NUMBER)))
OPENED = record(spec=canonical_spec, commitment=HASH, signature=SIGNATURE)
CLOSED = record(lottery_id=identifier, root=HASH, count=NUMBER, closed_at_ms=NUMBER, signature=SIGNATURE)
PROOF = record(
    protocol=one_of("goligoli-draw/1"), spec=canonical_spec, commitment=HASH, opened_signature=SIGNATURE,
    root=HASH, count=NUMBER, closed_at_ms=NUMBER, closed_signature=SIGNATURE, seed=HASH,
    beacon=or_null(record(chain_hash=HASH, round=NUMBER, randomness=HASH, signature=text)),
    winners=array_of(record(n=NUMBER, user_id=identifier, key=HASH, prize=NUMBER)),
    replaced=array_of(record(n=NUMBER, reason=one_of(*REASONS), at_ms=NUMBER, signature=SIGNATURE)))
ENTRY_FIELDS = dict(n=NUMBER, user_id=identifier, entered_at_ms=NUMBER, weight=integer(0, LARGEST_WEIGHT))
ENTRY = record(**ENTRY_FIELDS)
RECEIPT = record(lottery_id=identifier, signature=SIGNATURE, **ENTRY_FIELDS)


def document(path, reader):
    with open(path, "rb") as file:
        data = file.read(DOCUMENT_BYTES + 1)
    try:
        if len(data) > DOCUMENT_BYTES:
            raise Unreadable(f"more than {DOCUMENT_BYTES} bytes")
        return reader(decoded(data, "the document"), "the document")
    except Unreadable as error:
        raise Unreadable(f"{path}: {error}") from None


# Signatures, the tree, the keys.


def check_signature(spec, signature, message, what):
    """Ed25519 (RFC 8032), strictly. Nothing counts as signed by a key of order 1, 2, 4 or 8:
    under the key of zeros, say, a signature of zeros holds for every fourth message. Nor may
    R be such a point. `cryptography` checks that S < L, and the equation without the cofactor."""
    key, r = (int.from_bytes(point, "little") % 2**255 for point in (spec["receipt_key"], signature[:32]))
    agrees(key < P and key not in SMALL_ORDER, "the receipt_key is one of those that bind nobody")
    agrees(r not in SMALL_ORDER, f"the signature of {what} is one that could hold for many messages")
    try:
        Ed25519PublicKey.from_public_bytes(spec["receipt_key"]).verify(signature, message)
    except (InvalidSignature, ValueError):
        raise Disagrees(f"the signature of {what} does not hold") from None


def leaf_of(entry):
    return sha256(b"\0" + u64(entry["n"]) + u64(entry["user_id"]) + u64(entry["entered_at_ms"]) + u32(entry["weight"]))


def tree_hash(leaves):
    """RFC 9162, section 2.1.1. The stack has the subtrees that are full, the largest first."""
    subtrees = []
    for n, node in enumerate(leaves):
        while n & 1:
            node, n = sha256(b"\1" + subtrees.pop() + node), n >> 1
        subtrees.append(node)
    node = subtrees.pop() if subtrees else sha256(b"")
    while subtrees:
        node = sha256(b"\1" + subtrees.pop() + node)
    return node


class Entries:
    """ENTRIES, checked while it is read. Of an entry its leaf, user and weight are kept."""

    def __init__(self, path, spec):
        self.leaves, self.users, self.weights = [], [], []
        users, last_ms = set(), spec["opens_at_ms"]
        for n, entry in enumerate(self.lines(path)):
            user, at_ms, weight = entry["user_id"], entry["entered_at_ms"], entry["weight"]
            agrees(entry["n"] == n, "where entry {n} belongs stands entry {other}", n=n, other=entry["n"])
            agrees(user not in users, "entry {n} is of a user who entered before", n=n)
            agrees(at_ms >= last_ms, "entry {n} is earlier than opens_at_ms or the entry before", n=n)
            agrees(at_ms < spec["draw_at_ms"], "entry {n} is not before draw_at_ms", n=n)
            agrees(1 <= weight <= spec["weight"], "entry {n} has a weight that the spec does not allow", n=n)
            users.add(user)
            last_ms = at_ms
            self.leaves.append(leaf_of(entry))
            self.users.append(user)
            self.weights.append(weight)

    def key(self, draw_key, n):
        return min(hmac.digest(draw_key, self.leaves[n] + u32(t), "sha256") for t in range(self.weights[n]))

    @staticmethod
    def lines(path):
        with open(path, "rb") as file:
            for number, line in enumerate(iter(lambda: file.readline(LINE_BYTES), b""), 1):
                try:
                    if not line.endswith(b"\n"):
                        raise Unreadable("too long, or not ended by a newline")
                    yield ENTRY(decoded(line[:-1], "the entry"), "the entry")
                except Unreadable as error:
                    raise Unreadable(f"{path}: line {number}: {error}") from None


# The draw, in the order of the protocol.


def check_saved(saved, published, what):
    """Equal signatures over equal bytes: the saved one holds if the proof's does."""
    for field, value in published.items():
        agrees(saved is None or saved[field] == value, f"the {what} that was saved has another {field}")


def check_receipt(receipt, spec, entries, what):
    agrees(receipt["lottery_id"] == spec["lottery_id"], f"{what} is of another lottery")
    leaf = leaf_of(receipt)
    check_signature(spec, receipt["signature"], b"goligoli-draw/1/receipt" + u64(receipt["lottery_id"]) + leaf, what)
    found = receipt["n"] < len(entries.users) and entries.leaves[receipt["n"]] == leaf
    agrees(found, f"{what} is signed, and its entry is missing: it proves a fraud")


def holders_after_replacements(proof, previous, ranking):
    """Hands out the prizes in the ranking's order and follows the chain of replacements.

    Returns the prize of each n that holds one in the end. When nobody is left in the
    ranking, the prize of a winner who is taken out stays open.
    """
    spec = proof["spec"]
    tier_ends = list(itertools.accumulate(prize["count"] for prize in spec["prizes"]))
    order = iter([n for _, n in ranking])
    first = itertools.islice(order, min(len(ranking), tier_ends[-1] if tier_ends else 0))
    held = {n: (bisect_right(tier_ends, rank), proof["closed_at_ms"]) for rank, n in enumerate(first)}
    for i, step in enumerate(proof["replaced"]):
        n, at_ms = step["n"], step["at_ms"]
        message = b"goligoli-draw/1/replaced" + spec["hash"] + proof["root"] + u64(i) + u64(n)
        message += u32(REASONS[step["reason"]]) + u64(at_ms) + sha256(previous)
        check_signature(spec, step["signature"], message, f"replacement {i}")
        previous = message
        agrees(n in held, f"replacement {i} takes out entry {n}, which held no prize then")
        prize, since_ms = held.pop(n)
        agrees(at_ms >= since_ms, f"replacement {i} is earlier than its winner got the prize")
        if step["reason"] == "unclaimed":
            agrees(spec["claim_ms"] > 0, f"replacement {i}: prizes of this lottery need no claim")
            agrees(at_ms - since_ms >= spec["claim_ms"], f"replacement {i}: the time to claim was not over")
        for successor in itertools.islice(order, 1):
            held[successor] = (prize, at_ms)
    return {n: prize for n, (prize, _) in held.items()}


def check_winners(proof, closed_message, entries):
    # Winners and replaced together are a prefix of the ranking; each replacement makes it longer by one.
    spec, winners, replaced = proof["spec"], proof["winners"], proof["replaced"]
    count = len(entries.users)
    ranked = min(sum(prize["count"] for prize in spec["prizes"]) + len(replaced), count)
    agrees(len(winners) + len(replaced) == ranked, f"winners and replaced have to be {ranked} together")
    message = b"goligoli-draw/1/draw" + spec["hash"] + proof["root"] + u64(count)  # and no beacon
    draw_key = hmac.digest(proof["seed"], message, "sha256")
    ranking = heapq.nsmallest(ranked, ((entries.key(draw_key, n), n) for n in range(count)))
    held = holders_after_replacements(proof, closed_message, ranking)
    drawn = ({"n": n, "user_id": entries.users[n], "key": key, "prize": held[n]} for key, n in ranking if n in held)
    for place, (stated, right) in enumerate(zip(winners, drawn)):
        for field in right:
            agrees(stated[field] == right[field], f"the {field} of winner {place} is not the one drawn")


def verify(given):
    """Returns whether what was signed at the time was given too."""
    proof = document(given.proof, PROOF)
    opened = None if given.opened is None else document(given.opened, OPENED)
    closed = None if given.closed is None else document(given.closed, CLOSED)
    receipts = [document(path, RECEIPT) for path in given.receipt]
    spec = proof["spec"]
    if spec["beacon"] is not None:
        raise Unreadable("the draw has a beacon, and this verifier does not verify drand's BLS signatures")
    agrees(proof["beacon"] is None, "the proof has a beacon, and its spec names none")

    commitment, signature = proof["commitment"], proof["opened_signature"]
    check_saved(opened, {"spec": spec, "commitment": commitment, "signature": signature}, "opened")
    check_signature(spec, signature, b"goligoli-draw/1/opened" + spec["hash"] + commitment, "opened")
    of_seed = sha256(b"goligoli-draw/1/commit" + spec["hash"] + proof["seed"])
    agrees(commitment == of_seed, "the commitment is not that of the spec and the seed")

    root, count, closed_at_ms, signature = (proof[f] for f in ("root", "count", "closed_at_ms", "closed_signature"))
    message = b"goligoli-draw/1/closed" + spec["hash"] + root + u64(count) + u64(closed_at_ms)
    announced = {"root": root, "count": count, "closed_at_ms": closed_at_ms, "signature": signature}
    check_saved(closed, {"lottery_id": spec["lottery_id"], **announced}, "closed")
    check_signature(spec, signature, message, "closed")
    agrees(closed_at_ms >= spec["draw_at_ms"], "closed_at_ms is before draw_at_ms")

    entries = Entries(given.entries, spec)
    agrees(len(entries.users) == count, f"there are {len(entries.users)} entries, and count is {count}")
    agrees(tree_hash(entries.leaves) == root, "the entries do not have the root that the proof states")
    for path, receipt in zip(given.receipt, receipts):
        check_receipt(receipt, spec, entries, f"the receipt {path}")
    check_winners(proof, message, entries)
    return opened is not None and closed is not None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0], allow_abbrev=False)
    parser.add_argument("proof", metavar="PROOF")
    parser.add_argument("entries", metavar="ENTRIES")
    parser.add_argument("--opened", metavar="F", help="what was announced when the lottery opened")
    parser.add_argument("--closed", metavar="F", help="what was announced when it closed")
    parser.add_argument("--receipt", metavar="F", action="append", default=[], help="what an entrant got")
    try:
        signed_then = verify(parser.parse_args(arguments))
    except (Unreadable, OSError, MemoryError) as error:
        print(f"unreadable: {str(error) or 'too large for the memory here'}", file=sys.stderr)
        return 2
    except Disagrees as error:
        print(f"does not agree: {error}")
        return 1
    print("agrees with what was signed at the time" if signed_then else
          "only consistent in itself: without the opened and closed of that time it could all be made up")
    print("No beacon: the operator is trusted, who knows the seed and can steer the winner by a last entry.")
    return 0 if signed_then else 3


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    sys.exit(main())
