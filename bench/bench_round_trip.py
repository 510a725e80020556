"""8 KB round trip: our link against a bare pyOpenSSL ping-pong.

    python bench/bench_round_trip.py [--rounds 7] [--calls 2000]

Claim: our channel (TLS, frames, a contract message, every check of the link) takes at most 1.3 times the bare one. All
run on uvloop over loopback, in the same two processes, with the same TLS contexts (mutual, X25519MLKEM768,
ChaCha20-Poly1305); rounds alternate and medians are compared, so that a noisy machine disturbs all alike.

- bare: what a careful programmer writes first: pyOpenSSL over memory BIOs in a uvloop BufferedProtocol, a 4-byte
  length, one record per message; no names, no limits, no decoding.
- link: a Step with an 8 KB tensor each way, decoded and admitted at both ends; its parts travel as the bytes they are.
- stage: the same, and both ends also build and decode the part for one sequence, and compare the tensor's size with
  it, as workers do. That is the contract's cost above the channel, shown and not claimed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import platform
import statistics
import struct
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import uvloop
from OpenSSL import SSL

from mohawk.channel.frames import step_limits
from mohawk.channel.profile import NodeContext
from mohawk.contract.admission import admit_from_dialler, admit_part
from mohawk.contract.codec import encode_part
from mohawk.contract.messages import Hello, Purpose
from mohawk.contract.steps import StagePart, Step
from mohawk.errors import MessageError
from mohawk.identity.certificates import PeerIdentity, issue_issuing, issue_leaf, issue_root
from mohawk.identity.credentials import NodeCredentials, bundle, encode, parse
from mohawk.identity.denylist import issue_deny_list, issue_deny_list_signer
from mohawk.identity.names import NodeName, Role
from mohawk.nouns.segment import Segment
from mohawk.transport.dial import Target, dial
from mohawk.transport.link import Admit, Link
from mohawk.transport.listen import listen

SIZE = 8192
LIMIT = 1.3
RESULT = Path(__file__).parent / "results" / "round_trip.json"
LENGTH = struct.Struct("!I")


class Bare(asyncio.BufferedProtocol):
    """Length-prefixed messages over a pyOpenSSL memory BIO, and nothing else."""

    def __init__(self, context: SSL.Context, is_server: bool, on_message: Callable[[Bare, bytearray], None]) -> None:
        self.connection = SSL.Connection(context, None)
        if is_server:
            self.connection.set_accept_state()
        else:
            self.connection.set_connect_state()
        self.on_message = on_message
        self.ready = asyncio.get_running_loop().create_future()
        self.received = memoryview(bytearray(1 << 18))
        self.length = memoryview(bytearray(4))
        self.body: memoryview | None = None
        self.got = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.step()

    def get_buffer(self, hint: int) -> memoryview:
        return self.received

    def buffer_updated(self, count: int) -> None:
        self.connection.bio_write(self.received[:count])
        self.step()

    def flush(self) -> None:
        while True:
            try:
                self.transport.write(self.connection.bio_read(1 << 16))
            except SSL.WantReadError:
                return

    def step(self) -> None:
        try:
            if not self.ready.done():
                try:
                    self.connection.do_handshake()
                finally:
                    self.flush()
                self.ready.set_result(None)
            while True:
                self.read()
        except SSL.WantReadError:
            pass
        except SSL.ZeroReturnError:
            self.transport.close()

    def read(self) -> None:
        if self.body is None:
            self.got += self.connection.recv_into(self.length[self.got :])
            if self.got == 4:
                self.body, self.got = memoryview(bytearray(LENGTH.unpack(self.length)[0])), 0
        else:
            self.got += self.connection.recv_into(self.body[self.got :])
            if self.got == len(self.body):
                body, self.body, self.got = self.body, None, 0
                self.on_message(self, body.obj)

    def send(self, body: bytes | bytearray) -> None:
        self.connection.send(LENGTH.pack(len(body)) + body)
        self.flush()


def admit_step(header: bytes, body_length: int) -> Step:
    """The message, its place on this connection, and its tensor's size."""
    message = admit_from_dialler(Purpose.STEP, header, body_length)
    if not isinstance(message, Step) or body_length != SIZE:
        raise MessageError("not the step that was expected")
    return message


def admit_stage(header: bytes, body_length: int) -> Step:
    """What a worker checks: also the part, and that the tensor has exactly the size it implies."""
    message = admit_step(header, body_length)
    admit_part(message.parts[0], body_length, row_bytes=SIZE, is_first=False, token_budget=8)
    return message


def make_part(number: int) -> bytes:
    return encode_part(StagePart((Segment(sequence=7, start=number, count=1, sample=True),)))


