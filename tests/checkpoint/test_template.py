"""Prompts equal those of transformers; a template that errs, loops or grows costs one request and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.template import ChatTemplate, read_special_tokens, read_template
from mohawk.errors import ArtifactError, UnsupportedModelError, UsageError
from mohawk.nouns.tools import CallStyle
from tests.support.models import CHAT_TEMPLATE, TOOL_TEMPLATE

NOW = datetime(2026, 3, 9, 14, 30)
TOKENS = {"bos_token": "<s>", "eos_token": "</s>"}
HELLO = [{"role": "user", "content": "hello"}]
CHATS = (
    HELLO,
    [{"role": "system", "content": "Be brief."}, *HELLO],
    [*HELLO, {"role": "assistant", "content": " Hi <b>'there'</b> "}, {"role": "user", "content": "东京 \U0001f642\n"}],
    [{"role": "user", "content": [{"type": "text", "text": "part"}]}],
)
TEMPLATES = {
    "plain": "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}",
    "json": "{{ messages | tojson(indent=2) }}{{ {'b': 1, 'a': '<é>'} | tojson }}{{ tools is none }}{{ documents }}",
    "loop controls": (
        "{%- for message in messages -%}{% if loop.index > 2 %}{% break %}{% endif %}"
        "{% if message.role == 'system' %}{% continue %}{% endif %}{{ message.content }}{%- endfor -%}"
    ),
    "namespace": (
        "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}"
        "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}{{ bos_token }}{{ eos_token }}{{ unk_token }}"
    ),
    "generation": "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}",
    "blocks": "  {% if true %}\n    x\n  {% endif %}\n{# note #}\n{{- messages[-1].content if messages }}\n",
    "macro": "{% macro say(m) %}[{{ m.role|upper }}]{% endmacro %}{% for m in messages %}{{ say(m) }}{% endfor %}",
    "lazy imports": "{{ messages | length | string | indent }}{{ 'a b c' | wordwrap(1) }}{{ messages | pprint }}",
}


@contextmanager
def running(template: str) -> Iterator[ChatTemplate]:
    chat = ChatTemplate(template, TOKENS)
    try:
        yield chat
    finally:
        chat.close()


@pytest.mark.parametrize("name", TEMPLATES)
def test_prompts_equal_those_of_transformers(name: str):
    from transformers.utils.chat_template_utils import render_jinja_template

    with running(TEMPLATES[name]) as chat:
        for messages in CHATS:
            for prompt in (True, False):
                theirs, _ = render_jinja_template(
                    conversations=[messages], chat_template=TEMPLATES[name], add_generation_prompt=prompt, **TOKENS
                )
                assert chat.render(messages, add_generation_prompt=prompt, now=NOW) == theirs[0]


def test_tools_and_calls_reach_the_template_as_in_transformers():
    from transformers.utils.chat_template_utils import render_jinja_template

    function = {"name": "weather", "description": "Köln's", "parameters": {"type": "object", "properties": {}}}
    tools = [{"type": "function", "function": function}]
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": {"city": "Köln"}}}
    messages = [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "rain"},
    ]
    with running(TOOL_TEMPLATE) as chat:
        for offered in (tools, []):
            theirs, _ = render_jinja_template(
                conversations=[messages],
                chat_template=TOOL_TEMPLATE,
                tools=offered or None,
                add_generation_prompt=True,
                **TOKENS,
            )
            assert chat.render(messages, offered, now=NOW) == theirs[0]


@pytest.mark.parametrize(
    ("template", "style"),
    [
        (TOOL_TEMPLATE, CallStyle.TAGS),
        ("{% if tools %}{{ tools }}{% endif %}", CallStyle.JSON),
        ("{{ messages[0].content }} about tools and <tool_call>", None),
        ("{% set tools = 1 %}{{ tools }}", None),
    ],
)
def test_how_a_model_calls_tools_is_read_from_its_template(template: str, style: CallStyle | None):
    with running(template) as chat:
        assert chat.call_style is style


def test_rendering_and_tokenising_a_chat_equals_transformers(real_model: Callable[..., Path]):
    from transformers import AutoTokenizer

    from mohawk.checkpoint.tokenizer import Tokenizer

    folder = real_model("llama")
    sides = read_side_files(folder)
    theirs = AutoTokenizer.from_pretrained(folder)
    template = read_template(sides)
    assert template == CHAT_TEMPLATE
    chat = ChatTemplate(template, read_special_tokens(sides))
    try:
        for messages in CHATS[:3]:
            prompt = chat.render(messages, now=NOW)
            assert prompt == theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
            ids = theirs.apply_chat_template(messages, add_generation_prompt=True)["input_ids"]
            assert Tokenizer(sides, 512, 512).encode(prompt) == ids
    finally:
        chat.close()


def test_the_clock_is_an_argument():
    with running("{{ strftime_now('%d %b %Y') }}") as chat:
        assert chat.render(HELLO, now=NOW) == "09 Mar 2026"


def test_a_refusal_names_the_field_and_keeps_the_templates_words():
    with running("{{ raise_exception('words of the template') }}") as chat, pytest.raises(UsageError) as caught:
        chat.render(HELLO, now=NOW)
    assert caught.value.http_status == 400
    assert caught.value.field == "messages"
    assert "words" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    "template", ["{{ 1 / 0 }}", "{{ messages[99].content }}", "{{ messages.x.y }}", "{{ 1 + 'a' }}"]
)
def test_a_template_that_fails_is_the_messages_fault_and_the_child_goes_on(template: str):
    with running("{% if messages[0].content == 'fail' %}" + template + "{% endif %}fine") as chat:
        with pytest.raises(UsageError):
            chat.render([{"role": "user", "content": "fail"}], now=NOW)
        child = chat._renderer
        assert chat.render(HELLO, now=NOW) == "fine"
        assert chat._renderer is child


@pytest.mark.parametrize(
    "template", ["{% if %}", "{{", "{% include 'x' %}{% foo %}", "{{ 'a' * 10 ** 10 }}{% endfor %}"]
)
def test_a_template_that_does_not_compile_refuses_the_model(template: str):
    with pytest.raises(UnsupportedModelError):
        ChatTemplate(template, TOKENS)


def test_threads_share_one_child():
    with running("{{ messages[0].content }}") as chat, ThreadPoolExecutor(8) as pool:
        prompts = [f"text {number}" for number in range(64)]
        rendered = pool.map(lambda text: chat.render([{"role": "user", "content": text}], now=NOW), prompts)
        assert list(rendered) == prompts


def test_a_child_that_was_killed_is_replaced():
    with running("{{ messages[0].content }}") as chat:
        os.kill(chat._renderer._child._process.pid, 9)
        chat._renderer._child._process.wait()
        assert chat.render(HELLO, now=NOW) == "hello"


def test_long_messages_pass_through_the_pipe():
    with running("{{ messages[0].content }}") as chat:
        text = "é" * 500_000
        assert chat.render([{"role": "user", "content": text}], now=NOW) == text


def test_the_template_is_found_where_models_keep_it():
    config = b'{"chat_template": "from config", "eos_token": {"content": "</s>"}, "bos_token": null}'
    named = b'{"chat_template": [{"name": "tool_use", "template": "x"}, {"name": "default", "template": "y"}]}'

    assert read_template({"chat_template.jinja": b"own file", "tokenizer_config.json": config}) == "own file"
    assert read_template({"tokenizer_config.json": config}) == "from config"
    assert read_template({"tokenizer_config.json": named}) == "y"
    assert read_template({"tokenizer_config.json": b"{}"}) is None
    assert read_template({}) is None
    assert read_special_tokens({"tokenizer_config.json": config}) == {"eos_token": "</s>"}
    for broken in ({"chat_template.jinja": b"\xff"}, {"tokenizer_config.json": b'{"chat_template": 1}'}):
        with pytest.raises(ArtifactError):
            read_template(broken)
