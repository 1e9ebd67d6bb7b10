// The Agents SDK for JavaScript, over the WebSocket transport.

import assert from "node:assert/strict";
import { hostedMcpTool, tool } from "@openai/agents-core";
import { OpenAIRealtimeWebSocket, RealtimeAgent, RealtimeSession } from "@openai/agents-realtime";
import { askForACut, chunks, main, silence, tone, until } from "./reporting.mjs";

class Client {
  constructor(session, calls) {
    this.session = session;
    this.calls = calls;
    this.events = [];
    this.audio = [];
    this.errors = [];
    this.statuses = [];
    this.interruptions = 0;
    session.on("transport_event", (event) => this.events.push(event));
    session.on("audio", (event) => this.audio.push(Buffer.from(event.data)));
    session.on("error", (event) => this.errors.push(event.error?.error ?? event.error));
    session.on("audio_interrupted", () => this.interruptions++);
    session.transport.on("connection_change", (status) => this.statuses.push(status));
  }

  ofType(type) {
    return this.events.filter((event) => event.type === type);
  }

  async until(type, count = 1) {
    await until(() => this.ofType(type).length >= count, `${count} ${type}`);
    return this.ofType(type)[count - 1];
  }

  /** What a side said, as the history of the session has it. */
  said(role) {
    const messages = this.session.history.filter((item) => item.type === "message" && item.role === role);
    return messages.flatMap((item) => item.content.map((part) => part.text ?? part.transcript ?? ""));
  }

  async untilSaid(text) {
    await until(() => this.said("assistant").includes(text), `the assistant says: ${text}`);
  }

  speak(pcm) {
    for (const chunk of chunks(pcm)) {
      this.session.sendAudio(chunk.buffer.slice(chunk.byteOffset, chunk.byteOffset + chunk.byteLength));
    }
  }

  assertSane() {
    assert.deepEqual(this.errors, []);
  }
}

async function connected(address, scenario, config = {}, apiKey = "any", others = []) {
  const calls = [];
  const tools = [["weather", "city", "sunny"], ["clock", "zone", "noon"]].map(([name, argument, output]) =>
    tool({
      name,
      description: `Tell the ${name}.`,
      parameters: {
        type: "object",
        properties: { [argument]: { type: "string" } },
        required: [argument],
        additionalProperties: false,
      },
      execute: async (given) => {
        calls.push([name, given[argument]]);
        return output;
      },
    }),
  );
  const agent = new RealtimeAgent({ name: "Guide", instructions: "Be kind.", tools: [...tools, ...others] });
  const url = `${address.replace("http", "ws")}/realtime?model=gpt-realtime`;
  const transport = new OpenAIRealtimeWebSocket({ url });
  const session = new RealtimeSession(agent, { transport, model: "gpt-realtime", config, tracingDisabled: true });
  const client = new Client(session, calls);
  try {
    await session.connect({ apiKey });
    await client.until("session.updated");
    return await scenario(client);
  } finally {
    session.close();
  }
}

async function connect(address) {
  return connected(address, async (client) => {
    const { session } = await client.until("session.created");
    assert.equal(client.session.transport.status, "connected");
    client.assertSane();
    return session.id;
  });
}

async function configure(address) {
  const config = { audio: { output: { voice: "marin", speed: 1.2 } } };
  return connected(
    address,
    async (client) => {
      const updates = () => client.ofType("session.updated").map((event) => event.session);
      const session = await until(() => updates().find((one) => one.instructions === "Be kind."), "the settings");
      assert.deepEqual(session.tools.map((one) => one.name), ["weather", "clock"]);
      assert.deepEqual([session.audio.output.voice, session.audio.output.speed], ["marin", 1.2]);
      assert.equal(session.audio.input.turn_detection.interrupt_response, true);
      client.assertSane();
      return "instructions, tools, voice and speed came back";
    },
    config,
  );
}

async function spokenTurn(address) {
  return connected(address, async (client) => {
    client.speak(Buffer.concat([silence(300), tone(900), silence(3000)]));
    await client.until("response.done");
    const [heard] = await until(() => client.said("user").filter(Boolean).length && client.said("user"), "the user's words");
    assert.match(heard, /^I heard /);
    await client.untilSaid(`You said: ${heard}`);
    const audio = Buffer.concat(client.audio);
    assert.ok(audio.length > 24_000);
    client.assertSane();
    return `'${heard}' was answered with ${audio.length} bytes`;
  });
}

async function textTurn(address) {
  return connected(
    address,
    async (client) => {
      client.session.sendMessage("hello");
      await client.untilSaid("You said: hello");
      assert.deepEqual(client.said("user"), ["hello"]);
      client.assertSane();
      return "You said: hello";
    },
    { outputModalities: ["text"] },
  );
}

