"""The AWS operations that are served: one function each, one module per noun.

A function is named after its operation in snake case and takes the operation's members under their names in
snake case; members absent from a request are None. It loads, decides, and only then stores, so that a function
which raises has written nothing. `OPERATIONS` lists them all.
"""

from . import (
    associations,
    business_accounts,
    configurations,
    emergency_calling,
    phone_number_orders,
    phone_numbers,
    search,
    settings,
    sip,
    tags,
    voice_connector_groups,
    voice_connectors,
)

_FUNCTIONS = (
    phone_numbers.get_phone_number,
    phone_numbers.list_phone_numbers,
    phone_numbers.update_phone_number,
    phone_numbers.batch_update_phone_number,
    phone_numbers.delete_phone_number,
    phone_numbers.batch_delete_phone_number,
    phone_numbers.restore_phone_number,
    phone_number_orders.create_phone_number_order,
    phone_number_orders.get_phone_number_order,
    phone_number_orders.list_phone_number_orders,
    search.search_available_phone_numbers,
    search.list_supported_phone_number_countries,
    settings.get_phone_number_settings,
    settings.update_phone_number_settings,
    settings.get_global_settings,
    settings.update_global_settings,
    associations.associate_phone_numbers_with_voice_connector,
    associations.disassociate_phone_numbers_from_voice_connector,
    associations.associate_phone_numbers_with_voice_connector_group,
    associations.disassociate_phone_numbers_from_voice_connector_group,
    voice_connectors.create_voice_connector,
    voice_connectors.get_voice_connector,
    voice_connectors.list_voice_connectors,
    voice_connectors.update_voice_connector,
    voice_connectors.delete_voice_connector,
    voice_connectors.list_available_voice_connector_regions,
    voice_connectors.put_voice_connector_termination_credentials,
    voice_connectors.list_voice_connector_termination_credentials,
    voice_connectors.delete_voice_connector_termination_credentials,
    voice_connectors.get_voice_connector_termination_health,
    voice_connector_groups.create_voice_connector_group,
    voice_connector_groups.get_voice_connector_group,
    voice_connector_groups.list_voice_connector_groups,
    voice_connector_groups.update_voice_connector_group,
    voice_connector_groups.delete_voice_connector_group,
    configurations.put_voice_connector_external_systems_configuration,
    configurations.get_voice_connector_external_systems_configuration,
    configurations.delete_voice_connector_external_systems_configuration,
    sip.create_sip_media_application,
    sip.get_sip_media_application,
    sip.list_sip_media_applications,
    sip.update_sip_media_application,
    sip.delete_sip_media_application,
    sip.create_sip_rule,
    sip.get_sip_rule,
    sip.list_sip_rules,
    sip.update_sip_rule,
    sip.delete_sip_rule,
    business_accounts.create_account,
    business_accounts.get_account,
    business_accounts.list_accounts,
    business_accounts.update_account,
    business_accounts.delete_account,
    business_accounts.create_user,
    business_accounts.invite_users,
    business_accounts.get_user,
    business_accounts.list_users,
    business_accounts.update_user,
    business_accounts.batch_update_user,
    business_accounts.batch_suspend_user,
    business_accounts.batch_unsuspend_user,
    business_accounts.get_user_settings,
    business_accounts.update_user_settings,
    business_accounts.associate_phone_number_with_user,
    business_accounts.disassociate_phone_number_from_user,
    emergency_calling.validate_e911_address,
    tags.tag_resource,
    tags.untag_resource,
    tags.list_tags_for_resource,
)

OPERATIONS = {
    **{function.__name__: function for function in _FUNCTIONS},
    **configurations.CONFIGURATION_OPERATIONS,
}
"""Every operation that is served, by its name in snake case."""

INSTEAD = {"chime": {"delete_sip_rule": sip.delete_disabled_sip_rule}}
"""By flavour, the operations whose rules differ from those everywhere else."""

OF_ONE_NUMBER = frozenset({"GetPhoneNumber", "UpdatePhoneNumber", "DeletePhoneNumber"})
"""The operations that touch only the rows of the number in their path."""
