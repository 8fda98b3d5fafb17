// A consumer with an instance id, by the library's older API: the one like that of KafkaJS does not tell of the error
// that ends it. It has the methods of a KafkaJS consumer that a member of a group needs.

'use strict';

const { KafkaConsumer } = require('@confluentinc/kafka-javascript');

const { Refused, settings } = require('../node_suite/report');
const { HEARTBEAT_INTERVAL_MS, SESSION_TIMEOUT_MS } = require('../node_suite/library');
const { code } = require('../node_suite/common');

class StaticMember {
  constructor(group, instance, onFailure) {
    const config = {
      'bootstrap.servers': settings.bootstrap,
      'group.id': group,
      'group.instance.id': instance,
      'session.timeout.ms': SESSION_TIMEOUT_MS,
      'heartbeat.interval.ms': HEARTBEAT_INTERVAL_MS,
      'enable.auto.commit': false,
      event_cb: true,
    };
    this.consumer = new KafkaConsumer(config, { 'auto.offset.reset': 'earliest' });
    this.consumer.on('event.log', ({ message }) => {
      console.error(message);
      // The error itself has the library's number for every fatal one; what it is about is told in its text.
      if (/Fatal error.*fenced/.test(message)) onFailure(new Refused(code.fencedInstanceId, message));
    });
  }

  connect() {
    return new Promise((resolve, reject) => {
      this.consumer.connect({}, (error) => (error ? reject(error) : resolve()));
    });
  }

  async subscribe({ topics }) {
    this.consumer.subscribe(topics);
  }

  async run({ eachBatch }) {
    this.consumer.on('data', (message) => {
      const { topic, partition, offset } = message;
      const batch = { topic, partition, messages: [message], lastOffset: () => String(offset) };
      eachBatch({ batch }).catch((error) => console.error(error.message));
    });
    this.consumer.consume();
  }

  async commitOffsets(offsets) {
    this.consumer.commitSync(offsets.map((one) => ({ ...one, offset: Number(one.offset) })));
  }

  assignment() {
    return this.consumer.assignments();
  }

  disconnect() {
    return new Promise((resolve, reject) => {
      this.consumer.disconnect((error) => (error ? reject(error) : resolve()));
    });
  }
}

module.exports = { StaticMember };