class Echo:
    """A service that sends every step back."""

    def __init__(self, admit: Admit) -> None:
        self.admit = admit

    def authorize(self, peer: PeerIdentity, hello: Hello) -> None:
        pass

    def accept(self, link: Link) -> None:
        link.carry(step_limits(SIZE), self.admit)
        link.on_message = lambda link, message, body: link.send(message, body)


def serve(identity: bytes, pipe: Connection) -> None:
    async def main() -> None:
        context = NodeContext(parse(identity))
        listeners = [await listen(context, "127.0.0.1", 0, Echo(admit)) for admit in (admit_step, admit_stage)]
        loop = asyncio.get_running_loop()
        bare = await loop.create_server(
            lambda: Bare(context.server, True, lambda link, body: link.send(body)), "127.0.0.1", 0
        )
        pipe.send((*(listener.port for listener in listeners), bare.sockets[0].getsockname()[1]))
        await loop.run_in_executor(None, pipe.recv)

    uvloop.run(main())


async def call_bare(context: NodeContext, port: int) -> Callable[[], Awaitable[None]]:
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[bytearray] = loop.create_future()

    def received(link: Bare, body: bytearray) -> None:
        reply.set_result(body)

    _, link = await loop.create_connection(lambda: Bare(context.client, False, received), "127.0.0.1", port)
    await link.ready
    payload = bytes(SIZE)

    async def call() -> None:
        nonlocal reply
        reply = loop.create_future()
        link.send(payload)
        assert len(await reply) == SIZE

    return call


async def call_ours(context: NodeContext, port: int, admit: Admit) -> Callable[[], Awaitable[None]]:
    loop = asyncio.get_running_loop()
    reply: asyncio.Future[bytearray] = loop.create_future()
    link = await dial(context, Target("127.0.0.1", port, Role.WORKER, "w1"), Purpose.STEP)
    link.carry(step_limits(SIZE), admit)
    link.on_message = lambda link, message, body: reply.set_result(body)
    payload, number, fixed = bytes(SIZE), 0, make_part(1)

    async def call() -> None:
        nonlocal reply, number
        number += 1
        reply = loop.create_future()
        part = fixed if admit is admit_step else make_part(number)
        link.send(Step(number, 1, (part,)), payload)
        assert len(await reply) == SIZE

    return call


async def measure(call: Callable[[], Awaitable[None]], calls: int) -> float:
    """Median microseconds of one call."""
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        await call()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


async def compare(context: NodeContext, ports: tuple[int, int, int], rounds: int, calls: int) -> list[list[float]]:
    """Per round: microseconds of link, stage, bare."""
    three = (
        await call_ours(context, ports[0], admit_step),
        await call_ours(context, ports[1], admit_stage),
        await call_bare(context, ports[2]),
    )
    for call in three:
        await measure(call, 300)
    return [[await measure(call, calls) for call in three] for _ in range(rounds)]


def identities() -> tuple[NodeCredentials, NodeCredentials, bytes]:
    """Controller, worker, and the deny-list that the first brings to the second."""
    now = datetime.now(UTC)
    root = issue_root(now)
    issuing = issue_issuing(root, now)
    controller, worker = (
        bundle(issue_leaf(issuing, NodeName("bench.example", role, name), now), (root.certificate,))
        for role, name in ((Role.CONTROLLER, "c1"), (Role.WORKER, "w1"))
    )
    signer = issue_deny_list_signer(issuing, "bench.example", now)
    return controller, worker, issue_deny_list(signer, 1, (), now)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=2000)
    arguments = parser.parse_args()
    controller, worker, deny_list = identities()
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=serve, args=(encode(worker), there), daemon=True)
    process.start()
    context = NodeContext(controller)
    context.standing.learn_deny_list(deny_list, datetime.now(UTC))
    rounds = uvloop.run(compare(context, here.recv(), arguments.rounds, arguments.calls))
    here.send(None)
    process.join()
    report(rounds)


def report(rounds: list[list[float]]) -> None:
    link, stage, bare = (statistics.median(column) for column in zip(*rounds, strict=True))
    ratios = [statistics.median(one[index] / one[2] for one in rounds) for index in (0, 1)]
    result = {
        "claim": f"8 KB round trip over our link at most {LIMIT}x a bare pyOpenSSL ping-pong",
        "link_us": round(link, 1),
        "stage_us": round(stage, 1),
        "bare_us": round(bare, 1),
        "ratio": round(ratios[0], 3),
        "ratio_stage": round(ratios[1], 3),
        "limit": LIMIT,
        "rounds_us": [[round(value, 1) for value in one] for one in rounds],
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(result, indent=2) + "\n")
    print(f"bare {bare:.1f} us")
    print(f"link {link:.1f} us, {ratios[0]:.2f} of bare (limit {LIMIT})")
    print(f"stage {stage:.1f} us, {ratios[1]:.2f} of bare")


if __name__ == "__main__":
    main()
