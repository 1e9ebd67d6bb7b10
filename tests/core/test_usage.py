"""Usage is counted for every response that was generated, also for one that nobody counted for us."""

from antiphon.core.outputs import Emit, StartResponse
from antiphon.protocol.server_events import ResponseDone
from tests.support.session import Driver


def test_a_cancelled_response_tells_what_was_read_and_written() -> None:
    driver = Driver()
    driver.open()
    (order,) = [one for one in driver.send("response.create") if isinstance(one, StartResponse)]
    driver.text(order.response_id, "Hello ")
    driver.text(order.response_id, "there")
    outputs = driver.send("response.cancel")
    (done,) = [one.event for one in outputs if isinstance(one, Emit) and isinstance(one.event, ResponseDone)]
    usage = done.response.usage
    assert usage is not None
    assert usage.output_token_details.text_tokens == 2
    assert usage.input_tokens == usage.input_token_details.text_tokens > 0
    assert usage.total_tokens == usage.input_tokens + 2
