"""The byte-level BPE vocabulary, the special tokens and the chat template."""

from collections.abc import Iterable

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from demo.corpus import Conversation, Corpus

PAD, BEGIN, SYSTEM, USER, ASSISTANT, END = (
    "<|pad|>",
    "<|begin|>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|end|>",
)
SPECIAL_TOKENS = (PAD, BEGIN, SYSTEM, USER, ASSISTANT, END)
IGNORED = -100
"""The label of a token that the loss does not count: everything but answers."""

CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
{%- if message['role'] not in ['system', 'user', 'assistant'] %}
{{- raise_exception('Unknown role: ' + message['role']) }}
{%- endif %}
{{- '<|' + message['role'] + '|>' + message['content'] | trim + '<|end|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|assistant|>' }}
{%- endif %}
"""


def _texts(corpus: Corpus, samples: int) -> Iterable[str]:
    """Answers weigh as much as questions, so that answers become few tokens."""
    for _ in range(samples):
        turn = corpus.turn()
        yield turn.question
        yield turn.answer


def train_vocabulary(corpus: Corpus, size: int, samples: int) -> Tokenizer:
    """Learn the merges from random turns; every byte has a token of its own, so any text can be read."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(corpus, samples), trainer)
    return tokenizer


class Encoder:
    """Writes conversations as token ids and labels, exactly as the chat template would."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._id = {token: tokenizer.token_to_id(token) for token in SPECIAL_TOKENS}

    def encode(self, conversation: Conversation, limit: int) -> tuple[list[int], list[int]]:
        """Token ids and labels; turns that would pass the limit are left out."""
        ids = self._prompt_start(conversation.system)
        labels = [IGNORED] * len(ids)
        for turn in conversation.turns:
            asked = [self._id[USER], *self._words(turn.question), self._id[END], self._id[ASSISTANT]]
            answered = [*self._words(turn.answer), self._id[END]]
            if len(ids) + len(asked) + len(answered) > limit:
                break
            ids += asked + answered
            labels += [IGNORED] * len(asked) + answered
        return ids, labels

    def _prompt_start(self, system: str | None) -> list[int]:
        if system is None:
            return [self._id[BEGIN]]
        return [self._id[BEGIN], self._id[SYSTEM], *self._words(system), self._id[END]]

    def _words(self, text: str) -> list[int]:
        return self._tokenizer.encode(text).ids
