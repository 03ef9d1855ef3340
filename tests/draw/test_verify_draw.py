"""Tests of verify_draw.py, with their own generator of draws, also written from the protocol's text.

    python3 -m venv VENV && VENV/bin/pip install -r tests/draw/requirements.txt
    VENV/bin/python tests/draw/test_verify_draw.py
"""

import contextlib
import hashlib
import hmac
import io
import json
import pathlib
import random
import tempfile
import unittest

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import verify_draw

OPENS_MS, DRAW_MS, CLAIM_MS = 1_000, 2_000, 500


def compact(value):
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def h(data):
    return hashlib.sha256(data).digest()


def be(number, size=8):
    return number.to_bytes(size, "big")


def tree(leaf_data):
    """The definition of RFC 9162, as it stands there."""
    n = len(leaf_data)
    if n < 2:
        return h(b"\0" + leaf_data[0]) if n else h(b"")
    k = 1
    while 2 * k < n:
        k *= 2
    return h(b"\1" + tree(leaf_data[:k]) + tree(leaf_data[k:]))


class Draw:
    """A draw that is signed and derived as the protocol has it, from whatever it is given.

    A step is (which, reason, after_ms): the entry n, or with `which` a string of digits the
    holder of that place, loses its prize after_ms after it got it.
    """

    def __init__(self, entries, steps=(), spec=None, closed_at_ms=DRAW_MS + 7, signing_key=b"k" * 32, seed=b"s" * 32):
        self.private = Ed25519PrivateKey.from_private_bytes(signing_key)
        public = self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.spec = {
            "v": 1, "lottery_id": "77", "room_id": "9007199254740991", "title": 'Tea "☕" 😀\n\\ /\x7f\x1f',
            "prizes": [{"name": "tea", "count": 1}, {"name": "cup", "count": 2}], "weight": "one", "beacon": None,
            "conditions": [{"posted": "12"}, {"keyword": "抽奖"}], "claim_ms": CLAIM_MS, "opens_at_ms": OPENS_MS,
            "draw_at_ms": DRAW_MS, "receipt_key": public.hex(), **(spec or {})}
        self.entries = entries
        text = compact(self.spec)
        self.spec_hash, self.root = h(text.encode()), tree([self.leaf_data(e) for e in entries])
        commitment = h(b"goligoli-draw/1/commit" + self.spec_hash + seed)
        self.opened = {"spec": text, "commitment": commitment.hex(),
                       "signature": self.sign(b"goligoli-draw/1/opened" + self.spec_hash + commitment)}
        message = b"goligoli-draw/1/closed" + self.spec_hash + self.root + be(len(entries)) + be(closed_at_ms)
        self.closed = {"lottery_id": self.spec["lottery_id"], "root": self.root.hex(), "count": len(entries),
                       "closed_at_ms": closed_at_ms, "signature": self.sign(message)}
        key = hmac.new(seed, b"goligoli-draw/1/draw" + self.spec_hash + self.root + be(len(entries)), "sha256").digest()
        ranking = sorted((min(hmac.new(key, self.leaf(e) + be(t, 4), "sha256").hexdigest()
                              for t in range(max(e["weight"], 1))), e["n"], e["user_id"]) for e in entries)
        tiers = [i for i, prize in enumerate(self.spec["prizes"]) for _ in range(min(prize["count"], len(entries)))]
        held = {place: (tier, closed_at_ms) for tier, place in zip(tiers, range(len(ranking)))}
        replaced, next_place = [], len(held)
        for i, (which, reason, after_ms) in enumerate(steps):
            gone = sorted(held)[int(which)] if isinstance(which, str) else None
            n = ranking[gone][1] if gone is not None else which
            prize, since_ms = held.pop(gone, (0, closed_at_ms))
            at_ms = since_ms + after_ms
            message = (b"goligoli-draw/1/replaced" + self.spec_hash + self.root + be(i) + be(n)
                       + be({"unclaimed": 1, "declined": 2}[reason], 4) + be(at_ms) + h(message))
            replaced.append({"n": n, "reason": reason, "at_ms": at_ms, "signature": self.sign(message)})
            if gone is not None and next_place < len(ranking):
                held[next_place] = (prize, at_ms)
                next_place += 1
        winners = [{"n": n, "user_id": user_id, "key": key, "prize": held[place][0]}
                   for place, (key, n, user_id) in enumerate(ranking) if place in held]
        self.proof = {
            "protocol": "goligoli-draw/1", "spec": text, "commitment": commitment.hex(),
            "opened_signature": self.opened["signature"], "root": self.root.hex(), "count": len(entries),
            "closed_at_ms": closed_at_ms, "closed_signature": self.closed["signature"], "seed": seed.hex(),
            "beacon": None, "winners": winners, "replaced": replaced}

    def sign(self, message):
        return self.private.sign(message).hex()

    @staticmethod
    def leaf_data(entry):
        return be(entry["n"]) + be(int(entry["user_id"])) + be(entry["entered_at_ms"]) + be(entry["weight"], 4)

    def leaf(self, entry):
        return h(b"\0" + self.leaf_data(entry))

    def receipt(self, entry, lottery_id="77"):
        signature = self.sign(b"goligoli-draw/1/receipt" + be(int(lottery_id)) + self.leaf(entry))
        return {"lottery_id": lottery_id, **entry, "signature": signature}


