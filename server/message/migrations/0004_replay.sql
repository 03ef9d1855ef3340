-- A replay as message knows it. The row of a broadcast's replay seals the broadcast: posts
-- look for it in the transaction that stores them.
CREATE TABLE replay_index (
    replay_id       BIGINT NOT NULL PRIMARY KEY,
    session_id      BIGINT, -- NULL: brought in a file
    room_id         BIGINT NOT NULL,
    -- Counts what was deleted since the broadcast was sealed, or the file stored.
    changes         BIGINT NOT NULL,
    -- The latest try to index it, and until when whoever tries has it.
    attempt         BIGINT NOT NULL,
    leased_until_ms BIGINT NOT NULL,
    -- The try that is shown (0: none yet), and what it shows.
    version         BIGINT NOT NULL,
    done_revision   BIGINT NOT NULL,
    done_changes    BIGINT NOT NULL,
    danmaku_count   BIGINT NOT NULL,
    duration_ms     BIGINT NOT NULL,
    -- Where its objects lie, from the first try on; live forgets a replay before this does.
    prefix          VARCHAR(96),
    -- From then on there is something to do that live does not know of: a deletion is not shown
    -- yet, other tries' objects are left, or a process died in the middle. NULL: nothing.
    due_ms          BIGINT,
    -- How often somebody has begun with that.
    tries           BIGINT NOT NULL
);

CREATE UNIQUE INDEX replay_index_by_session ON replay_index (session_id);
CREATE INDEX replay_index_by_due ON replay_index (due_ms, replay_id);

-- Danmaku that were brought in files.
CREATE TABLE imported_danmaku (
    replay_id     BIGINT   NOT NULL,
    at_ms         BIGINT   NOT NULL, -- since the replay's beginning
    id            BIGINT   NOT NULL,
    sent_at_ms    BIGINT   NOT NULL,
    sender_hash   BIGINT   NOT NULL,
    user_name     VARCHAR(80),
    text          TEXT     NOT NULL,
    mode          SMALLINT NOT NULL, -- as in danmaku
    color         BIGINT   NOT NULL,
    size          SMALLINT NOT NULL,
    deleted_at_ms BIGINT,
    PRIMARY KEY (replay_id, at_ms, id)
);

CREATE UNIQUE INDEX imported_danmaku_by_id ON imported_danmaku (replay_id, id);
