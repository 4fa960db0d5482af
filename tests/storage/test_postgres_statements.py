"""Rows that go the same way share one statement, and nothing overtakes what it must not."""

import pytest

from numberkeep.storage.postgres_statements import Writes, translate

UPDATE = "UPDATE phone_numbers SET name = ?, change_id = ? WHERE account_id = ? AND e164_phone_number = ?"
DELETE = "DELETE FROM pending_changes WHERE account_id = ? AND e164_phone_number = ? AND kind = ?"
INSERT = "INSERT INTO phone_number_owners (e164_phone_number, account_id) VALUES (?, ?)"


def taken(*writes: tuple[str, tuple[object, ...]]) -> list[tuple[str, object]]:
    pending = Writes()
    for sql, parameters in writes:
        pending.add(sql, parameters)
    statements = [(sql, parameters) for sql, parameters in pending.take()]
    assert list(pending.take()) == []
    return statements


def test_portable_sql_is_translated() -> None:
    assert translate("SELECT a FROM b WHERE c = ? AND d LIKE '%' /*FOR UPDATE*/") == (
        "SELECT a FROM b WHERE c = %s AND d LIKE '%%' FOR UPDATE"
    )


def test_a_row_alone_goes_as_it_is() -> None:
    assert taken((UPDATE, ("x", 1, "A", "+1"))) == [(translate(UPDATE), ("x", 1, "A", "+1"))]


@pytest.mark.parametrize(
    ("sql", "rows", "statement"),
    [
        (
            UPDATE,
            (("x", 1, "A", "+1"), (None, 2, "A", "+2")),
            "UPDATE phone_numbers SET name = item ->> 0, change_id = (item ->> 1)::bigint"
            " FROM jsonb_array_elements(%s::jsonb) AS batch (item)"
            " WHERE account_id = item ->> 2 AND e164_phone_number = item ->> 3",
        ),
        (
            DELETE,
            (("A", "+1", "order"), ("A", "+2", "order")),
            "DELETE FROM pending_changes USING jsonb_array_elements(%s::jsonb) AS batch (item)"
            " WHERE account_id = item ->> 0 AND e164_phone_number = item ->> 1 AND kind = item ->> 2",
        ),
        (
            INSERT + " ON CONFLICT DO NOTHING",
            (("+1", "A"), ("+2", "A")),
            "INSERT INTO phone_number_owners (e164_phone_number, account_id) SELECT item ->> 0, item ->> 1"
            " FROM jsonb_array_elements(%s::jsonb) AS batch (item) ON CONFLICT DO NOTHING",
        ),
    ],
)
def test_rows_share_a_statement(sql: str, rows: tuple[tuple[object, ...], ...], statement: str) -> None:
    ((taken_sql, (parameter,)),) = taken(*[(sql, row) for row in rows])  # type: ignore[misc]
    assert taken_sql == statement
    assert parameter.count("[") == 3


def test_what_alternates_goes_together() -> None:
    first, second = ("+1", "A"), ("+2", "A")
    statements = taken(
        (INSERT, first),
        (UPDATE, ("x", 1, "A", "+1")),
        (INSERT, second),
        (UPDATE, ("y", 2, "A", "+2")),
    )
    assert [sql.split()[0] for sql, _ in statements] == ["INSERT", "UPDATE"]


def test_a_row_that_is_written_twice_is_written_in_that_order() -> None:
    statements = taken(
        (UPDATE, ("x", 1, "A", "+1")),
        (UPDATE, ("y", 2, "A", "+1")),
        (UPDATE, ("z", 3, "A", "+2")),
    )
    first, others = (parameters for _, parameters in statements)
    assert first == ("x", 1, "A", "+1")
    assert others == ('[["y",2,"A","+1"],["z",3,"A","+2"]]',)


def test_what_touches_any_number_of_rows_is_overtaken_by_nothing() -> None:
    some = "DELETE FROM phone_number_owners WHERE account_id = ?"
    statements = taken((INSERT, ("+1", "A")), (some, ("A",)), (INSERT, ("+2", "A")))
    assert [sql for sql, _ in statements] == [translate(INSERT), translate(some), translate(INSERT)]
