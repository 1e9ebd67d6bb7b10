"""A response's own prompt: the items of ``response.create``'s ``input``, and the conversation's by reference."""

from dataclasses import dataclass, field

from msgspec import structs

from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.item_checks import checked_entry
from antiphon.core.limits import Limits
from antiphon.protocol.base import given
from antiphon.protocol.errors import ProtocolError
from antiphon.protocol.items import ItemReference
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import FormatName

__all__ = ["OwnPrompt", "own_prompt"]


@dataclass(frozen=True, slots=True)
class OwnPrompt:
    entries: list[Entry] = field(default_factory=list)
    own: list[Entry] = field(default_factory=list)
    """Those of the entries that belong to the response alone."""

    @property
    def audio_bytes(self) -> int:
        return sum(entry.audio_bytes for entry in self.own)

    @property
    def image_count(self) -> int:
        return sum(len(entry.images) for entry in self.own)


def own_prompt(
    overrides: ResponseOverrides, conversation: Conversation, format: FormatName, limits: Limits, effects: Effects
) -> OwnPrompt | None:
    """None where the response has the conversation as its prompt. Raises ``ProtocolError``; changes nothing."""
    items = given(overrides.input, None)
    if items is None:
        return None
    if len(items) > limits.items:
        raise ProtocolError(
            "array_above_max_length",
            f"Invalid 'response.input': {len(items)} items, at most {limits.items} are allowed.",
            "response.input",
        )
    prompt = OwnPrompt()
    alone = Conversation()
    for index, item in enumerate(items):
        param = f"response.input[{index}]"
        if isinstance(item, ItemReference):
            prompt.entries.append(_referred(item, conversation, param))
            continue
        entry = checked_entry(
            structs.replace(item, id=effects.new_id("item")),
            conversation=alone,
            format=format,
            limits=limits,
            new_id=effects.new_id,
            param=param,
        )
        alone.add(entry)
        prompt.entries.append(entry)
        prompt.own.append(entry)
    return prompt


def _referred(item: ItemReference, conversation: Conversation, param: str) -> Entry:
    entry = conversation.get(item.id)
    if entry is None:
        raise ProtocolError(
            "invalid_value",
            f"Invalid '{param}.id': the item with id '{item.id}' does not exist.",
            f"{param}.id",
        )
    return entry
