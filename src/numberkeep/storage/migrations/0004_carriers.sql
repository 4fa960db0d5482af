ALTER TABLE pending_changes ADD COLUMN change_key TEXT NOT NULL DEFAULT '';

ALTER TABLE pending_changes ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;

ALTER TABLE pending_changes ADD COLUMN failure TEXT;
