"""The API keys' quotas: who has used up what is his hears so before any work is done (docs/spec/api.md 7).

Rules, and the attack each stops:
- Requests are counted before their body is read, answers at once before their prompt is understood, tokens before the
  engine hears of them: a flood of one key's costs a look at its key (D05).
- Each key has an account of its own: nobody uses up what is another's.
- An answer is counted from its beginning to its end, also when its client has left: leaving early buys nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from mohawk.errors import MohawkError, UsageError
from mohawk.generation.quota import Quota
from mohawk.store.api_keys import ApiKey


class Quotas:
    """An account for each key that was shown since this server started. `clock`: seconds, never going back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._accounts: defaultdict[str, Quota] = defaultdict(Quota)  # as many as there are names in the store

    def count_request(self, key: ApiKey) -> None:
        """Raises LimitError."""
        self._accounts[key.name].count_request(key.limits, self._clock())

    @contextmanager
    def answering(self, key: ApiKey) -> Iterator[None]:
        """One of the key's answers is under way. Raises LimitError."""
        account = self._accounts[key.name]
        account.enter(key.limits)
        try:
            yield
        finally:
            account.leave()

    @contextmanager
    def spending(self, key: ApiKey, most: int, spent: Callable[[], int]) -> Iterator[None]:
        """At most `most` tokens are computed; `spent` of them were in the end. What ends with an error of ours costs
        nothing. Raises LimitError.
        """
        account = self._accounts[key.name]
        reserved = account.reserve(key.limits, most, self._clock())
        is_ours = False
        try:
            yield
        except MohawkError as error:
            is_ours = not isinstance(error, UsageError)  # such as a schema that grew too complex on the way
            raise
        finally:
            account.settle(reserved, 0 if is_ours else spent())
