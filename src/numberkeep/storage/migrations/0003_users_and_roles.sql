CREATE TABLE users (
    account_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    user_id TEXT NOT NULL,
    arn TEXT NOT NULL,
    created_at TEXT NOT NULL,
    policies TEXT NOT NULL,
    PRIMARY KEY (account_id, user_name)
);

CREATE TABLE roles (
    account_id TEXT NOT NULL,
    role_name TEXT NOT NULL,
    role_id TEXT NOT NULL,
    arn TEXT NOT NULL,
    created_at TEXT NOT NULL,
    trusted TEXT NOT NULL,
    longest_session_seconds INTEGER NOT NULL,
    policies TEXT NOT NULL,
    PRIMARY KEY (account_id, role_name)
);

ALTER TABLE access_keys ADD COLUMN status TEXT NOT NULL DEFAULT 'Active';

ALTER TABLE access_keys ADD COLUMN last_used_at TEXT;

CREATE INDEX access_keys_by_user ON access_keys (account_id, user_name);

DROP INDEX sip_rules_by_trigger;

CREATE INDEX sip_rules_by_trigger ON sip_rules (account_id, trigger_value, disabled);

-- Whoever had a key could do everything, and goes on to.
INSERT INTO users
SELECT
    account_id, user_name, 'AIDA' || substr(min(access_key_id), 5),
    'arn:aws:iam::' || account_id || ':user/' || user_name,
    min(created_at), '[{"policy_name":"AdministratorAccess","document":null}]'
FROM access_keys
GROUP BY account_id, user_name;