async function twoTools(address) {
  return connected(address, async (client) => {
    client.session.sendMessage('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}');
    await until(() => client.calls.length === 2, "two tools");
    assert.deepEqual(client.calls.toSorted(), [["clock", "CET"], ["weather", "Paris"]]);
    const answers = ["The tool says: noon", "The tool says: sunny"];
    const answer = await until(() => answers.find((one) => client.said("assistant").includes(one)), "an answer");
    client.assertSane();
    return `weather and clock were called; ${answer}`;
  });
}

async function bargeIn(address) {
  return connected(address, async (client) => {
    client.session.sendMessage("long 30\nhang");
    await until(() => client.audio.length, "audio");
    client.speak(Buffer.concat([tone(600), silence(3000)]));
    const stopped = (await client.until("response.done")).response;
    assert.deepEqual([stopped.status, stopped.status_details.reason], ["cancelled", "turn_detected"]);
    assert.ok(client.interruptions);
    await client.until("conversation.item.truncated");
    assert.equal((await client.until("response.done", 2)).response.status, "completed");
    client.assertSane();
    return "audio_interrupted, truncated at what was played, and answered";
  });
}

async function cancel(address) {
  return connected(
    address,
    async (client) => {
      client.session.sendMessage("long 30\nhang");
      await until(() => client.audio.length, "audio");
      client.session.interrupt();
      const stopped = (await client.until("response.done")).response;
      assert.deepEqual([stopped.status, stopped.status_details.reason], ["cancelled", "client_cancelled"]);
      client.session.sendMessage("still there?");
      await client.untilSaid("You said: still there?");
      client.assertSane();
      return "interrupt() ended the response, and the next one began";
    },
    { audio: { input: { turnDetection: { type: "server_vad", interruptResponse: false } } } },
  );
}

async function error(address) {
  return connected(address, async (client) => {
    client.session.transport.sendEvent({ type: "input_audio_buffer.commit", event_id: "mine" });
    const problem = await until(() => client.errors[0], "an error");
    const { code, event_id } = problem.error ?? problem;
    assert.deepEqual([code, event_id], ["input_audio_buffer_commit_empty", "mine"]);
    client.session.sendMessage("still there?");
    await client.untilSaid("You said: still there?");
    return `${code} for event '${event_id}'`;
  });
}

async function reconnect(address) {
  const first = await connected(address, async (client) => {
    const { session } = await client.until("session.created");
    askForACut();
    await until(() => client.statuses.includes("disconnected"), "the client is told that it is disconnected");
    return session.id;
  });
  return connected(address, async (client) => {
    assert.notEqual((await client.until("session.created")).session.id, first);
    client.session.sendMessage("hello again");
    await client.untilSaid("You said: hello again");
    client.assertSane();
    return "connection_change says disconnected; a new session works";
  });
}

/** The way of pages: their own server asks for a secret, the page connects with it. */
async function clientSecret(address) {
  const session = { type: "realtime", output_modalities: ["text"] };
  const asked = await fetch(`${address}/realtime/client_secrets`, {
    method: "POST",
    headers: { Authorization: "Bearer any", "Content-Type": "application/json" },
    body: JSON.stringify({ session }),
  });
  const { value } = await asked.json();
  assert.match(value, /^ek_/);
  return connected(
    address,
    async (client) => {
      assert.deepEqual((await client.until("session.created")).session.output_modalities, ["text"]);
      client.session.sendMessage("hello");
      await client.untilSaid("You said: hello");
      client.assertSane();
      return "ek_... brought its session";
    },
    { outputModalities: ["text"] },
    value,
  );
}

/** The tools of one server are called as they are, those of the other when the application has approved. */
async function mcpTools(address) {
  const server = { serverUrl: process.env.MCP_URL };
  const tools = [
    hostedMcpTool({ ...server, serverLabel: "forecasts", allowedTools: ["find"] }),
    hostedMcpTool({ ...server, serverLabel: "texts", allowedTools: ["long"], requireApproval: "always" }),
  ];
  return connected(
    address,
    async (client) => {
      const { session } = client;
      const approvals = [];
      session.on("tool_approval_requested", (_context, _agent, request) => {
        approvals.push(request.approvalItem.rawItem.name);
        session.approve(request.approvalItem);
      });
      const names = () => session.availableMcpTools.map((one) => one.name).toSorted();
      await until(() => names().length === 2, "the tools of both servers");
      assert.deepEqual(names(), ["find", "long"]);
      session.sendMessage('call find {"city": "Bonn"}');
      await client.untilSaid("The tool says: It rains in Bonn.");
      session.sendMessage('call long {"size": 5}');
      await client.untilSaid("The tool says: xxxxx");
      assert.deepEqual(approvals, ["long"]);
      client.assertSane();
      return "find was called, and long when that was approved; both were answered";
    },
    { outputModalities: ["text"] },
    "any",
    tools,
  );
}

await main({
  connect,
  configure,
  spoken_turn: spokenTurn,
  text_turn: textTurn,
  two_tools: twoTools,
  barge_in: bargeIn,
  cancel,
  error,
  reconnect,
  client_secret: clientSecret,
  mcp_tools: mcpTools,
});
