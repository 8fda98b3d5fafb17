// The checks, written once against what every client can do. Their names are those of clients/suites.py.

'use strict';

const { Refused, Skip, restartBroker, runChecks, settings, waitUntil } = require('./report');
const {
  FIRST_TIME, WAIT_MS, code, counted, equal, hasPartitions, newName, newTopic, numbered, refuses, send, values,
} = require('./common');
const groups = require('./groups');

const checks = {
  'create-topic': createTopic,
  'produce-none': (library) => produce(library, 'none'),
  'produce-gzip': (library) => produce(library, 'gzip'),
  'produce-snappy': (library) => produce(library, 'snappy'),
  'produce-lz4': (library) => produce(library, 'lz4'),
  'produce-zstd': (library) => produce(library, 'zstd'),
  'round-trip': roundTrip,
  'consume-from-start': consumeFromStart,
  'consume-by-offset': consumeByOffset,
  'consume-by-time': consumeByTime,
  'group-of-two': groups.groupOfTwo,
  'group-resume-after-restart': groups.resumeAfterRestart,
  'consumer-protocol': groups.consumerProtocol,
  'admin-configs': configs,
  'admin-partitions': partitions,
  'admin-delete-records': deleteRecords,
  'admin-groups': groups.adminGroups,
  'admin-offsets': offsets,
  'error-too-large': tooLarge,
  'error-unknown-topic': unknownTopic,
  'error-bad-version': badVersion,
  'error-fenced-member': groups.fencedMember,
  'delete-and-recreate': deleteAndRecreate,
  'idempotent-producer': idempotentProducer,
  transactions,
};

async function run(library) {
  await library.start();
  await runChecks(library, checks);
}

async function createTopic(library) {
  const topic = await newTopic(library, 3);
  equal(await library.partitions(topic), [0, 1, 2], 'partitions');
  await refuses(code.topicAlreadyExists, 'create it again', () => library.createTopic(topic, 3));
}

async function produce(library, codec) {
  const topic = await newTopic(library, 1);
  const records = counted(0, settings.full ? 5_000 : 500).map((number) => {
    return { value: `${'compressible '.repeat(40)}${number}` };
  });
  // Some libraries make one batch of everything that one call gets.
  for (let start = 0; start < records.length; start += 500) {
    const sent = await send(library, topic, records.slice(start, start + 500), { codec });
    equal(sent, { 0: start }, 'the first offset');
  }
  const got = await library.read(topic, { 0: 0 }, records.length);
  equal(got.map((record) => record.offset), counted(0, records.length), 'offsets');
  equal(values(got), values(records), `the values with ${codec}`);
}

async function roundTrip(library) {
  const topic = await newTopic(library, 1);
  const every = Buffer.from(counted(0, 256));
  const empty = library.emptyIsNothing ? undefined : Buffer.alloc(0);
  const sent = [
    { key: Buffer.from('key'), value: Buffer.from('value'), headers: { one: ['1', 'again'], binary: every } },
    { value: Buffer.from('v\u00e4lue') },
    { key: Buffer.from('tombstone'), value: null },
    { key: empty, value: empty ?? null, headers: { empty: Buffer.alloc(0) } },
    { key: Buffer.alloc(1_000, 'k'), value: Buffer.alloc(100_000, 'x') },
  ];
  for (const [number, record] of sent.entries()) {
    record.time = FIRST_TIME + number;
    await send(library, topic, [record]);
  }
  const got = await library.read(topic, { 0: 0 }, sent.length);
  for (const [number, record] of got.entries()) {
    equal(record.offset, number, `offset of record ${number}`);
    equal(record.time, sent[number].time, `time of record ${number}`);
    equal(record.key ?? null, sent[number].key ?? null, `key of record ${number}`);
    equal(record.value ?? null, sent[number].value, `value of record ${number}`);
    equal(headersOf(record), headersOf(sent[number]), `headers of record ${number}`);
  }
}

/** Every header as a list, whether the library writes one value so or not. */
function headersOf({ headers = {} }) {
  const lists = Object.entries(headers).map(([name, value]) => [name, [value].flat().map(String)]);
  return Object.fromEntries(lists);
}

