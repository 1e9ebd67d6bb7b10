import asyncio
import threading
import wave
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from antiphon.audio.logmel import log_mel
from antiphon.audio.pcm import pcm_to_samples
from antiphon.engines.base import CallContext
from antiphon.engines.errors import EngineError, EngineSettingsError
from antiphon.engines.registry import EngineKind, requirements
from antiphon.engines.turn_smart import SmartTurn, create
from antiphon.vocabulary.errors import EngineErrorKind

SPEECH = Path(__file__).parents[1] / "data" / "speech"
RATE_HZ = 16_000
CONTEXT = CallContext("sess_1")

Signal = NDArray[np.float32]


def recording(name: str) -> Signal:
    with wave.open(str(SPEECH / f"{name}.wav")) as file:
        return pcm_to_samples(file.readframes(file.getnframes()))


class Model:
    """Stands for the ONNX session: keeps what it was given; ``hold`` makes it block. Its answer depends on the features
    where it is None."""

    def __init__(self, answer: float | None = 0.25) -> None:
        self.inputs: list[NDArray[np.float32]] = []
        self.hold: threading.Event | None = None
        self.entered = threading.Event()
        self.threads: set[str] = set()
        self._answer = answer

    def run(self, outputs: None, inputs: dict[str, NDArray[np.float32]]) -> list[Any]:
        self.inputs.append(inputs["input_features"])
        self.threads.add(threading.current_thread().name)
        self.entered.set()
        if self.hold:
            assert self.hold.wait(10)
        return [np.array([[self._answer_of(features)] for features in inputs["input_features"]], np.float32)]

    def _answer_of(self, features: NDArray[np.float32]) -> float:
        return float(np.abs(features).mean()) if self._answer is None else self._answer


def judged(judge: SmartTurn, samples: Signal) -> float:
    return asyncio.run(_judge_and_close(judge, samples))


async def _judge_and_close(judge: SmartTurn, samples: Signal) -> float:
    try:
        return await judge.judge(samples, text="", context=CONTEXT)
    finally:
        await judge.aclose()


def features_of(samples: Signal) -> NDArray[np.float32]:
    model = Model()
    assert judged(SmartTurn(model), samples) == 0.25
    (features,) = model.inputs
    return features


def test_short_audio_stands_at_the_end_of_eight_seconds() -> None:
    speech = recording("go_forward")
    features = features_of(speech)
    assert features.shape == (1, 80, 800)
    assert features.dtype == np.float32
    padded = np.concatenate((np.zeros(8 * RATE_HZ - len(speech), np.float32), speech)).astype(np.float64)
    normal = (padded - padded.mean()) / np.sqrt(padded.var() + 1e-7)
    np.testing.assert_allclose(features[0], log_mel(normal.astype(np.float32)), atol=1e-3)


def test_of_long_audio_the_last_eight_seconds_are_heard() -> None:
    long = np.concatenate([recording("austen_0870"), recording("austen_0920")])
    np.testing.assert_array_equal(features_of(long), features_of(long[-8 * RATE_HZ :]))


def test_loudness_makes_no_difference() -> None:
    speech = recording("go_forward")
    np.testing.assert_allclose(features_of(speech * np.float32(0.25)), features_of(speech), atol=2e-3)


def test_silence_gives_finite_features() -> None:
    assert np.isfinite(features_of(np.zeros(RATE_HZ, np.float32))).all()


def test_judging_happens_on_the_engines_own_thread() -> None:
    model = Model()
    judged(SmartTurn(model), recording("go_forward"))
    assert all(name.startswith("smart_turn") for name in model.threads)


@pytest.mark.parametrize(("samples", "answer"), [(np.zeros(0, np.float32), 0.5), (np.ones(99, np.float32), np.nan)])
def test_audio_that_cannot_be_judged_is_bad_input(samples: Signal, answer: float) -> None:
    with pytest.raises(EngineError) as refused:
        judged(SmartTurn(Model(answer)), samples)
    assert refused.value.kind is EngineErrorKind.BAD_INPUT


def test_a_judgement_that_takes_too_long_is_a_timeout_and_one_too_many_is_overload() -> None:
    async def kinds() -> list[EngineErrorKind]:
        model = Model()
        model.hold = threading.Event()
        judge = SmartTurn(model, queue_limit=0)
        found = []
        speech = np.ones(RATE_HZ, np.float32)
        for deadline_s in (0.01, None):
            with pytest.raises(EngineError) as failed:
                await judge.judge(speech, text="", context=CallContext("sess_1", deadline_s=deadline_s))
            found.append(failed.value.kind)
            assert await asyncio.to_thread(model.entered.wait, 10)
        model.hold.set()
        await judge.aclose()
        return found

    assert asyncio.run(kinds()) == [EngineErrorKind.TIMEOUT, EngineErrorKind.OVERLOADED]


def turns(count: int) -> list[Signal]:
    """Noise that differs."""
    random = np.random.default_rng(0)
    return [random.normal(0.0, 0.1, RATE_HZ * (1 + turn)).astype(np.float32) for turn in range(count)]


