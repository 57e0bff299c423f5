"""The tables, version by version. A step only adds: code of the version before goes on working until the last of it has stopped.

Times: `until`, `lease_until` and `next_at` are the store's steady time; `created`, `updated` and `expect_by` the time of day.
"""

from __future__ import annotations

from collections.abc import Mapping

VERSION = 5
STEPS: Mapping[int, str] = {
    1: """
CREATE TABLE keys (
    id TEXT PRIMARY KEY, digest TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, purposes TEXT NOT NULL, claims TEXT NOT NULL,
    created REAL NOT NULL, revoked INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE writes (
    caller TEXT NOT NULL, operation TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('reserved', 'done', 'unknown')), until REAL NOT NULL, answer BLOB, job TEXT, created REAL NOT NULL,
    PRIMARY KEY (caller, operation, key)
) STRICT;
CREATE TABLE jobs (
    id TEXT PRIMARY KEY, caller TEXT NOT NULL, operation TEXT NOT NULL, params BLOB NOT NULL, trace TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('accepted', 'publishing', 'published', 'replied', 'failed', 'unknown', 'poisoned')),
    step TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL,
    lease_by TEXT, lease_until REAL NOT NULL DEFAULT 0,
    created REAL NOT NULL, updated REAL NOT NULL, expect_by REAL NOT NULL, answer BLOB, error TEXT, archived INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX jobs_open ON jobs (state, next_at);
CREATE INDEX jobs_unarchived ON jobs (state, archived)
""",
    2: """
CREATE TABLE figway (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE generations (name TEXT PRIMARY KEY, number INTEGER NOT NULL) STRICT;
CREATE TABLE leases (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL DEFAULT '', fence INTEGER NOT NULL DEFAULT 0, until REAL NOT NULL DEFAULT 0,
    since REAL NOT NULL DEFAULT 0, barred INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE waiters (
    name TEXT NOT NULL, holder TEXT NOT NULL, holding INTEGER NOT NULL, since REAL NOT NULL, until REAL NOT NULL,
    PRIMARY KEY (name, holder)
) STRICT;
ALTER TABLE writes ADD COLUMN owner TEXT NOT NULL DEFAULT ''
""",
    3: """
ALTER TABLE writes ADD COLUMN intent BLOB;
CREATE INDEX writes_open ON writes (state, until)
""",
    4: """
CREATE TABLE moves (
    endpoint TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, stage TEXT NOT NULL, share TEXT NOT NULL, consumers TEXT NOT NULL,
    who TEXT NOT NULL, second TEXT NOT NULL, ticket TEXT NOT NULL, why TEXT NOT NULL, report TEXT, PRIMARY KEY (endpoint, number)
) STRICT;
CREATE TABLE proposals (
    endpoint TEXT PRIMARY KEY, at REAL NOT NULL, stage TEXT NOT NULL, share TEXT NOT NULL, consumers TEXT NOT NULL,
    who TEXT NOT NULL, ticket TEXT NOT NULL, why TEXT NOT NULL
) STRICT;
CREATE TABLE epochs (
    id TEXT PRIMARY KEY, endpoint TEXT NOT NULL, build TEXT NOT NULL, catalogue TEXT NOT NULL, rules TEXT NOT NULL,
    began REAL NOT NULL, last REAL NOT NULL, modern_keys INTEGER NOT NULL DEFAULT 0, modern_differed INTEGER NOT NULL DEFAULT 0,
    self_keys INTEGER NOT NULL DEFAULT 0, self_differed INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE epoch_keys (
    epoch TEXT NOT NULL, feed TEXT NOT NULL, key TEXT NOT NULL, differed INTEGER NOT NULL, PRIMARY KEY (epoch, feed, key)
) STRICT;
CREATE TABLE epoch_hours (epoch TEXT NOT NULL, hour INTEGER NOT NULL, number REAL NOT NULL, PRIMARY KEY (epoch, hour)) STRICT;
CREATE TABLE epoch_counts (epoch TEXT NOT NULL, name TEXT NOT NULL, number REAL NOT NULL, PRIMARY KEY (epoch, name)) STRICT;
CREATE TABLE samples (
    epoch TEXT NOT NULL, class TEXT NOT NULL, number INTEGER NOT NULL, at REAL NOT NULL, sealed BLOB NOT NULL,
    PRIMARY KEY (epoch, class, number)
) STRICT;
CREATE TABLE recent (
    endpoint TEXT NOT NULL, slice INTEGER NOT NULL, name TEXT NOT NULL, number REAL NOT NULL, PRIMARY KEY (endpoint, slice, name)
) STRICT;
CREATE TABLE consumers (
    endpoint TEXT NOT NULL, consumer TEXT NOT NULL, side TEXT NOT NULL, day TEXT NOT NULL, calls INTEGER NOT NULL, seconds REAL NOT NULL,
    first REAL NOT NULL, last REAL NOT NULL, PRIMARY KEY (endpoint, consumer, side, day)
) STRICT;
CREATE TABLE legs (
    id TEXT PRIMARY KEY, family TEXT NOT NULL, subject TEXT NOT NULL, operation TEXT NOT NULL, side TEXT NOT NULL,
    caller TEXT NOT NULL, key TEXT NOT NULL, owner TEXT NOT NULL, given BLOB NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'owed', 'done', 'failed', 'unknown', 'settled')),
    detail TEXT NOT NULL DEFAULT '', attempts INTEGER NOT NULL DEFAULT 0, next_at REAL NOT NULL, number INTEGER NOT NULL,
    created REAL NOT NULL
) STRICT;
CREATE INDEX legs_open ON legs (state, family, subject);
CREATE INDEX legs_of ON legs (caller, operation, key)
""",
    5: """
CREATE TABLE subjects (fingerprint TEXT NOT NULL, number INTEGER NOT NULL, sealed BLOB NOT NULL, created REAL NOT NULL,
    PRIMARY KEY (fingerprint, number)) STRICT;
CREATE TABLE buckets (name TEXT PRIMARY KEY, level REAL NOT NULL, at REAL NOT NULL, full_at REAL NOT NULL, told TEXT NOT NULL) STRICT;
ALTER TABLE writes ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN subject TEXT NOT NULL DEFAULT '';
ALTER TABLE samples ADD COLUMN subject TEXT NOT NULL DEFAULT '';
CREATE TABLE holds (fingerprint TEXT PRIMARY KEY, who TEXT NOT NULL, why BLOB NOT NULL, at REAL NOT NULL) STRICT;
CREATE INDEX writes_answered ON writes (created) WHERE answer IS NOT NULL;
CREATE INDEX jobs_kept ON jobs (updated) WHERE answer IS NOT NULL OR length(params) > 0;
ALTER TABLE keys ADD COLUMN tenant TEXT NOT NULL DEFAULT '';
ALTER TABLE keys ADD COLUMN expires REAL;
ALTER TABLE keys ADD COLUMN mark TEXT NOT NULL DEFAULT '';
CREATE TABLE decisions (
    id TEXT PRIMARY KEY, principal TEXT NOT NULL, tenant TEXT NOT NULL, subject TEXT NOT NULL, operation TEXT NOT NULL, model TEXT NOT NULL,
    catalogue TEXT NOT NULL, created REAL NOT NULL, changed REAL NOT NULL, sealed BLOB NOT NULL,
    review TEXT NOT NULL DEFAULT '' CHECK (review IN ('', 'open', 'upheld', 'overturned')), asked_by TEXT NOT NULL DEFAULT '', words BLOB,
    reviewer TEXT NOT NULL DEFAULT '', why BLOB
) STRICT;
CREATE INDEX decisions_subject ON decisions (subject);
CREATE INDEX decisions_review ON decisions (review, created);
CREATE TABLE clients (
    name TEXT PRIMARY KEY, scopes TEXT NOT NULL, purposes TEXT NOT NULL, claims TEXT NOT NULL, tenant TEXT NOT NULL, created REAL NOT NULL,
    proof TEXT NOT NULL CHECK (proof IN ('key', 'certificate', 'none')), material TEXT NOT NULL, redirects TEXT NOT NULL,
    mark TEXT NOT NULL
) STRICT;
CREATE TABLE people (
    name TEXT PRIMARY KEY, scopes TEXT NOT NULL, purposes TEXT NOT NULL, claims TEXT NOT NULL, tenant TEXT NOT NULL, created REAL NOT NULL,
    password TEXT NOT NULL, mark TEXT NOT NULL
) STRICT;
CREATE TABLE codes (
    digest TEXT PRIMARY KEY, client TEXT NOT NULL, person TEXT NOT NULL, scopes TEXT NOT NULL, redirect TEXT NOT NULL,
    challenge TEXT NOT NULL, until REAL NOT NULL, mark TEXT NOT NULL
) STRICT;
CREATE TABLE families (
    id TEXT PRIMARY KEY, code TEXT NOT NULL, client TEXT NOT NULL, person TEXT NOT NULL, scopes TEXT NOT NULL, token TEXT NOT NULL,
    until REAL NOT NULL, mark TEXT NOT NULL
) STRICT;
CREATE INDEX families_by_code ON families (code);
CREATE TABLE assertions (digest TEXT PRIMARY KEY, until REAL NOT NULL) STRICT;
CREATE TABLE signing_keys (kid TEXT PRIMARY KEY, sealed BLOB NOT NULL, created REAL NOT NULL, until REAL) STRICT
""",
}
RESTART = (
    "UPDATE leases SET holder = '', until = 0",
    "DELETE FROM waiters",
    "UPDATE writes SET until = 0 WHERE state <> 'done'",
    "UPDATE jobs SET lease_until = 0",
)
"""Whoever held something is known to be dead."""
