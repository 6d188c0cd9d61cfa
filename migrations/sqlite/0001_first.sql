-- Everything that an engine remembers. The twin in ../postgres has the same tables and columns; a test compares them.
-- Bodies are the JSON of the model's types, kept as text; the columns beside them are what is searched by.

-- Who leads, with the fencing number that the store and the agents check. `until` in microseconds since 1970.
CREATE TABLE lease (
    shard  INTEGER NOT NULL PRIMARY KEY,
    holder TEXT,
    epoch  INTEGER NOT NULL,
    until  INTEGER NOT NULL
) STRICT;
INSERT INTO lease (shard, holder, epoch, until) VALUES (0, NULL, 0, 0);

-- How far history went; one row.
CREATE TABLE meta (
    id           INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    applied      INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL,
    epoch        INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, applied, last_attempt, epoch) VALUES (1, 0, 0, 0);

-- History: every committed change.
CREATE TABLE change (
    seq        INTEGER NOT NULL PRIMARY KEY,
    at         TEXT NOT NULL,
    actor      TEXT NOT NULL,
    deployment TEXT,
    kind       TEXT NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX change_by_deployment ON change (deployment, seq) WHERE deployment IS NOT NULL;

-- Projections of history: one row an entity, so that loading does not replay.
CREATE TABLE node (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE workload (
    digest TEXT NOT NULL PRIMARY KEY,
    body   TEXT NOT NULL
) STRICT;

CREATE TABLE parameter (
    scope TEXT NOT NULL,
    name  TEXT NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (scope, name)
) STRICT;

CREATE TABLE deployment (
    name TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- All revisions, those of deployments that are gone too; `latest` is 1 for the one that holds.
CREATE TABLE revision (
    seq        INTEGER NOT NULL PRIMARY KEY,
    deployment TEXT NOT NULL,
    no         INTEGER NOT NULL,
    latest     INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE UNIQUE INDEX revision_latest ON revision (deployment) WHERE latest = 1;

CREATE TABLE node_role (
    id         TEXT NOT NULL PRIMARY KEY,
    deployment TEXT NOT NULL,
    state      TEXT NOT NULL,
    spec       TEXT NOT NULL,
    status     TEXT NOT NULL
) STRICT;

-- All attempts; `ended` is 1 for those with an outcome.
CREATE TABLE attempt (
    id         INTEGER NOT NULL PRIMARY KEY,
    node_role  TEXT NOT NULL,
    deployment TEXT NOT NULL,
    ended      INTEGER NOT NULL,
    body       TEXT NOT NULL
) STRICT;
CREATE INDEX attempt_by_node_role ON attempt (node_role, id);
CREATE INDEX attempt_by_deployment ON attempt (deployment, id);
CREATE INDEX attempt_under_way ON attempt (id) WHERE ended = 0;

CREATE TABLE resource (
    id   TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE enrol_token (
    hash TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

CREATE TABLE api_token (
    hash TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- The logs of attempts: bytes `start` to `start + bytes` of each.
CREATE TABLE attempt_log (
    attempt INTEGER NOT NULL,
    start   INTEGER NOT NULL,
    bytes   INTEGER NOT NULL,
    body    TEXT NOT NULL,
    PRIMARY KEY (attempt, start)
) STRICT;

-- Immutable content by digest.
CREATE TABLE blob (
    digest TEXT NOT NULL PRIMARY KEY,
    bytes  BLOB NOT NULL
) STRICT;

-- Encrypted values: `ref/…` secrets by reference, `name/…` keys by name.
CREATE TABLE sealed (
    name  TEXT NOT NULL PRIMARY KEY,
    bytes BLOB NOT NULL
) STRICT;

-- Who holds which address. The key makes it impossible that two hold one.
CREATE TABLE claim (
    pool    TEXT NOT NULL,
    address TEXT NOT NULL,
    owner   TEXT NOT NULL,
    PRIMARY KEY (pool, address)
) STRICT;
CREATE INDEX claim_by_owner ON claim (owner);