def together(model: Model, *, cancelled: int | None = None, **options: int) -> list[float | None]:
    """Several turns: the first is being judged when the others come."""
    model.hold = threading.Event()

    async def main() -> list[float | None]:
        judge = SmartTurn(model, **options)
        async with asyncio.TaskGroup() as tasks:
            running = []
            for turn in turns(6):
                running.append(tasks.create_task(judge.judge(turn, text="", context=CONTEXT)))
                await asyncio.sleep(0)
                assert await asyncio.to_thread(model.entered.wait, 10)
            if cancelled is not None:
                running[cancelled].cancel()
                await asyncio.wait([running[cancelled]])
            assert model.hold is not None
            model.hold.set()
        await judge.aclose()
        return [None if task.cancelled() else task.result() for task in running]

    return asyncio.run(main())


@pytest.mark.parametrize(("batch", "sizes"), [(1, [1] * 6), (4, [1, 4, 1]), (8, [1, 5])])
def test_what_waits_together_is_judged_in_one_call_as_it_would_be_one_by_one(batch: int, sizes: list[int]) -> None:
    model = Model(answer=None)
    assert together(model, batch=batch) == [judged(SmartTurn(Model(answer=None)), turn) for turn in turns(6)]
    assert [len(features) for features in model.inputs] == sizes
    assert len(model.threads) == 1


def test_nobody_computes_for_who_does_not_wait_any_more() -> None:
    model = Model()
    assert together(model, cancelled=2, batch=8) == [0.25, 0.25, None, 0.25, 0.25, 0.25]
    assert [len(features) for features in model.inputs] == [1, 4]


def test_audio_that_cannot_be_judged_is_bad_input_for_its_turn_alone() -> None:
    class Picky(Model):
        def _answer_of(self, features: NDArray[np.float32]) -> float:
            return float("nan") if np.isnan(features).any() else 0.5

    async def main() -> list[float | BaseException]:
        model = Picky()
        model.hold = threading.Event()
        judge = SmartTurn(model, batch=8)
        good, bad = np.ones(RATE_HZ, np.float32), np.full(RATE_HZ, np.nan, np.float32)
        calls = [judge.judge(turn, text="", context=CONTEXT) for turn in (good, good, bad, good)]
        asyncio.get_running_loop().call_later(0.05, model.hold.set)
        results: list[float | BaseException] = []

        async def one(call: Coroutine[Any, Any, float]) -> None:
            try:
                results.append(await call)
            except EngineError as error:
                results.append(error)

        async with asyncio.TaskGroup() as tasks:
            for call in calls:
                tasks.create_task(one(call))
        await judge.aclose()
        return results

    first, second, third, fourth = asyncio.run(main())
    assert (first, second, fourth) == (0.5, 0.5, 0.5)
    assert isinstance(third, EngineError)
    assert third.kind is EngineErrorKind.BAD_INPUT


@pytest.mark.engines
def test_the_model_judges_a_batch_as_it_judges_each() -> None:
    async def main() -> tuple[list[float], list[float]]:
        judge = create({})
        audio = [recording(name) for name in ("go_forward", "cards_005", "austen_0870")]
        each = [await judge.judge(one, text="", context=CONTEXT) for one in audio]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(judge.judge(one, text="", context=CONTEXT)) for one in audio]
        await judge.aclose()
        return each, [task.result() for task in running]

    each, batched = asyncio.run(main())
    assert batched == pytest.approx(each, abs=1e-4)


@pytest.mark.engines
def test_whole_commands_are_complete_and_a_sentence_cut_in_the_middle_is_not() -> None:
    # Sentences read from a book are left out where the reader's voice stays up at the end.
    for name in ("go_forward", "cards_005", "austen_0870", "austen_0920", "austen_0890"):
        assert judged(create({}), recording(name)) > 0.8, name
    pause = np.zeros(RATE_HZ // 5, np.float32)
    for name, share in (("austen_0870", 0.3), ("austen_0870", 0.6), ("austen_0880", 0.5), ("austen_0930", 0.4)):
        speech = recording(name)
        cut = np.concatenate((speech[: int(len(speech) * share)], pause))
        assert judged(create({}), cut) < 0.2, f"{name} at {share}"


def test_weights_are_required_unless_a_path_is_configured() -> None:
    needed = requirements(EngineKind.TURN_JUDGE, "smart_turn")
    assert needed.modules == ("onnxruntime",)
    assert list(needed.weights({})) == ["smart-turn-v3.2"]
    assert list(needed.weights({"path": "/models/turn.onnx"})) == []


@pytest.mark.parametrize("options", [{"path": "/nowhere/at.all"}, {"queue_limit": -1}, {"batch": 0}, {"threads": 2}])
def test_wrong_options_are_a_settings_error_in_one_line(options: dict[str, object]) -> None:
    with pytest.raises(EngineSettingsError, match=r"^smart_turn: [^\n]+$"):
        create(options)