def entries_of(count, rng=None, largest_weight=1):
    rng = rng or random.Random(count)
    times = sorted(rng.choices(range(OPENS_MS, DRAW_MS), k=count))
    return [{"n": n, "user_id": str(user), "entered_at_ms": time, "weight": rng.randint(1, largest_weight)}
            for n, (user, time) in enumerate(zip(rng.sample(range(1, 2**53), count), times))]


def ndjson(entries):
    return "".join(compact(entry) + "\n" for entry in entries)


class Verifying(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = pathlib.Path(directory.name)

    def file(self, name, content):
        if isinstance(content, dict):
            content = compact(content)
        if isinstance(content, str):
            content = content.encode("utf-8", "surrogatepass")
        path = self.directory / name
        path.unlink(missing_ok=True)  # ext4 would flush a file that is overwritten: 4 ms each
        path.write_bytes(content)
        return str(path)

    def run_on(self, proof, entries, opened=None, closed=None, receipts=()):
        """The exit code and the first line; a refusal has one line only, an exception fails the test."""
        entries = entries if isinstance(entries, (str, bytes)) else ndjson(entries)
        arguments = [self.file("proof", proof), self.file("entries", entries)]
        arguments += ["--opened", self.file("opened", opened)] if opened is not None else []
        arguments += ["--closed", self.file("closed", closed)] if closed is not None else []
        for i, receipt in enumerate(receipts):
            arguments += ["--receipt", self.file(f"receipt{i}", receipt)]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            code = verify_draw.main(arguments)
        lines = printed.getvalue().splitlines()
        if code in (1, 2):
            self.assertEqual(len(lines), 1, lines)
            self.assertLess(len(lines[0]), 300)
        return code, lines[0]

    def expect(self, code, words, *documents, **saved):
        found, line = self.run_on(*documents, **saved)
        self.assertEqual(found, code, line)
        self.assertIn(words, line)


class ValidDraws(Verifying):
    def test_draws_of_all_sizes_agree(self):
        for count in range(41):
            rng = random.Random(count)
            largest = rng.choice([1, 5])
            prizes = [{"name": str(i), "count": rng.randint(0, 4)} for i in range(rng.randint(1, 4))]
            spec = {"prizes": prizes, "weight": {"rule": "level", "max": 5} if largest > 1 else "one"}
            entries = entries_of(count, rng, largest)
            held = min(sum(prize["count"] for prize in prizes), count)
            steps, left = [], count - held
            for _ in range(rng.randint(0, 12)):
                if held:
                    steps.append((str(rng.randrange(held)), *rng.choice([("declined", 0), ("unclaimed", CLAIM_MS)])))
                    held, left = (held, left - 1) if left else (held - 1, 0)
            draw = Draw(entries, steps, spec)
            with self.subTest(count=count, steps=steps, prizes=prizes):
                receipts = [draw.receipt(entry) for entry in rng.sample(entries, min(count, 2))]
                both = {"opened": draw.opened, "closed": draw.closed, "receipts": receipts}
                self.expect(0, "agrees with what was signed", draw.proof, entries, **both)
                for only in ({}, {"opened": draw.opened}, {"closed": draw.closed}):
                    self.expect(3, "only consistent in itself", draw.proof, entries, **only)

    def test_all_prizes_may_go_back_when_nobody_is_left(self):
        draw = Draw(entries_of(3), [("0", "declined", 0)] * 3)
        self.assertEqual(draw.proof["winners"], [])
        self.expect(3, "", draw.proof, draw.entries)

    def test_the_largest_integers_and_the_earliest_close_are_valid(self):
        largest = 2**53 - 1
        spec = {"draw_at_ms": largest, "claim_ms": largest, "prizes": [{"name": "all", "count": largest}] * 2}
        draw = Draw([{"n": 0, "user_id": str(largest), "entered_at_ms": largest - 1, "weight": 1}], (), spec, largest)
        self.expect(3, "", draw.proof, draw.entries)

    def test_white_space_and_the_order_of_fields_mean_nothing_outside_the_spec(self):
        draw = Draw(entries_of(3))
        spaced = json.dumps(dict(reversed(draw.proof.items())), indent="\t") + "\r\n"
        lines = "".join(json.dumps(entry) + " \r\n" for entry in draw.entries)
        self.expect(0, "", spaced, lines, opened=json.dumps(draw.opened), closed=json.dumps(draw.closed, indent=1))


class Tampering(Verifying):
    def test_every_flipped_byte_of_compact_documents_is_found(self):
        draw = Draw(entries_of(4), [("1", "unclaimed", CLAIM_MS)])
        proof, entries = compact(draw.proof).encode(), ndjson(draw.entries).encode()
        self.expect(3, "", proof, entries)
        for at, bad in flips(proof):
            self.assertIn(self.run_on(bad, entries)[0], (1, 2), f"byte {at} of the proof")
        for at, bad in flips(entries):
            self.assertIn(self.run_on(proof, bad)[0], (1, 2), f"byte {at} of the entries")

    def test_every_flipped_byte_of_what_was_saved_is_found(self):
        draw = Draw(entries_of(4))
        receipt = draw.receipt(draw.entries[2])
        for name, document in (("opened", draw.opened), ("closed", draw.closed), ("receipts", receipt)):
            for at, bad in flips(compact(document).encode()):
                saved = {"opened": draw.opened, "closed": draw.closed, name: [bad] if name == "receipts" else bad}
                self.assertIn(self.run_on(draw.proof, draw.entries, **saved)[0], (1, 2), f"byte {at} of {name}")

    def test_a_forgery_made_up_afterwards_is_consistent_in_itself_and_not_with_what_was_saved(self):
        true, entries = Draw(entries_of(9)), entries_of(9)
        reseeded = Draw(entries, seed=b"t" * 32)
        self.expect(3, "", reseeded.proof, entries)
        self.expect(3, "", reseeded.proof, entries, closed=true.closed)  # the root does not hold the seed
        self.expect(1, "opened that was saved has another commitment", reseeded.proof, entries, opened=true.opened)
        other = Draw(entries, signing_key=b"o" * 32)
        self.expect(3, "", other.proof, entries)
        self.expect(1, "opened that was saved has another spec", other.proof, entries, opened=true.opened)
        self.expect(1, "closed that was saved has another signature", other.proof, entries, closed=true.closed)
        fewer = Draw(entries[:8])
        self.expect(3, "", fewer.proof, fewer.entries, opened=true.opened)
        self.expect(1, "closed that was saved has another root", fewer.proof, fewer.entries, closed=true.closed)
        self.expect(1, "it proves a fraud", fewer.proof, fewer.entries, receipts=[true.receipt(entries[8])])
        later = Draw(entries, closed_at_ms=DRAW_MS + 8)
        self.expect(1, "another closed_at_ms", later.proof, entries, closed=true.closed)

    def test_broken_rules_are_named_even_when_signed(self):
        def entries(count=4, **changes):
            changed = entries_of(count)
            changed[2].update(changes)
            return changed

        first = entries_of(4)[0]
        for words, draw in (
            ("where entry 2 belongs stands entry 3", Draw(entries(n=3))),
            ("who entered before", Draw(entries(user_id=first["user_id"]))),
            ("entry 2 is earlier", Draw(entries(entered_at_ms=first["entered_at_ms"] - 1))),
            ("entry 0 is earlier than opens_at_ms", Draw([{**first, "entered_at_ms": OPENS_MS - 1}])),
            ("entry 0 is not before draw_at_ms", Draw([{**first, "entered_at_ms": DRAW_MS}])),
            ("a weight that the spec does not allow", Draw(entries(weight=2))),
            ("a weight that the spec does not allow", Draw(entries(weight=0))),
            ("a weight that the spec does not allow", Draw(entries(weight=4), (), {"weight": {"rule": "x", "max": 3}})),
            ("closed_at_ms is before draw_at_ms", Draw(entries_of(4), closed_at_ms=DRAW_MS - 1)),
            ("the time to claim was not over", Draw(entries_of(9), [("0", "unclaimed", CLAIM_MS - 1)])),
            ("prizes of this lottery need no claim", Draw(entries_of(9), [("0", "unclaimed", 999)], {"claim_ms": 0})),
            ("earlier than its winner got the prize", Draw(entries_of(9), [("0", "declined", -1)])),
            ("replacement 1 takes out entry", Draw(entries_of(9), [("2", "declined", 0), (99, "declined", 0)])),
        ):
            self.expect(1, words, draw.proof, draw.entries)

    def test_a_prize_taken_over_has_its_own_time_to_claim(self):
        # With one prize the second record is of the successor, whose time starts at the first record.
        one = {"prizes": [{"name": "tea", "count": 1}]}
        twice = Draw(entries_of(5), [("0", "unclaimed", CLAIM_MS), ("0", "unclaimed", CLAIM_MS)], one)
        self.assertEqual(twice.proof["replaced"][1]["at_ms"], DRAW_MS + 7 + 2 * CLAIM_MS)
        self.expect(3, "", twice.proof, twice.entries)
        early = Draw(entries_of(5), [("0", "unclaimed", CLAIM_MS), ("0", "unclaimed", CLAIM_MS - 1)], one)
        self.expect(1, "replacement 1: the time to claim was not over", early.proof, early.entries)

    def test_changed_results_are_named(self):
        draw = Draw(entries_of(9), [("0", "declined", 0), ("1", "declined", 5)])
        winners, replaced = draw.proof["winners"], draw.proof["replaced"]
        for words, field, value in (
            ("the n of winner 0", "winners", winners[::-1]),
            ("winners and replaced have to be 5 together", "winners", winners[:-1]),
            ("winners and replaced have to be 5 together", "winners", winners + winners[:1]),
            ("the prize of winner 1", "winners", [winners[0], {**winners[1], "prize": 7}, winners[2]]),
            ("the key of winner 1", "winners", [winners[0], {**winners[1], "key": "0" * 64}, winners[2]]),
            ("the user_id of winner 1", "winners", [winners[0], {**winners[1], "user_id": "1"}, winners[2]]),
            ("the signature of replacement 0", "replaced", replaced[::-1]),
            ("is not the one drawn", "replaced", replaced[:1]),
            ("the proof has a beacon", "beacon", dict(chain_hash="0" * 64, round=1, randomness="0" * 64, signature="")),
            ("the commitment is not that", "seed", "0" * 64),
            ("the signature of closed", "count", 8),
            ("the signature of opened", "opened_signature", "0" * 128),
        ):
            self.expect(1, words, {**draw.proof, field: value}, draw.entries)
        self.expect(1, "there are 8 entries, and count is 9", draw.proof, draw.entries[:8])
        changed = [{**draw.entries[0], "user_id": "5"}] + draw.entries[1:]
        self.expect(1, "do not have the root", draw.proof, changed)

    def test_receipts_of_others_do_not_count(self):
        draw, entry = Draw(entries_of(4)), entries_of(4)[3]
        stranger = Draw(entries_of(4), signing_key=b"o" * 32)
        self.expect(1, "of another lottery", draw.proof, draw.entries, receipts=[draw.receipt(entry, "78")])
        self.expect(1, "does not hold", draw.proof, draw.entries, receipts=[stranger.receipt(entry)])
        good = draw.receipt(entry)
        moved = draw.receipt({**entry, "n": 4})
        self.expect(1, "it proves a fraud", draw.proof, draw.entries, receipts=[good, moved])

    def test_a_key_of_small_order_signs_nothing(self):
        p = 2**255 - 19
        eight = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7
        for y in (0, 1, p - 1, p, p + 1, eight, p - eight):
            for sign in (0, 1 << 255):
                draw = Draw([], spec={"receipt_key": (y | sign).to_bytes(32, "little").hex()})
                self.expect(1, "bind nobody", draw.proof, [])


class Strictness(Verifying):
    def test_proofs_that_are_not_of_this_protocol_are_unreadable(self):
        draw = Draw(entries_of(4), [("0", "declined", 0)])
        good = compact(draw.proof)
        for old, new in (
            ('"count":4', '"count":4.0'), ('"count":4', '"count":true'), ('"count":4', '"count":"4"'),
            ('"count":4', '"count":04'), ('"count":4', '"count":-0'), ('"count":4', '"count":4e0'),
            ('"count":4', '"count":NaN'), ('"count":4', '"count":null'), ('"count":4', '"count":9007199254740992'),
            ('"count":4', '"count":' + "9" * 5000), ('"count":4', '"count":4,"count":4'), ('"count":4,', ""),
            ('"count":4', '"count":4,"extra":0'), ('"count":4', '"count":4,"\\ud800":0'), ('"count":4', '"count":4,'),
            ('"prize":0', '"prize":0,"prize":0'), ('"seed":"73', '"seed":"7'), ('"seed":"73', '"seed":"73 '),
            (draw.proof["root"], draw.proof["root"].upper()), (draw.proof["root"], draw.proof["root"] + "\\n"),
            ('"declined"', '"declined "'), ('"declined"', "2"), ("goligoli-draw/1", "goligoli-draw/2"),
            ('"replaced":[', '"replaced":[0,'), ('"winners":[', '"winners":[' + "[" * 50_000),
            ('"winners":[', '"winners":[' + '{"n":' * 50_000), ("{", "\ufeff{"), ("{", "\ud800{"), ("{", "[{"),
            ('"spec":"', '"spec":"\\ud800'), ('"beacon":null', '"beacon":0'), ('"beacon":null', '"beacon":{}'),
            (f'"{draw.proof["root"]}"', "0"), ('"goligoli-draw/1"', "[]"), ('"goligoli-draw/1"', "1"),
        ):
            self.assertIn(old, good)
            self.expect(2, "unreadable", good.replace(old, new, 1), draw.entries)
        for whole in ("", "null", "[]", "0", good + good, good[:-1], b"\xff\xfe", "[" * 1_000_000, " " * (33 << 20)):
            self.expect(2, "unreadable", whole, draw.entries)
        self.expect(2, "winners is not an array", {**draw.proof, "winners": {}}, draw.entries)
        self.expect(2, "more than 33554432 bytes", good + " " * (33 << 20), draw.entries)
        with contextlib.redirect_stderr(io.StringIO()) as printed:
            self.assertEqual(verify_draw.main([str(self.directory), "absent"]), 2)
            self.assertEqual(verify_draw.main(["absent", "absent"]), 2)
        self.assertEqual(printed.getvalue().count("\n"), 2)

    def test_specs_have_to_be_canonical(self):
        draw = Draw(entries_of(1))
        good = draw.proof["spec"]
        for old, new in (
            (":", ": "), ("{", " {"), ("}", "}\n"), ("☕", "\\u2615"), ("😀", "\\ud83d\\ude00"), ("😀", "\\ud83d"),
            ("/", "\\/"), ("\\n", "\\u000a"), ("\\u001f", "\\u001F"), ("\x7f", "\\u007f"), ('"v":1', '"v":1.0'),
            ('"v":1', '"v":2'), ('"v":1', '"v":true'), ('"77"', '"077"'), ('"77"', '"0"'), ('"77"', '""'),
            ('"77"', '"+77"'), ('"77"', '"٧٧"'), ('"77"', "77"), ('"9007199254740991"', '"9007199254740992"'),
            ('{"posted":"12"}', '{"followed":"12"}'), ('{"posted":"12"}', '{"keyword":"a","posted":"12"}'),
            ('{"posted":"12"}', "{}"), ('{"posted":"12"}', '"posted"'), ('{"posted":"12"}', "null"), ('"tea"', "null"),
            ('"weight":"one"', '"weight":"two"'), ('"weight":"one"', '"weight":1'),
            ('"one"', '{"max":0,"rule":"x"}'), ('"one"', '{"max":65536,"rule":"x"}'), ('"one"', '{"max":1}'),
            ('"claim_ms":500', '"claim_ms":500,"claim_ms":500'), ('"claim_ms":500', '"claim_ms":500,"claim_mt":0'),
            ('"claim_ms":500', '"claim_ms":5e2'), ('"claim_ms":500,', ""),
            ('{"count":1,"name":"tea"}', '{"name":"tea","count":1}'),
        ):
            self.assertIn(old, good)
            self.expect(2, "unreadable", {**draw.proof, "spec": good.replace(old, new, 1)}, draw.entries)

    def test_entries_have_to_be_strict_lines(self):
        draw = Draw(entries_of(2))
        good = ndjson(draw.entries)
        one = compact(draw.entries[0])
        for bad in (
            good[:-1], good + "\n", "\n" + good, good + " ", "\ufeff" + good, good.replace("\n", "", 1),
            good.replace("}", ',"x":0}', 1), good.replace('"n":0', '"n":0,"n":0'), good.replace('"n":0', '"n":false'),
            good.replace('"n":0,', ""), good.replace('"n":0', '"n":0.0'), good.replace('"n":0', '"n":-0'),
            good.replace('"weight":1', '"weight":4294967296'), good.replace('"user_id":"', '"user_id":"0'),
            one.replace("{", "{" + " " * 5000) + "\n", "[" * 4000 + "\n", "x" * 10_000_000, good.encode("utf-16"),
        ):
            self.assertNotEqual(bad, good)
            self.expect(2, "unreadable", draw.proof, bad)

    def test_a_beacon_is_said_to_be_beyond_this_verifier(self):
        draw = Draw(entries_of(2), spec={"beacon": {"chain_hash": "52" * 32, "round": 1000}})
        self.expect(2, "does not verify drand's BLS signatures", draw.proof, draw.entries)


def flips(data):
    """The data with one byte flipped, for each byte: one bit in turn, the bit of case, all bits."""
    for at in range(len(data)):
        for mask in {1 << at % 8, 0x20, 0xFF}:
            yield at, data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]


if __name__ == "__main__":
    unittest.main()
