"""From a checked body to what the engine is asked: token ids, and numbers that fit this model."""

from __future__ import annotations

import secrets

from mohawk.api.engine import Engine
from mohawk.api.schema import ChatBody, TextBody
from mohawk.errors import UsageError
from mohawk.generation.session import Caller, GenerationRequest

DEFAULT_TEXT_TOKENS = 16
"""OpenAI's default of max_tokens for plain completions; a chat answer may fill the context."""


async def make_request(engine: Engine, body: ChatBody | TextBody, caller: Caller) -> GenerationRequest:
    """The body as token ids and checked numbers. Raises UsageError naming the field."""
    sampling = body.sampling(default_seed=secrets.randbits(63))
    if isinstance(body, ChatBody):
        field = "messages"
        prompt = await engine.encode_chat([message.plain() for message in body.messages])
    else:
        field = "prompt"
        prompt = await _encode_prompt(engine, body.prompt)
    return GenerationRequest(
        prompt=tuple(prompt),
        maximum_new_tokens=_new_tokens(engine, body, len(prompt), field),
        sampling=sampling,
        stop=body.stop,
        end_of_sequence=engine.end_of_sequence,
        caller=caller,
    )


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
