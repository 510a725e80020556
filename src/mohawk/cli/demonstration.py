"""The demonstration behind `mohawk demo`: the real parts, with recorders on every hop between nodes."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mohawk.artifact.manifest import Manifest
from mohawk.cli import evidence
from mohawk.cli.chat import read_address
from mohawk.cli.children import environment, interpreter
from mohawk.cli.deployment import Deployment, DeploymentOptions
from mohawk.cli.evidence import Finding, Secrets
from mohawk.cli.key_option import choose_provider
from mohawk.cli.output import human_bytes, print_json, print_table, progress_bars, write_text
from mohawk.cli.preparation import suggested_questions
from mohawk.cli.recorder import Recorder
from mohawk.cli.status import print_status
from mohawk.client.openai import ApiClient
from mohawk.config import load_settings
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.errors import UnavailableError
from mohawk.host.keys import open_model_key
from mohawk.nouns.model import DataType

WORKERS = 3
QUESTIONS = 3
"""The first of those that the demo model suggests."""
LONGEST_ANSWER = 96


@dataclass(slots=True)
class Answer:
    """One question, its streamed text, and the token ids behind both."""

    question: str
    text: str = ""
    prompt: tuple[int, ...] = ()
    tokens: tuple[int, ...] = ()


class Demonstration:
    """Runs once. `home` None: a temporary folder that is removed at the end."""

    def __init__(self, *, home: Path | None, port: int, as_json: bool) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="mohawk-demo-") if home is None else None
        self._as_json = as_json
        own = {"home": home or Path(self._temporary_name()), "key_provider": ""}  # no object on anybody's token
        settings = load_settings().model_copy(update=own)
        provider = choose_provider(None, settings)
        options = DeploymentOptions(None, WORKERS, provider, DataType.FLOAT32, api_port=port, operator_port=0)
        self._deployment = Deployment(settings, options, lambda _what, _done, _total: None)
        self._recorders: list[Recorder] = []
        self._seconds: dict[str, float] = {}
        self._since = time.perf_counter()

    async def run(self) -> bool:
        """Do everything and show it. False when a search found something or a token differs. Raises MohawkError."""
        await self._start()
        answers = [await self._ask(question) for question in suggested_questions()[:QUESTIONS]]
        self._lap("three answers")
        whole = await self._run_whole(answers)
        self._lap("the unsplit model in another process")
        is_equal = [tuple(tokens) for tokens in whole["tokens"]] == [answer.tokens for answer in answers]
        findings = await asyncio.to_thread(self._search, answers, whole["rows"])
        self._lap("searching wire and disks")
        self._show(answers, findings, is_equal=is_equal)
        return is_equal and not any(finding.found for finding in findings)

    async def stop(self) -> None:
        await self._deployment.stop()
        for recorder in self._recorders:
            await recorder.stop()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _temporary_name(self) -> str:
        assert self._temporary is not None  # made when no home was given
        return self._temporary.name

    def _lap(self, what: str) -> None:
        now = time.perf_counter()
        self._seconds[what], self._since = now - self._since, now

    async def _start(self) -> None:
        deployment = self._deployment
        with progress_bars() as report:
            deployment.report = report
            authority = await deployment.prepare()
            self._lap("certificates; cut, seal and sign")
            await deployment.start_workers(authority)
            self._lap("three worker processes")
            self._recorders = [Recorder(child.port) for child in deployment.children]
            for recorder in self._recorders:
                await recorder.start()
            await deployment.start_controller(authority, [recorder.port for recorder in self._recorders])
            await deployment.start_api(authority)
            self._lap("ship, release keys, open, self-test")

    async def _ask(self, question: str) -> Answer:
        """Over the real API, with our own post-quantum client."""
        answer = Answer(question)
        self._say(f"\n> {question}\n")
        options = {"temperature": 0, "max_tokens": LONGEST_ANSWER, "return_token_ids": True}
        async with ApiClient(read_address(self._deployment.places)) as client:
            async for piece in client.stream_chat([{"role": "user", "content": question}], **options):
                answer.text += piece.text
                answer.tokens += piece.tokens
                answer.prompt += piece.prompt
                self._say(piece.text)
        self._say("\n")
        return answer

    async def _run_whole(self, answers: list[Answer]) -> dict[str, Any]:
        """The same prompts through the unsplit model, by plain transformers, in a process of its own."""
        assert self._deployment.controller is not None  # it has started
        cuts = [stage.layers.last for stage in self._deployment.controller.cluster.plan.stages[:-1]]
        request = {
            "prompts": [answer.prompt for answer in answers],
            "new_tokens": [len(answer.tokens) for answer in answers],
            "cuts": cuts,
        }
        process = await asyncio.create_subprocess_exec(
            *(*interpreter(), "-m", "mohawk.model.whole", str(self._source)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment(self._deployment.settings.home),
        )
        output, _ = await process.communicate(json.dumps(request).encode("ascii"))
        if process.returncode != 0:
            raise UnavailableError("the unsplit model could not be run for comparison")
        answer: dict[str, Any] = json.loads(output)
        return answer

    def _search(self, answers: list[Answer], rows: list[list[float]]) -> list[Finding]:
        secrets = Secrets(
            weights=evidence.sample_weights(self._source),
            keys=self._keys(),
            texts=[text.encode() for answer in answers for text in (answer.question, answer.text)],
            rows=rows,
        )
        streams = [stream for recorder in self._recorders for stream in recorder.streams]
        findings = evidence.search_wire(streams, secrets)
        for child in self._deployment.children:
            below = evidence.files_below(self._deployment.places.worker(child.name))
            findings.append(evidence.search_files(f"{child.name}: state, cache, temp", below, secrets))
            opened = evidence.open_files(child.process.pid)
            if opened is not None:
                findings.append(evidence.search_files(f"{child.name}: open files", opened, secrets))
        return findings

    def _keys(self) -> list[bytes]:
        """Model key and data keys, as the controller can open them: bytes, to be searched for."""
        assert self._deployment.prepared is not None  # it has started
        keyring, data_keys = self._deployment.prepared.folder.keyring(), []
        with open_model_key(self._deployment.options.provider, keyring) as model_key:
            for part in self._manifest.slices:
                data_key = bytearray(KEY_SIZE)
                keyring.unwrap_into(model_key.view, part.context, data_key)
                data_keys.append(bytes(data_key))
            return [bytes(model_key.view), *data_keys]

    def _show(self, answers: list[Answer], findings: list[Finding], *, is_equal: bool) -> None:
        assert self._deployment.controller is not None  # it has started
        status = self._deployment.controller.status()
        source = evidence.search_plaintext(self._source)
        if self._as_json:
            print_json(
                {
                    "answers": [asdict(answer) for answer in answers],
                    "equal_to_unsplit_model": is_equal,
                    "findings": [asdict(finding) for finding in findings],
                    "operator_plaintext": asdict(source),
                    "seconds": self._seconds,
                    "status": asdict(status),
                }
            )
            return
        tokens = sum(len(answer.tokens) for answer in answers)
        verdict = f"all {tokens} tokens equal" if is_equal else "TOKENS DIFFER"
        self._say(f"\nthe unsplit model, plain transformers, another process: {verdict}\n\n")
        print_status(status)
        rows = [(f.place, f.wanted, human_bytes(f.searched_bytes), f.found or "none") for f in findings]
        rows.append(
            (f"{source.place} (the operator's)", source.wanted, human_bytes(source.searched_bytes), source.found)
        )
        print_table("searched for what must not be there", ("where", "for", "searched", "found"), rows)
        print_table("time", ("part", "seconds"), [(name, f"{value:.2f}") for name, value in self._seconds.items()])

    def _say(self, text: str) -> None:
        if not self._as_json:
            write_text(text)

    @property
    def _manifest(self) -> Manifest:
        assert self._deployment.prepared is not None  # it has started
        return self._deployment.prepared.folder.manifest

    @property
    def _source(self) -> Path:
        """The plain model folder: the operator's own, and the only place where the weights lie in clear."""
        assert self._deployment.prepared is not None  # it has started
        assert self._deployment.prepared.source is not None  # the demo model is never given sealed
        return self._deployment.prepared.source
