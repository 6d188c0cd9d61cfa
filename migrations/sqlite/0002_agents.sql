-- The agents of nodes, the releases that they can become, and the upgrades of all of them. The twin in ../postgres has the same
-- tables and columns.

CREATE TABLE agent (
    node TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;

-- The programs of a release are in `blob`.
CREATE TABLE agent_release (
    version TEXT NOT NULL PRIMARY KEY,
    body    TEXT NOT NULL
) STRICT;

-- All upgrades; the one with the highest number is the last.
CREATE TABLE agent_upgrade (
    no   INTEGER NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
