"""I08: a chat template that a client overrides, that reaches for Python's internals, or that never ends.

Expected: there is no way to hand a template in; the model's own is sandboxed (error 400, no text of it), and a rendering that
exceeds 200 ms or 256 MB is killed, its child replaced, the next request served.
Defence: mohawk/checkpoint/template.py:_Renderer.exchange (deadline) and ChatTemplate.render (kill and replace),
mohawk/checkpoint/template_child.py:build_environment (sandbox) and confine (memory, files); removed, a loop of a template holds a
thread for ever, `'a' * 10**10` takes the host's memory, and `__subclasses__` leads to `os.system`.
"""

from __future__ import annotations

import inspect
import time
from datetime import datetime
from pathlib import Path

import pytest

from mohawk.checkpoint.template import ChatTemplate
from mohawk.checkpoint.template_child import build_environment
from mohawk.errors import UsageError

NOW = datetime(2026, 1, 1)
HELLO = [{"role": "user", "content": "hello", "number": 9_999_999}]

ENDLESS = {
    "nested loops": "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
    "power in C": "{{ messages[0].number ** messages[0].number }}",
    "recursive macro": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{% for i in range(99999) %}{{ f(1) }}{% endfor %}",
    "memory by product": "{{ 'a' * messages[0].number * 1000 }}",
    "memory by doubling": "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}{{ n.s }}",
    "memory by join": "{{ range(99999) | join('a' * 99999) }}",
    "padding": "{{ '%999999999d' % 1 }}",
}
ESCAPES = {
    "class": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "globals": "{{ raise_exception.__globals__['__builtins__'] }}",
    "cycler": "{{ cycler.__init__.__globals__.os.system('true') }}",
    "format": "{{ '{0.__class__.__mro__}'.format(messages) }}",
    "format map": "{{ '{a.__class__}'.format_map({'a': 1}) }}",
    "attr": "{{ messages | attr('__class__') | attr('__mro__') | list }}",
    "namespace": "{% set ns = namespace(__class__=1) %}{{ ns }}",
    "strftime": "{{ strftime_now.__self__.__class__.__mro__ }}",
    "change": "{{ messages.append(1) }}",
    "clear": "{{ messages[0].clear() }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}{{ os }}",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ENDLESS)
def test_a_rendering_beyond_its_bounds_is_killed_and_the_next_one_served(name: str):
    chat = ChatTemplate("{% if messages[0].content == 'hello' %}" + ENDLESS[name] + "{% endif %}fine", {})
    try:
        before = chat._renderer._child._process.pid
        start = time.monotonic()
        with pytest.raises(UsageError) as caught:
            chat.render(HELLO, now=NOW)
        assert time.monotonic() - start < 2.0
        assert caught.value.http_status == 400
        assert chat.render([{"role": "user", "content": "other"}], now=NOW) == "fine"
        assert chat._renderer._child._process.pid != before or name == "recursive macro"
        assert not Path(f"/proc/{before}").exists() or name == "recursive macro"
    finally:
        chat.close()


@pytest.mark.parametrize("name", ESCAPES)
def test_the_sandbox_gives_nothing_away(name: str):
    chat = ChatTemplate("{% if true %}" + ESCAPES[name] + "{% endif %}", {})
    try:
        try:
            text = chat.render(HELLO, now=NOW)
        except UsageError as error:
            text = error.message + error.hint
        assert "class" not in text
        assert "module" not in text
        assert "root:" not in text
    finally:
        chat.close()


def test_the_child_is_confined_even_if_the_sandbox_is_not():
    chat = ChatTemplate("{{ 1 }}", {"bos_token": "<s>"})
    try:
        chat.render(HELLO, now=NOW)
        pid = chat._renderer._child._process.pid
        limits = Path(f"/proc/{pid}/limits").read_text()
        bounds = {line[:26].strip(): line[26:].split()[:2] for line in limits.splitlines()}
        assert bounds["Max address space"] == [str(256 << 20)] * 2
        assert bounds["Max open files"] == ["3", "3"]
        assert bounds["Max file size"] == ["0", "0"]
        assert Path(f"/proc/{pid}/environ").read_bytes() == b""
        assert len(list(Path(f"/proc/{pid}/fd").iterdir())) == 3
    finally:
        chat.close()


def test_no_caller_can_hand_in_a_template():
    assert set(inspect.signature(ChatTemplate.render).parameters) == {
        "self",
        "messages",
        "tools",
        "add_generation_prompt",
        "now",
    }


def test_a_message_that_looks_like_a_template_stays_text():
    chat = ChatTemplate("{{ messages[0].content }}", {})
    try:
        text = "{{ 7 * 7 }}{% raw %}"
        assert chat.render([{"role": "user", "content": text, "chat_template": "x"}], now=NOW) == text
    finally:
        chat.close()


def test_the_environment_is_the_immutable_sandbox():
    environment = build_environment()

    assert environment.sandboxed
    assert type(environment).__name__ == "ImmutableSandboxedEnvironment"
    assert environment.loader is None
