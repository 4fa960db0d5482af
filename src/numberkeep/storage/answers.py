"""What the API tells of numbers: JSON that is made once for each state of a number."""

from collections.abc import Mapping

from msgspec import Raw

MOST_ANSWERS = 20_000
"""How many are kept, about a kilobyte each."""


Answer = tuple[str, Raw]
"""A number, and what the API tells of it."""


class Answers:
    """Answers by the last change of their numbers: its id names what a number has been since, so none becomes wrong.

    One store's changes mean nothing to another. May be used by several threads.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[int, Answer]] = {}
        self._count = 0

    def of(self, account_id: str) -> dict[int, Answer]:
        """The account's, by the ids of changes."""
        return self._of.get(account_id) or {}

    def keep(self, account_id: str, answers: Mapping[int, Answer]) -> None:
        """Have `answers` for whoever asks next. They must have been read: another change may yet get the id of one that
        was never committed."""
        if self._count >= MOST_ANSWERS:
            self._of, self._count = {}, 0
        of_account = self._of.setdefault(account_id, {})
        self._count -= len(of_account)
        of_account.update(answers)
        self._count += len(of_account)
