"""The tools that the model is offered for one response: the client's functions and those of MCP servers together."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from antiphon.core.mcp_definitions import McpDefinition
from antiphon.core.response_plan import ResponsePlan
from antiphon.core.tool_names import NAME_MAX, legal_name
from antiphon.protocol.base import given
from antiphon.protocol.session_config import FunctionTool, ToolChoiceFunction, ToolChoiceMcp
from antiphon.vocabulary.llm import NamedTool, ToolSpec
from antiphon.vocabulary.llm import ToolChoice as LlmToolChoice
from antiphon.vocabulary.mcp import McpToolInfo

__all__ = ["OfferedTool", "ToolOffer", "tool_offer"]


@dataclass(frozen=True, slots=True)
class OfferedTool:
    """A tool of an MCP server, as it was when it was offered."""

    definition: McpDefinition
    info: McpToolInfo

    @property
    def label(self) -> str:
        return self.definition.label

    @property
    def needs_approval(self) -> bool:
        return self.definition.needs_approval(self.info)


@dataclass(frozen=True, slots=True)
class ToolOffer:
    specs: tuple[ToolSpec, ...] = ()
    choice: LlmToolChoice = "auto"
    mcp: Mapping[str, OfferedTool] = field(default_factory=dict)
    """The MCP tools by the name under which the model knows them."""

    @property
    def names(self) -> Mapping[tuple[str, str], str]:
        """The model's names by label and name."""
        return {(tool.label, tool.info.name): name for name, tool in self.mcp.items()}


def tool_offer(plan: ResponsePlan, tools: Iterable[OfferedTool]) -> ToolOffer:
    """A tool keeps its name where that is legal and free; else its server's label comes before it.

    A choice that no tool can satisfy becomes ``auto``; the choice of a server leaves only its tools.
    """
    functions = {tool.name: _function_spec(tool) for tool in plan.tools if isinstance(tool, FunctionTool)}
    mcp: dict[str, OfferedTool] = {}
    for tool in tools:
        mcp[_free_name(tool, functions.keys() | mcp.keys())] = tool
    choice = plan.tool_choice
    if isinstance(choice, ToolChoiceMcp):
        return _chosen_server(choice, functions, mcp)
    specs = (*functions.values(), *(_mcp_spec(name, tool) for name, tool in mcp.items()))
    if isinstance(choice, ToolChoiceFunction):
        return ToolOffer(specs, NamedTool(choice.name) if choice.name in functions else "auto", mcp)
    return ToolOffer(specs, "auto" if choice == "required" and not specs else choice, mcp)


def _chosen_server(
    choice: ToolChoiceMcp, functions: Mapping[str, ToolSpec], mcp: Mapping[str, OfferedTool]
) -> ToolOffer:
    of_server = {name: tool for name, tool in mcp.items() if tool.label == choice.server_label}
    wanted = given(choice.name, None)
    chosen = {name: tool for name, tool in of_server.items() if wanted is None or tool.info.name == wanted}
    if not chosen:
        specs = (*functions.values(), *(_mcp_spec(name, tool) for name, tool in mcp.items()))
        return ToolOffer(specs, "auto", mcp)
    specs = tuple(_mcp_spec(name, tool) for name, tool in chosen.items())
    return ToolOffer(specs, NamedTool(next(iter(chosen))) if wanted else "required", chosen)


def _free_name(tool: OfferedTool, taken: Iterable[str]) -> str:
    taken = set(taken)
    for name in (tool.info.name, f"{tool.label}_{tool.info.name}"):
        if legal_name(name) not in taken:
            return legal_name(name)
    number = 2
    while (name := f"{legal_name(tool.info.name)[: NAME_MAX - 8]}_{number}") in taken:
        number += 1
    return name


def _function_spec(tool: FunctionTool) -> ToolSpec:
    parameters = given(tool.parameters, {"type": "object", "properties": {}})
    return ToolSpec(tool.name, given(tool.description, ""), parameters)


def _mcp_spec(name: str, tool: OfferedTool) -> ToolSpec:
    about = " ".join(filter(None, (tool.info.description, tool.definition.description)))
    return ToolSpec(name, about, tool.info.input_schema)
