-- Sessions that hibernate: a state more, and the layers that are a run's own. The table is made anew, as SQLite
-- cannot change a CHECK; its events go along, as dropping a table takes along what refers to it.

CREATE TABLE runs_2 (
  tenant           TEXT    NOT NULL,
  id               TEXT    NOT NULL,             -- sorts by the time it was made
  agent            TEXT    NOT NULL,             -- '' for an ad-hoc run; the same as in request
  state            TEXT    NOT NULL CHECK (state IN ('queued', 'starting', 'running', 'hibernated',
                                                     'succeeded', 'failed', 'cancelled')),
  created_ms       INTEGER NOT NULL CHECK (created_ms >= 0),
  started_ms       INTEGER NOT NULL CHECK (started_ms >= 0),
  ended_ms         INTEGER NOT NULL CHECK (ended_ms >= 0),
  attempt          INTEGER NOT NULL CHECK (attempt >= 0),
  request          TEXT    NOT NULL,             -- JSON; never changes
  outcome          TEXT,                         -- JSON; there exactly when the state is terminal
  usage            TEXT    NOT NULL,             -- JSON; of all attempts that have ended
  log_cut          INTEGER NOT NULL CHECK (log_cut IN (0, 1)),
  idempotency_key  TEXT,
  request_digest   TEXT    NOT NULL,             -- what a repeat with the same key must match
  last_sequence    INTEGER NOT NULL CHECK (last_sequence >= 1),
  own_layers       TEXT    NOT NULL,             -- JSON; what a session had changed when it hibernated
  PRIMARY KEY (tenant, id),
  CHECK ((outcome IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) STRICT;

CREATE TABLE run_events_2 (
  tenant    TEXT    NOT NULL,
  run_id    TEXT    NOT NULL,
  sequence  INTEGER NOT NULL CHECK (sequence >= 1),
  at_ms     INTEGER NOT NULL CHECK (at_ms >= 0),
  type      TEXT    NOT NULL,
  event     TEXT    NOT NULL,                    -- JSON, complete
  PRIMARY KEY (tenant, run_id, sequence),
  FOREIGN KEY (tenant, run_id) REFERENCES runs_2 (tenant, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

INSERT INTO runs_2 SELECT tenant, id, agent, state, created_ms, started_ms, ended_ms, attempt, request, outcome,
  usage, log_cut, idempotency_key, request_digest, last_sequence, '{"root":[],"scratch":[]}' FROM runs;
INSERT INTO run_events_2 SELECT tenant, run_id, sequence, at_ms, type, event FROM run_events;
DROP TABLE run_events;
DROP TABLE runs;
ALTER TABLE runs_2 RENAME TO runs;
ALTER TABLE run_events_2 RENAME TO run_events;

CREATE UNIQUE INDEX runs_idempotency ON runs (tenant, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_by_agent ON runs (tenant, agent, id);
CREATE INDEX runs_unfinished ON runs (tenant, id)
  WHERE state IN ('queued', 'starting', 'running', 'hibernated');
