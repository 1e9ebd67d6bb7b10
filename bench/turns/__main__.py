"""``python -m bench.turns``: how turns are taken, on the labelled set (``python -m bench.turn_set``), in virtual time.

The core is the real one, and so are Silero, Smart-Turn and Whisper tiny.en; that they need time is played: 60 ms for
a judgement, 180 ms for a transcript. What they said is kept in the set's folder, so that a second run is quicker.
"""

import argparse
from collections.abc import Sequence
from typing import Final

from bench.turn_set import Clip, at_hand, folder
from bench.turns.ears import Ears, Heard
from bench.turns.judged import judged
from bench.turns.play import Course, Latencies, Setting, play
from bench.turns.score import interruptions, median_and_p90, score
from bench.turns.window import plain_window

_SETTINGS: Final = (
    Setting("`server_vad`, 500 ms", {"type": "server_vad"}),
    *(
        Setting(f"`semantic_vad`, `{eagerness}`", {"type": "semantic_vad", "eagerness": eagerness})
        for eagerness in ("low", "medium", "high", "auto")
    ),
)
_Played = list[tuple[Clip, Course]]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__)
    parser.add_argument("--only", default="", help="settings whose name holds this text")
    parser.add_argument("--clips", default="", help="clips whose name holds this text")
    parser.add_argument("--show", action="store_true", help="every clip that went wrong")
    parser.add_argument("--judge", action="store_true", help="what Smart-Turn says, by silence, and no more")
    given = parser.parse_args()
    clips = [clip for clip in at_hand() if given.clips in clip.name]
    if not clips:
        parser.error(f"no clip's name holds {given.clips!r}")
    chosen = [setting for setting in _SETTINGS if given.only in setting.name]
    if not chosen:
        parser.error(f"no setting's name holds {given.only!r}: {', '.join(setting.name for setting in _SETTINGS)}")
    with Ears(folder() / "answers.json") as ears:
        if given.judge:
            _table(*judged(clips, ears))
            return
        heard = [ears.hear(clip) for clip in clips]
        played = {
            "a plain window of 500 ms": [
                (clip, plain_window(facts, 500)) for clip, facts in zip(clips, heard, strict=True)
            ]
        }
        for setting in chosen:
            played[setting.name] = _play(clips, heard, ears, setting)
    _ends(played)
    _by_kind(played)
    _interruptions(played)
    if given.show:
        _show(played)


def _play(clips: Sequence[Clip], heard: Sequence[Heard], ears: Ears, setting: Setting) -> _Played:
    return [(clip, play(clip, facts, ears, setting, Latencies())) for clip, facts in zip(clips, heard, strict=True)]


def _ends(played: dict[str, _Played]) -> None:
    rows = []
    for name, courses in played.items():
        found = score(courses)
        rows.append(
            (
                name,
                *median_and_p90(found.latencies_ms),
                _share(found.cut, found.turns),
                _share(found.talked_into, found.turns) if name[0] == "`" else "",
                str(found.lost),
                str(found.false_starts),
                _share(found.answered_noises, found.noises),
            )
        )
    head = ("turn detection", "median, ms", "90 %, ms", "cut too early", "of them heard the assistant", "never ended",
            "false starts", "noises answered")  # fmt: skip
    _table(head, rows)


def _by_kind(played: dict[str, _Played]) -> None:
    kinds = ("question", "pause", "filler", "noisy")
    rows = []
    for name, courses in played.items():
        row = [name]
        for kind in kinds:
            found = score([(clip, course) for clip, course in courses if clip.kind == kind])
            row.append(f"{' / '.join(median_and_p90(found.latencies_ms))}; {found.cut} of {found.turns}")
        rows.append(row)
    _table(("median / 90 %, ms; cut", *kinds), rows)


def _interruptions(played: dict[str, _Played]) -> None:
    rows = []
    for name, courses in played.items():
        if name[0] != "`":
            continue
        wanted = interruptions(courses, "barge-in")
        row = [name, f"{wanted.interrupted} of {wanted.clips}", *median_and_p90(wanted.after_ms)]
        for kind in ("backchannel", "cough", "echo"):
            unwanted = interruptions(courses, kind)
            row.append(f"{unwanted.interrupted} of {unwanted.clips}")
        rows.append(row)
    head = ("while the assistant talks", "interruptions", "median, ms", "90 %, ms", "backchannels that interrupt",
            "coughs", "own echo")  # fmt: skip
    _table(head, rows)


def _show(played: dict[str, _Played]) -> None:
    for name, courses in played.items():
        for clip, course in courses:
            pauses = [f"{start / 24:.0f}-{end / 24:.0f}" for start, end in clip.spoken]
            stops = [f"{stop * 1000:.0f}" for stop in course.stopped]
            starts = [f"{told * 1000:.0f}({since * 1000:.0f})" for told, since in course.started]
            print(f"{name:28} {clip.name:28} {','.join(pauses)} started {starts} stopped {stops} {clip.words[:50]}")


def _share(part: int, whole: int) -> str:
    return f"{part} of {whole}" + (f" ({100 * part / whole:.0f} %)" if whole else "")


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print()
    for row in (head, ["---"] * len(head), *rows):
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
