"""Engines without models, for tests: deterministic, at no cost of computation, failing and hanging on demand.

They are not registered: nothing finds them by name. A test builds the one that it needs; ``engines()`` builds one of
each kind for a server that was told in so many words to run on them.

**Steering.** A client of such a server writes the script itself. A text whose every line is one of these steps is
performed:

==================  ===================================================================
``say TEXT``        say TEXT
``call NAME JSON``  call the tool NAME with the JSON object (``{}`` if left out)
``long N``          say N numbered words, ten to a sentence
``wait MS``         wait for MS milliseconds
``fail [KIND]``     end with an ``EngineError`` (``failed``, ``overloaded``, ...)
``crash``           end with another exception, as an engine with a bug does
``hang``            do nothing any more
``finish REASON``   finish as ``stop``, ``length``, ``tool_calls`` or ``content_filter``
==================  ===================================================================

- *Language model*: steered by the last user message, or by lines ``scripted: STEP`` in the instructions (these come
  first). Any other user message is echoed: "You said: ...". A tool's output is answered by "The tool says: ...", also
  where the assistant spoke in between. A forced tool choice calls that tool, by the user's ``call`` step if there is
  one for it. Without tools allowed a text with ``call`` is echoed.
- *Speech to text*: steered by the transcription prompt: what the steps say is one transcript, stable from step to step
  (``call`` and ``finish`` do nothing). Else a tone is "I heard N milliseconds." (up to its end), silence the empty
  transcript. A mark is answered with all the words at once, if there are only words.
- *Text to speech*: a clause that holds "speech fails here" fails, "speech hangs here" hangs. Else a tone.
- *Turn judge*: a text that ends with ``...``, a comma or "and" is not complete.
- *Image reader*: there is no text, and the colour is grey.
- *Voice activity*: a tone is speech.
- *Noise reduction*: everything is half as loud.
"""

from antiphon.engines.base import Engine
from antiphon.engines.registry import EngineKind
from antiphon.testing.scripted.images import ScriptedImageReader
from antiphon.testing.scripted.llm import LlmScript, LlmStep, ScriptedDraft, ScriptedLlm
from antiphon.testing.scripted.speech import (
    ScriptedNoiseReducer,
    ScriptedStt,
    ScriptedTts,
    ScriptedTurnJudge,
    ScriptedVad,
    SttScript,
    SttStep,
)
from antiphon.testing.scripted.steps import HANG, Delay, Finish, Hang, Trouble

__all__ = [
    "HANG",
    "Delay",
    "Finish",
    "Hang",
    "LlmScript",
    "LlmStep",
    "ScriptedDraft",
    "ScriptedImageReader",
    "ScriptedLlm",
    "ScriptedNoiseReducer",
    "ScriptedStt",
    "ScriptedTts",
    "ScriptedTurnJudge",
    "ScriptedVad",
    "SttScript",
    "SttStep",
    "Trouble",
    "engines",
]


def engines() -> dict[EngineKind, Engine]:
    """One scripted engine of each kind, steered by the client."""
    return {
        EngineKind.VAD: ScriptedVad(),
        EngineKind.NOISE_REDUCER: ScriptedNoiseReducer(),
        EngineKind.TURN_JUDGE: ScriptedTurnJudge(),
        EngineKind.STT: ScriptedStt(),
        EngineKind.LLM: ScriptedLlm(),
        EngineKind.TTS: ScriptedTts(),
        EngineKind.IMAGE_READER: ScriptedImageReader(),
    }
