-- Times are milliseconds since 1970, truth values 0 or 1.
CREATE TABLE id_block (name VARCHAR(16) NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL);
INSERT INTO id_block (name, next_id) VALUES ('all', 1);

CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, topic BIGINT NOT NULL, body TEXT NOT NULL);

-- How many rooms an account has: counted up conditionally, so that the limit holds
-- whatever runs at once.
CREATE TABLE room_owner (user_id BIGINT NOT NULL PRIMARY KEY, rooms BIGINT NOT NULL);

CREATE TABLE room (
    id BIGINT NOT NULL PRIMARY KEY,
    owner_id BIGINT NOT NULL,
    owner_name VARCHAR(64) NOT NULL,
    title VARCHAR(60) NOT NULL,
    description TEXT NOT NULL,
    category VARCHAR(20) NOT NULL,
    slow_mode_s BIGINT NOT NULL,
    mute_all SMALLINT NOT NULL,
    guests SMALLINT NOT NULL,
    -- Counts the changes that viewers are told of.
    version BIGINT NOT NULL,
    -- Names the object with the cover; 0: there is none.
    cover_version BIGINT NOT NULL,
    -- 1 while session_id is set; repeated so that the list of live rooms has an index.
    live SMALLINT NOT NULL,
    session_id BIGINT,
    opened_at_ms BIGINT,
    viewers BIGINT NOT NULL,
    -- SHA-256 in hexadecimal; NULL until the first rotation.
    stream_key_hash VARCHAR(64),
    created_at_ms BIGINT NOT NULL
);
CREATE INDEX room_by_owner ON room (owner_id, id);
CREATE INDEX room_by_viewers ON room (live, viewers, id);
CREATE INDEX room_by_stream_key ON room (stream_key_hash);

-- A session in the contract's words.
CREATE TABLE broadcast (
    id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL,
    title VARCHAR(60) NOT NULL,
    opened_at_ms BIGINT NOT NULL,
    closed_at_ms BIGINT,
    peak_viewers BIGINT NOT NULL
);
CREATE INDEX broadcast_by_room ON broadcast (room_id, opened_at_ms, id);

CREATE TABLE room_admin (
    room_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_name VARCHAR(64) NOT NULL,
    PRIMARY KEY (room_id, user_id)
);

-- A mute holds until until_ms (NULL: for ever) and, if session_id is set, only during
-- that broadcast. Readers compare; the sweeper removes what holds no more.
CREATE TABLE mute (
    room_id BIGINT NOT NULL,
    user_id BIGINT NOT NULL,
    user_name VARCHAR(64) NOT NULL,
    until_ms BIGINT,
    session_id BIGINT,
    created_at_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX mute_by_room ON mute (room_id, created_at_ms, user_id);
CREATE INDEX mute_by_end ON mute (until_ms);
CREATE INDEX mute_by_session ON mute (session_id);

-- What an account's idempotency keys made: result_id is the room or the broadcast.
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
