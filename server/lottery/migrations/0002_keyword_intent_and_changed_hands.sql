-- Keywords that are being set in live for lotteries that are not stored yet.
CREATE TABLE keyword_intent (
    lottery_id BIGINT NOT NULL PRIMARY KEY,
    room_id BIGINT NOT NULL,
    created_at_ms BIGINT NOT NULL,
    -- The lottery will not be stored: the keyword is to be freed.
    abandoned SMALLINT NOT NULL
);

-- Drawn lotteries whose prizes changed hands since viewers were told of them.
CREATE TABLE changed_hands (lottery_id BIGINT NOT NULL PRIMARY KEY);
