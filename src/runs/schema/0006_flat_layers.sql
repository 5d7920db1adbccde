-- What is mounted for many layers is of an environment's digest, no longer of a name. Of what the names had, a rebuild
-- may have left something that shows the files of another digest: it is kept for runs that stand on it, and made anew.

CREATE TABLE flat_layers (
  tenant  TEXT NOT NULL,
  digest  TEXT NOT NULL,                         -- of an environment; no name may have it any more
  layers  TEXT NOT NULL,                         -- JSON
  PRIMARY KEY (tenant, digest)
) STRICT, WITHOUT ROWID;

INSERT INTO flat_layers SELECT tenant, digest, json_object('of', json_array(), 'flat', json_array(),
    'older', json_group_array(layer)) FROM (
  SELECT e.tenant, e.digest, j.value AS layer FROM environments e, json_each(
    CASE WHEN json_valid(e.environment) THEN json_extract(e.environment, '$.flat') END) j WHERE e.digest <> ''
  UNION
  SELECT e.tenant, e.digest, j.value FROM environments e, json_each(
    CASE WHEN json_valid(e.environment) THEN json_extract(e.environment, '$.flat_older') END) j WHERE e.digest <> ''
) GROUP BY tenant, digest;

UPDATE environments SET environment = json_remove(environment, '$.flat', '$.flat_depth', '$.flat_older')
  WHERE CASE WHEN json_valid(environment) THEN json_extract(environment, '$.flat') IS NOT NULL ELSE 0 END;
