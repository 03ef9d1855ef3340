-- Wrong passwords since the window's first, for a name or a device (subject), by one client
-- or, where client is '', by all together; also for names that nobody has. The former
-- table counted by name alone; what it held ends by itself within minutes.
DROP TABLE wrong_password;
CREATE TABLE wrong_password (
    subject    VARCHAR(100) NOT NULL,
    client     VARCHAR(64)  NOT NULL,
    times      BIGINT       NOT NULL,
    ends_at_ms BIGINT       NOT NULL,
    PRIMARY KEY (subject, client)
);
CREATE INDEX wrong_password_end ON wrong_password (ends_at_ms);
