// What the checks ask of a client, written against the API of KafkaJS, which both libraries have. What differs is
// left to the subclasses.

'use strict';

const { Refused, Skip, settings, waitUntil, within } = require('./report');

const CALL_DEADLINE_MS = 30_000;
const READ_DEADLINE_MS = 30_000;
// A broker may be killed and started again meanwhile.
const SEND_DEADLINE_MS = 45_000;
const SESSION_TIMEOUT_MS = 10_000;
const HEARTBEAT_INTERVAL_MS = 500;

let readers = 0;

class Library {
  /** Subclasses set: name, version, kafka, and the ways to rebalance a group: eager, cooperative, consumer. */
  protocols = ['eager'];
  /** Whether the library sends empty keys and values as if they were not there. */
  emptyIsNothing = false;

  async start() {
    this.admin = this.kafka.admin(this.adminSettings());
    await this.admin.connect();
  }

  adminSettings() {
    return {};
  }

  /** A connected producer for { codec, idempotent, largest, hasty, transactional }, with a send(topic, messages). */
  async producer(_options) {
    throw new Error('to be written by the subclass');
  }

  /**
   * A consumer, not connected, for { group, instance, protocol, fromBeginning, uncommitted, onFailure }. What ends it
   * for good is given to `onFailure`.
   */
  consumer(_options) {
    throw new Error('to be written by the subclass');
  }

  async subscribe(consumer, topic, _fromBeginning) {
    await consumer.subscribe({ topics: [topic] });
  }

  /** A function that tells the partitions the consumer owns. Called before it runs. */
  ownership(_consumer, _topic) {
    throw new Error('to be written by the subclass');
  }

  async createTopic(topic, partitions, config = {}) {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }));
    const wanted = { topic, numPartitions: partitions, replicationFactor: 1, configEntries };
    const created = await call(this.admin.createTopics({ topics: [wanted], ...this.createOptions() }));
    // Both libraries say no instead of failing.
    if (!created) throw new Refused(36, `createTopics of ${topic}: false`);
  }

  createOptions() {
    return {};
  }

  async deleteTopic(topic) {
    await call(this.admin.deleteTopics({ topics: [topic] }));
  }

  async partitions(topic) {
    const answer = await call(this.admin.fetchTopicMetadata({ topics: [topic] }));
    const [found] = answer.topics ?? answer;
    return found.partitions.map((partition) => partition.partitionId).sort();
  }

  /** The next `count` records from these offsets by partition. A consumer of these libraries is always in a group. */
  async read(topic, starts, count, options = {}) {
    const fromBeginning = Object.values(starts).every((offset) => offset === 0);
    const group = `${settings.prefix}reader-${++readers}`;
    const consumer = this.consumer({ group, fromBeginning, protocol: 'eager', ...options });
    const records = [];
    try {
      await call(consumer.connect());
      await call(this.subscribe(consumer, topic, fromBeginning));
      await call(consumer.run({
        eachMessage: async ({ partition, message }) => void records.push(recordOf(partition, message)),
      }));
      // Without a place to start from, a consumer is at the end, where nothing comes until it is sent elsewhere.
      for (const [partition, offset] of fromBeginning ? [] : Object.entries(starts)) {
        consumer.seek({ topic, partition: Number(partition), offset: String(offset) });
      }
      await waitUntil(`${count} records of ${topic}`, READ_DEADLINE_MS, () => {
        if (records.length >= count) return true;
        throw new Error(`got ${records.length}`);
      });
    } finally {
      await call(consumer.disconnect());
    }
    return records.slice(0, count);
  }

  async readCommitted(topic, count) {
    return this.read(topic, { 0: 0 }, count, { uncommitted: false });
  }

  async transaction(topic, values, commit) {
    const producer = await this.producer({ idempotent: true, transactional: `${settings.prefix}transactions` });
    try {
      const transaction = await call(producer.library.transaction());
      await call(transaction.send({ topic, messages: values.map((value) => ({ partition: 0, value })) }));
      await call(commit ? transaction.commit() : transaction.abort());
    } finally {
      await producer.close();
    }
  }

  async produceOutdated(_topic) {
    throw new Skip(`${this.name} always asks for the broker's versions and keeps to them`);
  }

  /** The first offset at or after the time; the end of the partition when there is none, in both libraries. */
  async offsetAt(topic, partition, time) {
    const found = await call(this.admin.fetchTopicOffsetsByTimestamp(topic, time));
    return Number(found.find((one) => one.partition === partition).offset);
  }

  async offsets(topic, partition) {
    const found = await call(this.admin.fetchTopicOffsets(topic));
    const { low, high } = found.find((one) => one.partition === partition);
    return [Number(low), Number(high)];
  }

  async deleteRecords(topic, partition, before) {
    await call(this.admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(before) }] }));
  }

  async topicConfig(_topic) {
    throw new Skip(`${this.name} does not describe configs`);
  }

  async alterTopicConfig(_topic, _config) {
    throw new Skip(`${this.name} does not alter configs`);
  }

  async createPartitions(_topic, _total) {
    throw new Skip(`${this.name} does not add partitions`);
  }

  async groups() {
    const { groups } = await call(this.admin.listGroups());
    return groups.map((group) => group.groupId);
  }

  async describeGroup(group) {
    const { groups } = await call(this.admin.describeGroups([group]));
    return { state: this.stateName(groups[0].state), members: groups[0].members.length };
  }

  stateName(state) {
    return state;
  }

  async deleteGroup(group) {
    await call(this.admin.deleteGroups([group]));
  }

  /** The group's committed offset, -1 when there is none. */
  async committed(group, topic, partition) {
    const answer = await call(this.admin.fetchOffsets({ groupId: group, topics: [topic] }));
    const found = answer.find((one) => one.topic === topic)?.partitions.find((one) => one.partition === partition);
    return Number(found?.offset ?? -1);
  }
}

