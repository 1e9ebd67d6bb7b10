// The Agents SDK's own bundle for browsers.
import { OpenAIRealtimeWebRTC, RealtimeAgent, RealtimeSession } from "/agents/openai-realtime-agents.mjs";

/** Connect as its documentation says, with a microphone of the test's. */
window.connectAgent = async (baseUrl, apiKey) => {
  const agent = new RealtimeAgent({ name: "Guide", instructions: "Be kind." });
  const voice = new Voice();
  const player = new Audio();
  const transport = new OpenAIRealtimeWebRTC({ baseUrl, mediaStream: voice.stream, audioElement: player });
  const session = new RealtimeSession(agent, { transport, model: "gpt-realtime", tracingDisabled: true });
  const events = [];
  const errors = [];
  session.on("transport_event", (event) => events.push(event.type));
  session.on("error", (error) => errors.push(JSON.stringify(error)));
  const began = performance.now();
  await session.connect({ apiKey });
  return Object.assign(window, { session, transport, events, errors, voice, player, took: performance.now() - began });
};
