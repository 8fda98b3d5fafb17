// The suite of Confluent's client for JavaScript, by its API like that of KafkaJS; see node_suite for the checks.

'use strict';

const { AdminClient, KafkaJS, features, librdkafkaVersion } = require('@confluentinc/kafka-javascript');
const { version } = require('@confluentinc/kafka-javascript/package.json');

const { StaticMember } = require('./static_member');
const { run } = require('../node_suite/checks');
const { code } = require('../node_suite/common');
const {
  HEARTBEAT_INTERVAL_MS, Library, Producer, SESSION_TIMEOUT_MS, call,
} = require('../node_suite/library');
const { Skip, settings } = require('../node_suite/report');

const { CompressionTypes, ErrorCodes, Kafka, PartitionAssignors, logLevel } = KafkaJS;

const DELIVERY_TIMEOUT_MS = 40_000;
const OUTDATED_TIMEOUT_MS = 5_000;
// How long a topic is waited for that the broker does not know.
const HASTY_MS = 1_000;
const CODECS = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.SNAPPY,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
};
const GROUP_STATES = KafkaJS.ConsumerGroupStates;

class ConfluentKafkaJavaScript extends Library {
  name = 'confluent-kafka-javascript';
  version = `${version} (librdkafka ${librdkafkaVersion})`;
  protocols = ['eager', 'cooperative', 'consumer'];
  // An empty buffer of Node.js has no address, which the library takes for no buffer.
  emptyIsNothing = true;
  kafka = new Kafka({ kafkaJS: { brokers: [settings.bootstrap], logLevel: logLevel.ERROR } });

  async producer({ codec = 'none', idempotent = false, largest, hasty = false, transactional }) {
    if (codec !== 'none' && !features.includes(codec)) {
      throw new Skip(`librdkafka was compiled on this machine, which has no lib${codec} to compile with`);
    }
    const producer = this.kafka.producer({
      kafkaJS: {
        compression: CODECS[codec],
        acks: -1,
        allowAutoTopicCreation: false,
        idempotent,
        retry: { retries: 1_000 },
        ...(transactional !== undefined && { transactionalId: transactional }),
      },
      'linger.ms': 5,
      'message.timeout.ms': DELIVERY_TIMEOUT_MS,
      ...(hasty && { 'topic.metadata.propagation.max.ms': HASTY_MS }),
      ...(largest !== undefined && { 'message.max.bytes': largest }),
    });
    await call(producer.connect());
    return new Producer(producer, (topic, messages) => producer.send({ topic, messages }));
  }

  consumer({ group, instance, protocol = 'eager', fromBeginning, uncommitted = true, onFailure }) {
    if (instance !== undefined) return new StaticMember(group, instance, onFailure);
    const assignor = protocol === 'cooperative' ? PartitionAssignors.cooperativeSticky : PartitionAssignors.range;
    const classic = { sessionTimeout: SESSION_TIMEOUT_MS, heartbeatInterval: HEARTBEAT_INTERVAL_MS };
    return this.kafka.consumer({
      kafkaJS: {
        groupId: group,
        fromBeginning,
        autoCommit: false,
        allowAutoTopicCreation: false,
        readUncommitted: uncommitted,
        maxWaitTimeInMs: 200,
        ...(protocol !== 'consumer' && { ...classic, partitionAssignors: [assignor] }),
      },
      ...(protocol === 'consumer' && { 'group.protocol': 'consumer' }),
    });
  }

  ownership(consumer, topic) {
    return () => {
      try {
        return consumer.assignment().filter((one) => one.topic === topic).map((one) => one.partition);
      } catch {
        // It is not connected yet, or not any more.
        return [];
      }
    };
  }

  async refusesUnknownTopic(produce) {
    const error = await produce().then(() => null, (failure) => failure);
    // The library has two numbers of its own for a topic that does not exist.
    const own = [ErrorCodes.ERR__UNKNOWN_TOPIC, ErrorCodes.ERR__UNKNOWN_PARTITION];
    if (error?.code === code.unknownTopicOrPartition || own.includes(error?.code)) return;
    throw new Error(`produce to a topic that does not exist: ${error?.message ?? 'not refused'}`);
  }

  stateName(state) {
    const names = Object.entries(GROUP_STATES).filter(([, number]) => number === state);
    const name = names[0]?.[0] ?? String(state);
    return name[0] + name.slice(1).toLowerCase();
  }

  async createPartitions(topic, total) {
    const admin = AdminClient.create({ 'bootstrap.servers': settings.bootstrap });
    try {
      await call(new Promise((resolve, reject) => {
        admin.createPartitions(topic, total, DELIVERY_TIMEOUT_MS, (error) => (error ? reject(error) : resolve()));
      }));
    } finally {
      admin.disconnect();
    }
  }

  /** Without the broker's table of versions the library writes the message format of the version it is told. */
  async produceOutdated(topic) {
    const outdated = this.kafka.producer({
      'api.version.request': false,
      'broker.version.fallback': '0.9.0.1',
      'message.timeout.ms': OUTDATED_TIMEOUT_MS,
    });
    await call(outdated.connect());
    try {
      await call(outdated.send({ topic, messages: [{ partition: 0, value: 'outdated' }] }));
    } finally {
      await call(outdated.disconnect());
    }
  }
}

run(new ConfluentKafkaJavaScript());
