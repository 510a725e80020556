"""I07: tensors, embeddings, adapters, images or audio from a client -> 400; nothing of a client's is deserialised or
fetched.

Defence: api/strict.py:Strict._keep_supported; removed its refusals, an embedding is silently dropped and the answer is
to another question than was asked.
Defence: api/schema.py:_part_text; removed, a part that is no text raises in the middle of our code, or vanishes.
"""

from __future__ import annotations

import base64

import pytest

from tests.api.toy import MODEL, chat, refused

PICKLE = base64.b64encode(b"\x80\x04\x95canary").decode()
FIELDS = {
    "prompt_embeds": PICKLE,
    "inputs_embeds": [[0.5] * 8],
    "embeddings": PICKLE,
    "past_key_values": PICKLE,
    "kv_transfer_params": {"remote_host": "169.254.169.254"},
    "lora_request": {"path": "/tmp/adapter"},
    "adapter": "/etc/passwd",
    "adapters": ["x"],
    "mm_processor_kwargs": {},
    "images": ["http://169.254.169.254/"],
    "cache_salt": "x",
}
PARTS = [
    {"type": "image_url", "image_url": {"url": "http://169.254.169.254/"}},
    {"type": "input_audio", "input_audio": {"data": PICKLE, "format": "wav"}},
    {"type": "file", "file": {"file_data": PICKLE}},
    {"type": "image_embeds", "image_embeds": PICKLE},
    {"type": "text", "text": "x", "tensor": PICKLE},
    {"type": "text", "text": 1},
    {"type": "text"},
    {"text": "x"},
    {"type": ["text"], "text": "x"},
    "x",
    1,
    None,
    [],
]


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_carries_numbers_for_the_model(field: str) -> None:
    refused(chat(**{field: FIELDS[field]}), field)
    refused({"model": MODEL, "prompt": "x", field: FIELDS[field]}, field, path="/v1/completions")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_is_no_text(part: object) -> None:
    for content in ([part], [{"type": "text", "text": "look:"}, part]):
        refused(chat(messages=[{"role": "user", "content": content}]), "messages")


@pytest.mark.parametrize("content", [1, True, {}, {"type": "text", "text": "x"}])
def test_content_that_is_no_text(content: object) -> None:
    refused(chat(messages=[{"role": "user", "content": content}]), "messages.0.content")


def test_no_content_at_all() -> None:
    refused(chat(messages=[{"role": "user", "content": None}]), "messages")


def test_a_prompt_of_embeddings() -> None:
    for prompt in ([[0.1, 0.2]], [0.1, 0.2], [PICKLE, 1]):
        refused({"model": MODEL, "prompt": prompt}, "prompt", path="/v1/completions")
