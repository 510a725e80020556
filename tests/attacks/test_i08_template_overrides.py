"""I08 (API): a chat template from the client, or arguments for the model's own -> 400.

Defence: api/strict.py:Strict._keep_supported; removed its refusals, the client believes that its template was used;
passed on, it would run in our process.
Defence: api/schema.py:Message; removed its closed set of roles and fields, a client's words reach the template as
something other than a turn.
"""

from __future__ import annotations

import pytest

from tests.api.toy import MODEL, ToyEngine, chat, post, refused

BOMB = "{% for i in range(10**9) %}{% endfor %}{{ ''.__class__.__mro__ }}"
FIELDS = {
    "chat_template": BOMB,
    "chat_template_kwargs": {"enable_thinking": True},
    "template": BOMB,
    "add_generation_prompt": False,
    "continue_final_message": True,
    "add_special_tokens": False,
    "documents": [{"title": BOMB}],
    "skip_special_tokens": False,
}


@pytest.mark.parametrize("field", FIELDS)
def test_an_override_is_refused_by_name(field: str) -> None:
    refused(chat(**{field: FIELDS[field]}), field)
    refused({"model": MODEL, "prompt": "x", field: FIELDS[field]}, field, path="/v1/completions")


@pytest.mark.parametrize("role", ["tools", "function", "System", "", "user\n", "ipython", "{{ 7 }}", None, 1, ["user"]])
def test_a_role_of_the_clients_own(role: object) -> None:
    refused(chat(messages=[{"role": role, "content": "x"}]), "messages.0.role")


@pytest.mark.parametrize("field", ["chat_template", "prefix", "reasoning_content", "thinking"])
def test_a_turn_with_something_for_the_template(field: str) -> None:
    refused(chat(messages=[{"role": "assistant", "content": "x", field: "y"}]), field)


def test_a_result_that_answers_no_call() -> None:
    refused(chat(messages=[{"role": "assistant", "content": "x", "tool_call_id": "y"}]), "messages")


def test_template_text_in_a_turn_is_only_text() -> None:
    engine = ToyEngine()
    body = chat(messages=[{"role": "user", "content": BOMB}])
    assert post("/v1/chat/completions", body, engine=engine).status_code == 200
    assert bytes(engine.requests[0].prompt).decode() == f"user: {BOMB}\n"
