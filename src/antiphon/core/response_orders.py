"""From what is wanted of a response to what the engines are told."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from antiphon.core.context import fitting, room_for
from antiphon.core.conversation import Conversation, Entry
from antiphon.core.effects import Effects
from antiphon.core.limits import Limits
from antiphon.core.mcp import Mcp
from antiphon.core.mcp_calls import McpCalls
from antiphon.core.output_audio import OutputAudio
from antiphon.core.outputs import SpeechOrder, StartResponse
from antiphon.core.prompt import messages_of
from antiphon.core.response import ActiveResponse
from antiphon.core.response_input import OwnPrompt
from antiphon.core.response_plan import ResponsePlan, plan_response
from antiphon.core.tool_offer import ToolOffer, tool_offer
from antiphon.core.usage import PromptSize, prompt_size
from antiphon.protocol.response import ResponseOverrides
from antiphon.protocol.session_config import RealtimeSession
from antiphon.vocabulary.llm import LlmCapabilities, LlmRequest

__all__ = ["Asked", "ResponseOrders"]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model is asked."""

    request: LlmRequest
    offer: ToolOffer
    size: PromptSize


class ResponseOrders:
    """Plans responses, makes them, and says what the model is asked in each. Announces and orders nothing itself."""

    def __init__(
        self,
        effects: Effects,
        conversation: Conversation,
        output_audio: OutputAudio,
        limits: Limits,
        capabilities: LlmCapabilities,
        mcp: Mcp,
        mcp_calls: McpCalls,
    ) -> None:
        self._effects = effects
        self._conversation = conversation
        self._output_audio = output_audio
        self._limits = limits
        self._capabilities = capabilities
        self._mcp = mcp
        self._mcp_calls = mcp_calls
        self.conversation_id = effects.new_id("conv")

    def planned(self, session: RealtimeSession, overrides: ResponseOverrides) -> ResponsePlan:
        """Raises ``ProtocolError`` where an override is refused."""
        plan = plan_response(session, overrides, self._limits)
        if not overrides.tools:
            return replace(plan, mcp={} if overrides.tools == [] else self._mcp.for_session)
        defined = self._mcp.defined(plan.tools, "response.tools")
        return replace(plan, mcp=defined, waits_for=frozenset(defined))

    def made(self, plan: ResponsePlan, prompt: OwnPrompt) -> ActiveResponse:
        return ActiveResponse(
            plan,
            prompt,
            conversation=self._conversation if plan.conversation == "auto" else None,
            conversation_id=self.conversation_id,
            effects=self._effects,
            output_audio=self._output_audio,
            mcp_calls=self._mcp_calls,
        )

    def asked(self, plan: ResponsePlan, entries: Sequence[Entry], *, harder: bool = False) -> Asked | None:
        """What the model is asked about these items now; None where they are too long for it for certain.

        ``harder``: with less of them, after it found the prompt too long.
        """
        offer = self._offer(plan)
        room = room_for(plan, offer.specs, self._limits)
        if harder:
            room = room.harder()
        entries = fitting(entries, budget_tokens=room.items_tokens, truncation=plan.truncation)
        if room.cannot_hold(entries):
            return None
        request = LlmRequest(
            messages=messages_of(
                plan.instructions, entries, self._capabilities, mcp_names=offer.names, now=self._effects.now
            ),
            tools=offer.specs,
            tool_choice=offer.choice,
            max_output_tokens=plan.max_output_tokens if isinstance(plan.max_output_tokens, int) else None,
            parallel_tool_calls=plan.parallel_tool_calls,
            reasoning_effort=plan.reasoning_effort,
        )
        return Asked(request, offer, prompt_size(room.fixed_tokens, entries))

    def start(self, response: ActiveResponse, *, draft: bool = False) -> StartResponse | None:
        """The order that starts it; None where its items are too long for the model for certain."""
        asked = self.asked(response.plan, response.entries, harder=response.retried)
        if asked is None:
            return None
        response.started(asked.offer, asked.size)
        plan = response.plan
        speech = None
        if plan.modality == "audio":
            audio_format = self._output_audio.format_of(plan.format.type)
            speech = SpeechOrder(response.first_item_id, plan.voice, plan.speed, audio_format)
        return StartResponse(response.id, asked.request, speech, draft)

    def _offer(self, plan: ResponsePlan) -> ToolOffer:
        tools = self._mcp.tools(plan.mcp.values())
        if plan.conversation == "none":
            # It has no conversation in which it could ask.
            tools = [tool for tool in tools if not tool.needs_approval]
        return tool_offer(plan, tools)
