-- Runs, their events, agents, environments. Times: ms since the epoch, UTC. JSON as src/model/*_json.h writes it.

CREATE TABLE runs (
  tenant           TEXT    NOT NULL,
  id               TEXT    NOT NULL,             -- sorts by the time it was made
  agent            TEXT    NOT NULL,             -- '' for an ad-hoc run; the same as in request
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'starting', 'running',
                                                     'succeeded', 'failed', 'cancelled')),
  created_ms       INTEGER NOT NULL CHECK (created_ms >= 0),
  started_ms       INTEGER NOT NULL CHECK (started_ms >= 0),
  ended_ms         INTEGER NOT NULL CHECK (ended_ms >= 0),
  attempt          INTEGER NOT NULL CHECK (attempt >= 0),
  request          TEXT    NOT NULL,             -- JSON; never changes
  outcome          TEXT,                         -- JSON; there exactly when the state is terminal
  usage            TEXT    NOT NULL,             -- JSON
  log_cut          INTEGER NOT NULL CHECK (log_cut IN (0, 1)),
  idempotency_key  TEXT,
  request_digest   TEXT    NOT NULL,             -- what a repeat with the same key must match
  last_sequence    INTEGER NOT NULL CHECK (last_sequence >= 1),
  PRIMARY KEY (tenant, id),
  CHECK ((outcome IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) STRICT;

CREATE UNIQUE INDEX runs_idempotency ON runs (tenant, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_agent ON runs (tenant, agent, id);
CREATE INDEX runs_unfinished ON runs (tenant, id)
  WHERE state IN ('queued', 'starting', 'running');

CREATE TABLE run_events (
  tenant    TEXT    NOT NULL,
  run_id    TEXT    NOT NULL,
  sequence  INTEGER NOT NULL CHECK (sequence >= 1),
  at_ms     INTEGER NOT NULL CHECK (at_ms >= 0),
  type      TEXT    NOT NULL,
  event     TEXT    NOT NULL,                    -- JSON, complete
  PRIMARY KEY (tenant, run_id, sequence),
  FOREIGN KEY (tenant, run_id) REFERENCES runs (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE agents (
  tenant      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  version     INTEGER NOT NULL CHECK (version >= 1),
  created_ms  INTEGER NOT NULL CHECK (created_ms >= 0),
  agent       TEXT    NOT NULL,                  -- JSON; never changes
  PRIMARY KEY (tenant, name, version)
) STRICT;

CREATE TABLE environments (
  tenant      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  source      TEXT    NOT NULL,
  digest      TEXT    NOT NULL,                  -- '' until it is there
  created_ms  INTEGER NOT NULL CHECK (created_ms >= 0),
  environment TEXT    NOT NULL,                  -- JSON
  PRIMARY KEY (tenant, name)
) STRICT;

CREATE INDEX environments_by_source ON environments (tenant, source);
CREATE INDEX environments_by_digest ON environments (tenant, digest) WHERE digest <> '';
