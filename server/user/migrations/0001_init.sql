CREATE TABLE id_block (name VARCHAR(16) NOT NULL PRIMARY KEY, next_id BIGINT NOT NULL);
INSERT INTO id_block (name, next_id) VALUES ('all', 1);

CREATE TABLE outbox (id BIGINT NOT NULL PRIMARY KEY, topic BIGINT NOT NULL, body TEXT NOT NULL);

-- login_name is the name in lower case. It, and not a look-alike key, finds the account at
-- log-in: tables of look-alikes change from one version of Unicode to the next.
CREATE TABLE account (
    id            BIGINT       NOT NULL PRIMARY KEY,
    name          VARCHAR(20)  NOT NULL,
    login_name    VARCHAR(80)  NOT NULL,
    password_hash VARCHAR(255) NOT NULL,
    role          VARCHAR(16)  NOT NULL,
    bio           VARCHAR(200) NOT NULL,
    seeded        SMALLINT     NOT NULL,
    created_at_ms BIGINT       NOT NULL,
    CONSTRAINT account_login_name UNIQUE (login_name)
);

-- What a name looks like (one key or two, see names.rs); no two accounts share one.
CREATE TABLE name_look (
    look    VARCHAR(400) NOT NULL PRIMARY KEY,
    user_id BIGINT       NOT NULL
);

-- A log-in. Its refresh tokens are derived from `secret`, `generation` and a key that is
-- not in the database; `used_at_ms` is when `generation` began. An ended one is deleted.
CREATE TABLE device (
    id            BIGINT       NOT NULL PRIMARY KEY,
    user_id       BIGINT       NOT NULL,
    name          VARCHAR(200) NOT NULL,
    secret        VARCHAR(64)  NOT NULL,
    generation    BIGINT       NOT NULL,
    created_at_ms BIGINT       NOT NULL,
    used_at_ms    BIGINT       NOT NULL,
    expires_at_ms BIGINT       NOT NULL
);
CREATE INDEX device_user ON device (user_id, used_at_ms);
CREATE INDEX device_expiry ON device (expires_at_ms);

-- Wrong passwords since the window's first; also for names that nobody has.
CREATE TABLE wrong_password (
    login_name VARCHAR(80) NOT NULL PRIMARY KEY,
    times      BIGINT      NOT NULL,
    ends_at_ms BIGINT      NOT NULL
);
CREATE INDEX wrong_password_end ON wrong_password (ends_at_ms);
