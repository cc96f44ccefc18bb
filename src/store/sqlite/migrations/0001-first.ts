// Schema 1. Small live tables in append order, few indexes: what is finished has no row and lives in the event log.
//
// message.key counts up; recipient.key is message key * 65536 + recipient number, so a message's recipients lie together
// and need no second index. A recipient that is leased at accept (the ordinary way) never touches recipient_due.
// recipient.variant points to a variant of prefix and header overlay; 0 is the message's own prefix.

export const firstMigration: string = `
CREATE TABLE message (
  key INTEGER PRIMARY KEY,
  id BLOB NOT NULL,
  account_key INTEGER NOT NULL,
  stream_key INTEGER NOT NULL,
  accepted_at_ms INTEGER NOT NULL,
  expires_at_ms INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  size_bytes INTEGER NOT NULL,
  recipient_count INTEGER NOT NULL,
  envelope BLOB NOT NULL,
  prefix BLOB
);
CREATE TABLE content (
  message_key INTEGER PRIMARY KEY,
  bytes BLOB
);
CREATE TABLE segment_content (
  message_key INTEGER PRIMARY KEY,
  extents BLOB NOT NULL
);
CREATE TABLE recipient (
  key INTEGER PRIMARY KEY,
  state INTEGER NOT NULL,
  account_key INTEGER NOT NULL,
  priority INTEGER NOT NULL,
  next_at_ms INTEGER NOT NULL,
  reason INTEGER NOT NULL,
  attempts INTEGER NOT NULL,
  node INTEGER NOT NULL,
  flags INTEGER NOT NULL,
  variant INTEGER NOT NULL DEFAULT 0,
  domain TEXT NOT NULL,
  head BLOB NOT NULL,
  route TEXT,
  note TEXT,
  outcome BLOB
);
CREATE INDEX recipient_due ON recipient (account_key, priority, next_at_ms) WHERE state = 0;
CREATE TABLE event (
  seq INTEGER PRIMARY KEY,
  type INTEGER NOT NULL,
  at_ms INTEGER NOT NULL,
  account_key INTEGER NOT NULL,
  stream_key INTEGER NOT NULL,
  node INTEGER NOT NULL,
  message_id BLOB,
  recipient_number INTEGER NOT NULL,
  -- Of an accepted event: leads from the message's id to its row without an index on message.
  message_key INTEGER,
  facts BLOB
);
CREATE INDEX event_message ON event (message_id) WHERE message_id IS NOT NULL;
CREATE TABLE account (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL UNIQUE,
  created_at_ms INTEGER NOT NULL
);
CREATE TABLE stream (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account_key INTEGER NOT NULL,
  name TEXT NOT NULL,
  kind TEXT NOT NULL,
  failure_report TEXT NOT NULL,
  priority INTEGER NOT NULL,
  UNIQUE (account_key, name)
);
CREATE TABLE credential (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account_key INTEGER NOT NULL,
  stream_key INTEGER NOT NULL,
  kind TEXT NOT NULL,
  username TEXT NOT NULL,
  secret_hash BLOB NOT NULL UNIQUE,
  long_lines TEXT NOT NULL,
  bare_lf TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  revoked_at_ms INTEGER
);
CREATE UNIQUE INDEX credential_username ON credential (username) WHERE kind = 'smtp';
CREATE INDEX credential_account ON credential (account_key);
CREATE TABLE domain (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  account_key INTEGER NOT NULL,
  name TEXT NOT NULL,
  status TEXT NOT NULL,
  signs INTEGER NOT NULL,
  created_at_ms INTEGER NOT NULL,
  UNIQUE (account_key, name)
);
CREATE TABLE domain_key (
  key INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  domain_key INTEGER NOT NULL,
  selector TEXT NOT NULL,
  algorithm TEXT NOT NULL,
  encrypted_private_key BLOB NOT NULL,
  public_record TEXT NOT NULL,
  status TEXT NOT NULL,
  created_at_ms INTEGER NOT NULL,
  UNIQUE (domain_key, selector)
);
CREATE TABLE host_tls (
  host TEXT PRIMARY KEY,
  at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE meta (
  name TEXT PRIMARY KEY,
  value
) WITHOUT ROWID;
`
