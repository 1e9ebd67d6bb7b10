// One call of a page, driven by the tests: each method is one thing that an application does.
"use strict";

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

async function until(condition, what, ms = 10000) {
  for (const end = performance.now() + ms; performance.now() < end; await sleep(5)) {
    if (condition()) return true;
  }
  throw new Error(`not within ${ms} ms: ${what}`);
}

/** The strongest frequency of what an analyser hears, and how loud it is. */
function strongest(analyser) {
  const level = new Float32Array(analyser.frequencyBinCount);
  analyser.getFloatFrequencyData(level);
  const bin = level.indexOf(Math.max(...level));
  return { hz: Math.round((bin * analyser.context.sampleRate) / analyser.fftSize), db: Math.round(level[bin]) };
}

const microphone = async () =>
  (
    await navigator.mediaDevices.getUserMedia({
      audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false },
    })
  ).getAudioTracks()[0];

/** A microphone into which the test speaks: silence, and a tone while it is on. */
class Voice {
  constructor(hz = 440) {
    this.context = new AudioContext();
    const sink = this.context.createMediaStreamDestination();
    this.gain = this.context.createGain();
    this.gain.gain.value = 0;
    const source = this.context.createOscillator();
    source.frequency.value = hz;
    source.connect(this.gain).connect(sink);
    source.start();
    this.stream = sink.stream;
    this.track = sink.stream.getAudioTracks()[0];
  }

  on() {
    this.gain.gain.value = 0.4;
  }

  off() {
    this.gain.gain.value = 0;
  }

  async speak(ms) {
    this.on();
    await sleep(ms);
    this.off();
  }
}

class Peer {
  /** ``offer``, ``answer``: pairs of a pattern and what takes its place; ``wait`` until all candidates are gathered. */
  constructor({ url = "/calls", headers = {}, config = {}, offer = [], answer = [], wait = false } = {}) {
    Object.assign(this, { url, headers, rewriteOffer: offer, rewriteAnswer: answer, wait });
    this.pc = new RTCPeerConnection(config);
    this.location = null;
    this.messages = [];
    this.taken = 0;
    this.states = [];
    this.analysers = [];
    this.marks = {};
    this.pc.onconnectionstatechange = () => this.states.push(this.pc.connectionState);
    this.pc.ontrack = (event) => this.listen(event.track);
  }

  listen(track) {
    const stream = new MediaStream([track]);
    this.player = new Audio();
    this.player.srcObject = stream; // without it nothing arrives in the analyser
    this.player.play().catch(() => {});
    const context = new AudioContext();
    const analyser = context.createAnalyser();
    analyser.fftSize = 8192;
    analyser.smoothingTimeConstant = 0;
    context.createMediaStreamSource(stream).connect(analyser);
    this.analysers.push(analyser);
    this.remote = track;
  }

  openChannel(label = "oai-events") {
    this.channel = this.pc.createDataChannel(label);
    this.channel.onopen = () => (this.marks.open = performance.now() - this.began);
    this.channel.onclose = () => (this.marks.closed = performance.now() - this.began);
    this.channel.onmessage = (event) => this.messages.push(event.data);
  }

  prefer(codec) {
    const codecs = RTCRtpReceiver.getCapabilities("audio").codecs;
    const wanted = codecs.filter((one) => one.mimeType.toLowerCase() === `audio/${codec}`);
    for (const one of this.pc.getTransceivers()) one.setCodecPreferences(wanted);
  }

  /** ``audio``: "microphone", a direction, or none. */
  async call({ audio = "microphone", channel = true, codec } = {}) {
    if (channel) this.openChannel();
    if (audio === "microphone") this.pc.addTrack(await microphone());
    else if (audio) this.pc.addTransceiver("audio", { direction: audio });
    if (codec) this.prefer(codec);
    await this.negotiate();
    await this.connected();
    return this.sdp;
  }

  async negotiate(options) {
    this.began = performance.now();
    const offer = await this.pc.createOffer(options);
    await this.pc.setLocalDescription(offer);
    if (this.wait) await until(() => this.pc.iceGatheringState === "complete", "all candidates");
    const sent = rewritten(this.wait ? this.pc.localDescription.sdp : offer.sdp, this.rewriteOffer);
    const taken = rewritten(await this.post(sent), this.rewriteAnswer);
    this.sdp = { offer: sent, answer: taken };
    await this.pc.setRemoteDescription({ type: "answer", sdp: taken });
  }

