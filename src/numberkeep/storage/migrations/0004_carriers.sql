ALTER TABLE pending_changes ADD COLUMN change_key TEXT NOT NULL DEFAULT '';

ALTER TABLE pending_changes ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;

ALTER TABLE pending_changes ADD COLUMN failure TEXT;

CREATE TABLE deliveries (
    account_id TEXT NOT NULL,
    e164_phone_number TEXT NOT NULL,
    receiver TEXT NOT NULL,
    delivery_id INTEGER NOT NULL,
    message_id TEXT NOT NULL,
    type TEXT NOT NULL,
    created_at TEXT NOT NULL,
    data TEXT NOT NULL,
    status TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    failure TEXT,
    due_at TEXT NOT NULL,
    PRIMARY KEY (account_id, e164_phone_number, receiver, delivery_id)
);

CREATE INDEX deliveries_by_due ON deliveries (due_at);

CREATE INDEX deliveries_by_id ON deliveries (account_id, delivery_id);
