"""The process that follows grammars: which tokens may come next. The only home of llguidance.

A client's JSON Schema is a program for a parser. Rules, and the attack each stops (I09):
- A process of its own, which may be killed: it holds no weight, no key and no prompt, and whoever waits for it does so
  with a deadline.
- Memory is limited to what the tokenizer took and a `headroom` beside it: a grammar that explodes ends this process.
- The library's own limits are a fraction of its defaults, so that no step takes longer than some milliseconds. They are
  counts, not times: what a controller tried on its machine behaves the same on a worker's.
- A reference to another document is an error of the library's; nothing is fetched. No file can be opened any more.

Speaks frames: 4 bytes of length, then JSON. First `{tokenizer, vocabulary, headroom}` -> `{ready}`. Then either
`{try, ends}` -> `{refused}`, empty when the grammar is good; or `{open, close, accept, masks}` -> `{failed}`, and
behind it the masks that were asked for and did not fail, in order: bit i of a mask (the lowest first) is token i's.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import OrderedDict
from typing import Any, BinaryIO

import llguidance

from mohawk.checkpoint.child import LENGTH

REQUEST_LIMIT = 160 << 20
"""Bytes: a tokenizer of 64 MiB, in its longest JSON spelling."""
TRIAL_CPU_SECONDS = 0.25
"""Of compiling and the first mask: on a worker, others wait as long."""
_KEPT = 32
"""Compiled grammars that are kept: the choices of a request, and requests after it, share one."""
_MAXIMUM_REASON = 200
_LIMITS = llguidance.LLParserLimits(
    initial_lexer_fuel=200_000,
    step_lexer_fuel=50_000,
    step_max_items=20_000,
    max_lexer_states=20_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)


class GrammarError(Exception):
    """A grammar that does not compile, or cannot be followed any further. Holds at most the client's own words."""


class Following:
    """One sequence under its grammar. `ends`: the tokens that may end it once the grammar is satisfied; the library's
    own, `special`, is not asked.
    """

    def __init__(self, matcher: llguidance.LLMatcher, ends: list[int], vocabulary: int, special: int) -> None:
        self._matcher = matcher
        self._special = special
        self._ends = ends
        self._size = (vocabulary + 7) // 8

    def accept(self, tokens: list[int]) -> None:
        """Raises GrammarError: tokens that the grammar does not allow."""
        if tokens and not self._matcher.consume_tokens(tokens):
            raise GrammarError(_reason(self._matcher))

    def mask(self) -> bytes:
        """The tokens that may come next. Raises GrammarError: too complex to say, or none."""
        if self._matcher.is_stopped() and not self._matcher.is_error():
            mask = bytearray(self._size)
        else:
            mask = bytearray(self._matcher.compute_bitmask()[: self._size])
        if self._matcher.is_error():
            raise GrammarError(_reason(self._matcher))
        mask[self._special >> 3] &= ~(1 << (self._special & 7))
        if self._matcher.is_accepting():
            for token in self._ends:
                mask[token >> 3] |= 1 << (token & 7)
        if not any(mask):
            raise GrammarError("no token may come next")
        return bytes(mask)


