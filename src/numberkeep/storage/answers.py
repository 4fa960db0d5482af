"""What the API tells of numbers: JSON that is made once for each state of a number."""

from collections.abc import Mapping

from msgspec import Raw

MOST_ANSWERS = 20_000
"""How many are kept, about 800 bytes each."""


class Answers:
    """Answers by the last change of their numbers: its id names what a number has been since, so none becomes wrong.

    One store's changes mean nothing to another. May be used by several threads.
    """

    def __init__(self) -> None:
        self._of: dict[str, dict[int, Raw]] = {}
        self._count = 0

    def of(self, account_id: str) -> dict[int, Raw]:
        """The account's, by the ids of changes."""
        return self._of.get(account_id) or {}

    def keep(self, account_id: str, answers: Mapping[int, Raw], previous: int | None = None) -> None:
        """Have `answers` for whoever asks next; hardly anybody asks for the `previous` one again."""
        if self._count >= MOST_ANSWERS:
            self._of, self._count = {}, 0
        of_account = self._of.setdefault(account_id, {})
        of_account |= answers
        self._count += len(answers)
        if previous is not None and of_account.pop(previous, None) is not None:
            self._count -= 1
