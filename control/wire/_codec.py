"""How messages become JSON and back: a table of fields for each dataclass, read once.

Go's rule governs the wire: for most fields absent, null and zero all mean "nothing said", while
an empty list may say something. So a field states which of three habits it has:

- `maybe(...)`: None is absent; every other value, an empty one too, is written;
- `plain(..., zero=...)`: the zero value is absent, and absent reads as the zero value;
- `always(..., zero=...)`: written whatever it is.

Unknown keys are ignored. A value of the wrong type raises WireError, which names the place and
never quotes the value, since that may be a key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "Codec",
    "Json",
    "Message",
    "WireError",
    "always",
    "field_keys",
    "list_of",
    "map_of",
    "maybe",
    "message",
    "nullable",
    "numbered_map_of",
    "plain",
    "required",
]

Json = Any
"""A value as `json.loads` gives it."""

T = TypeVar("T")
M = TypeVar("M", bound="Message")


class WireError(ValueError):
    """JSON that is not the message it should be; the text says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Codec(Generic[T]):
    """Both directions of one kind of value."""

    encode: Callable[[T], Json]
    decode: Callable[[Json, str], T]
    """Takes the value and its place in the document."""


class _Field(NamedTuple):
    name: str
    key: str
    codec: Codec[Any]
    zero: Any
    is_always: bool
    is_required: bool


def maybe(key: str, codec: Codec[Any]) -> Any:
    """Declare a field whose None is absent and whose empty value is not."""
    return field(default=None, metadata={"wire": (key, codec, None, False, False)})


def plain(key: str, codec: Codec[Any], *, zero: Any, is_secret: bool = False) -> Any:
    """Declare a field whose zero value is absent; a secret one stays out of the repr."""
    return field(
        default=zero, repr=not is_secret, metadata={"wire": (key, codec, zero, False, False)}
    )


def always(key: str, codec: Codec[Any], *, zero: Any) -> Any:
    """Declare a field that is written whatever it holds."""
    return field(default=zero, metadata={"wire": (key, codec, zero, True, False)})


def required(key: str, codec: Codec[Any]) -> Any:
    """Declare a field that must be there in both directions."""
    return field(metadata={"wire": (key, codec, None, True, True)})


_FIELDS: dict[type, tuple[_Field, ...]] = {}


def _fields(cls: type[Message]) -> tuple[_Field, ...]:
    """Return the table of a class, made at its first use."""
    table = _FIELDS.get(cls)
    if table is None:
        table = _FIELDS[cls] = tuple(
            _Field(item.name, *item.metadata["wire"])
            for item in dataclasses.fields(cls)  # type: ignore[arg-type]  # every Message is one
            if "wire" in item.metadata
        )
    return table


def field_keys(cls: type[Message]) -> tuple[str, ...]:
    """Return the JSON keys of a message, in order of declaration."""
    return tuple(item.key for item in _fields(cls))


class Message:
    """A dataclass whose fields were declared with the functions above."""

    __slots__ = ()

    def to_json(self) -> dict[str, Json]:
        """Return the message as JSON values, keys in order of declaration."""
        wire: dict[str, Json] = {}
        for name, key, codec, zero, is_always, _ in _fields(type(self)):
            value = getattr(self, name)
            if is_always or value != zero:
                wire[key] = codec.encode(value)
        return wire

    @classmethod
    def from_json(cls, value: Json, where: str = "") -> Self:
        """Read the message; raises WireError, with `where` in front of every place."""
        where = where or cls.__name__
        if not isinstance(value, dict):
            raise WireError(f"{where}: expected an object")
        read: dict[str, Any] = {}
        for name, key, codec, _zero, _is_always, is_required in _fields(cls):
            item = value.get(key)
            if item is not None:
                read[name] = codec.decode(item, f"{where}.{key}")
            elif is_required:
                raise WireError(f"{where}.{key}: missing")
        return cls(**read)


def message(cls: type[M]) -> Codec[M]:
    """Return the codec of a nested message."""
    return Codec(encode=lambda value: value.to_json(), decode=cls.from_json)


def list_of(item: Codec[T], *, most: int = 1_000_000) -> Codec[tuple[T, ...]]:
    """Return the codec of a list with at most `most` items, none of them null."""

    def decode(value: Json, where: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise WireError(f"{where}: expected a list")
        if len(value) > most:
            raise WireError(f"{where}: more than {most} items")
        return tuple(item.decode(each, f"{where}[{at}]") for at, each in enumerate(value))

    encode_item = item.encode
    return Codec(encode=lambda value: [encode_item(each) for each in value], decode=decode)


def map_of(item: Codec[T], *, most: int = 1_000_000) -> Codec[Mapping[str, T]]:
    """Return the codec of an object with at most `most` entries."""

    def decode(value: Json, where: str) -> Mapping[str, T]:
        if not isinstance(value, dict):
            raise WireError(f"{where}: expected an object")
        if len(value) > most:
            raise WireError(f"{where}: more than {most} entries")
        return {key: item.decode(each, f"{where}[{key!r}]") for key, each in value.items()}

    encode_item = item.encode
    return Codec(
        encode=lambda value: {key: encode_item(each) for key, each in value.items()},
        decode=decode,
    )


def numbered_map_of(item: Codec[T], *, most: int = 1_000_000) -> Codec[Mapping[int, T]]:
    """Return the codec of an object whose keys are whole numbers, written as text."""
    texts = map_of(item, most=most)

    def decode(value: Json, where: str) -> Mapping[int, T]:
        read = {}
        for key, each in texts.decode(value, where).items():
            if not (key.isascii() and key.removeprefix("-").isdigit() and len(key) < 20):
                raise WireError(f"{where}: keys must be whole numbers")
            read[int(key)] = each
        return read

    return Codec(
        encode=lambda value: {str(key): item.encode(each) for key, each in value.items()},
        decode=decode,
    )


def nullable(item: Codec[T]) -> Codec[T | None]:
    """Return a codec that also takes null, as None."""
    return Codec(
        encode=lambda value: None if value is None else item.encode(value),
        decode=lambda value, where: None if value is None else item.decode(value, where),
    )
