"""Which examples form which batch."""

import dataclasses
import functools

import numpy as np


@dataclasses.dataclass(frozen=True)
class TrainingSchedule:
    """Which examples form each training batch: a pure function of its fields.

    The examples run through one permutation per epoch, each epoch continuing in the batch where the
    last one ended.

    Args:
        examples: how many there are.
        batch_size: of the global batch.
        seed: of the permutations.
        start: number of the first batch.
        shares: rows of the global batch for each replica, see `shares.replica_shares`.
    """

    examples: int
    batch_size: int
    seed: int
    start: int
    shares: np.ndarray

    def batch(self, number) -> np.ndarray:
        """Positions int64 [b] of the number-th batch of this worker."""
        step, replica = divmod(int(number), len(self.shares))
        wanted = (self.start + step) * self.batch_size + self.shares[replica]
        positions = np.empty(len(wanted), np.int64)
        for epoch in np.unique(wanted // self.examples):
            inside = wanted // self.examples == epoch
            order = _permutation(self.examples, self.seed, int(epoch))
            positions[inside] = order[wanted[inside] % self.examples]
        return positions


@functools.lru_cache(maxsize=4)
def _permutation(examples, seed, epoch):
    return np.random.default_rng([seed, epoch]).permutation(examples)


@dataclasses.dataclass(frozen=True)
class FileOrder:
    """Every example once, in order; the last batch holds what remains."""

    examples: int
    batch_size: int

    @property
    def batches(self) -> int:
        """How many there are."""
        return -(-self.examples // self.batch_size)

    def batch(self, number) -> np.ndarray:
        """Positions int64 [b] of the number-th batch."""
        first = int(number) * self.batch_size
        return np.arange(first, min(first + self.batch_size, self.examples))
