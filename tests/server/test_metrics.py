import pytest

from antiphon.server.metrics import Registry


def test_the_text_form() -> None:
    registry = Registry()
    turns = registry.counter("turns_total", "Turns.", {"outcome": ("completed", "failed")})
    registry.gauge("sessions", "Sessions now.", read=lambda: 3)
    seconds = registry.histogram("stage_seconds", "Time.", {"stage": ("stt",)}, buckets=(0.1, 1.0))
    turns.add(outcome="completed")
    turns.add(2, outcome="completed")
    seconds.observe(0.1, stage="stt")
    seconds.observe(0.5, stage="stt")
    seconds.observe(7.0, stage="stt")
    assert registry.render().splitlines() == [
        "# HELP turns_total Turns.",
        "# TYPE turns_total counter",
        'turns_total{outcome="completed"} 3',
        'turns_total{outcome="failed"} 0',
        "# HELP sessions Sessions now.",
        "# TYPE sessions gauge",
        "sessions 3",
        "# HELP stage_seconds Time.",
        "# TYPE stage_seconds histogram",
        'stage_seconds_bucket{stage="stt",le="0.1"} 1',
        'stage_seconds_bucket{stage="stt",le="1"} 2',
        'stage_seconds_bucket{stage="stt",le="+Inf"} 3',
        'stage_seconds_sum{stage="stt"} 7.6',
        'stage_seconds_count{stage="stt"} 3',
    ]


def test_a_value_outside_the_closed_set_is_counted_as_other_and_adds_no_series() -> None:
    registry = Registry()
    errors = registry.counter("errors_total", "Errors.", {"code": ("invalid_type",)})
    for number in range(1000):
        errors.add(code=f'evil"}}{number}')
    assert registry.render().splitlines()[2:] == [
        'errors_total{code="invalid_type"} 0',
        'errors_total{code="other"} 1000',
    ]


def test_labels_must_be_the_declared_ones() -> None:
    errors = Registry().counter("errors_total", "Errors.", {"code": ("a",)})
    with pytest.raises(ValueError, match="has the labels"):
        errors.add(kind="a")


def test_a_name_is_used_once() -> None:
    registry = Registry()
    registry.gauge("x", "X.", read=lambda: 0)
    with pytest.raises(ValueError, match="already"):
        registry.gauge("x", "X.", read=lambda: 0)
