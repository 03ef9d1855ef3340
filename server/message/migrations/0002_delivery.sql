-- What became of it on the stream: 0 stored (or not known), 1 live, 2 sampled.
ALTER TABLE danmaku ADD COLUMN delivery SMALLINT NOT NULL DEFAULT 0;
