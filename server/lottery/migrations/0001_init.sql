-- Times are milliseconds since 1970, truth values 0 or 1; hashes, keys and signatures hexadecimal.
CREATE TABLE id_block (name VARCHAR(16) NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL);
INSERT INTO id_block (name, next_id) VALUES ('all', 1);

CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, topic BIGINT NOT NULL, body TEXT NOT NULL);

CREATE TABLE idempotency (
    user_id BIGINT NOT NULL,
    method VARCHAR(16) NOT NULL,
    idempotency_key VARCHAR(64) NOT NULL,
    body_hash VARCHAR(64) NOT NULL,
    result_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (user_id, method, idempotency_key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at_ms);

-- The keys that ever signed anything; until_ms is NULL for the one that opens lotteries now.
CREATE TABLE receipt_key (
    public_key VARCHAR(64) NOT NULL PRIMARY KEY,
    since_ms BIGINT NOT NULL,
    until_ms BIGINT
);

-- How many lotteries of a room are not decided: counted up conditionally, so that the limit
-- holds whatever runs at once.
CREATE TABLE room_undecided (room_id BIGINT NOT NULL PRIMARY KEY, lotteries BIGINT NOT NULL);

CREATE TABLE lottery (
    id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL,
    opened_by BIGINT NOT NULL,
    test SMALLINT NOT NULL,
    phase SMALLINT NOT NULL, -- 0 open, 1 closed, 2 drawn, 3 cancelled
    -- Counts the changes that viewers are told of.
    version BIGINT NOT NULL,
    -- The string that is hashed; title, prizes and conditions are in it.
    spec TEXT NOT NULL,
    commitment VARCHAR(64) NOT NULL,
    opened_signature VARCHAR(128) NOT NULL,
    -- Nonce and ciphertext; nobody sees the seed before it is revealed.
    sealed_seed VARCHAR(160) NOT NULL,
    opens_at_ms BIGINT NOT NULL,
    draw_at_ms BIGINT NOT NULL,
    -- The number of the next entry: so many are in. And the time of the latest one.
    next_n BIGINT NOT NULL,
    last_ms BIGINT NOT NULL,
    -- The freeze, and what was signed of it once the root was known.
    closed_at_ms BIGINT,
    root VARCHAR(64),
    closed_signature VARCHAR(128),
    -- The result.
    drawn_at_ms BIGINT,
    seed VARCHAR(64),
    cancelled_at_ms BIGINT,
    cancel_reason VARCHAR(200),
    cancelled_signature VARCHAR(128),
    -- Somebody draws it until then.
    leased_until_ms BIGINT NOT NULL
);
CREATE INDEX lottery_by_phase ON lottery (phase, draw_at_ms);
CREATE INDEX lottery_by_room ON lottery (room_id, opens_at_ms, id);

CREATE TABLE entry (
    lottery_id BIGINT NOT NULL,
    n BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_name VARCHAR(80) NOT NULL, -- as it was then
    entered_at_ms BIGINT NOT NULL,
    weight BIGINT NOT NULL,
    PRIMARY KEY (lottery_id, n)
);
CREATE UNIQUE INDEX entry_by_user ON entry (user_id, lottery_id);

-- The Merkle tree's node over each page of entries.
CREATE TABLE entry_page (
    lottery_id BIGINT NOT NULL,
    page BIGINT NOT NULL,
    hash VARCHAR(64) NOT NULL,
    PRIMARY KEY (lottery_id, page)
);

-- The first places of the ranking: as many as there are prizes, and some for replacements.
CREATE TABLE ranking (
    lottery_id BIGINT NOT NULL,
    place BIGINT NOT NULL,
    n BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_name VARCHAR(80) NOT NULL,
    entry_key VARCHAR(64) NOT NULL,
    PRIMARY KEY (lottery_id, place)
);

CREATE TABLE replacement (
    lottery_id BIGINT NOT NULL,
    i BIGINT NOT NULL,
    n BIGINT NOT NULL,
    reason SMALLINT NOT NULL, -- 1 unclaimed, 2 declined
    at_ms BIGINT NOT NULL,
    signature VARCHAR(128) NOT NULL,
    PRIMARY KEY (lottery_id, i)
);

CREATE TABLE claim (
    lottery_id BIGINT NOT NULL,
    n BIGINT NOT NULL,
    claimed_at_ms BIGINT NOT NULL,
    PRIMARY KEY (lottery_id, n)
);
