package suite

import (
	"bytes"
	"fmt"
	"strings"
	"time"
)

// The checks in order. Their names are those of clients/suites.py.
var checks = []struct {
	name string
	body func(*T)
}{
	{"create-topic", checkCreateTopic},
	{"produce-none", produce("none")},
	{"produce-gzip", produce("gzip")},
	{"produce-snappy", produce("snappy")},
	{"produce-lz4", produce("lz4")},
	{"produce-zstd", produce("zstd")},
	{"round-trip", checkRoundTrip},
	{"consume-from-start", checkConsumeFromStart},
	{"consume-by-offset", checkConsumeByOffset},
	{"consume-by-time", checkConsumeByTime},
	{"group-of-two", checkGroupOfTwo},
	{"group-resume-after-restart", checkGroupResume},
	{"consumer-protocol", checkConsumerProtocol},
	{"admin-configs", checkConfigs},
	{"admin-partitions", checkPartitions},
	{"admin-delete-records", checkDeleteRecords},
	{"admin-groups", checkAdminGroups},
	{"admin-offsets", checkOffsets},
	{"error-too-large", checkTooLarge},
	{"error-unknown-topic", checkUnknownTopic},
	{"error-bad-version", checkBadVersion},
	{"error-fenced-member", checkFencedMember},
	{"delete-and-recreate", checkRecreate},
	{"idempotent-producer", checkIdempotent},
	{"transactions", checkTransactions},
}

func checkCreateTopic(t *T) {
	topic := t.NewTopic(3, nil)
	partitions, err := t.Partitions(t, topic)
	t.Must(err, "metadata")
	Equal(t, partitions, []int32{0, 1, 2}, "partitions")
	t.Refuses(t.CreateTopic(t, topic, 3, nil), topicAlreadyExists, "create it again")
}

func produce(codec string) func(*T) {
	return func(t *T) {
		topic := t.NewTopic(1, nil)
		records := make([]Outgoing, scaled(500, 5_000))
		for number := range records {
			records[number].Value = fmt.Appendf(nil, "%s%d", strings.Repeat("compressible ", 40), number)
		}
		offsets := t.Send(topic, records, ProducerOptions{Codec: codec})
		Equal(t, offsets, counted(0, len(records)), "offsets")
		sameValues(t, t.Reads(topic, 0, len(records)), records, "the records with "+codec)
	}
}

func checkRoundTrip(t *T) {
	topic := t.NewTopic(1, nil)
	every := make([]byte, 256)
	for number := range every {
		every[number] = byte(number)
	}
	sent := []Outgoing{
		{Key: []byte("key"), Value: []byte("value"), Headers: []Header{
			{"one", []byte("1")}, {"one", []byte("again")}, {"binary", every},
		}},
		{Value: []byte("v\u00e4lue")},
		{Key: []byte("tombstone")},
		{Key: []byte{}, Value: []byte{}, Headers: []Header{{"empty", []byte{}}}},
		{Key: bytes.Repeat([]byte("k"), 1_000), Value: bytes.Repeat([]byte("x"), 100_000)},
	}
	for number := range sent {
		sent[number].Time = firstTime.Add(time.Duration(number) * time.Millisecond)
		t.Send(topic, sent[number:number+1], ProducerOptions{})
	}
	for number, got := range t.Reads(topic, 0, len(sent)) {
		what := fmt.Sprintf("record %d: ", number)
		Equal(t, got.Offset, int64(number), what+"offset")
		Equal(t, got.Time.UnixMilli(), sent[number].Time.UnixMilli(), what+"time")
		Equal(t, t.shown(got.Key), t.shown(sent[number].Key), what+"key")
		Equal(t, t.shown(got.Value), t.shown(sent[number].Value), what+"value")
		Equal(t, len(got.Headers), len(sent[number].Headers), what+"headers")
		for at, header := range got.Headers {
			Equal(t, header.Key, sent[number].Headers[at].Key, what+"name of a header")
			Equal(t, string(header.Value), string(sent[number].Headers[at].Value), what+"value of a header")
		}
	}
}

func checkConsumeFromStart(t *T) {
	const partitions, count = 3, 200
	topic := t.NewTopic(partitions, nil)
	starts := map[int32]int64{}
	for partition := range int32(partitions) {
		starts[partition] = 0
		t.Send(topic, numbered(partition, count), ProducerOptions{})
	}
	records, err := t.Read(t, topic, starts, partitions*count)
	t.Must(err, "read from the start")
	for partition := range int32(partitions) {
		var part []Record
		for _, record := range records {
			if record.Partition == partition {
				part = append(part, record)
			}
		}
		Equal(t, offsetsOf(part), counted(0, count), fmt.Sprintf("offsets of partition %d", partition))
		sameValues(t, part, numbered(partition, count), fmt.Sprintf("partition %d", partition))
	}
}

