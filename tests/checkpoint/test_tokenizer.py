"""Ids and text are those of transformers; input is bounded before it is tokenised."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers
from tokenizers import decoders, models

from mohawk.checkpoint.reader import read_side_files
from mohawk.checkpoint.tokenizer import CHARACTERS_PER_TOKEN, Tokenizer
from mohawk.errors import ArtifactError, UsageError

TEXTS = (
    "",
    "hello world",
    "  two  spaces ",
    "Grüße 東京 🙂 e\u0301\u0301",
    "line\nline\r\n\ttab",
    "<s>special</s><|user|>inside",
    "a\x00b",
    "1234567890" * 20,
)


@pytest.fixture
def sides(folder: Path) -> dict[str, bytes]:
    return read_side_files(folder)


@pytest.fixture
def tokenizer(sides: dict[str, bytes]) -> Tokenizer:
    return Tokenizer(sides, 512, 64)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("special", [True, False])
def test_ids_and_text_equal_those_of_transformers(real_model: Callable[..., Path], text: str, special: bool):
    from transformers import AutoTokenizer

    folder = real_model("llama")
    theirs = AutoTokenizer.from_pretrained(folder)
    ours = Tokenizer(read_side_files(folder), 512, 512)

    ids = ours.encode(text, add_special=special)
    assert ids == theirs(text, add_special_tokens=special).input_ids
    for skip in (True, False):
        assert ours.decode(ids, skip_special=skip) == theirs.decode(ids, skip_special_tokens=skip)


def test_text_without_special_tokens_survives_the_round_trip(tokenizer: Tokenizer):
    for text in TEXTS[:5]:
        assert tokenizer.decode(tokenizer.encode(text)) == text


def test_an_unfinished_character_reads_as_a_replacement(tokenizer: Tokenizer):
    ids = tokenizer.encode("🦅")

    assert len(ids) > 1
    assert tokenizer.decode(ids[:-1]).endswith("�")
    assert tokenizer.decode(ids) == "🦅"


def test_special_tokens_are_found(tokenizer: Tokenizer):
    assert (tokenizer.beginning, tokenizer.end, tokenizer.vocabulary_size) == (1, 2, 512)


def test_a_configured_beginning_is_put_before_plain_prompts_once(sides: dict[str, bytes]):
    document = json.loads(sides["tokenizer.json"])
    document["post_processor"] = None
    plain = sides | {"tokenizer.json": json.dumps(document).encode()}
    config = json.loads(sides["tokenizer_config.json"]) | {"add_bos_token": True}
    asking = {"tokenizer_config.json": json.dumps(config).encode()}

    assert Tokenizer(plain, 512, 64).encode("a", add_special=True)[0] != 1
    assert Tokenizer(plain | asking, 512, 64).encode("a", add_special=True)[:2].count(1) == 1
    assert Tokenizer(sides | asking, 512, 64).encode("a", add_special=True).count(1) == 1
    assert 1 not in Tokenizer(plain | asking, 512, 64).encode("a")


def test_a_saved_truncation_does_not_cut_prompts(sides: dict[str, bytes]):
    document = json.loads(sides["tokenizer.json"])
    document["truncation"] = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    document["padding"] = {
        "strategy": {"Fixed": 9},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<pad>",
    }
    cutting = Tokenizer(sides | {"tokenizer.json": json.dumps(document).encode()}, 512, 64)

    assert cutting.encode("a b c d e f g") == Tokenizer(sides, 512, 64).encode("a b c d e f g")
    assert len(cutting.encode("a")) == 1


def test_a_text_that_no_prompt_can_hold_is_not_tokenised(tokenizer: Tokenizer):
    tokenizer.encode("a" * 64 * CHARACTERS_PER_TOKEN)
    with pytest.raises(UsageError) as caught:
        tokenizer.encode("a" * (64 * CHARACTERS_PER_TOKEN + 1), field="prompt")
    assert caught.value.field == "prompt"


def test_ids_that_the_model_lacks_are_refused(sides: dict[str, bytes]):
    small = Tokenizer(sides, 300, 64)

    with pytest.raises(UsageError):
        small.encode("the the the the slices and each sealed")
    for token in (300, -1, 1 << 40):
        with pytest.raises(UsageError):
            small.decode([token])


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[]", b'{"model": {"type": "BPE"}}', b"null"])
def test_what_is_no_tokenizer_is_a_broken_artifact(sides: dict[str, bytes], data: bytes):
    with pytest.raises(ArtifactError):
        Tokenizer(sides | {"tokenizer.json": data}, 512, 64)


@pytest.mark.parametrize(
    "change",
    [
        {"model": {"continuing_subword_prefix": "\u00e9x"}},  # aborts the process that builds it
        {"model": {"continuing_subword_prefix": "x"}},
        {"post_processor": {"special_tokens": {}}},  # a panic at the first text
        {"model": {"merges": [["a", "nowhere"]]}},
        {"pre_tokenizer": {"type": "Unheard"}},
    ],
)
def test_a_tokenizer_that_kills_its_process_does_not_kill_ours(
    sides: dict[str, bytes], change: dict[str, dict[str, object]]
):
    document = json.loads(sides["tokenizer.json"])
    for key, members in change.items():
        document[key] |= members

    with pytest.raises(ArtifactError):
        Tokenizer(sides | {"tokenizer.json": json.dumps(document).encode()}, 512, 64)


def test_the_bytes_of_all_tokens_together_are_the_text(tokenizer: Tokenizer) -> None:
    for text in ("  two  spaces ", "Grüße 東京 🙂 e\u0301", "a\x00b\n"):
        ids = tokenizer.encode(text)
        assert b"".join(map(tokenizer.token_bytes, ids)) == text.encode()
    assert tokenizer.token_bytes(2) == b"</s>"
    assert tokenizer.token_bytes(512) == tokenizer.token_bytes(-1) == b""


def test_the_bytes_of_a_vocabulary_with_marked_spaces() -> None:
    vocabulary = {"<unk>": 0, "▁a": 1, "<0xC3>": 2, "<0xBC>": 3, "b": 4}
    inner = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer = Tokenizer({"tokenizer.json": inner.to_str().encode()}, 8, 64)
    assert [tokenizer.token_bytes(token) for token in range(6)] == [b"<unk>", b" a", b"\xc3", b"\xbc", b"b", b""]
