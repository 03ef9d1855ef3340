-- Where a fact stands among those of several instances.
ALTER TABLE outbox ADD COLUMN placed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_place ON outbox (placed, id);
