"""A cache of the API's JSON for numbers, which is made once for each state of a number."""

from collections.abc import Mapping

from msgspec import Raw

MOST_ANSWERS = 20_000
"""How many answers are cached at most, about a kilobyte each."""


Answer = tuple[str, Raw]
"""A number, and the API's JSON for it."""


class Answers:
    """Answers by the id of their number's latest change, which identifies the number's state: none becomes stale.

    The ids of one store mean nothing in another. May be used by several threads.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[int, Answer]] = {}
        self._count = 0

    def of(self, account_id: str) -> dict[int, Answer]:
        """Return the account's answers, by change id."""
        return self._of.get(account_id) or {}

    def keep(self, account_id: str, answers: Mapping[int, Answer]) -> None:
        """Cache `answers`, made of rows that were read: the id of a change that was never committed may still be used
        for another."""
        if self._count >= MOST_ANSWERS:
            self._of, self._count = {}, 0
        of_account = self._of.setdefault(account_id, {})
        self._count -= len(of_account)
        of_account.update(answers)
        self._count += len(of_account)
