// What several checks need: topics of their own, sending, refusals, and comparisons that say what differs.

'use strict';

const { isDeepStrictEqual, inspect } = require('node:util');

const { Refused, Skip, settings, waitUntil } = require('./report');

const code = {
  offsetOutOfRange: 1,
  unknownTopicOrPartition: 3,
  notLeader: 6,
  messageTooLarge: 10,
  unsupportedVersion: 35,
  topicAlreadyExists: 36,
  invalidPartitions: 37,
  invalidConfig: 40,
  transactionalIdRefused: 53,
  nonEmptyGroup: 68,
  groupIdNotFound: 69,
  fencedInstanceId: 82,
};

const WAIT_MS = 20_000;
const FIRST_TIME = 1_750_000_000_000;
const SHOWN_LENGTH = 300;

let names = 0;

function newName(kind) {
  return `${settings.prefix}${kind}${++names}`;
}

/** A topic of this check's own, ready to be written. */
async function newTopic(library, partitions, config) {
  const topic = newName('t');
  await library.createTopic(topic, partitions, config);
  await hasPartitions(library, topic, partitions);
  return topic;
}

async function hasPartitions(library, topic, count) {
  await waitUntil(`${topic} to have ${count} partitions`, WAIT_MS, async () => {
    return (await library.partitions(topic)).length === count;
  });
}

/** Sends with a producer of its own; the first offset in each partition. */
async function send(library, topic, records, options = {}) {
  const producer = await library.producer(options);
  try {
    return await producer.send(topic, records);
  } finally {
    await producer.close();
  }
}

/** Fails unless the action is refused with this code. */
async function refuses(expected, what, action) {
  try {
    await action();
  } catch (error) {
    if (error instanceof Skip) throw error;
    if (error instanceof Refused && error.code === expected) return;
    throw new Error(`${what}: got ${error.message}, expected error ${expected}`);
  }
  throw new Error(`${what}: not refused, expected error ${expected}`);
}

function equal(got, expected, what) {
  if (isDeepStrictEqual(got, expected)) return;
  throw new Error(`${what}: got ${shown(got)}, expected ${shown(expected)}`);
}

function shown(value) {
  return inspect(value, { breakLength: Infinity }).slice(0, SHOWN_LENGTH);
}

/** Records whose value is their number. */
function numbered(partition, count) {
  return Array.from({ length: count }, (_, number) => ({ partition, value: `${partition}-${number}` }));
}

function counted(first, count) {
  return Array.from({ length: count }, (_, number) => first + number);
}

function values(records) {
  return records.map((record) => String(record.value));
}

module.exports = {
  FIRST_TIME, WAIT_MS, code, counted, equal, hasPartitions, newName, newTopic, numbered, refuses, send, values,
};
