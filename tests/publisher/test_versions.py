"""Version numbers go up with new weights, and never by cutting the same weights differently."""

from __future__ import annotations

from pathlib import Path

import pytest

from mohawk.errors import HostError
from mohawk.publisher.versions import assign_version


def test_new_weights_get_the_next_number_and_known_ones_keep_theirs(tmp_path: Path):
    record = tmp_path / "versions.json"
    assert [assign_version(record, "m", revision) for revision in ("a", "b", "a", "c", "b")] == [1, 2, 1, 3, 2]
    assert assign_version(record, "other", "a") == 1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"m": 1}', '{"m": {"a": "x"}}'])
def test_a_damaged_record_is_an_error_and_not_a_fresh_start(tmp_path: Path, text: str):
    """Starting again at 1 would make every worker refuse what is sealed next."""
    (tmp_path / "versions.json").write_text(text)
    with pytest.raises(HostError):
        assign_version(tmp_path / "versions.json", "m", "a")
