"""R06: the stream stops after a record that is not the last of its frame.

Expected: a typed truncation error, with or without a polite goodbye; the partial body is never used.
Defence: channel/frames.py:FrameReader.finish, called by transport/link.py:Link; removed, a polite cut counts as a
completed stream, a rude one as a mere lost connection.
"""

from __future__ import annotations

import pytest

from mohawk.channel.frames import FrameKind, encode_head
from mohawk.contract.codec import encode
from mohawk.contract.messages import Purpose, SliceChunk
from mohawk.errors import FrameError
from mohawk.transport.link import Link
from tests.support.nodes import LOOPS, Recorder, call, run, serving
from tests.support.tls import Mesh


def send_half(link: Link) -> None:
    head = encode_head(FrameKind.CHUNK, encode(SliceChunk("0" * 64, 0)), 40_000)
    assert link._transport is not None
    link._tls.send((head, bytes(20_000)), link._transport.write)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("is_polite", [True, False])
def test_half_a_body_is_truncation(loop: str, is_polite: bool) -> None:
    mesh = Mesh()

    async def main() -> None:
        service = Recorder()
        async with serving(mesh.worker, service) as listener:
            link = await call(mesh.controller, listener, Purpose.SLICE)
            send_half(link)
            if is_polite:
                link.close()
            else:
                assert link._transport is not None
                link._transport.close()  # TCP ends cleanly, TLS does not
            await service.until(lambda: service.endings)
            assert isinstance(service.endings[0], FrameError)
            assert service.messages == []

    run(main, loop)
