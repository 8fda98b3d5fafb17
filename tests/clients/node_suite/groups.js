// The checks about consumer groups, and their members.

'use strict';

const { Ended, Skip, restartBroker, waitUntil } = require('./report');
const { WAIT_MS, code, equal, newName, newTopic, refuses, send } = require('./common');
const { call, recordOf } = require('./library');

const PARTITIONS = 4;
const PER_PARTITION = 25;
const SETTLE_MS = 30_000;

/** A member of a group that consumes and commits in the background. A record counts once it is committed. */
class Member {
  records = [];
  failed = null;
  trouble = null;

  constructor(library, { group, topic, protocol = 'eager', instance }) {
    this.topic = topic;
    const onFailure = (error) => {
      this.failed ??= error;
    };
    this.consumer = library.consumer({ group, protocol, instance, fromBeginning: true, onFailure });
    this.owned = library.ownership(this.consumer, topic);
    this.library = library;
  }

  async start() {
    await call(this.consumer.connect());
    await call(this.library.subscribe(this.consumer, this.topic, true));
    await call(this.consumer.run({ eachBatch: ({ batch }) => this.consume(batch) }));
    return this;
  }

  async consume(batch) {
    const { topic, partition } = batch;
    try {
      await this.consumer.commitOffsets([{ topic, partition, offset: String(Number(batch.lastOffset()) + 1) }]);
    } catch (error) {
      this.trouble = error;
      throw error;
    }
    this.records.push(...batch.messages.map((message) => recordOf(partition, message)));
  }

  /** Leaves the group. */
  async close() {
    await call(this.consumer.disconnect());
  }
}

/** Starts a member, which ends with the check at the latest. */
async function join(library, cleanup, options) {
  const member = new Member(library, options);
  cleanup(() => member.close());
  return member.start();
}

/** The records that the members got after they had got `before` of them, once there are `count`. */
async function waitRecords(count, members, before = members.map(() => 0)) {
  let fresh;
  await waitUntil(`${count} records for members of a group`, SETTLE_MS, () => {
    fresh = members.map((member, at) => member.records.slice(before[at]));
    const total = fresh.flat().length;
    if (total >= count) return true;
    throw waiting(members, `got ${total}`);
  });
  return fresh;
}

/** Resolves when the members own all partitions, each one of them at least one, and none twice. */
async function waitSettled(count, members) {
  await waitUntil(`${members.length} members to share ${count} partitions`, SETTLE_MS, () => {
    const owned = members.map((member) => member.owned());
    const all = owned.flat();
    if (owned.every((each) => each.length > 0) && all.length === count && new Set(all).size === count) return true;
    throw waiting(members, '');
  });
}

function waiting(members, text) {
  const failed = members.find((member) => member.failed !== null);
  if (failed !== undefined) return new Ended(`a member of the group ended: ${failed.failed.message}`);
  const words = members.map((member) => `owns [${member.owned()}], trouble: ${member.trouble?.message ?? 'none'}`);
  return new Error([text, ...words].join('; '));
}

/** Sends records to each partition; their values. */
async function fill(library, topic, label, partitions) {
  const values = [];
  for (let partition = 0; partition < partitions; partition++) {
    const records = Array.from({ length: PER_PARTITION }, (_, number) => {
      return { partition, value: `${label} ${partition} ${number}` };
    });
    // One call each: a call for several partitions may be repeated as a whole when one of them has no leader yet.
    await send(library, topic, records);
    values.push(...records.map((record) => record.value));
  }
  return values;
}

/** Every expected value is there once, and nothing else. */
function once(records, expected, what) {
  const places = new Map(expected.map((value) => [value, []]));
  for (const [member, part] of records.entries()) {
    for (const { value, partition, offset } of part) {
      const place = `partition ${partition} offset ${offset} by member ${member + 1}`;
      places.set(String(value), [...(places.get(String(value)) ?? []), place]);
    }
  }
  const wanted = new Set(expected);
  for (const [value, found] of places) {
    if (!wanted.has(value)) throw new Error(`${what}: "${value}" was not expected: ${found}`);
    if (found.length !== 1) throw new Error(`${what}: "${value}" was consumed ${found.length} times: ${found}`);
  }
}

async function groupOfTwo(library, cleanup) {
  for (const protocol of library.protocols.filter((one) => one !== 'consumer')) await share(library, cleanup, protocol);
}

