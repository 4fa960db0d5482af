"""The only clock and the only source of randomness.

Everything that happens to a number happens at `World.now`, a time that can be moved forward; only signatures are
checked against `World.real_seconds`. With a seed and a clock of its own, a world repeats exactly.
"""

import random
import string
import threading
import time
from collections.abc import Callable

from .domain.moment import Timestamp, moment

_CODE_CHARACTERS = string.ascii_lowercase + string.digits


def change_id_at(real_seconds: float) -> int:
    """A lower bound for the ids of changes made from that moment on (by the machine's clock)."""
    return int(real_seconds * 1000) << 20


class World:
    """The service's time, its random numbers and its new identifiers."""

    def __init__(
        self,
        clock: Callable[[], float] = time.time,
        seed: int | None = None,
        steady_seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._clock = clock
        self.steady_seconds = steady_seconds
        """A monotonic clock, in seconds since an arbitrary moment: for how long something is kept."""
        self._turn = threading.Lock()
        self._latest = -1.0
        self._now = ""
        self._change_id = 0
        self._second = -1
        self.offset_seconds = 0.0
        """How far the service's time is ahead of the real time."""
        self.random = random.Random(seed)  # noqa: S311 - identifiers here name things, they keep no secret
        self._entropy = random.SystemRandom() if seed is None else self.random

    def now(self) -> Timestamp:
        """The service's time. It never runs backwards, whatever the machine's clock does, unless `reset` sets it."""
        if self._clock() + self.offset_seconds - self._latest >= 0.001:
            with self._turn:
                latest = max(self._latest, self._clock() + self.offset_seconds)
                self._now = moment(latest)
                self._latest = latest
        return self._now

    def second(self) -> Timestamp:
        """The service's time to the second, such as ``2019-08-12T22:10:20Z``: for records of requests."""
        second = int(self._clock() + self.offset_seconds)
        if second != self._second:
            self._second, self._second_text = second, moment(second)[:19] + "Z"
        return self._second_text

    def reset(self, offset_seconds: float = 0.0) -> None:
        """Set the service's time to the real time plus an offset, even if that is earlier than before."""
        self._latest, self.offset_seconds = -1.0, offset_seconds

    def real_seconds(self) -> float:
        """Seconds since 1970 by the machine's clock."""
        return self._clock()

    def new_dice(self) -> random.Random:
        """A random generator for one purpose: in a world with a seed, its numbers do not depend on how often other
        generators are used."""
        return random.Random(self.random.getrandbits(64))  # noqa: S311

    def new_id(self) -> str:
        """A random UUID (version 4) in lower case."""
        digits = self.random.randbytes(16).hex()
        # The variant field of RFC 9562 leaves two bits of the fourth group free; they are not needed.
        return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"

    def new_code(self, length: int) -> str:
        """A random code of `length` lower-case letters and digits, as in the ids that AWS gives Voice Connectors."""
        return "".join(self.random.choices(_CODE_CHARACTERS, k=length))

    def new_change_id(self) -> int:
        """A number of at most 63 bits, larger than all before: the time in milliseconds, followed by 20 random bits, so
        that several processes do not make the same one."""
        fresh = change_id_at(self._clock()) + self.random.getrandbits(20)
        with self._turn:
            self._change_id = max(self._change_id + 1, fresh)
            return self._change_id

    def new_secret(self) -> str:
        """32 random bytes in hexadecimal, from the operating system unless the world has a seed."""
        return f"{self._entropy.getrandbits(256):064x}"
