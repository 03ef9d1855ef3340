"""Puts entries of accounts that nobody has into a stopped server's lottery, as if they had come
over HTTP: many_entries.py LOTTERY.DB LOTTERY-ID ENTRIES"""

import sqlite3
import sys

file, lottery, more = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(file)
with db:
    first, last_ms, opens_at_ms = db.execute("SELECT next_n, last_ms, opens_at_ms FROM lottery WHERE id = ?", (lottery,)).fetchone()
    at_ms = max(last_ms, opens_at_ms)
    db.executemany(
        "INSERT INTO entry (lottery_id, n, user_id, user_name, entered_at_ms, weight) VALUES (?, ?, ?, ?, ?, 1)",
        ((lottery, n, 1_000_000_000 + n, f"viewer-{n}", at_ms) for n in range(first, first + more)),
    )
    db.execute("UPDATE lottery SET next_n = ?, last_ms = ? WHERE id = ?", (first + more, at_ms, lottery))
db.close()
