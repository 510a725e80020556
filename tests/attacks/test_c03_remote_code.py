"""C03: a config that asks for the model's own code (`auto_map`), at the top, nested, or in another side file.

Expected: UnsupportedModelError with exit code 5 and a hint; the Python file beside it is never imported.
Defence: mohawk/checkpoint/settings.py:refuse_code; removed, such a model is sealed and served as if it were the family its
`model_type` claims, so that what answers is not what its author wrote (its code still has no way to run).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mohawk.checkpoint.reader import read_card
from mohawk.errors import UnsupportedModelError
from tests.support.folders import CONFIG, change_config, write_folder

AUTO_MAP = {"AutoModelForCausalLM": "modeling_evil.EvilForCausalLM"}


@pytest.mark.parametrize(
    "changes",
    [
        {"auto_map": AUTO_MAP},
        {"auto_map": "modeling_evil.Evil"},
        {"text_config": CONFIG | {"auto_map": AUTO_MAP}},
        {"vision_config": {"deep": [{"auto_map": AUTO_MAP}]}},
        {"custom_pipelines": {"text-generation": {"impl": "evil.Pipeline"}}},
        {"trust_remote_code": True},
    ],
)
def test_code_in_the_config_is_refused(tmp_path: Path, changes: dict[str, object]):
    folder = write_folder(tmp_path / "m")
    trace = tmp_path / "canary"
    (folder / "modeling_evil.py").write_text(f"open({str(trace)!r}, 'w')")
    change_config(folder, **changes)

    with pytest.raises(UnsupportedModelError, match="code") as caught:
        read_card(folder)
    assert caught.value.exit_code == 5
    assert caught.value.hint
    assert not trace.exists()


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json"])
def test_code_in_another_side_file_is_refused(tmp_path: Path, name: str):
    folder = write_folder(tmp_path / "m")
    (folder / name).write_text(json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_evil.Evil", None]}}))

    with pytest.raises(UnsupportedModelError):
        read_card(folder)