func checkConsumeByOffset(t *T) {
	const count = 300
	topic := t.NewTopic(1, nil)
	t.Send(topic, numbered(0, count), ProducerOptions{})
	// In the middle of a batch, at its first record and at the last one.
	for _, start := range []int64{0, 1, 157, count - 1} {
		records := t.Reads(topic, start, count-int(start))
		Equal(t, offsetsOf(records), counted(start, count-int(start)), fmt.Sprintf("offsets from %d", start))
		Equal(t, string(records[0].Value), fmt.Sprintf("0-%d", start), fmt.Sprintf("the record at %d", start))
	}
}

func checkConsumeByTime(t *T) {
	const count, batch = 100, 20
	topic := t.NewTopic(1, nil)
	records := numbered(0, count)
	for number := range records {
		records[number].Time = firstTime.Add(time.Duration(number) * time.Second)
	}
	// More than one batch, so the answer takes more than the times of whole batches.
	for start := 0; start < count; start += batch {
		t.Send(topic, records[start:start+batch], ProducerOptions{})
	}
	const before, behind = -time.Millisecond, time.Millisecond
	for _, one := range []struct {
		after    time.Duration
		expected int64
	}{
		{before, 0},
		{0, 0},
		{50 * time.Second, 50},
		{50*time.Second + behind, 51},
		{79*time.Second + behind, 80},
		{99 * time.Second, 99},
		{99*time.Second + behind, -1},
	} {
		offset, err := t.OffsetAt(t, topic, 0, firstTime.Add(one.after))
		t.Must(err, "offset at a time")
		Equal(t, offset, one.expected, fmt.Sprintf("the first offset %s after the first time", one.after))
	}
	Equal(t, t.Reads(topic, 70, 1)[0].Time.UnixMilli(), records[70].Time.UnixMilli(), "the time of record 70")
}

func checkConfigs(t *T) {
	topic := t.NewTopic(1, map[string]string{"cleanup.policy": "compact"})
	config, err := t.TopicConfig(t, topic)
	t.Must(err, "describe configs")
	Equal(t, config["cleanup.policy"], "compact", "cleanup.policy as created")
	Equal(t, config["retention.ms"], "604800000", "the default of retention.ms")

	t.Must(t.AlterTopicConfig(t, topic, map[string]string{"retention.ms": "3600000"}), "alter retention.ms")
	t.Until("the altered retention.ms", waitTime, func() (bool, error) {
		config, err = t.TopicConfig(t, topic)
		return config["retention.ms"] == "3600000", err
	})
	Equal(t, config["cleanup.policy"], "compact", "cleanup.policy, which was not altered")
	invalid := t.AlterTopicConfig(t, topic, map[string]string{"retention.ms": "soon"})
	t.Refuses(invalid, invalidConfig, "retention.ms=soon")
}

func checkPartitions(t *T) {
	topic := t.NewTopic(1, nil)
	t.Must(t.CreatePartitions(t, topic, 4), "four partitions instead of one")
	t.HasPartitions(topic, 4)
	Equal(t, t.Send(topic, numbered(3, 5), ProducerOptions{}), counted(0, 5), "offsets in the new partition")
	t.Refuses(t.CreatePartitions(t, topic, 2), invalidPartitions, "fewer partitions")
}

func checkDeleteRecords(t *T) {
	topic := t.NewTopic(1, nil)
	t.Send(topic, numbered(0, 100), ProducerOptions{})
	t.Must(t.DeleteRecords(t, topic, 0, 40), "delete records before 40")
	hasOffsets(t, topic, 0, 40, 100)
	Equal(t, string(t.Reads(topic, 40, 1)[0].Value), "0-40", "the first record left")
	t.Refuses(t.DeleteRecords(t, topic, 0, 1_000), offsetOutOfRange, "delete beyond the end")
}

func checkOffsets(t *T) {
	topic := t.NewTopic(2, nil)
	hasOffsets(t, topic, 1, 0, 0)
	t.Send(topic, numbered(1, 70), ProducerOptions{})
	hasOffsets(t, topic, 1, 0, 70)
	hasOffsets(t, topic, 0, 0, 0)
}

