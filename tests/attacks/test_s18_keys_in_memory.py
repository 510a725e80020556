"""S18, in memory, for keys: a process opens a model's keys, opens every slice with them and grants each to a worker; then
an attacker reads all of its memory.

Expected: while the keys are in use the search finds each once; afterwards neither the model key nor a data key is
anywhere in the process, although something (here: the test; else a frame, a traceback) still holds the objects, and
views of their memory.
Defence: host/memory.py:SecretBytes.release; removed, a key lies in memory for as long as anything holds its object.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mohawk.host.keys import KeyFile
from tests.e2e.inside import Site
from tests.support.folders import write_folder
from tests.support.keys import keys_in_clear

PROGRAM = """
import sys
from pathlib import Path
from mohawk.controller.keys import KeyRelease
from mohawk.crypto.primitives import KEY_SIZE
from mohawk.host.authority import AuthorityFolder
from mohawk.host.keys import KeyFile, open_model_key
from mohawk.host.memory import SecretBytes, allocate
from mohawk.host.sealed_folder import SealedFolder, slice_path
from mohawk.host.slice_file import open_slice
from mohawk.worker.grant import KeyExchange
from tests.support.approvals import AnyMachine, approve
from tests.support.audit import Heard
from tests.support.tickets import make_session

home, folder = map(Path, sys.argv[1:])
sealed = SealedFolder.open(folder, AuthorityFolder(home / "pki").pins())
keyring, name, binding = sealed.keyring(), "spiffe://mesh.example/worker/w1", bytes(32)

held = []

def wait(word):
    print(word, flush=True)
    sys.stdin.readline()

def use():
    with open_model_key(KeyFile(home / "model.key"), keyring) as model_key, SecretBytes(KEY_SIZE) as data_key:
        held.extend([model_key, data_key, model_key.view, data_key.view])
        keys = KeyRelease(keyring, model_key, sealed.envelope, AnyMachine(), Heard().record)
        session = make_session(name, exporter=lambda context, length: binding)
        for part in sealed.manifest.slices:
            keyring.unwrap_into(model_key.view, part.context, data_key.view)
            memory = allocate(part.context.plaintext_bytes)
            open_slice(slice_path(folder, part.slice_id), part, data_key.view, memory.view)
            memory.release()
            asking = KeyExchange(worker=name, manifest=sealed.envelope, slice_digests=(part.digest,), binding=binding)
            approval = approve(session.peer.name, asking.request.public_key)
            keys.grant(asking.request, session, (part,), approval)
        wait("open")

use()
wait("closed")
"""


def test_keys_are_gone_when_they_were_used(tmp_path: Path):
    site = Site(tmp_path / "home")
    folder = site.seal(write_folder(tmp_path / "tiny"), 2)
    model_key, *data_keys = keys_in_clear(KeyFile(site.home / "model.key"), folder.keyring(), folder.manifest.slices)
    command = [sys.executable, "-c", PROGRAM, str(site.home), str(folder.folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            assert child.stdout.readline() == "open\n"
            memory = read_memory(child.pid)
            assert memory.count(model_key) == 1, "the search finds what is there, once"
            assert memory.count(data_keys[-1]) == 1
            child.stdin.write("\n")
            child.stdin.flush()
            assert child.stdout.readline() == "closed\n"
            memory = read_memory(child.pid)
            assert [memory.count(key) for key in (model_key, *data_keys)] == [0, 0, 0]
        finally:
            child.kill()


def read_memory(pid: int) -> bytes:
    """All of a process's writable memory."""
    found = bytearray()
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                place, rights, *_ = line.split()
                begin, end = (int(part, 16) for part in place.split("-"))
                if rights.startswith("rw") and "[vvar" not in line:
                    memory.seek(begin)
                    found += memory.read(end - begin) or b""
    except PermissionError:
        pytest.skip("this machine lets no process read its child's memory (ptrace_scope)")
    return bytes(found)
