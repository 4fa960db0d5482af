ALTER TABLE pending_changes ADD COLUMN queue TEXT NOT NULL DEFAULT '';

DROP INDEX pending_changes_by_due;

CREATE INDEX pending_changes_by_queue ON pending_changes (queue, due_at);

DROP INDEX deliveries_by_due;

CREATE INDEX deliveries_by_receiver ON deliveries (receiver, due_at);
