"""config.json of any content is read or refused with a typed error; numbers that pass are within their bounds."""

from __future__ import annotations

import contextlib
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mohawk.checkpoint.settings import read_settings
from mohawk.checkpoint.template import read_special_tokens, read_template
from mohawk.errors import ArtifactError, UnsupportedModelError
from mohawk.nouns.model import MAXIMUM_LAYERS
from tests.support.folders import CONFIG

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
keys = st.sampled_from(
    [*CONFIG, "text_config", "auto_map", "quantization_config", "is_encoder_decoder", "head_dim", "n_layer"]
)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_arbitrary_bytes(data: bytes):
    with contextlib.suppress(ArtifactError, UnsupportedModelError):
        read_settings({"config.json": data})


@settings(max_examples=200)
@given(st.dictionaries(keys, values, max_size=3), st.dictionaries(st.sampled_from(["eos_token_id", "x"]), values))
def test_configs_that_look_right(changes: dict[str, object], generation: dict[str, object]):
    sides = {
        "config.json": json.dumps(CONFIG | changes).encode(),
        "generation_config.json": json.dumps(generation).encode(),
    }
    with contextlib.suppress(ArtifactError, UnsupportedModelError):
        found = read_settings(sides)
        assert 1 <= found.layers <= MAXIMUM_LAYERS
        assert found.hidden_size >= 1
        assert all(0 <= end < found.vocabulary_size for end in found.end_of_sequence)


@settings(max_examples=200)
@given(st.dictionaries(st.sampled_from(["chat_template", "bos_token", "eos_token"]), values))
def test_tokenizer_configs(config: dict[str, object]):
    sides = {"tokenizer_config.json": json.dumps(config).encode()}
    with contextlib.suppress(ArtifactError):
        assert isinstance(read_template(sides), str | None)
        assert all(isinstance(token, str) for token in read_special_tokens(sides).values())
