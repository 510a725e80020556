"""Several hosts on this machine: network namespaces of our own on a bridge of our own, gone when the test ends."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SUBNET = "10.77.0"
CLONE_NEWNET = 0x40000000
NOBODY = "02:00:00:00:00:01"
"""No card on the switch has this address."""


def missing() -> str:
    """Why there can be no hosts here; empty when there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need iproute2: apt-get install iproute2"
    probe = f"mohawk-probe-{os.getpid()}"
    if subprocess.run(["ip", "netns", "add", probe], capture_output=True, check=False).returncode != 0:
        return "this kernel, or this container, gives no network namespaces"
    subprocess.run(["ip", "netns", "delete", probe], capture_output=True, check=False)
    return ""


@dataclass(frozen=True)
class Host:
    """One machine: what runs `inside` sees its own interfaces only."""

    name: str
    address: str
    namespace: str
    switch: str

    @property
    def inside(self) -> tuple[str, ...]:
        """Put before a command."""
        return ("ip", "netns", "exec", self.namespace)

    def listening(self) -> set[str]:
        """`address:port` of every TCP port that is open here."""
        answer = subprocess.run([*self.inside, "ss", "-Hltn"], capture_output=True, text=True, check=True)
        return {line.split()[3] for line in answer.stdout.splitlines()}

    def lose(self, other: Host, *, lost: bool = True) -> None:
        """What is sent from here to `other` is lost on its way, and nobody is told; or arrives again."""
        if lost:
            _ip("-n", self.namespace, "neighbour", "replace", other.address, "lladdr", NOBODY, "dev", "eth0")
        else:
            _ip("-n", self.namespace, "neighbour", "delete", other.address, "dev", "eth0")

    def cut(self, *, down: bool = True) -> None:
        """Pull this host's cable, or plug it in again."""
        _ip("-n", self.switch, "link", "set", f"p{self.name}", "down" if down else "up")

    def enter(self) -> None:
        """From here on this thread, and those that it starts, are on this host. (os.setns comes with Python 3.12.)"""
        with Path("/run/netns", self.namespace).open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET) != 0:
                raise OSError(ctypes.get_errno(), "this thread does not come into another network namespace")


@contextmanager
def network(*names: str) -> Iterator[dict[str, Host]]:
    """Hosts 10.77.0.1, .2, … in the order of `names`, all on one switch."""
    prefix = f"mohawk-{os.getpid()}"
    switch = f"{prefix}-switch"
    made: list[str] = []
    try:
        _ip("netns", "add", switch)
        made.append(switch)
        _ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        _ip("-n", switch, "link", "set", "bridge", "up")
        hosts = {}
        for number, name in enumerate(names, start=1):
            namespace = f"{prefix}-{name}"
            _ip("netns", "add", namespace)
            made.append(namespace)
            _plug(switch, namespace, name, f"{SUBNET}.{number}")
            hosts[name] = Host(name, f"{SUBNET}.{number}", namespace, switch)
        yield hosts
    finally:
        for namespace in made:
            _ip("netns", "delete", namespace)


def _plug(switch: str, namespace: str, name: str, address: str) -> None:
    """A cable from the host's eth0 to a port of the switch."""
    port = f"p{name}"
    _ip("-n", switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    _ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
    for device in ("lo", "eth0"):
        _ip("-n", namespace, "link", "set", device, "up")


def _ip(*arguments: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, (arguments, result.stderr)