class Grammars:
    """Everything that this process holds. `vocabulary`: rows of the model's head."""

    def __init__(self, tokenizer: str, vocabulary: int) -> None:
        """Raises whatever the library raises over a tokenizer that it cannot read."""
        added = json.loads(tokenizer)["added_tokens"]  # a name instead of a tokenizer would be a file to the library
        special = next(token["id"] for token in added if token["special"])
        self._tokenizer = llguidance.LLTokenizer(tokenizer, n_vocab=vocabulary, eos_token=[special])
        self._special: int = special
        self._vocabulary = vocabulary
        self._compiled: OrderedDict[str, llguidance.LLMatcher] = OrderedDict()
        self._open: dict[int, Following] = {}

    def try_grammar(self, grammar: str, ends: list[int]) -> str:
        """Why this grammar is refused; empty when it is good."""
        begun = time.process_time()
        try:
            self._begin(grammar, ends).mask()
        except GrammarError as error:
            return str(error)
        return "" if time.process_time() - begun <= TRIAL_CPU_SECONDS else "it takes too long to compile"

    def step(self, request: dict[str, Any]) -> tuple[list[int], list[bytes]]:
        """One step of the batch: (sequences that failed, the masks of the others that were asked for)."""
        failed: list[int] = []
        for sequence in request["close"]:
            self._open.pop(sequence, None)
        for entry in request["open"]:
            self._guard(failed, entry["sequence"], lambda entry=entry: self._open_sequence(entry))
        for sequence, token in request["accept"]:
            self._guard(failed, sequence, lambda s=sequence, t=token: self._open[s].accept([t]))
        masks: list[bytes] = []
        for sequence in request["masks"]:
            self._guard(failed, sequence, lambda s=sequence: masks.append(self._open[s].mask()))
        return failed, masks

    def _guard(self, failed: list[int], sequence: int, work: Any) -> None:
        """One sequence's failure is its own: it is forgotten, and asking for it again fails again."""
        try:
            work()
        except (GrammarError, KeyError):
            self._open.pop(sequence, None)
            failed.append(sequence)

    def _open_sequence(self, entry: dict[str, Any]) -> None:
        following = self._begin(entry["grammar"], entry["ends"])
        following.accept(entry["generated"])
        self._open[entry["sequence"]] = following

    def _begin(self, grammar: str, ends: list[int]) -> Following:
        if not ends or not all(0 <= token < self._vocabulary for token in ends):
            raise GrammarError("the model has no token that ends an answer")
        return Following(self._compile(grammar).deep_copy(), ends, self._vocabulary, self._special)

    def _compile(self, grammar: str) -> llguidance.LLMatcher:
        if grammar not in self._compiled:
            matcher = llguidance.LLMatcher(self._tokenizer, grammar, log_level=0, limits=_LIMITS)
            if matcher.is_error():
                raise GrammarError(_reason(matcher))
            self._compiled[grammar] = matcher
            if len(self._compiled) > _KEPT:
                self._compiled.popitem(last=False)
        self._compiled.move_to_end(grammar)
        return self._compiled[grammar]


def _reason(matcher: llguidance.LLMatcher) -> str:
    """Printable, on one line, short."""
    text = " ".join(str(matcher.get_error()).replace("<non-verbose/>", "").split())
    return "".join(letter for letter in text if letter.isprintable())[:_MAXIMUM_REASON]


def read_frame(stream: BinaryIO) -> dict[str, Any] | None:
    """The next request; None at the end."""
    head = stream.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    (length,) = LENGTH.unpack(head)
    data = stream.read(length) if length <= REQUEST_LIMIT else b""
    request: dict[str, Any] | None = json.loads(data) if len(data) == length else None
    return request


def write_frame(stream: BinaryIO, reply: dict[str, Any], tail: list[bytes] | None = None) -> None:
    data = json.dumps(reply).encode("ascii")
    stream.write(LENGTH.pack(len(data)) + data + b"".join(tail or ()))
    stream.flush()


def confine(headroom: int) -> None:
    """From here on: `headroom` bytes of address space beside those in use, no new file, no file growth, no core."""
    with open("/proc/self/statm", encoding="ascii") as statm:  # noqa: PTH123 - pathlib would be one import more
        size = int(statm.read().split()[0]) * resource.getpagesize()
    for limit, value in (
        (resource.RLIMIT_AS, size + headroom),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def main() -> None:
    """Serve requests until standard input ends."""
    incoming, outgoing = sys.stdin.buffer, sys.stdout.buffer
    start = read_frame(incoming)
    if start is None:
        return
    grammars = Grammars(start["tokenizer"], start["vocabulary"])
    confine(start["headroom"])
    write_frame(outgoing, {"ready": True})
    while (request := read_frame(incoming)) is not None:
        if "try" in request:
            write_frame(outgoing, {"refused": grammars.try_grammar(request["try"], request["ends"])})
        else:
            failed, masks = grammars.step(request)
            write_frame(outgoing, {"failed": failed}, masks)


if __name__ == "__main__":
    main()
