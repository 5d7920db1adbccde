-- Checkpoints of sessions that are awake: what one would wake with if its sandbox was lost.

ALTER TABLE runs ADD COLUMN checkpoint TEXT NOT NULL DEFAULT '{"at_ms":0}';  -- JSON
