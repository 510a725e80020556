"""From a checked body to what the engine is asked: token ids, and numbers that fit this model."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from mohawk.api.call_reader import CallReader
from mohawk.api.choice import Choice
from mohawk.api.engine import Engine
from mohawk.api.logprobs import Likelihoods
from mohawk.api.schema import ChatBody, TextBody
from mohawk.api.tools import Offer
from mohawk.crypto.primitives import sha256
from mohawk.errors import UsageError
from mohawk.generation.session import Caller, GenerationRequest
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import Grammar
from mohawk.nouns.tools import CallStyle

DEFAULT_TEXT_TOKENS = 16
"""OpenAI's default of max_tokens for plain completions; a chat answer may fill the context."""


@dataclass(frozen=True, slots=True)
class Order:
    """One body as the engine's requests, one for each choice; and the tools that the answers may call."""

    requests: tuple[GenerationRequest, ...]
    tools: frozenset[str] | None

    @property
    def prompt_tokens(self) -> int:
        return len(self.requests[0].prompt)

    @property
    def maximum_tokens(self) -> int:
        """Of the prompt, which counts once, and of all choices."""
        return self.prompt_tokens + sum(request.maximum_new_tokens for request in self.requests)

    def make_choices(self, engine: Engine) -> list[Choice]:
        """What turns each request's answer into what the client may see."""
        return [self._make_choice(engine, request) for request in self.requests]

    def _make_choice(self, engine: Engine, request: GenerationRequest) -> Choice:
        likelihoods = Likelihoods(engine.token_bytes, request.end_of_sequence) if request.sampling.logprobs else None
        return Choice(likelihoods, None if self.tools is None else CallReader(self.tools))


async def make_order(engine: Engine, body: ChatBody | TextBody, caller: Caller) -> Order:
    """The body as token ids and checked numbers. Raises UsageError naming the field."""
    sampling = body.sampling(default_seed=secrets.randbits(63))
    _check_logit_bias(engine, sampling)
    tools = None
    if isinstance(body, ChatBody):
        field = "messages"
        offer = body.offer()
        sampling = await _constrain(engine, sampling, body, offer)
        prompt = await _encode_chat(engine, body, offer)
        tools = None if offer is None else offer.names
    else:
        field = "prompt"
        prompt = await _encode_prompt(engine, body.prompt)
    first = GenerationRequest(
        prompt=tuple(prompt),
        maximum_new_tokens=_new_tokens(engine, body, len(prompt), field),
        sampling=sampling,
        stop=body.stop,
        end_of_sequence=engine.end_of_sequence,
        caller=caller,
    )
    return Order(tuple(_vary(first, index) for index in range(body.choices)), tools)


def _vary(request: GenerationRequest, index: int) -> GenerationRequest:
    """Choice `index` of the same request: the first has the seed itself, each other one derived from it."""
    if index == 0:
        return request
    digest = sha256(b"mohawk-choice" + request.sampling.seed.to_bytes(8, "big") + bytes([index]))
    seed = int.from_bytes(digest[:8], "big") >> 1
    return replace(request, sampling=replace(request.sampling, seed=seed), is_sibling=True)


async def _encode_chat(engine: Engine, body: ChatBody, offer: Offer | None) -> list[int]:
    """Where a tool must be called, the model sees no other; where none may be, none."""
    if engine.call_style is None:
        if offer is not None:
            raise UsageError("this model's chat template knows no tools", field="tools")
        if any(message.tool_calls or message.role == "tool" for message in body.messages):
            raise UsageError("this model's chat template knows no tools", field="messages")
    tools = () if offer is None else offer.tools
    return await engine.encode_chat([message.plain() for message in body.messages], [tool.plain() for tool in tools])


async def _constrain(
    engine: Engine, sampling: SamplingParameters, body: ChatBody, offer: Offer | None
) -> SamplingParameters:
    """The same under a grammar, where the answer must keep to one. It is tried before any worker hears of it (I09)."""
    text, field = body.format_grammar(), "response_format"
    if offer is not None:
        if text is not None:
            raise UsageError("response_format cannot be held to where tools may be called", field=field)
        text, field = offer.grammar(engine.call_style or CallStyle.JSON), "tools"
    if text is None:
        return sampling
    if not engine.end_of_sequence:
        raise UsageError("this model never ends an answer by itself", field=field)
    grammar = Grammar(text, tuple(sorted(engine.end_of_sequence)))
    try:
        constrained = replace(sampling, grammar=grammar)  # checks its size
        await engine.check_grammar(grammar)
    except UsageError as error:
        raise UsageError(error.message, hint=error.hint, field=field) from None
    return constrained


def _check_logit_bias(engine: Engine, sampling: SamplingParameters) -> None:
    if any(entry.token >= engine.vocabulary_size for entry in sampling.logit_bias):
        raise UsageError(f"token ids must be below {engine.vocabulary_size}", field="logit_bias")


async def _encode_prompt(engine: Engine, prompt: str | tuple[int, ...]) -> list[int]:
    if isinstance(prompt, str):
        return await engine.encode_text(prompt)
    if max(prompt) >= engine.vocabulary_size:  # beyond the embedding's last row (I05)
        raise UsageError(f"token ids must be below {engine.vocabulary_size}", field="prompt")
    return list(prompt)


def _new_tokens(engine: Engine, body: ChatBody | TextBody, prompt_tokens: int, prompt_field: str) -> int:
    room = engine.context_length - prompt_tokens
    if room < 1:
        message = f"the prompt has {prompt_tokens} tokens, the model's context holds {engine.context_length}"
        raise UsageError(message, field=prompt_field)
    asked, field = body.new_tokens
    if asked is None:
        return room if isinstance(body, ChatBody) else min(DEFAULT_TEXT_TOKENS, room)
    if not 1 <= asked <= room:
        raise UsageError(f"{field} must lie between 1 and {room} after this prompt", field=field)
    return asked
