// The report of a suite in JavaScript: JSON lines on stdout, everything else on stderr.

'use strict';

const { Console } = require('node:console');

const CHECK_DEADLINE_MS = 60_000;
const CLEANUP_DEADLINE_MS = 20_000;
const CONTROL_DEADLINE_MS = 120_000;
const REASON_LENGTH = 600;
const POLL_MS = 50;

// A library that prints must not spoil the report.
globalThis.console = new Console(process.stderr, process.stderr);
process.on('unhandledRejection', (error) => console.error('left behind:', error));

/** The orders of the runner. */
const settings = {
  bootstrap: process.env.BOOTSTRAP ?? '127.0.0.1:9092',
  control: process.env.CONTROL ?? '',
  prefix: process.env.PREFIX ?? `by-hand-${process.pid}-`,
  full: process.env.PROFILE === 'full',
};

/** The client cannot do this, or the broker is known not to offer it; the text says which. */
class Skip extends Error {}

/** The broker answered with an error. The code is Kafka's number, 0 when the client only gave up. */
class Refused extends Error {
  constructor(code, text) {
    super(`error ${code}: ${text}`);
    this.code = code;
  }
}

/** Has the broker killed and started again; resolves when it is ready. */
async function restartBroker() {
  if (!settings.control) throw new Skip('CONTROL is not set: nobody restarts the broker');
  const signal = AbortSignal.timeout(CONTROL_DEADLINE_MS);
  const response = await fetch(`${settings.control}/restart`, { method: 'POST', signal });
  if (!response.ok) throw new Error(`restart of the broker: ${response.status}: ${await response.text()}`);
}

/** Runs the checks, those named on the command line or all, each under a deadline, and reports every one. */
async function runChecks(library, checks) {
  say({ client: library.name, version: library.version });
  const wanted = process.argv.slice(2);
  for (const [name, body] of Object.entries(checks)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    console.error(`==> ${name}`);
    const began = performance.now();
    const [result, detail] = await outcome(library, body);
    const seconds = Math.round(performance.now() - began) / 1000;
    say({ check: name, result, seconds, detail: detail.slice(0, REASON_LENGTH) });
  }
  // Members that a failed check left behind must not keep the process.
  process.exit(0);
}

async function outcome(library, body) {
  const cleanups = [];
  try {
    await within(CHECK_DEADLINE_MS, 'the check', body(library, (action) => cleanups.unshift(action)));
  } catch (error) {
    if (error instanceof Skip) return ['skip', error.message];
    console.error(error);
    return ['fail', String(error.message ?? error)];
  } finally {
    await within(CLEANUP_DEADLINE_MS, 'cleaning up', cleanUp(cleanups)).catch(console.error);
  }
  return ['pass', ''];
}

async function cleanUp(cleanups) {
  for (const action of cleanups) await Promise.resolve(action()).catch(console.error);
}

/** What the promise gives, or an error when that takes too long. */
async function within(milliseconds, what, promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not end within ${milliseconds / 1000} s`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Waits for a condition. An error of the condition counts as not yet, and is told if it is the last; a Skip ends it. */
async function waitUntil(what, milliseconds, condition) {
  const end = performance.now() + milliseconds;
  for (;;) {
    let last = '';
    try {
      if (await condition()) return;
    } catch (error) {
      if (error instanceof Skip || error instanceof Ended) throw error;
      last = ` (${error.message})`;
    }
    if (performance.now() > end) throw new Error(`waited ${milliseconds / 1000} s for ${what}${last}`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** An error that ends a wait at once. */
class Ended extends Error {}

function say(line) {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

module.exports = { Ended, Refused, Skip, restartBroker, runChecks, settings, waitUntil, within };
