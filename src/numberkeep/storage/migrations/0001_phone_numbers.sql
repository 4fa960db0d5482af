CREATE TABLE IF NOT EXISTS store (
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (name)
);

CREATE TABLE access_keys (
    access_key_id TEXT NOT NULL,
    account_id TEXT NOT NULL,
    user_name TEXT NOT NULL,
    secret_access_key TEXT NOT NULL,
    created_at TEXT NOT NULL,
    PRIMARY KEY (access_key_id)
);

CREATE TABLE phone_number_owners (
    e164_phone_number TEXT NOT NULL,
    account_id TEXT NOT NULL,
    PRIMARY KEY (e164_phone_number)
);

CREATE TABLE phone_numbers (
    account_id TEXT NOT NULL,
    e164_phone_number TEXT NOT NULL,
    country TEXT NOT NULL,
    type TEXT NOT NULL,
    product_type TEXT NOT NULL,
    status TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    calling_name TEXT,
    calling_name_status TEXT NOT NULL,
    requested_calling_name TEXT,
    name TEXT,
    order_id TEXT,
    deletion_timestamp TEXT,
    change_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, e164_phone_number)
);

CREATE INDEX phone_numbers_by_status ON phone_numbers (account_id, status, e164_phone_number);

CREATE TABLE phone_number_associations (
    account_id TEXT NOT NULL,
    e164_phone_number TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    associated_timestamp TEXT NOT NULL,
    PRIMARY KEY (account_id, e164_phone_number, name, value)
);

CREATE INDEX phone_number_associations_by_name
    ON phone_number_associations (account_id, name, value, e164_phone_number);

CREATE TABLE phone_number_history (
    account_id TEXT NOT NULL,
    change_id INTEGER NOT NULL,
    previous_change_id INTEGER,
    e164_phone_number TEXT NOT NULL,
    changed_at TEXT NOT NULL,
    request_id TEXT NOT NULL,
    arn TEXT NOT NULL,
    change TEXT NOT NULL,
    PRIMARY KEY (account_id, change_id)
);

CREATE TABLE departed_phone_numbers (
    account_id TEXT NOT NULL,
    e164_phone_number TEXT NOT NULL,
    change_id INTEGER NOT NULL,
    PRIMARY KEY (account_id, e164_phone_number)
);

CREATE TABLE phone_number_orders (
    account_id TEXT NOT NULL,
    phone_number_order_id TEXT NOT NULL,
    product_type TEXT NOT NULL,
    status TEXT NOT NULL,
    order_type TEXT NOT NULL,
    ordered_phone_numbers TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    PRIMARY KEY (account_id, phone_number_order_id)
);

CREATE INDEX phone_number_orders_by_time
    ON phone_number_orders (account_id, created_timestamp, phone_number_order_id);

CREATE TABLE pending_changes (
    account_id TEXT NOT NULL,
    e164_phone_number TEXT NOT NULL,
    kind TEXT NOT NULL,
    requested_at TEXT NOT NULL,
    due_at TEXT NOT NULL,
    PRIMARY KEY (account_id, e164_phone_number, kind)
);

CREATE INDEX pending_changes_by_due ON pending_changes (due_at);

CREATE TABLE account_settings (
    account_id TEXT NOT NULL,
    calling_name TEXT,
    calling_name_updated_timestamp TEXT,
    voice_connector_cdr_bucket TEXT,
    business_calling_cdr_bucket TEXT,
    PRIMARY KEY (account_id)
);
