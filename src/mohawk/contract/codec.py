"""Messages to bytes and back, through protobuf. The only room that imports protobuf.

The set of messages is closed: the table below is built from the types of `messages.Message` once, at import; nothing on
the wire names a class. Whatever bytes arrive, `decode` and `decode_part` return a valid message or raise MessageError.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable
from dataclasses import fields
from enum import IntEnum
from operator import attrgetter
from typing import Any, cast

from google.protobuf.message import DecodeError, EncodeError
from google.protobuf.message import Message as Protobuf

from mohawk.contract import mohawk_pb2
from mohawk.contract.checks import check_sampling_fields
from mohawk.contract.messages import Message
from mohawk.contract.steps import Growth, Opening, SampledToken, StagePart, Step, StepResult
from mohawk.errors import MessageError, UsageError
from mohawk.nouns.model import SamplingParameters
from mohawk.nouns.sampling import TokenLogprobs
from mohawk.nouns.segment import Segment

_Convert = Callable[[Any], Any]


def encode(message: Message) -> bytes:
    """A message -> the header of its frame. Raises UsageError, our own mistake, when a value does not fit its field."""
    try:
        if isinstance(message, Step):
            return _encode_step(message)
        name, converter = _ENVELOPE[type(message)]
        arguments: dict[str, Any] = {name: converter.put(message)}
        return mohawk_pb2.Envelope(**arguments).SerializeToString()
    except (EncodeError, ValueError, TypeError) as error:
        raise UsageError("a message with a value that its field cannot hold") from error


def _encode_step(message: Step) -> bytes:
    """By hand, as in `decode`: every token passes here on each hop, and the table takes several times as long."""
    envelope = mohawk_pb2.Envelope()
    step = envelope.step
    step.number = message.number
    step.epoch = message.epoch
    step.parts.extend(message.parts)
    return envelope.SerializeToString()


def _encode_part(part: StagePart) -> bytes:
    """By hand for the same reason: the controller encodes one for each stage and step, with a segment for each
    sequence.
    """
    message = mohawk_pb2.StagePart()
    add = message.segments.add
    for segment in part.segments:
        entry = add()
        entry.sequence, entry.start = segment.sequence, segment.start
        entry.count, entry.sample = segment.count, segment.sample
    message.token_ids.extend(part.token_ids)
    message.openings.extend([cast(mohawk_pb2.Opening, _OPENING.put(opening)) for opening in part.openings])
    message.closed.extend(part.closed)
    message.growths.extend([cast(mohawk_pb2.Growth, _GROWTH.put(growth)) for growth in part.growths])
    message.retired.extend(part.retired)
    message.number = part.number
    return message.SerializeToString()


def decode(data: bytes | bytearray | memoryview) -> Message:
    """The header of a frame -> a message. Raises MessageError."""
    try:
        envelope = mohawk_pb2.Envelope.FromString(bytes(data))
    except DecodeError:
        raise MessageError("a header that is not a message") from None
    name = envelope.WhichOneof("message")
    if name == "step":
        step = envelope.step
        return Step(step.number, step.epoch, tuple(step.parts))
    if name == "step_result":
        return _decode_result(envelope.step_result)
    if name is None:
        raise MessageError("an empty or unknown message", hint="both ends must run the same major version")
    return cast(Message, _BY_NAME[name].take(getattr(envelope, name)))


def _decode_result(result: mohawk_pb2.StepResult) -> StepResult:
    """By hand, too: it has an entry for each sequence that got a token."""
    tokens = [
        SampledToken(
            one.sequence,
            one.token,
            cast(TokenLogprobs, _LOGPROBS.take(one.logprobs)) if one.HasField("logprobs") else None,
            one.failed,
        )
        for one in result.tokens
    ]
    return StepResult(result.number, tuple(tokens), result.compute_microseconds)


def encode_part(part: StagePart) -> bytes:
    """One stage's part of a step -> bytes, as its ticket seals them. Raises UsageError like `encode`."""
    try:
        return _encode_part(part)
    except (EncodeError, ValueError, TypeError) as error:
        raise UsageError("a step with a value that its field cannot hold") from error


