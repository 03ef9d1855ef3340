CREATE TABLE id_block (name VARCHAR(16) NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL);
INSERT INTO id_block (name, next_id) VALUES ('all', 1);

CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, topic BIGINT NOT NULL, body TEXT NOT NULL);

-- A deleted danmaku keeps its row: its idempotency key must go on answering, slow mode must go on counting it.
CREATE TABLE danmaku (
    id            BIGINT      NOT NULL PRIMARY KEY,
    room_id       BIGINT      NOT NULL,
    session_id    BIGINT      NOT NULL,
    user_id       BIGINT      NOT NULL,
    user_name     VARCHAR(80) NOT NULL, -- as it was when the danmaku was sent
    role          SMALLINT    NOT NULL, -- as it was then: 0 viewer, 1 admin, 2 owner
    text          TEXT        NOT NULL,
    mode          SMALLINT    NOT NULL, -- 0 scroll, 1 top, 2 bottom, 3 reverse
    color         BIGINT      NOT NULL, -- 0xRRGGBB
    size          SMALLINT    NOT NULL, -- 0 small, 1 standard, 2 large
    sent_at_ms    BIGINT      NOT NULL,
    offset_ms     BIGINT      NOT NULL, -- since the broadcast began
    deleted_at_ms BIGINT,
    deleted_by    BIGINT
);

CREATE INDEX danmaku_by_room ON danmaku (room_id, sent_at_ms, id);
CREATE INDEX danmaku_by_session ON danmaku (room_id, session_id, sent_at_ms, id);
-- Also what slow mode asks: when did this account last post here?
CREATE INDEX danmaku_by_sender ON danmaku (room_id, user_id, sent_at_ms, id);

-- Idempotency keys: which danmaku an account's key stands for in a room.
CREATE TABLE post_key (
    key_hash      VARCHAR(32) NOT NULL PRIMARY KEY, -- of account, room and key
    danmaku_id    BIGINT      NOT NULL,
    created_at_ms BIGINT      NOT NULL
);

CREATE INDEX post_key_by_age ON post_key (created_at_ms);
