"""What all wire types share.

``UNSET`` is absent, ``None`` is JSON null; the difference is load-bearing (``turn_detection: null`` turns it off).
Types named ``...Update`` and client events describe what a peer sent: everything optional may be absent or null.
All other types are
complete: every field that the API always sends has a value, and what it leaves out is ``UNSET``.
"""

from typing import Annotated, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

__all__ = ["UNSET", "Absent", "EventId", "ItemId", "Opt", "UnsetType", "Wire", "given"]

_T = TypeVar("_T")

Absent: TypeAlias = UnsetType

Opt: TypeAlias = _T | UnsetType | None
"""Sent by a peer: a value, null, or left out."""

EventId: TypeAlias = Annotated[str, Meta(max_length=512)]

ItemId: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[\x21-\x7e]+$")]
"""1 to 128 visible ASCII characters."""


class Wire(Struct, kw_only=True, frozen=True):
    """Base of all wire types. Immutable: a changed object is a new one (``msgspec.structs.replace``)."""


def given(value: _T | UnsetType | None, default: _T) -> _T:
    """The value, or ``default`` where the peer sent null or nothing."""
    return default if value is None or value is UNSET else value
