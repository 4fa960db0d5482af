"""What it does: one function per AWS operation, one module per noun.

A function is named after its operation in snake case and takes the operation's members under their names in
snake case; what is absent from a request is None. It loads, decides, and only then stores, so that a function
which raises has written nothing. Which operations are served is what `OPERATIONS` holds.
"""

from . import phone_number_orders, phone_numbers, search, settings

OPERATIONS = {
    function.__name__: function
    for function in (
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
    )
}
"""Every operation that is served, by its name in snake case."""
