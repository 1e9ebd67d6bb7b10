"""What Pipecat's parser says of each event of a file of JSON lines: a JSON line with "ok", "unknown" or a complaint."""

import json
import sys
from pathlib import Path

from pipecat.services.openai.realtime.events import parse_server_event

for line in Path(sys.argv[1]).read_text("utf-8").splitlines():
    try:
        verdict = "ok" if parse_server_event(line) is not None else "unknown"
    except Exception as error:
        verdict = str(error)
    print(json.dumps({"verdict": verdict[:500]}))
