-- Ordinary danmaku that the live stream shows a second; NULL is the site's default.
ALTER TABLE room ADD COLUMN danmaku_per_s BIGINT;
