-- Where a fact stands among those of several instances.
ALTER TABLE outbox ADD COLUMN placed BIGINT NOT NULL DEFAULT 0;
CREATE INDEX outbox_by_place ON outbox (placed, id);

-- Posts pass while they share the row; whoever seals a broadcast holds it alone.
CREATE TABLE gate (name VARCHAR(16) NOT NULL PRIMARY KEY, passed BIGINT NOT NULL);
INSERT INTO gate (name, passed) VALUES ('seal', 0);

-- What somebody was at who is gone.
CREATE INDEX replay_index_by_lease ON replay_index (leased_until_ms);