  async post(offer) {
    const headers = { "Content-Type": "application/sdp", ...this.headers };
    const response = await fetch(this.location ?? this.url, { method: "POST", headers, body: offer });
    const text = await response.text();
    if (!response.ok) throw new Error(`${response.status} ${text}`);
    const location = response.headers.get("Location");
    if (location) this.location = new URL(location, response.url).href;
    return text;
  }

  async connected(ms = 10000) {
    const open = () => !this.channel || this.channel.readyState === "open";
    await until(() => this.pc.connectionState === "connected" && open(), "connected", ms);
  }

  async startMic() {
    this.pc.addTrack(await microphone());
    await this.negotiate();
  }

  stopMic() {
    for (const sender of this.pc.getSenders()) {
      const track = sender.track;
      if (track) {
        this.pc.removeTrack(sender);
        track.stop();
      }
    }
  }

  heard() {
    return this.analysers.length ? strongest(this.analysers.at(-1)) : null;
  }

  /** Wait until the remote track is heard at this frequency. */
  async hears(hz, ms = 10000) {
    const there = () => this.analysers.some((one) => near(strongest(one), hz));
    await until(there, `${hz} Hz`, ms).catch((error) => {
      throw new Error(`${error.message}: ${JSON.stringify(this.analysers.map(strongest))}`);
    });
  }

  /** Wait until nothing is heard any more. */
  async hearsNothing(ms = 10000) {
    await until(() => this.heard().db < -80, "silence", ms);
  }

  send(message) {
    this.channel.send(typeof message === "string" ? message : JSON.stringify(message));
  }

  async next(ms = 10000) {
    await until(() => this.messages.length > this.taken, "a message", ms);
    return this.messages[this.taken++];
  }

  /** The next event of this type; those before it are passed over. */
  async event(type, ms = 10000) {
    const passed = [];
    for (;;) {
      const event = await this.next(ms).then(JSON.parse, (error) => {
        throw new Error(`${error.message}: waiting for ${type} after ${passed.join(", ")}`);
      });
      if (event.type === type) return event;
      if (event.type !== passed.at(-1)) passed.push(event.type);
    }
  }

  async echo(size) {
    this.send("x".repeat(size));
    return (await this.next()).length;
  }

  /** The samples of the next ``seconds`` of the remote track, one of eight. */
  async record(seconds) {
    const reader = new MediaStreamTrackProcessor({ track: this.remote }).readable.getReader();
    const pieces = [];
    for (let left = seconds; left > 0; ) {
      const { value } = await reader.read();
      const samples = new Float32Array(value.numberOfFrames);
      value.copyTo(samples, { planeIndex: 0, format: "f32-planar" });
      left -= value.numberOfFrames / value.sampleRate;
      pieces.push(...samples.filter((_, index) => index % 8 === 0));
      value.close();
    }
    reader.cancel();
    return pieces;
  }

  /** The same in a browser whose audio contexts need a sound card: what a recorder took down. */
  async recorded(ms) {
    const recorder = new MediaRecorder(new MediaStream([this.remote]));
    const pieces = [];
    recorder.ondataavailable = (event) => pieces.push(event.data);
    const stopped = new Promise((done) => (recorder.onstop = done));
    recorder.start();
    await sleep(ms);
    recorder.stop();
    await stopped;
    const bytes = await new Blob(pieces).arrayBuffer();
    const audio = await new OfflineAudioContext(1, 1, 48000).decodeAudioData(bytes);
    return [...audio.getChannelData(0).filter((_, index) => index % 8 === 0)];
  }

  async stats(type) {
    return [...(await this.pc.getStats()).values()].filter((one) => one.type === type);
  }

  /** Type and protocol of our candidate of the pair in use. */
  async path() {
    for (const end = performance.now() + 5000; performance.now() < end; await sleep(50)) {
      const all = await this.pc.getStats();
      const transport = [...all.values()].find((one) => one.type === "transport");
      const local = all.get(all.get(transport?.selectedCandidatePairId)?.localCandidateId);
      if (local) return `${local.candidateType} ${local.protocol}`;
    }
    throw new Error("no path was chosen within 5 s");
  }

  hangUp() {
    this.pc.close();
  }
}

const near = (found, hz) => found.db > -60 && Math.abs(found.hz - hz) < 20;

const rewritten = (sdp, changes) =>
  changes.reduce((text, [pattern, place]) => text.replace(new RegExp(pattern, "gm"), place), sdp);