func checkTooLarge(t *T) {
	topic := t.NewTopic(1, map[string]string{"max.message.bytes": "10000"})
	large := []Outgoing{{Value: make([]byte, 100_000)}}
	_, err := t.trySend(topic, large, ProducerOptions{Largest: 10_000_000})
	t.Refuses(err, messageTooLarge, "100,000 bytes where 10,000 are allowed")
	small := t.Send(topic, []Outgoing{{Value: []byte("small")}}, ProducerOptions{})
	Equal(t, small, []int64{0}, "the offset of a small record after it")
}

func checkUnknownTopic(t *T) {
	topic := t.NewName("nobody-made-this-")
	_, err := t.trySend(topic, numbered(0, 1), ProducerOptions{})
	t.Refuses(err, unknownTopicOrPartition, "produce")
	t.Refuses(t.DeleteTopic(t, topic), unknownTopicOrPartition, "delete")
}

func checkBadVersion(t *T) {
	topic := t.NewTopic(1, nil)
	err := t.ProduceOutdated(t, topic)
	if err == nil {
		t.Fail("a record was taken in a version of Produce that is not served")
	}
	var skip Skip
	if asSkip(err, &skip) {
		t.Must(err, "produce")
	}
	note("refused with", err)
	first := t.Send(topic, numbered(0, 1), ProducerOptions{})
	Equal(t, first, []int64{0}, "the offset of the first record that was taken")
}

func checkRecreate(t *T) {
	topic := t.NewTopic(2, nil)
	t.Send(topic, numbered(0, 20), ProducerOptions{})
	for round := range scaled(1, 3) {
		t.Must(t.DeleteTopic(t, topic), "delete the topic")
		t.Until("the topic to be gone", waitTime, func() (bool, error) {
			partitions, err := t.Partitions(t, topic)
			return len(partitions) == 0 && isRefused(err, unknownTopicOrPartition), err
		})
		t.Must(t.CreateTopic(t, topic, 1, nil), "create the topic again")
		t.HasPartitions(topic, 1)
		record := []Outgoing{{Value: fmt.Appendf(nil, "new %d", round)}}
		Equal(t, t.Send(topic, record, ProducerOptions{}), []int64{0}, "the first offset of the new topic")
		sameValues(t, t.Reads(topic, 0, 1), record, "the records of the new topic")
	}
}

// A broker is killed while a producer sends: every record is there once, and in order.
func checkIdempotent(t *T) {
	const batch = 50
	topic := t.NewTopic(1, nil)
	producer, err := t.Producer(ProducerOptions{Idempotent: true})
	t.Must(err, "an idempotent producer")
	t.Cleanup(func() { producer.Close() })
	records := numbered(0, scaled(1_000, 4_000))
	var restarted chan error
	for start := 0; start < len(records); start += batch {
		if start == len(records)/2 {
			restarted = t.restarting()
		}
		offsets, err := producer.Send(t, topic, records[start:start+batch])
		t.Must(err, fmt.Sprintf("produce records %d to %d", start, start+batch-1))
		Equal(t, offsets, counted(int64(start), batch), "offsets over a kill of the broker")
	}
	t.Must(<-restarted, "restart")
	after, err := producer.Send(t, topic, numbered(0, 1))
	t.Must(err, "produce after the restart")
	Equal(t, after, counted(int64(len(records)), 1), "the offset after the restart")
	sameValues(t, t.Reads(topic, 0, len(records)), records, "every record once and in order")
}

func checkTransactions(t *T) {
	topic := t.NewTopic(1, nil)
	err := t.Transaction(t, topic, []string{"committed 1", "committed 2"}, true)
	if isRefused(err, unsupportedVersion) || isRefused(err, transactionalIDRefused) {
		t.Must(Skip(fmt.Sprintf("not served yet (%v)", err)), "transactions")
	}
	t.Must(err, "a committed transaction")
	t.Must(t.Transaction(t, topic, []string{"aborted"}, false), "an aborted transaction")
	t.Must(t.Transaction(t, topic, []string{"committed 3"}, true), "another transaction")
	records, err := t.ReadCommitted(t, topic, 3)
	t.Must(err, "read committed records")
	expected := []Outgoing{{Value: []byte("committed 1")}, {Value: []byte("committed 2")}, {Value: []byte("committed 3")}}
	sameValues(t, records, expected, "what a reader of committed records sees")
}
