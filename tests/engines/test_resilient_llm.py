"""Language models made resilient: asked again only if nothing was said."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from antiphon.engines.base import CallContext, Draft, EngineInfo, Prefills
from antiphon.engines.errors import EngineError
from antiphon.engines.resilient import Patience, ResilientLlm, resilient_llm
from antiphon.testing.clock import run_virtual
from antiphon.testing.scripted import HANG, Delay, ScriptedLlm
from antiphon.testing.scripted.llm import LlmStep
from antiphon.testing.scripted.steps import Trouble, undergo
from antiphon.vocabulary.errors import EngineErrorKind
from antiphon.vocabulary.llm import LlmCapabilities, LlmChunk, LlmRequest, TextChunk
from tests.engines.attempts import BAD_INPUT, CONTEXT, OVERLOADED, PATIENCE, REQUEST, outcome


def generated(llm: ScriptedLlm, patience: Patience = PATIENCE) -> tuple[list[LlmChunk], EngineError | None, float]:
    found = run_virtual(outcome(ResilientLlm(llm, patience).generate(REQUEST, context=CONTEXT)))
    assert llm.running == 0
    return found


@pytest.mark.parametrize(("trouble", "delay_s"), [(OVERLOADED, 0.25), (HANG, 20.25)])
def test_a_model_that_said_nothing_is_asked_again(trouble: LlmStep, delay_s: float) -> None:
    llm = ScriptedLlm([[trouble], "Hello there."])
    chunks, error, at = generated(llm)
    assert error is None
    assert "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk)) == "Hello there."
    assert [context.attempt for context in llm.contexts] == [0, 1]
    assert at == pytest.approx(delay_s)


@pytest.mark.parametrize(
    ("trouble", "kind", "at_s"), [(OVERLOADED, EngineErrorKind.OVERLOADED, 0), (HANG, EngineErrorKind.TIMEOUT, 10)]
)
def test_a_model_that_has_spoken_is_not_asked_again(trouble: LlmStep, kind: EngineErrorKind, at_s: float) -> None:
    llm = ScriptedLlm([[TextChunk("Hel"), trouble], "Hello."])
    chunks, error, at = generated(llm)
    assert chunks == [TextChunk("Hel")]
    assert error is not None
    assert error.kind is kind
    assert llm.started == 1
    assert at == pytest.approx(at_s)


@pytest.mark.parametrize(("adopted", "attempts"), [(False, 1), (True, 2)])
def test_a_draft_that_fails_is_asked_again_only_if_it_was_adopted(
    adopted: bool, attempts: int, caplog: pytest.LogCaptureFixture
) -> None:
    llm = ScriptedLlm([[OVERLOADED], "Hello"])
    draft = Draft(adopted=adopted)
    context = CallContext("sess_1", draft=draft)
    _, error, _ = run_virtual(outcome(resilient_llm(llm, PATIENCE).generate(REQUEST, context=context)))
    assert [call.draft for call in llm.contexts] == [draft] * attempts
    assert all(call.draft is draft for call in llm.contexts), "the engine does not see that it is adopted"
    assert (error is None) is adopted
    assert bool(caplog.records) is adopted, "that a draft fails is nothing to be told"


def test_pauses_below_the_limits_are_no_timeout() -> None:
    steps: list[LlmStep] = [Delay(19), TextChunk("a"), Delay(9), TextChunk("b"), Delay(9)]
    _, error, at = generated(ScriptedLlm([steps]))
    assert error is None
    assert at == pytest.approx(37)


def test_the_time_that_the_consumer_takes_does_not_count() -> None:
    async def main() -> None:
        stream = ResilientLlm(ScriptedLlm(["one two three"]), PATIENCE).generate(REQUEST, context=CONTEXT)
        async with aclosing(stream):
            async for _ in stream:
                await asyncio.sleep(100)

    run_virtual(main())


class _Counts(ScriptedLlm):
    def __init__(self, answer: list[int] | Trouble) -> None:
        super().__init__()
        self._answer = answer

    async def count(self, texts: Sequence[str]) -> list[int]:
        if not isinstance(self._answer, list):
            await undergo(self._answer)
            raise AssertionError("the trouble is over")
        return self._answer


@pytest.mark.parametrize("answer", [HANG, RuntimeError("/a/path"), [1], [1, 2, 3]])
def test_a_count_that_hangs_raises_or_does_not_fit_is_a_failure(answer: list[int] | Trouble) -> None:
    with pytest.raises(EngineError, match=r"^scripted llm: ") as caught:
        run_virtual(ResilientLlm(_Counts(answer), PATIENCE).count(["one", "two"]))
    assert caught.value.kind is EngineErrorKind.FAILED
    assert "/a/path" not in caught.value.message


def test_a_resilient_model_prefills_only_if_the_model_does() -> None:
    class Plain:
        info = EngineInfo("plain")
        capabilities = LlmCapabilities()

        async def warm_up(self) -> None: ...
        async def aclose(self) -> None: ...
        async def count(self, texts: Sequence[str]) -> list[int]:
            return [0 for _ in texts]

        async def generate(self, request: LlmRequest, *, context: CallContext) -> AsyncGenerator[LlmChunk, None]:
            yield TextChunk("hi")

    llm = ScriptedLlm()
    prefilling = resilient_llm(llm, PATIENCE)
    assert isinstance(prefilling, Prefills)
    run_virtual(prefilling.prefill(REQUEST, context=CONTEXT))
    assert list(llm.prefills) == [REQUEST]
    assert not isinstance(resilient_llm(Plain(), PATIENCE), Prefills)


@pytest.mark.parametrize(
    ("trouble", "kind", "at_s"),
    [(HANG, EngineErrorKind.TIMEOUT, 20), (ValueError("x"), EngineErrorKind.FAILED, 0), (BAD_INPUT, BAD_INPUT.kind, 0)],
)
def test_a_prefill_that_hangs_or_raises_is_an_engine_error(
    trouble: Trouble, kind: EngineErrorKind, at_s: float
) -> None:
    class Prefilling(ScriptedLlm):
        async def prefill(self, request: LlmRequest, *, context: CallContext) -> None:
            await undergo(trouble)

    async def main() -> tuple[EngineErrorKind, float]:
        engine = resilient_llm(Prefilling(), PATIENCE)
        assert isinstance(engine, Prefills)
        with pytest.raises(EngineError) as caught:
            await engine.prefill(REQUEST, context=CONTEXT)
        return caught.value.kind, asyncio.get_running_loop().time()

    assert run_virtual(main()) == (kind, at_s)
