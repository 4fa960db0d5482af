"""The page Deletion queue: which numbers will leave the account, when, and how to keep them."""

from starlette.responses import Response

from ...domain.moment import Timestamp
from ...domain.phone_number import PhoneNumber
from ...storage import inventory
from ...storage.tx import Tx
from .numbers import PAGE_NUMBERS, selected_numbers
from .possible import why_not_restore
from .visit import Visit


async def show(visit: Visit) -> Response:
    """Show the numbers in the queue; the first one to leave comes first."""
    time, _, e164 = visit.query("after").partition(" ")
    numbers, now = await visit.survey(_page, (time, e164))
    numbers, has_after = numbers[:PAGE_NUMBERS], len(numbers) > PAGE_NUMBERS
    last = numbers[-1] if has_after else None
    return visit.page(
        "deletion_queue.html",
        title="Deletion queue",
        numbers=[
            (number, visit.why_denied("RestorePhoneNumber") or why_not_restore(number, now)) for number in numbers
        ],
        after=f"{last.deletion_timestamp or ''} {last.e164_phone_number}" if last else "",
    )


def _page(tx: Tx, after: tuple[str, str]) -> tuple[list[PhoneNumber], Timestamp]:
    return inventory.deletion_queue(tx, after, PAGE_NUMBERS + 1), tx.now


async def restore(visit: Visit) -> Response:
    """Restore the selected numbers, and show the result for each."""
    results = []
    for e164 in selected_numbers(visit):
        answer = await visit.call("RestorePhoneNumber", PhoneNumberId=e164)
        results.append((e164, answer.refusal))
    return visit.page(
        "changed.html",
        title="Results",
        results=results,
        done=sum(not refusal for _, refusal in results),
        told="It is Unassigned.",
        back=("/deletion-queue", "Back to the deletion queue"),
    )
