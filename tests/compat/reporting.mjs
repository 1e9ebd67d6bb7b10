// What the Node clients share; `reporting.py` says the rules.

const RATE_HZ = 24_000;
const SCENARIO_MS = 45_000;
const UNTIL_MS = 15_000;

/** Run `run.mjs ADDRESS [SCENARIO ...]`: one JSON line for each scenario. */
export async function main(scenarios) {
  const [address, ...names] = process.argv.slice(2);
  let problem;
  process.on("uncaughtException", (error) => (problem = error)); // it must not end the other scenarios
  for (const name of names.length ? names : Object.keys(scenarios)) {
    problem = undefined;
    let line;
    try {
      const detail = await within(SCENARIO_MS, "the scenario", scenarios[name](address));
      if (problem) throw problem;
      line = { ok: true, detail };
    } catch (error) {
      line = { ok: false, detail: `${error?.stack ?? JSON.stringify(error)}\nuncaught: ${problem?.stack}`.slice(-3000) };
    }
    console.log(JSON.stringify({ scenario: name, ...line }));
  }
  process.exit(0);
}

async function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`in ${ms} ms not: ${what}`)), ms);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Have every connection to the server cut, as a failing network does. */
export function askForACut() {
  console.log('{"cut": true}');
}

/** Resolves with what `condition` gives as soon as that is true; fails if it is not within 15 seconds. */
export async function until(condition, what) {
  const deadline = performance.now() + UNTIL_MS;
  for (;;) {
    const found = condition();
    if (found) return found;
    if (performance.now() > deadline) throw new Error(`in ${UNTIL_MS} ms not: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** A tone, which the scripted detector takes for speech: 24 kHz, 16 bits, mono. */
export function tone(ms) {
  const samples = Int16Array.from({ length: (RATE_HZ * ms) / 1000 }, (_, at) =>
    9000 * Math.sin((2 * Math.PI * 440 * at) / RATE_HZ),
  );
  return Buffer.from(samples.buffer);
}

export function silence(ms) {
  return Buffer.alloc(((RATE_HZ * ms) / 1000) * 2);
}

export function* chunks(pcm, ms = 100) {
  const size = ((RATE_HZ * ms) / 1000) * 2;
  for (let start = 0; start < pcm.length; start += size) yield pcm.subarray(start, start + size);
}
