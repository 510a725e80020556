"""Tiny random checkpoints of every family, written to disk as Hugging Face folders: real files for real readers.

Parameters get noise on top of transformers' own initialisation, because a freshly initialised model says one token for ever.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FAMILIES = ("llama", "llama_tied", "llama3_rope", "qwen3", "gemma3", "gpt2")
"""The names `build_model` takes. More, for the self-test on unknown families: `EXTRA_FAMILIES`."""

EXTRA_FAMILIES = ("mistral", "qwen2", "gemma2", "falcon")

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<|system|>", "<|user|>", "<|assistant|>")
VOCABULARY_SIZE = 512
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message.role not in ['system', 'user', 'assistant'] %}
        {{- raise_exception('unknown role') }}
    {%- endif %}
    {{- '<|' + message.role + '|>' + message.content | trim }}
    {%- if message.role == 'assistant' %}{{ eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""

TOOL_TEMPLATE = """\
{{- bos_token }}
{%- if tools %}
    {{- '<|system|>Tools:\\n' }}
    {%- for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}
    {{- 'Call one by <tool_call>{"name": ..., "arguments": {...}}</tool_call>' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|' + ('user' if message.role == 'tool' else message.role) + '|>' }}
    {%- if message.role == 'tool' %}{{ '<tool_response>' + message.content + '</tool_response>' }}
    {%- else %}{{ message.content | trim }}
    {%- endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>{"name": "' + call.function.name + '", "arguments": ' + call.function.arguments | tojson + '}</tool_call>' }}
    {%- endfor %}
    {%- if message.role == 'assistant' %}{{ eos_token }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}
"""
"""Hermes' way with tools, in the tiny tokenizer's turns."""

_NOISE = 0.2
_EMBEDDING_NOISE = 0.03
"""Embeddings stay small: a tied head over a large embedding (Gemma scales it by 11) repeats the last token for ever."""

_CORPUS = (
    "The model is cut into slices, and each slice is sealed before it leaves the machine that made it.",
    "A worker opens its slice into memory only; nothing that it opened is ever written to a disk again.",
    "What is the weather like today? It is raining, and the river is higher than it was yesterday.",
    "One two three four five six seven eight nine ten. Red green blue. Left right up down.",
    "Grüße aus Köln, où est le café? 東京 はどこ ですか。 Привет мир! emoji 🙂🚀 naïve façade",
    "def add(left, right):\n    return left + right\n\nfor index in range(10):\n    print(index)\n",
)


def build_model(
    folder: Path, family: str, *, dtype: str = "float32", shard_size: str | None = None, layers: int = 6, seed: int = 0
) -> Path:
    """Write a seeded random model of `family` with tokenizer and chat template into `folder`, and return `folder`.

    `dtype` is `float32`, `float16` or `bfloat16`; `shard_size`, for example `"200KB"`, writes several files and an index.
    Vocabulary 512 (pad 0, begin 1, end 2), hidden size 128, context 512, sliding window 16 where the family has one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from mohawk.model.turns import BUILDING

    config = build_config(family, layers=layers)
    config.dtype = getattr(torch, dtype)
    with BUILDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(config, dtype=config.dtype).eval()
        embedding = model.get_input_embeddings().weight
        for parameter in model.parameters():
            noise = _EMBEDDING_NOISE if parameter is embedding else _NOISE
            parameter.data.add_(torch.randn_like(parameter) * noise)
    model.save_pretrained(folder, max_shard_size=shard_size or "1GB")
    write_tokenizer(folder)
    return folder


def build_config(family: str, *, layers: int = 6) -> PretrainedConfig:
    """The tiny configuration behind `build_model`."""
    import transformers

    common: dict[str, Any] = {
        "vocab_size": VOCABULARY_SIZE,
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": layers,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    pattern = [("full_attention" if layer % 3 == 2 else "sliding_attention") for layer in range(layers)]
    llama3 = {
        "rope_type": "llama3",
        "rope_theta": 5e5,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    match family:
        case "llama":
            return transformers.LlamaConfig(**common)
        case "llama_tied":
            return transformers.LlamaConfig(**common, tie_word_embeddings=True)
        case "llama3_rope":
            return transformers.LlamaConfig(**common, rope_parameters=llama3)
        case "qwen3":
            return transformers.Qwen3Config(**common, head_dim=32)
        case "gemma3":
            return transformers.Gemma3TextConfig(
                **common, head_dim=16, query_pre_attn_scalar=1, sliding_window=16, layer_types=pattern
            )
        case "gpt2":
            return transformers.GPT2Config(
                vocab_size=VOCABULARY_SIZE,
                n_embd=128,
                n_layer=layers,
                n_head=8,
                n_positions=512,
                bos_token_id=1,
                eos_token_id=2,
            )
        case "mistral":
            return transformers.MistralConfig(**common, sliding_window=16)
        case "qwen2":
            return transformers.Qwen2Config(**common)
        case "gemma2":
            return transformers.Gemma2Config(**common, head_dim=16, query_pre_attn_scalar=1, sliding_window=16)
        case "falcon":
            return transformers.FalconConfig(
                vocab_size=VOCABULARY_SIZE,
                hidden_size=128,
                num_hidden_layers=layers,
                num_attention_heads=8,
                bos_token_id=1,
                eos_token_id=2,
            )
    raise ValueError(f"no builder for {family}")


def write_tokenizer(folder: Path, *, chat_template: str | None = CHAT_TEMPLATE) -> None:
    """Write tokenizer.json, tokenizer_config.json and, unless None, chat_template.jinja, as transformers would."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(tokenizer_json()),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        model_max_length=512,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = chat_template
    tokenizer.save_pretrained(folder)


@functools.cache
def tokenizer_json() -> str:
    """Byte-level BPE with `<s>` put before every text; trained once a process, the same in every process."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tokenizer.to_str()