async function consumerProtocol(library, cleanup) {
  if (!library.protocols.includes('consumer')) {
    throw new Skip(`${library.name} ${library.version} does not speak the protocol of KIP-848`);
  }
  await share(library, cleanup, 'consumer');
}

/** A member is joined and left by a second one; whenever they have settled, every record comes once. */
async function share(library, cleanup, protocol) {
  console.error('protocol', protocol);
  const topic = await newTopic(library, PARTITIONS);
  const options = { group: newName('g'), topic, protocol };
  const early = await fill(library, topic, 'alone', PARTITIONS);
  const first = await join(library, cleanup, options);
  await waitSettled(PARTITIONS, [first]);
  once(await waitRecords(early.length, [first]), early, `${protocol}, alone`);

  const second = await join(library, cleanup, options);
  await waitSettled(PARTITIONS, [first, second]);
  const before = [first.records.length, second.records.length];
  const shared = await fill(library, topic, 'shared', PARTITIONS);
  const got = await waitRecords(shared.length, [first, second], before);
  once(got, shared, `${protocol}, shared by two`);
  if (got.some((part) => part.length === 0)) throw new Error(`${protocol}: one of two members consumed everything`);

  await second.close();
  await waitSettled(PARTITIONS, [first]);
  const beforeLast = [first.records.length];
  const last = await fill(library, topic, 'alone again', PARTITIONS);
  once(await waitRecords(last.length, [first], beforeLast), last, `${protocol}, alone again`);
  await first.close();
}

/** One group has no member while the broker is killed, the other one keeps its member. */
async function resumeAfterRestart(library, cleanup) {
  const partitions = 2;
  const topic = await newTopic(library, partitions);
  const [left, stayed] = [{ group: newName('g'), topic }, { group: newName('g'), topic }];
  const early = await fill(library, topic, 'early', partitions);
  const leaver = await join(library, cleanup, left);
  const stayer = await join(library, cleanup, stayed);
  once(await waitRecords(early.length, [leaver]), early, 'before the restart');
  await leaver.close();
  once(await waitRecords(early.length, [stayer]), early, 'before the restart');

  await restartBroker();
  const late = await fill(library, topic, 'late', partitions);
  const returned = await join(library, cleanup, left);
  once(await waitRecords(late.length, [returned]), late, 'after the restart');
  await returned.close();
  const [seen] = await waitRecords(late.length, [stayer], [early.length]);
  // It may have read some twice before it was back in its group, but none of those it had committed.
  const distinct = [...new Set(seen.map((record) => String(record.value)))];
  equal(distinct.sort(), [...late].sort(), 'what a member that stayed over the restart got after it');
  await stayer.close();
}

async function adminGroups(library, cleanup) {
  const [topic, group] = [await newTopic(library, 1), newName('g')];
  const sent = await fill(library, topic, 'seen', 1);
  const member = await join(library, cleanup, { group, topic });
  await waitRecords(sent.length, [member]);
  if (!(await library.groups()).includes(group)) throw new Error('the group is not listed');
  await hasState(library, group, { state: 'Stable', members: 1 });
  await refuses(code.nonEmptyGroup, 'delete a group with a member', () => library.deleteGroup(group));
  await member.close();
  equal(await library.committed(group, topic, 0), sent.length, 'the committed offset');

  await hasState(library, group, { state: 'Empty', members: 0 });
  await library.deleteGroup(group);
  if ((await library.groups()).includes(group)) throw new Error('the deleted group is listed');
  await refuses(code.groupIdNotFound, 'delete a group that is not there', () => library.deleteGroup(group));
}

async function hasState(library, group, expected) {
  await waitUntil(`the group to be ${expected.state}`, WAIT_MS, async () => {
    equal(await library.describeGroup(group), expected, 'the described group');
    return true;
  });
}

async function fencedMember(library, cleanup) {
  const topic = await newTopic(library, 1);
  const options = { group: newName('g'), topic, instance: 'the-one' };
  const first = await join(library, cleanup, options);
  await waitSettled(1, [first]);
  const second = await join(library, cleanup, options);
  await waitSettled(1, [second]);
  const sent = await fill(library, topic, 'after', 1);
  await waitUntil('the first member to be fenced', SETTLE_MS, () => {
    if (first.failed !== null) return true;
    throw waiting([first], '');
  });
  equal(first.failed.code, code.fencedInstanceId, 'the error of the first of two members with one instance id');
  await waitRecords(sent.length, [second]);
  await second.close();
}

module.exports = { adminGroups, consumerProtocol, fencedMember, groupOfTwo, resumeAfterRestart };
