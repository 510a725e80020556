"""`mohawk up` as its user has it: one command, then any OpenAI client; a stop that leaves nothing running."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
from pathlib import Path

import openai
import pytest

from mohawk.contract.messages import WorkerState
from tests.e2e.processes import Up, command, command_line, descendants, processes, wait_until_gone
from tests.e2e.running import QUESTION, FirstRun, sealed_files

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("up")]

MESSAGES = [{"role": "user", "content": QUESTION}]
curl_there = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")


@pytest.fixture
def trusted(up: Up, monkeypatch: pytest.MonkeyPatch) -> Up:
    """The variables that `mohawk up` names, as any client would have them."""
    monkeypatch.setenv("SSL_CERT_FILE", up.root)
    monkeypatch.setenv("OPENAI_BASE_URL", up.url)
    monkeypatch.setenv("OPENAI_API_KEY", up.key)
    return up


def test_ctrl_c_is_a_clean_end(first_run: FirstRun):
    assert first_run.exit_code == 0
    assert first_run.survivors == []
    assert not first_run.left_url


def test_a_second_start_moves_no_weight_byte(first_run: FirstRun, up: Up):
    workers = up.status()["workers"]
    assert [worker["sent_bytes"] for worker in workers] == [0, 0]
    assert all(worker["sealed_bytes"] > 1_000_000 for worker in workers)
    assert sealed_files(up.home) == first_run.sealed, "neither sealed again nor stored again"


def test_the_official_client_in_one_piece_and_in_many(trusted: Up, first_run: FirstRun):
    with openai.OpenAI() as client:
        model = trusted.ready["model"]
        assert [entry.id for entry in client.models.list()] == [model]
        whole = client.chat.completions.create(model=model, messages=MESSAGES, temperature=0)
        pieces = list(client.chat.completions.create(model=model, messages=MESSAGES, temperature=0, stream=True))
        text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
        assert text == whole.choices[0].message.content
        assert text == first_run.answer.rstrip("\n"), "another start, another client, the same greedy answer"
        assert len(pieces) > 5
        assert pieces[-1].choices[0].finish_reason == whole.choices[0].finish_reason == "stop"

        plain = client.completions.create(model=model, prompt="A worker", max_tokens=12, temperature=0)
        stream = client.completions.create(model=model, prompt="A worker", max_tokens=12, temperature=0, stream=True)
        assert "".join(piece.choices[0].text for piece in stream) == plain.choices[0].text
        assert plain.usage is not None
        assert 0 < plain.usage.completion_tokens <= 12


def test_the_asynchronous_client_with_several_streams_at_once(trusted: Up):
    async def ask(client: openai.AsyncOpenAI, question: str) -> str:
        messages = [{"role": "user", "content": question}]
        stream = await client.chat.completions.create(
            model=trusted.ready["model"], messages=messages, temperature=0, stream=True
        )
        return "".join([piece.choices[0].delta.content or "" async for piece in stream])

    async def main() -> tuple[list[str], list[str]]:
        async with openai.AsyncOpenAI() as client:
            questions = ["What is Mohawk?", QUESTION, "What is not protected?"]
            together = await asyncio.gather(*(ask(client, question) for question in questions))
            return together, [await ask(client, question) for question in questions]

    together, alone = asyncio.run(main())
    assert together == alone, "who else is in the step changes no answer"
    assert all(together)


def test_an_unknown_model_is_not_found(trusted: Up):
    with openai.OpenAI() as client, pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="another", messages=MESSAGES)


@curl_there
@pytest.mark.parametrize(
    ("key", "body", "status", "code"),
    [
        ("wrong", b"{}", 401, "invalid_api_key"),
        (None, b'{"model": "demo", "messages": [', 400, "invalid_request"),
        (None, b'{"model": "demo", "messages": "' + b"x" * (11 << 20) + b'"}', 413, "request_too_large"),
    ],
    ids=["wrong key", "malformed JSON", "oversized body"],
)
def test_curl_gets_an_error_in_the_api_s_shape(
    up: Up, tmp_path: Path, key: str | None, body: bytes, status: int, code: str
):
    (tmp_path / "body").write_bytes(body)
    (tmp_path / "header").write_text(f"authorization: Bearer {key or up.key}\nexpect:\n")
    answer = subprocess.run(
        ["curl", "--silent", "--noproxy", "*", "--cacert", up.root, "--header", f"@{tmp_path / 'header'}"]
        + ["--data-binary", f"@{tmp_path / 'body'}", "--write-out", "\n%{http_code}", f"{up.url}/chat/completions"],
        capture_output=True,
        timeout=60,
        check=False,
    )
    said, _, found = answer.stdout.decode().rpartition("\n")
    assert int(found) == status, (answer.returncode, answer.stderr)
    assert json.loads(said)["error"]["code"] == code


def test_status_shows_how_each_hop_is_protected(up: Up):
    status = up.status()
    hops = {(hop["origin"], hop["target"]): hop["session"] for hop in status["hops"]}
    assert set(hops) == {("controller", "worker-1"), ("controller", "worker-2"), ("worker-1", "worker-2")}
    for (_, target), session in hops.items():
        assert session["version"] == "TLSv1.3"
        assert session["group"] == "X25519MLKEM768"
        assert session["suite"] == "TLS_CHACHA20_POLY1305_SHA256"
        assert session["peer"] == f"spiffe://mohawk.local/worker/{target}"
    assert [worker["name"] for worker in status["workers"]] == ["worker-1", "worker-2"]
    assert [worker["state"] for worker in status["workers"]] == [WorkerState.READY] * 2
    assert status["key_provider"].startswith("key-file: ")
    assert status["kv_tokens_used"] == 0


def test_status_as_tables(up: Up):
    answer = up.command("status", "--controller", f"controller@127.0.0.1:{up.ready['operator_port']}")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.count("X25519MLKEM768") == 3


def test_the_shell_has_what_clients_need(up: Up):
    answer = up.command("shell", "--", "env")
    assert answer.returncode == 0, answer.stderr
    shown = dict(line.split("=", 1) for line in answer.stdout.splitlines() if "=" in line)
    assert shown["OPENAI_BASE_URL"] == up.url
    assert shown["OPENAI_API_KEY"] == up.key
    assert shown["SSL_CERT_FILE"] == up.root


def test_a_conversation_on_standard_input(up: Up, first_run: FirstRun):
    answer = up.command("chat", input=f"{QUESTION}\n{QUESTION}\n")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith(first_run.answer)


def test_no_secret_in_an_argument_or_the_environment_of_a_child(up: Up):
    secrets = [up.key.encode(), b"PRIVATE KEY", (up.home / "keys" / "model.key").read_bytes()]
    for pid in [up.pid, *descendants(up.pid)]:
        shown = command_line(pid)
        try:
            shown += Path(f"/proc/{pid}/environ").read_bytes()
        except PermissionError:  # undumpable, and we are not root: nobody else reads it either
            pass
        assert not any(secret in shown for secret in secrets), command_line(pid)


def test_workers_end_when_their_parent_is_killed(tmp_path: Path, first_run: FirstRun):
    """The lifeline: no opened weight outlives the process that answers for it, however that died."""
    running = Up(shutil.copytree(first_run.home, tmp_path / "home"))
    try:
        assert len(running.workers) == 2
        running.process.send_signal(signal.SIGKILL)
        running.wait()
        assert wait_until_gone([*running.workers, *running.others], 10) == []
    finally:
        running.kill()


def test_a_taken_port_is_said_and_nothing_stays(up: Up, tmp_path: Path):
    port = up.url.rpartition(":")[2].partition("/")[0]
    home = shutil.copytree(up.home, tmp_path / "home")
    answer = command(home, "up", "--port", port, "--operator-port", "0")
    assert answer.returncode == 6
    assert f"cannot listen on 127.0.0.1, port {port}" in answer.stderr
    assert "Traceback" not in answer.stderr
    left = [pid for pid in processes() if str(home).encode() in command_line(pid)]
    assert left == []
