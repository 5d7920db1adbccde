-- Runners, which of them an agent's runs get, and what their programs reported. JSON as src/model/*.h writes it.

CREATE TABLE runners (
  tenant      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  version     TEXT    NOT NULL,
  digest      TEXT    NOT NULL,
  created_ms  INTEGER NOT NULL CHECK (created_ms >= 0),
  runner      TEXT    NOT NULL,                  -- JSON; never changes
  PRIMARY KEY (tenant, name, version)
) STRICT;                                        -- by rowid: in the order in which they were added

CREATE TABLE rollouts (
  tenant    TEXT    NOT NULL,
  agent     TEXT    NOT NULL,
  sequence  INTEGER NOT NULL CHECK (sequence >= 1),
  rollout   TEXT    NOT NULL,                    -- JSON
  PRIMARY KEY (tenant, agent, sequence)
) STRICT, WITHOUT ROWID;

CREATE TABLE run_reports (
  tenant  TEXT NOT NULL,
  run_id  TEXT NOT NULL,
  report  TEXT NOT NULL,                         -- JSON
  PRIMARY KEY (tenant, run_id)
) STRICT, WITHOUT ROWID;

-- Of sessions whose runner was changed: what they have instead of the one in their request.
CREATE TABLE session_runners (
  tenant         TEXT    NOT NULL,
  run_id         TEXT    NOT NULL,
  runner         TEXT    NOT NULL,               -- name@version
  digest         TEXT    NOT NULL,
  confirmed      INTEGER NOT NULL CHECK (confirmed IN (0, 1)),   -- 0: it is just being changed
  before         TEXT    NOT NULL,               -- then, what it had until now; else ''
  before_digest  TEXT    NOT NULL,
  PRIMARY KEY (tenant, run_id)
) STRICT, WITHOUT ROWID;
