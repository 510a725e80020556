"""The process that renders chat templates: jinja2's sandbox, and around it the kernel's.

A chat template is a program that came with a download. Rules, and the attack each stops (I08):
- Immutable sandboxed environment: no way from a value to Python's internals, no change of what it was given.
- 256 MB of address space, no new file descriptor, no file growth, no core: what escapes the sandbox finds little.
- An alarm that ends the process, whatever it computes: the parent kills it long before, unless the parent itself is
  gone.

Speaks JSON lines: first `{template, tokens}` -> `{ready, tools}` (whether it asks for tools), then `{messages, tools,
add_generation_prompt, now}` -> `{text}`; each answer may be `{error}` instead. Imports jinja2 and the standard library
only, so that it starts in a tenth of a second.
"""

from __future__ import annotations

import importlib
import json
import resource
import signal
import sys
from datetime import datetime
from typing import Any, NoReturn

import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox
import jinja2.utils

REQUEST_LIMIT = 48 << 20
"""Bytes of one request line: a 10 MiB API body in its longest JSON spelling, with room."""
REPLY_LIMIT = 48 << 20
MEMORY_LIMIT = 256 << 20
_ALARM_SECONDS = 5.0
_LAZY = ("encodings.ascii", "encodings.unicode_escape", "jinja2.constants", "jinja2.debug", "pprint", "textwrap")
"""What jinja2 imports only when a template needs it, and then could not: no file opens any more."""


class GenerationTag(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}` marks text for training; for serving, its body stands as it is."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as a plain set

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body).set_lineno(line)


class TemplateNamespace(jinja2.utils.Namespace):
    """`namespace(…)` without names that begin with an underscore, as transformers has it."""

    def __init__(*args: Any, **kwargs: Any) -> None:  # `self` is positional, so that `namespace(self=…)` works
        self, initial = args[0], dict(*args[1:], **kwargs)
        for name in initial:
            _check_attribute(name)
        jinja2.utils.Namespace.__init__(self, initial)

    def __setitem__(self, name: str, value: Any) -> None:
        _check_attribute(name)
        super().__setitem__(name, value)


def _check_attribute(name: str) -> None:
    if name.startswith("_"):
        raise jinja2.exceptions.SecurityError("a namespace name that begins with an underscore")


def build_environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """What transformers gives templates, minus the clock: `strftime_now` is set per rendering."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(  # plain text, no markup: nothing to escape
        trim_blocks=True, lstrip_blocks=True, extensions=[GenerationTag, jinja2.ext.loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["namespace"] = TemplateNamespace
    return environment


def _to_json(  # templates may give all of these by position
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002
    indent: Any = None,
    separators: Any = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.exceptions.TemplateError(message)


def render(template: jinja2.Template, tokens: dict[str, str], request: dict[str, Any]) -> str:
    """The prompt for one request. Raises whatever the template does."""
    now = datetime.fromisoformat(request["now"])
    return template.render(
        **tokens,
        messages=request["messages"],
        tools=request.get("tools"),
        documents=None,
        add_generation_prompt=request["add_generation_prompt"],
        strftime_now=now.strftime,
    )


def confine() -> None:
    """Give up what a renderer does not need; none of it can be taken back."""
    for module in _LAZY:
        importlib.import_module(module)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_LIMIT),
        (resource.RLIMIT_NOFILE, 3),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (value, value))


def main() -> None:
    """Serve requests until standard input ends."""
    confine()
    template: jinja2.Template | None = None
    tokens: dict[str, str] = {}
    while line := sys.stdin.buffer.readline(REQUEST_LIMIT):
        signal.setitimer(signal.ITIMER_REAL, _ALARM_SECONDS)
        try:
            request = json.loads(line)
            if template is None:
                environment = build_environment()
                template, tokens = environment.from_string(request["template"]), request["tokens"]
                names = jinja2.meta.find_undeclared_variables(environment.parse(request["template"]))
                reply = json.dumps({"ready": True, "tools": "tools" in names}).encode("ascii")
            else:
                reply = json.dumps({"text": render(template, tokens, request)}, ensure_ascii=False).encode("utf-8")
        except MemoryError:
            return  # nothing that follows could be relied on; the parent sees the end and starts another
        except jinja2.exceptions.TemplateError:
            reply = b'{"error": "refused"}'
        except Exception:  # noqa: BLE001 - outermost edge: a template may raise anything, and its text must not leave
            reply = b'{"error": "failed"}'
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.stdout.buffer.write((reply if len(reply) < REPLY_LIMIT else b'{"error": "too long"}') + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
