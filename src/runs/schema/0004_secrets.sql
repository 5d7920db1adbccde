-- The vault. A value is sealed (src/vault/cipher.h) before it comes here, and bound to tenant, name and version;
-- a rotation replaces the row.

CREATE TABLE secrets (
  tenant      TEXT    NOT NULL,
  name        TEXT    NOT NULL,
  version     INTEGER NOT NULL CHECK (version >= 1),
  created_ms  INTEGER NOT NULL CHECK (created_ms >= 0),
  rotated_ms  INTEGER NOT NULL CHECK (rotated_ms >= 0),
  sealed      TEXT    NOT NULL,                  -- base64
  PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
