"""T08: the event log replays as it should, but some events were renamed: to EV_UNUSED, to EV_NO_ACTION, to nonsense.

Types are not authenticated: a verifier that sorts events by type can be shown a log in which the bad one is of no kind
that it looks at.

Expected: refused.

Defence: attestation/event_log.py:_parse_event; removed, the log of a bad boot is shown as one of harmless events.
"""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest

from mohawk.attestation.event_log import MAXIMUM_LOG, parse_event_log
from mohawk.attestation.policy import Policy
from mohawk.attestation.reasons import EvidenceError, Reason
from tests.support import boot_log
from tests.support.machines import Machine, policy_for
from tests.support.swtpm import Vendor

RENAMED = [boot_log.UNUSED, 0x0, 0x14, 0x80000000, 0x8000000F, 0xFFFFFFFF]


def rename(log: bytes, kind: int, new: int) -> bytes:
    """Every event of that kind; the condensed log's events have one size."""
    return log.replace(struct.pack("<II", kind, 1), struct.pack("<II", new, 1))


@pytest.mark.parametrize("new", RENAMED)
def test_a_reserved_or_unknown_type(machine: Machine, policy: Policy, new: int) -> None:
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    edited = rename(good.log, boot_log.BOOT_SERVICES_APPLICATION, new)
    assert edited != good.log
    assert machine.appraise(policy, replace(good, log=edited), challenge).reasons == (Reason.LOG,)


def test_no_action_is_not_extended(machine: Machine, policy: Policy) -> None:
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    edited = rename(good.log, boot_log.BOOT_SERVICES_APPLICATION, boot_log.NO_ACTION)
    reasons = machine.appraise(policy, replace(good, log=edited), challenge).reasons
    assert reasons == (Reason.LOG,)


def test_a_renamed_event_in_the_firmwares_own_log(machine: Machine, vendor: Vendor) -> None:
    """The node leaves such a log out; a policy that asks for one then refuses."""
    renamed = [replace(one, kind=boot_log.UNUSED) if one.pcr == 4 else one for one in boot_log.boot()]
    (machine.folder / "binary_bios_measurements").write_bytes(boot_log.encode(renamed))
    challenge = machine.challenge()
    evidence = machine.answer(challenge, policy_for(vendor))
    assert (evidence.log, evidence.log_absent) == (b"", "unreadable")
    assert machine.appraise(policy_for(vendor), evidence, challenge).reasons == (Reason.LOG_MISSING,)


def test_types_decide_nothing(machine: Machine, policy: Policy) -> None:
    """Renamed to another known type, the log still replays, and nothing else was asked of it."""
    challenge = machine.challenge()
    good = machine.answer(challenge, policy)
    edited = rename(good.log, boot_log.BOOT_SERVICES_APPLICATION, boot_log.ACTION)
    assert machine.appraise(policy, replace(good, log=edited), challenge).reasons == ()


def test_what_is_refused_is_refused_by_the_parser() -> None:
    for new in RENAMED:
        with pytest.raises(EvidenceError, match="reserved or unknown"):
            parse_event_log(boot_log.encode([boot_log.Recorded(0, new, b"x")]), MAXIMUM_LOG)
