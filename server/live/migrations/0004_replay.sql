-- Replays. A broadcast gets its own in the transaction that closes it. Those that had ended before this table
-- was made have none: at the first start all of them would be indexed at once, and nobody has asked for that.
CREATE TABLE replay (
    id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL,
    -- The broadcast; NULL: it was brought in a file.
    session_id BIGINT,
    title VARCHAR(60) NOT NULL,
    state SMALLINT NOT NULL, -- 0 importing, 1 indexing for the first time, 2 ready
    -- Nobody sees it any more. The row goes when nothing else is left of the replay.
    deleted SMALLINT NOT NULL,
    hidden SMALLINT NOT NULL,
    started_at_ms BIGINT NOT NULL,
    duration_ms BIGINT NOT NULL,
    danmaku_count BIGINT NOT NULL,
    -- Of the index that is shown; 0: none.
    version BIGINT NOT NULL,
    -- Counts what an index must show.
    revision BIGINT NOT NULL,
    -- From then on there is something to do: an import has not ended in time, or the index that is shown is of
    -- an earlier revision, or the replay was deleted. Each time that somebody is woken for it, it moves on. NULL:
    -- nothing.
    due_ms BIGINT,
    -- How often somebody was woken for what is to be done now.
    wakes BIGINT NOT NULL,
    -- Where its objects are.
    prefix VARCHAR(96) NOT NULL
);
CREATE INDEX replay_by_room ON replay (room_id, started_at_ms, id);
CREATE UNIQUE INDEX replay_by_session ON replay (session_id);
CREATE INDEX replay_by_due ON replay (due_ms, id);

-- What happened in a broadcast, also in one that is still on.
CREATE TABLE replay_mark (
    session_id BIGINT NOT NULL,
    lottery_id BIGINT NOT NULL,
    kind SMALLINT NOT NULL, -- 1 opened, 2 drawn, 3 called off
    at_ms BIGINT NOT NULL,
    title VARCHAR(60) NOT NULL,
    PRIMARY KEY (session_id, lottery_id, kind)
);
