"""Writes the trained model as a Hugging Face folder."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from demo.facts import load_suggested_questions
from demo.vocabulary import BEGIN, CHAT_TEMPLATE, END, PAD

MODEL_README = """\
# A toy chat model

This folder holds a toy: a Llama-shaped model of about five million parameters that knows some facts about
Mohawk by heart and nothing else. It is here so that `mohawk demo` has something to cut, seal and serve.

- It repeats stored answers. A question in unknown words may get the answer to another question, in full confidence.
- Do not rely on what it says: the documentation is right where the two differ.
- `suggested_questions.json` lists questions that it answers well.
- `demo/` in the source tree holds its facts, its training and its evaluation.

Licence: Apache-2.0, like the rest of the project. It was trained only on text written for this project.
"""


def save_tokenizer(tokenizer: Tokenizer, context: int, folder: Path) -> None:
    """Write tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        model_max_length=context,
        clean_up_tokenization_spaces=False,
    )
    wrapped.chat_template = CHAT_TEMPLATE
    wrapped.save_pretrained(folder)


def save_model(model: LlamaForCausalLM, folder: Path) -> None:
    """Write config, generation config and weights, the latter in bfloat16."""
    model.to(torch.bfloat16)
    model.config.dtype = torch.bfloat16
    model.config.use_cache = True
    model.generation_config.do_sample = False
    model.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # the writer makes it private; a package must be readable


def save_texts(folder: Path) -> None:
    """Write the suggested questions and the label that says what this is."""
    questions = json.dumps(load_suggested_questions(), indent=2)
    (folder / "suggested_questions.json").write_text(questions + "\n", encoding="utf-8")
    (folder / "README.md").write_text(MODEL_README, encoding="utf-8")


def export(model: LlamaForCausalLM, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the whole folder."""
    folder.mkdir(parents=True, exist_ok=True)
    save_tokenizer(tokenizer, model.config.max_position_embeddings, folder)
    save_model(model, folder)
    save_texts(folder)
