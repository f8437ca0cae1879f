"""How many steps of a stage fit into a given time."""

import time


class TimeLimit:
    """Chooses how many steps of a stage fit into its time, from the speed of its first ones.

    A run is thereby one of a fixed number of steps, and can be resumed and repeated like any other.

    Args:
        minutes: from now to the end of the stage.
    """

    MEASURED = 0.03  # share of the time after which the speed is taken as known

    def __init__(self, minutes: float):
        self.seconds = 60 * minutes
        self.end = time.monotonic() + self.seconds
        self._first: tuple[int, float] | None = None

    def steps(self, step: int) -> int | None:
        """How many steps there shall be, after `step` of them; None: ask again later."""
        now = time.monotonic()
        if self._first is None:  # the first step is compiled, which tells nothing of the others
            self._first = step, now
        steps, seconds = step - self._first[0], now - self._first[1]
        if now < self.end and (not steps or seconds < self.MEASURED * self.seconds):
            return None
        return step + (max(0, int((self.end - now) * steps / seconds)) if steps else 0)
