"""From a checked body to what the engine is asked: token ids, and numbers that fit this model."""

from __future__ import annotations

import secrets
from dataclasses import replace

from mohawk.api.choice import Choice
from mohawk.api.engine import Engine
from mohawk.api.logprobs import Likelihoods
from mohawk.api.schema import ChatBody, TextBody
from mohawk.crypto.primitives import sha256
from mohawk.errors import UsageError
from mohawk.generation.session import GenerationRequest
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import Grammar

DEFAULT_TEXT_TOKENS = 16
"""OpenAI's default of max_tokens for plain completions; a chat answer may fill the context."""


async def make_requests(engine: Engine, body: ChatBody | TextBody) -> tuple[GenerationRequest, ...]:
    """The body as token ids and checked numbers, once for each choice. Raises UsageError naming the field."""
    sampling = body.sampling(default_seed=secrets.randbits(63))
    _check_logit_bias(engine, sampling)
    if isinstance(body, ChatBody):
        sampling = await _constrain(engine, sampling, body.grammar())
    if isinstance(body, ChatBody):
        field = "messages"
        prompt = await engine.encode_chat([message.plain() for message in body.messages])
    else:
        field = "prompt"
        prompt = await _encode_prompt(engine, body.prompt)
    first = GenerationRequest(
        prompt=tuple(prompt),
        maximum_new_tokens=_new_tokens(engine, body, len(prompt), field),
        sampling=sampling,
        stop=body.stop,
        end_of_sequence=engine.end_of_sequence,
    )
    return tuple(_vary(first, index) for index in range(body.choices))


def make_choice(engine: Engine, request: GenerationRequest) -> Choice:
    """What turns this request's answer into what the client may see."""
    if not request.sampling.logprobs:
        return Choice(None)
    return Choice(Likelihoods(engine.token_bytes, request.end_of_sequence))


def _vary(request: GenerationRequest, index: int) -> GenerationRequest:
    """Choice `index` of the same request: the first has the seed itself, each other one derived from it."""
    if index == 0:
        return request
    digest = sha256(b"mohawk-choice" + request.sampling.seed.to_bytes(8, "big") + bytes([index]))
    seed = int.from_bytes(digest[:8], "big") >> 1
    return replace(request, sampling=replace(request.sampling, seed=seed))


async def _constrain(engine: Engine, sampling: SamplingParameters, text: str | None) -> SamplingParameters:
    """The same under a grammar, which was tried before any worker hears of it (I09)."""
    if text is None:
        return sampling
    if not engine.end_of_sequence:
        raise UsageError("this model never ends an answer by itself", field="response_format")
    grammar = Grammar(text, tuple(sorted(engine.end_of_sequence)))
    constrained = replace(sampling, grammar=grammar)  # checks its size
    await engine.check_grammar(grammar)
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
