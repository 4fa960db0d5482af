-- Every table's key begins with account_id, so that the tables can be distributed over machines by account. The
-- exceptions are about the whole service: owners of numbers, access keys, and facts about the store itself.

CREATE TABLE store (
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
    status TEXT NOT NULL DEFAULT 'Active',
    last_used_at TEXT,
    PRIMARY KEY (access_key_id)
);

CREATE INDEX access_keys_by_user ON access_keys (account_id, user_name);

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

-- A number's history is a linked list: every change names the one before it, and phone_numbers names the latest.
-- So changes are simply appended, in the order of time, and no index by number is needed.
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

-- The latest change of each number that has left the account.
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
    change_key TEXT NOT NULL DEFAULT '',
    attempts INTEGER NOT NULL DEFAULT 0,
    failure TEXT,
    queue TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (account_id, e164_phone_number, kind)
);

CREATE INDEX pending_changes_by_queue ON pending_changes (queue, due_at);

-- Messages to the operator's own systems: events for subscribers, and questions to carriers.
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

CREATE INDEX deliveries_by_id ON deliveries (account_id, delivery_id);
CREATE INDEX deliveries_by_receiver ON deliveries (receiver, due_at);

CREATE TABLE account_settings (
    account_id TEXT NOT NULL,
    calling_name TEXT,
    calling_name_updated_timestamp TEXT,
    voice_connector_cdr_bucket TEXT,
    business_calling_cdr_bucket TEXT,
    PRIMARY KEY (account_id)
);

CREATE TABLE voice_connectors (
    account_id TEXT NOT NULL,
    voice_connector_id TEXT NOT NULL,
    aws_region TEXT NOT NULL,
    name TEXT NOT NULL,
    require_encryption INTEGER NOT NULL,
    integration_type TEXT,
    network_type TEXT NOT NULL,
    voice_connector_arn TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (account_id, voice_connector_id)
);

CREATE TABLE voice_connector_groups (
    account_id TEXT NOT NULL,
    voice_connector_group_id TEXT NOT NULL,
    name TEXT NOT NULL,
    voice_connector_items TEXT NOT NULL,
    call_distribution_type TEXT NOT NULL,
    voice_connector_group_arn TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    PRIMARY KEY (account_id, voice_connector_group_id)
);

CREATE TABLE sip_media_applications (
    account_id TEXT NOT NULL,
    sip_media_application_id TEXT NOT NULL,
    aws_region TEXT NOT NULL,
    name TEXT NOT NULL,
    endpoints TEXT NOT NULL,
    sip_media_application_arn TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    tags TEXT NOT NULL,
    PRIMARY KEY (account_id, sip_media_application_id)
);

CREATE TABLE sip_rules (
    account_id TEXT NOT NULL,
    sip_rule_id TEXT NOT NULL,
    name TEXT NOT NULL,
    disabled INTEGER NOT NULL,
    trigger_type TEXT NOT NULL,
    trigger_value TEXT NOT NULL,
    target_applications TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    updated_timestamp TEXT NOT NULL,
    PRIMARY KEY (account_id, sip_rule_id)
);

CREATE INDEX sip_rules_by_trigger ON sip_rules (account_id, trigger_value, disabled);

-- Links between resources: a group's to its Voice Connectors, a SIP rule's to its applications and to the Voice
-- Connector that triggers it.
CREATE TABLE resource_links (
    account_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    PRIMARY KEY (account_id, target_id, source_id)
);

CREATE INDEX resource_links_by_source ON resource_links (account_id, source_id, target_id);

-- Configurations of resources, stored and returned as they were put, such as a Voice Connector's origination.
CREATE TABLE resource_configurations (
    account_id TEXT NOT NULL,
    resource_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (account_id, resource_id, kind)
);

CREATE TABLE business_accounts (
    account_id TEXT NOT NULL,
    chime_account_id TEXT NOT NULL,
    aws_account_id TEXT NOT NULL,
    name TEXT NOT NULL,
    default_license TEXT NOT NULL,
    created_timestamp TEXT NOT NULL,
    PRIMARY KEY (account_id, chime_account_id)
);

CREATE TABLE business_users (
    account_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    chime_account_id TEXT NOT NULL,
    primary_email TEXT,
    primary_provisioned_number TEXT,
    display_name TEXT,
    license_type TEXT NOT NULL,
    user_type TEXT NOT NULL,
    user_registration_status TEXT NOT NULL,
    user_invitation_status TEXT,
    invited_on TEXT,
    alexa_for_business_metadata TEXT NOT NULL,
    settings TEXT NOT NULL,
    PRIMARY KEY (account_id, user_id)
);

CREATE INDEX business_users_by_account ON business_users (account_id, chime_account_id, user_id);
CREATE INDEX business_users_by_email ON business_users (account_id, primary_email);