def decode_part(data: bytes) -> StagePart:
    """Bytes out of Step.parts -> a stage's part. Raises MessageError."""
    try:
        message = mohawk_pb2.StagePart.FromString(data)
    except DecodeError:
        raise MessageError("a step's part that is not a message") from None
    return StagePart(
        segments=tuple([Segment(one.sequence, one.start, one.count, one.sample) for one in message.segments]),
        token_ids=tuple(message.token_ids),
        openings=tuple([cast(Opening, _OPENING.take(opening)) for opening in message.openings]),
        closed=tuple(message.closed),
        number=message.number,
        growths=tuple([cast(Growth, _GROWTH.take(growth)) for growth in message.growths]),
        retired=tuple(message.retired),
    )


class _Converter:
    """Between one noun class and its protobuf class: field by field, by equal names.

    Every token passes here several times on each hop, so fields that are the same on both sides are moved all at once,
    and only the others one by one.
    """

    def __init__(self, noun: type, protobuf: type[Protobuf]) -> None:
        hints = typing.get_type_hints(noun)
        names = [field.name for field in fields(noun)]
        codecs = [_codec_of(hints[name]) for name in names]
        self._make: Callable[..., object] = check_sampling_fields if noun is SamplingParameters else noun
        self._protobuf = protobuf
        self._names = names
        self._values = _getter(names)
        self._put = [(place, put) for place, (put, _, _) in enumerate(codecs) if put is not None]
        self._take = [(place, take) for place, (_, take, _) in enumerate(codecs) if take is not None]
        self._optional = [(place, names[place]) for place, (_, _, optional) in enumerate(codecs) if optional]

    def put(self, value: object) -> Protobuf:
        """A noun -> its protobuf message."""
        values = self._values(value)
        for place, put in self._put:
            if values[place] is not None:
                values[place] = put(values[place])
        return self._protobuf(**dict(zip(self._names, values, strict=True)))  # None leaves a field unset

    def take(self, value: object) -> object:
        """A protobuf message -> its noun, checked."""
        values = self._values(value)
        for place, name in self._optional:
            if not cast(Protobuf, value).HasField(name):
                values[place] = None
        for place, take in self._take:
            if values[place] is not None:
                values[place] = take(values[place])
        return self._make(*values)


def _getter(names: list[str]) -> Callable[[object], list[Any]]:
    """All fields of an object as a list, in one call."""
    if len(names) < 2:
        return lambda value: [getattr(value, name) for name in names]
    get = attrgetter(*names)
    return lambda value: list(get(value))


def _codec_of(hint: object) -> tuple[_Convert | None, _Convert | None, bool]:
    """(to protobuf, from protobuf, may be absent) for one field's type; None where both sides hold the same."""
    if isinstance(hint, types.UnionType):  # `X | None`
        inner = next(part for part in typing.get_args(hint) if part is not type(None))
        put, take, _ = _codec_of(inner)
        return put, take, True
    if typing.get_origin(hint) is tuple:
        put, take, _ = _codec_of(typing.get_args(hint)[0])
        return _each(put), tuple if take is None else _each(take), False
    if isinstance(hint, type) and issubclass(hint, IntEnum):
        return None, _enumeration(hint), False
    if isinstance(hint, type) and hint not in (int, str, bytes, bool, float):
        converter = _converter(hint)
        return converter.put, converter.take, False
    return None, None, False


def _each(convert: _Convert | None) -> _Convert | None:
    return None if convert is None else lambda many: tuple([convert(one) for one in many])


def _enumeration(kind: type[IntEnum]) -> _Convert:
    def take(value: Any) -> IntEnum:
        try:
            return kind(value)
        except ValueError:
            raise MessageError("a value outside its enumeration") from None

    return take


def _converter(noun: type) -> _Converter:
    name = "Sampling" if noun is SamplingParameters else noun.__name__
    return _Converter(noun, getattr(mohawk_pb2, name))


def _field_name(noun: type) -> str:
    """HeartbeatReply -> heartbeat_reply, the field of Envelope."""
    return "".join("_" + letter.lower() if letter.isupper() else letter for letter in noun.__name__).lstrip("_")


_OPENING = _converter(Opening)
_GROWTH = _converter(Growth)
_LOGPROBS = _converter(TokenLogprobs)
_ENVELOPE: dict[type, tuple[str, _Converter]] = {
    noun: (_field_name(noun), _converter(noun)) for noun in typing.get_args(Message)
}
_BY_NAME = dict(_ENVELOPE.values())
