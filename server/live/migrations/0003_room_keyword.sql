-- Keywords of lotteries. Readers compare until_ms with the clock; the sweeper removes what is over.
-- No unique key on the form: a collation may take two forms for one. The room's lock keeps them apart.
CREATE TABLE room_keyword (
    room_id BIGINT NOT NULL,
    lottery_id BIGINT NOT NULL,
    -- 20 characters, each of which NFKC may make 18 of.
    form VARCHAR(360) NOT NULL,
    until_ms BIGINT NOT NULL,
    PRIMARY KEY (room_id, lottery_id)
);
CREATE INDEX room_keyword_by_end ON room_keyword (until_ms);
