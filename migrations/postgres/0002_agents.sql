-- The agents of nodes, the releases that they can become, and the upgrades of all of them. The twin in ../sqlite has the same
-- tables and columns.

CREATE TABLE agent (
    node TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);

-- The programs of a release are in `blob`.
CREATE TABLE agent_release (
    version TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
);

-- All upgrades; the one with the highest number is the last.
CREATE TABLE agent_upgrade (
    no   BIGINT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
);