/** The producer that a subclass gives; `sender` is how it sends messages. */
class Producer {
  constructor(library, sender) {
    this.library = library;
    this.sender = sender;
  }

  /** Resolves when all records are acknowledged, with the first offset they got in each partition. */
  async send(topic, records) {
    const messages = records.map(({ partition = 0, key, value, headers, time }) => ({
      partition,
      value,
      ...(key !== undefined && { key }),
      ...(headers !== undefined && { headers }),
      ...(time !== undefined && { timestamp: String(time) }),
    }));
    const sent = await call(this.sender(topic, messages), SEND_DEADLINE_MS);
    return Object.fromEntries(sent.map((one) => [one.partition, Number(one.baseOffset)]));
  }

  async close() {
    await call(this.library.disconnect());
  }
}

function recordOf(partition, message) {
  return {
    partition,
    offset: Number(message.offset),
    time: Number(message.timestamp),
    key: message.key,
    value: message.value,
    headers: message.headers ?? {},
  };
}

/** A call of the library under a deadline; what the broker refuses becomes a Refused. */
async function call(promise, deadline = CALL_DEADLINE_MS) {
  try {
    return await within(deadline, 'a call of the library', promise);
  } catch (error) {
    throw refusalIn(error) ?? error;
  }
}

/** The answer of the broker that an error of the library is about, if it is. Numbers below 0 are the library's own. */
function refusalIn(error) {
  if (error instanceof Refused) return error;
  const code = [error?.code, error?.errorCode].find((one) => Number.isInteger(one) && one > 0);
  if (code !== undefined) return new Refused(code, error.message ?? error.type ?? '');
  const inner = [error?.cause, error?.error, ...lists(error)].filter((one) => one instanceof Object);
  return inner.map(refusalIn).find((one) => one !== undefined);
}

function lists(error) {
  return [error?.errors, error?.groups, error?.partitions].flatMap((list) => (Array.isArray(list) ? list : []));
}

module.exports = { HEARTBEAT_INTERVAL_MS, Library, Producer, SESSION_TIMEOUT_MS, call, recordOf, refusalIn };
