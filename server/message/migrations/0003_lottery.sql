-- The lottery whose keyword it is.
ALTER TABLE danmaku ADD COLUMN lottery_id BIGINT;
CREATE INDEX danmaku_by_lottery ON danmaku (lottery_id, sent_at_ms, id);