async function consumeFromStart(library) {
  const count = 200;
  const topic = await newTopic(library, 3);
  for (const partition of [0, 1, 2]) await send(library, topic, numbered(partition, count));
  const got = await library.read(topic, { 0: 0, 1: 0, 2: 0 }, 3 * count);
  for (const partition of [0, 1, 2]) {
    const part = got.filter((record) => record.partition === partition);
    equal(part.map((record) => record.offset), counted(0, count), `offsets of partition ${partition}`);
    equal(values(part), values(numbered(partition, count)), `partition ${partition}`);
  }
}

async function consumeByOffset(library) {
  const count = 300;
  const topic = await newTopic(library, 1);
  await send(library, topic, numbered(0, count));
  // In the middle of a batch, at its second record and at the last one.
  for (const start of [1, 157, count - 1]) {
    const got = await library.read(topic, { 0: start }, count - start);
    equal(got.map((record) => record.offset), counted(start, count - start), `offsets from ${start}`);
    equal(String(got[0].value), `0-${start}`, `the record at ${start}`);
  }
}

async function consumeByTime(library) {
  const [count, batch, second] = [100, 20, 1_000];
  const topic = await newTopic(library, 1);
  const records = numbered(0, count).map((record, number) => ({ ...record, time: FIRST_TIME + number * second }));
  // More than one batch, so the answer takes more than the times of whole batches.
  for (let start = 0; start < count; start += batch) await send(library, topic, records.slice(start, start + batch));
  const expected = [
    [-1, 0], [0, 0], [50 * second, 50], [50 * second + 1, 51], [79 * second + 1, 80], [99 * second, 99],
    [99 * second + 1, count],
  ];
  for (const [after, offset] of expected) {
    equal(await library.offsetAt(topic, 0, FIRST_TIME + after), offset, `the first offset ${after} ms after the first`);
  }
  const [found] = await library.read(topic, { 0: 70 }, 1);
  equal(found.time, records[70].time, 'the time of the record found by it');
}

async function configs(library) {
  const topic = await newTopic(library, 1, { 'cleanup.policy': 'compact' });
  const before = await library.topicConfig(topic);
  equal(before['cleanup.policy'], 'compact', 'cleanup.policy as created');
  equal(before['retention.ms'], '604800000', 'the default of retention.ms');
  await library.alterTopicConfig(topic, { 'retention.ms': '3600000' });
  await waitUntil('the altered retention.ms', WAIT_MS, async () => {
    return (await library.topicConfig(topic))['retention.ms'] === '3600000';
  });
  const after = await library.topicConfig(topic);
  equal(after['cleanup.policy'], 'compact', 'cleanup.policy, which was not altered');
  await refuses(code.invalidConfig, 'retention.ms=soon', () => {
    return library.alterTopicConfig(topic, { 'retention.ms': 'soon' });
  });
}

async function partitions(library) {
  const topic = await newTopic(library, 1);
  await library.createPartitions(topic, 4);
  await hasPartitions(library, topic, 4);
  equal(await send(library, topic, numbered(3, 5)), { 3: 0 }, 'the first offset in the new partition');
  await refuses(code.invalidPartitions, 'fewer partitions', () => library.createPartitions(topic, 2));
}

async function deleteRecords(library) {
  const topic = await newTopic(library, 1);
  await send(library, topic, numbered(0, 100));
  await library.deleteRecords(topic, 0, 40);
  equal(await library.offsets(topic, 0), [40, 100], 'offsets after the delete');
  const [first] = await library.read(topic, { 0: 40 }, 1);
  equal(String(first.value), '0-40', 'the first record left');
  await refuses(code.offsetOutOfRange, 'delete beyond the end', () => library.deleteRecords(topic, 0, 1_000));
}

async function offsets(library) {
  const topic = await newTopic(library, 2);
  equal(await listOffsets(library, topic, 1), [0, 0], 'offsets of an empty partition');
  await send(library, topic, numbered(1, 70));
  equal(await listOffsets(library, topic, 1), [0, 70], 'offsets of 70 records');
  equal(await listOffsets(library, topic, 0), [0, 0], 'offsets of the other partition');
}

