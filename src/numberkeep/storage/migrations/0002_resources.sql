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

CREATE INDEX sip_rules_by_trigger ON sip_rules (account_id, trigger_value, sip_rule_id);

CREATE TABLE resource_links (
    account_id TEXT NOT NULL,
    target_id TEXT NOT NULL,
    source_id TEXT NOT NULL,
    PRIMARY KEY (account_id, target_id, source_id)
);

CREATE INDEX resource_links_by_source ON resource_links (account_id, source_id, target_id);

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

-- What numbers were assigned to had no rows of its own: Voice Connectors get them, the rest could free nothing.
INSERT INTO voice_connectors
SELECT
    account_id, value, 'us-east-1', 'Seeded', 1, NULL, 'IPV4_ONLY',
    'arn:aws:chime:us-east-1:' || account_id || ':vc/' || value,
    min(associated_timestamp), min(associated_timestamp), '[]'
FROM phone_number_associations
WHERE name = 'VoiceConnectorId'
GROUP BY account_id, value;

DELETE FROM phone_number_associations WHERE name <> 'VoiceConnectorId';

UPDATE phone_numbers SET status = 'Unassigned'
WHERE status = 'Assigned' AND NOT EXISTS (
    SELECT 1 FROM phone_number_associations a
    WHERE a.account_id = phone_numbers.account_id AND a.e164_phone_number = phone_numbers.e164_phone_number
);
