"""A firmware's event log in the TCG's crypto-agile format, as a UEFI machine with Secure Boot leaves it: shapes of a
recorded one, invented contents.

Made by code that shares nothing with our parser: struct, and the profile's tables.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256

SHA1, SHA256, SHA384 = 0x0004, 0x000B, 0x000C
ALGORITHMS = {SHA1: "sha1", SHA256: "sha256", SHA384: "sha384"}
NO_ACTION, SEPARATOR, S_CRTM_VERSION, POST_CODE, ACTION, IPL = 0x3, 0x4, 0x8, 0x1, 0x5, 0xD
VARIABLE_DRIVER_CONFIG, BOOT_SERVICES_APPLICATION, EFI_ACTION = 0x80000001, 0x80000003, 0x80000007
FIRMWARE_BLOB, VARIABLE_AUTHORITY, HANDOFF_TABLES = 0x80000008, 0x800000E0, 0x80000009
BOOT_SERVICES_DRIVER = 0x80000004
UNUSED = 0x2


@dataclass(frozen=True)
class Recorded:
    pcr: int
    kind: int
    data: bytes

    def digest(self, algorithm: int) -> bytes:
        return hashlib.new(ALGORITHMS[algorithm], self.data).digest()


def boot(firmware: bytes = b"firmware 1.4.2", loader: bytes = b"shim 15.8") -> tuple[Recorded, ...]:
    """What one boot measures; another firmware or loader changes PCR 0 or 4."""
    image = int.from_bytes(sha256(firmware).digest()[:4], "big")
    return (
        Recorded(0, S_CRTM_VERSION, "CRTM 7.1".encode("utf-16-le")),
        Recorded(0, FIRMWARE_BLOB, struct.pack("<QQ", 0xFF000000 + image, 0x400000)),
        Recorded(0, POST_CODE, b"ACPI DATA"),
        *(
            Recorded(7, VARIABLE_DRIVER_CONFIG, variable(name, b"\1"))
            for name in ("SecureBoot", "PK", "KEK", "db", "dbx")
        ),
        Recorded(1, HANDOFF_TABLES, struct.pack("<Q16sQ", 1, b"SMBIOS table id.", 0x7F000000)),
        Recorded(2, BOOT_SERVICES_DRIVER, image_load(b"option ROM of the network card")),
        Recorded(4, EFI_ACTION, b"Calling EFI Application from Boot Option"),
        *(Recorded(index, SEPARATOR, bytes(4)) for index in range(8)),
        Recorded(7, VARIABLE_AUTHORITY, variable("db", bytes(16) + b"a certificate")),
        Recorded(4, BOOT_SERVICES_APPLICATION, image_load(loader)),
        Recorded(4, BOOT_SERVICES_APPLICATION, image_load(b"grub 2.12")),
        *(Recorded(8, IPL, f"grub_cmd: set line{number}\0".encode()) for number in range(20)),
        Recorded(5, EFI_ACTION, b"Exit Boot Services Invocation"),
    )


def variable(name: str, data: bytes) -> bytes:
    """UEFI_VARIABLE_DATA."""
    return struct.pack("<16sQQ", b"variable's vendor", len(name), len(data)) + name.encode("utf-16-le") + data


def image_load(device: bytes) -> bytes:
    """UEFI_IMAGE_LOAD_EVENT; real digests are of the image, which is not in the log."""
    path = struct.pack("<BBH", 1, 4, 4 + 16 + len(device)) + bytes(16) + device + b"\x7f\xff\x04\x00"
    return struct.pack("<QQQQ", 0x7E000000, 0x100000, 0, len(path)) + path


def encode(events: Sequence[Recorded], algorithms: Sequence[int] = (SHA1, SHA256, SHA384), locality: int = 0) -> bytes:
    """The log as Linux gives it in `binary_bios_measurements`."""
    return b"".join((header(algorithms), *encoded(events, algorithms, locality)))


def header(algorithms: Sequence[int] = (SHA1, SHA256, SHA384)) -> bytes:
    sizes = b"".join(struct.pack("<HH", one, hashlib.new(ALGORITHMS[one]).digest_size) for one in algorithms)
    body = b"Spec ID Event03\0" + struct.pack("<IBBBBI", 0, 0, 2, 0, 2, len(algorithms)) + sizes + b"\0"
    return struct.pack("<II20sI", 0, NO_ACTION, bytes(20), len(body)) + body


def encoded(events: Sequence[Recorded], algorithms: Sequence[int], locality: int = 0) -> Iterator[bytes]:
    if locality:
        nothing = {one: bytes(hashlib.new(ALGORITHMS[one]).digest_size) for one in algorithms}
        yield event(0, NO_ACTION, nothing, b"StartupLocality\0" + bytes([locality]))
    for one in events:
        yield event(one.pcr, one.kind, {each: one.digest(each) for each in algorithms}, one.data)


def event(pcr: int, kind: int, digests: dict[int, bytes], data: bytes) -> bytes:
    head = struct.pack("<III", pcr, kind, len(digests))
    listed = b"".join(struct.pack("<H", algorithm) + digest for algorithm, digest in digests.items())
    return head + listed + struct.pack("<I", len(data)) + data
