// The official Node client: over `ws`, and over Node's own WebSocket. Both speak wss only.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import OpenAI from "openai";
import { OpenAIRealtimeWebSocket } from "openai/realtime/websocket";
import { OpenAIRealtimeWS } from "openai/realtime/ws";
import { askForACut, chunks, main, silence, tone, until } from "./reporting.mjs";

const TOOLS = ["weather", "clock"].map((name) => ({ type: "function", name, parameters: { type: "object" } }));

class Client {
  constructor(connection) {
    this.connection = connection;
    this.events = [];
    this.errors = [];
    this.read = 0;
    connection.on("event", (event) => this.events.push(event));
    connection.on("error", (error) => this.errors.push(error));
  }

  /** The next event of a type that was not asked for yet. */
  async until(type) {
    return until(() => {
      while (this.read < this.events.length) {
        const event = this.events[this.read++];
        if (event.type === type) return event;
      }
    }, type);
  }

  async update(session) {
    this.connection.send({ type: "session.update", session: { type: "realtime", ...session } });
    return (await this.until("session.updated")).session;
  }

  ask(text, response = {}) {
    const content = [{ type: "input_text", text }];
    this.connection.send({ type: "conversation.item.create", item: { type: "message", role: "user", content } });
    this.connection.send({ type: "response.create", response });
  }

  async done() {
    return (await this.until("response.done")).response;
  }

  speak(pcm) {
    for (const chunk of chunks(pcm)) {
      this.connection.send({ type: "input_audio_buffer.append", audio: chunk.toString("base64") });
    }
  }
}

const openai = (address) => new OpenAI({ baseURL: address, apiKey: "any" });

async function connected(address, scenario, options = {}) {
  const ca = readFileSync(process.env.NODE_EXTRA_CA_CERTS);
  const connection = new OpenAIRealtimeWS({ model: "gpt-realtime", options: { ca }, ...options }, openai(address));
  try {
    const client = new Client(connection);
    client.session = (await client.until("session.created")).session;
    return await scenario(client);
  } finally {
    connection.close();
  }
}

async function connect(address) {
  const native = new Client(new OpenAIRealtimeWebSocket({ model: "gpt-realtime" }, openai(address)));
  assert.equal((await native.until("session.created")).session.type, "realtime");
  native.connection.close();
  return connected(address, async (client) => {
    assert.equal(client.session.model, "gpt-realtime");
    return "over ws and over Node's WebSocket";
  });
}

async function configure(address) {
  return connected(address, async (client) => {
    const audio = { output: { voice: "marin", speed: 1.2 } };
    const session = await client.update({ instructions: "Be kind.", tools: TOOLS, audio });
    assert.equal(session.instructions, "Be kind.");
    assert.deepEqual(session.tools.map((tool) => tool.name), ["weather", "clock"]);
    assert.deepEqual([session.audio.output.voice, session.audio.output.speed], ["marin", 1.2]);
    return "instructions, tools, voice and speed came back";
  });
}

async function spokenTurn(address) {
  return connected(address, async (client) => {
    await client.update({ audio: { input: { transcription: { model: "whisper-1" } } } });
    client.speak(Buffer.concat([silence(300), tone(900), silence(900)]));
    const done = await client.done();
    const heard = client.events.find((event) => event.type.endsWith("input_audio_transcription.completed"));
    assert.match(heard.transcript, /^I heard /);
    assert.equal(done.output[0].content[0].transcript, `You said: ${heard.transcript}`);
    const deltas = client.events.filter((event) => event.type === "response.output_audio.delta");
    const audio = Buffer.concat(deltas.map((event) => Buffer.from(event.delta, "base64")));
    assert.ok(audio.length > 24_000);
    return `'${heard.transcript}' was answered with ${audio.length} bytes`;
  });
}

async function textTurn(address) {
  return connected(address, async (client) => {
    await client.update({ output_modalities: ["text"] });
    client.ask("hello");
    assert.equal((await client.done()).output[0].content[0].text, "You said: hello");
    const deltas = client.events.filter((event) => event.type === "response.output_text.delta");
    assert.equal(deltas.map((event) => event.delta).join(""), "You said: hello");
    return "You said: hello";
  });
}

async function twoTools(address) {
  return connected(address, async (client) => {
    await client.update({ tools: TOOLS, output_modalities: ["text"] });
    client.ask('call weather {"city": "Paris"}\ncall clock {"zone": "CET"}');
    const calls = (await client.done()).output;
    assert.deepEqual(
      calls.map((call) => [call.name, JSON.parse(call.arguments)]),
      [["weather", { city: "Paris" }], ["clock", { zone: "CET" }]],
    );
    for (const [index, output] of ["sunny", "noon"].entries()) {
      const item = { type: "function_call_output", call_id: calls[index].call_id, output };
      client.connection.send({ type: "conversation.item.create", item });
    }
    client.connection.send({ type: "response.create" });
    const answer = (await client.done()).output[0].content[0].text;
    assert.equal(answer, "The tool says: noon");
    return `weather and clock were called; ${answer}`;
  });
}