async function listOffsets(library, topic, partition) {
  let found;
  // The leader of a new partition may not know yet that it is; some libraries do not ask it again.
  await waitUntil('the leader to list offsets', WAIT_MS, async () => {
    try {
      found = await library.offsets(topic, partition);
    } catch (error) {
      if (error instanceof Refused && error.code === code.notLeader) return false;
      throw error;
    }
    return true;
  });
  return found;
}

async function tooLarge(library) {
  const topic = await newTopic(library, 1, { 'max.message.bytes': '10000' });
  const large = [{ value: Buffer.alloc(100_000) }];
  await refuses(code.messageTooLarge, '100,000 bytes where 10,000 are allowed', () => {
    return send(library, topic, large, { largest: 10_000_000 });
  });
  equal(await send(library, topic, [{ value: 'small' }]), { 0: 0 }, 'the offset of a small record after it');
}

async function unknownTopic(library) {
  const topic = newName('nobody-made-this-');
  await library.refusesUnknownTopic(() => send(library, topic, numbered(0, 1), { hasty: true }));
  await refuses(code.unknownTopicOrPartition, 'delete', () => library.deleteTopic(topic));
}

async function badVersion(library) {
  const topic = await newTopic(library, 1);
  const refused = await library.produceOutdated(topic).then(() => null, (error) => error);
  if (refused === null) throw new Error('a record was taken in a version of Produce that is not served');
  if (refused instanceof Skip) throw refused;
  console.error('refused with', refused);
  equal(await send(library, topic, numbered(0, 1)), { 0: 0 }, 'the offset of the first record that was taken');
}

async function deleteAndRecreate(library) {
  const topic = await newTopic(library, 2);
  await send(library, topic, numbered(0, 20));
  for (const round of counted(0, settings.full ? 3 : 1)) {
    await library.deleteTopic(topic);
    await waitUntil('the topic to be gone', WAIT_MS, () => isGone(library, topic));
    await library.createTopic(topic, 1);
    await hasPartitions(library, topic, 1);
    equal(await send(library, topic, [{ value: `new ${round}` }]), { 0: 0 }, 'the first offset of the new topic');
    equal(values(await library.read(topic, { 0: 0 }, 1)), [`new ${round}`], 'the records of the new topic');
  }
}

async function isGone(library, topic) {
  try {
    await library.partitions(topic);
  } catch (error) {
    if (error instanceof Refused && error.code === code.unknownTopicOrPartition) return true;
    throw error;
  }
  return false;
}

/** A broker is killed while a producer sends: every record is there once, and in order. */
async function idempotentProducer(library, cleanup) {
  const batch = 50;
  const topic = await newTopic(library, 1);
  const producer = await library.producer({ idempotent: true });
  cleanup(() => producer.close());
  const records = numbered(0, settings.full ? 4_000 : 1_000);
  let restarted;
  for (let start = 0; start < records.length; start += batch) {
    if (start === records.length / 2) {
      restarted = restartBroker();
      cleanup(() => restarted);
    }
    const first = await producer.send(topic, records.slice(start, start + batch));
    equal(first, { 0: start }, 'the offset over a kill of the broker');
  }
  await restarted;
  equal(await producer.send(topic, numbered(0, 1)), { 0: records.length }, 'the offset after the restart');
  const got = await library.read(topic, { 0: 0 }, records.length);
  equal(values(got), values(records), 'every record once and in order');
}

async function transactions(library) {
  const topic = await newTopic(library, 1);
  try {
    await library.transaction(topic, ['committed 1', 'committed 2'], true);
  } catch (error) {
    const refusals = [code.unsupportedVersion, code.transactionalIdRefused];
    if (error instanceof Refused && refusals.includes(error.code)) throw new Skip(`not served yet (${error.message})`);
    throw error;
  }
  await library.transaction(topic, ['aborted'], false);
  await library.transaction(topic, ['committed 3'], true);
  const got = await library.readCommitted(topic, 3);
  const expected = ['committed 1', 'committed 2', 'committed 3'];
  equal(values(got), expected, 'what a reader of committed records sees');
}

module.exports = { run };
