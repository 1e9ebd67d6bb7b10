// What the parser of the Agents SDK says of each event of a file of JSON lines: a JSON line with "ok", or "generic" for
// one that is of no use to the SDK.

import { readFileSync } from "node:fs";
import { parseRealtimeEvent } from "./node_modules/@openai/agents-realtime/dist/openaiRealtimeEvents.mjs";

for (const data of readFileSync(process.argv[2], "utf8").trimEnd().split("\n")) {
  console.log(JSON.stringify({ verdict: parseRealtimeEvent({ data }).isGeneric ? "generic" : "ok" }));
}