async function bargeIn(address) {
  return connected(address, async (client) => {
    client.ask("long 30\nhang");
    const { item_id } = await client.until("response.output_audio.delta");
    client.speak(Buffer.concat([tone(600), silence(900)]));
    await client.until("input_audio_buffer.speech_started");
    const stopped = await client.done();
    assert.deepEqual([stopped.status, stopped.status_details.reason], ["cancelled", "turn_detected"]);
    assert.equal((await client.done()).status, "completed");
    client.connection.send({ type: "conversation.item.truncate", item_id, content_index: 0, audio_end_ms: 100 });
    await client.until("conversation.item.truncated");
    return "speech ended the response, and was answered";
  });
}

async function cancel(address) {
  return connected(address, async (client) => {
    client.ask("long 30\nhang");
    await client.until("response.output_audio.delta");
    client.connection.send({ type: "response.cancel" });
    const stopped = await client.done();
    assert.deepEqual([stopped.status, stopped.status_details.reason], ["cancelled", "client_cancelled"]);
    client.ask("still there?", { output_modalities: ["text"] });
    assert.equal((await client.done()).status, "completed");
    return "the response ended, and the next one began";
  });
}

async function error(address) {
  return connected(address, async (client) => {
    client.connection.send({ type: "input_audio_buffer.commit", event_id: "mine" });
    const problem = (await until(() => client.errors[0], "an error")).error;
    assert.deepEqual([problem.code, problem.event_id], ["input_audio_buffer_commit_empty", "mine"]);
    client.ask("still there?", { output_modalities: ["text"] });
    assert.equal((await client.done()).status, "completed");
    return `${problem.code} for event '${problem.event_id}'`;
  });
}

async function reconnect(address) {
  const options = { reconnect: true, reconnectInitialDelay: 50 };
  return connected(
    address,
    async (client) => {
      let attempts = 0;
      client.connection.on("reconnecting", () => attempts++);
      askForACut();
      const second = (await client.until("session.created")).session;
      assert.ok(attempts);
      assert.notEqual(second.id, client.session.id);
      client.ask("hello again", { output_modalities: ["text"] });
      assert.equal((await client.done()).status, "completed");
      return "by itself";
    },
    options,
  );
}

async function transcription(address) {
  const ca = readFileSync(process.env.NODE_EXTRA_CA_CERTS);
  const client = new Client(new OpenAIRealtimeWS({ intent: "transcription", options: { ca } }, openai(address)));
  assert.equal((await client.until("session.created")).session.type, "transcription");
  client.speak(Buffer.concat([silence(300), tone(900), silence(900)]));
  const heard = await client.until("conversation.item.input_audio_transcription.completed");
  client.connection.close();
  assert.match(heard.transcript, /^I heard /);
  return heard.transcript;
}

async function clientSecret(address) {
  const session = { type: "realtime", instructions: "Be kind.", output_modalities: ["text"] };
  const { value } = await openai(address).realtime.clientSecrets.create({ session });
  const holder = new OpenAI({ baseURL: address, apiKey: value });
  const client = new Client(new OpenAIRealtimeWebSocket({ model: "gpt-realtime" }, holder));
  assert.equal((await client.until("session.created")).session.instructions, "Be kind.");
  client.ask("hello");
  assert.equal((await client.done()).output[0].content[0].text, "You said: hello");
  client.connection.close();
  return `${value.slice(0, 3)}... brought its session`;
}

async function mcpTools(address) {
  const tool = { type: "mcp", server_label: "weather", server_url: process.env.MCP_URL, require_approval: "never" };
  return connected(address, async (client) => {
    await client.update({ tools: [tool], output_modalities: ["text"] });
    await client.until("mcp_list_tools.completed");
    client.ask('call find {"city": "Bonn"}');
    const [call] = (await client.done()).output;
    assert.deepEqual([call.type, call.server_label, call.output], ["mcp_call", "weather", "It rains in Bonn."]);
    client.connection.send({ type: "response.create" });
    const answer = (await client.done()).output[0].content[0].text;
    assert.equal(answer, "The tool says: It rains in Bonn.");
    await client.update({ tools: [{ ...tool, require_approval: "always" }] });
    client.ask('call find {"city": "Ulm"}');
    await client.done();
    const items = client.events.filter((event) => event.type === "conversation.item.done").map((event) => event.item);
    const request = items.find((item) => item.type === "mcp_approval_request");
    const approval = { type: "mcp_approval_response", approval_request_id: request.id, approve: true };
    client.connection.send({ type: "conversation.item.create", item: approval });
    await client.until("response.mcp_call.completed");
    return `find was called, and again when that was approved; ${answer}`;
  });
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
  transcription,
  client_secret: clientSecret,
  mcp_tools: mcpTools,
});
