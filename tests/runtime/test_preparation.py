"""What is done before the first client comes."""

import asyncio

from antiphon.core.config import DEFAULT_INSTRUCTIONS
from antiphon.runtime.sessions import Sessions
from antiphon.runtime.settings import RuntimeSettings
from antiphon.testing.scripted import ScriptedLlm
from antiphon.vocabulary.llm import LlmRequest, SystemMessage
from tests.support.runtime import Noted, engines_of


def test_the_model_reads_the_default_instructions_ahead() -> None:
    async def run() -> list[LlmRequest]:
        llm = ScriptedLlm()
        await Sessions(engines_of(llm=llm), RuntimeSettings(), Noted()).prepare()
        return list(llm.prefills)

    assert asyncio.run(run()) == [LlmRequest((SystemMessage(DEFAULT_INSTRUCTIONS),))]
