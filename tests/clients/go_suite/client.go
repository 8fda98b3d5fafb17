package suite

import (
	"context"
	"fmt"
	"time"
)

// Client is what the checks ask of a client library. What a library cannot do returns a Skip.
// An answer of the broker that refuses something comes back as a Refused.
type Client interface {
	Name() string
	Version() string
	// Protocols are the ways to rebalance a group that the library has.
	Protocols() []Protocol
	// EmptyIsNothing says that the library reads empty keys and values as if they were not there.
	EmptyIsNothing() bool

	CreateTopic(ctx context.Context, topic string, partitions int, config map[string]string) error
	DeleteTopic(ctx context.Context, topic string) error
	// Partitions lists the partitions a topic has.
	Partitions(ctx context.Context, topic string) ([]int32, error)

	Producer(options ProducerOptions) (Producer, error)
	// Read returns the next count records from these offsets by partition, without a group.
	Read(ctx context.Context, topic string, starts map[int32]int64, count int) ([]Record, error)
	// ReadCommitted reads partition 0 from its start, without records of open or aborted transactions.
	ReadCommitted(ctx context.Context, topic string, count int) ([]Record, error)
	// Transaction writes the values to partition 0 in one transaction, committed or aborted.
	Transaction(ctx context.Context, topic string, values []string, commit bool) error
	// ProduceOutdated sends a record with a version of Produce that brokers of today do not serve.
	ProduceOutdated(ctx context.Context, topic string) error

	// OffsetAt is the first offset at or after the time, -1 when there is none.
	OffsetAt(ctx context.Context, topic string, partition int32, at time.Time) (int64, error)
	// Offsets are the earliest and the latest offset.
	Offsets(ctx context.Context, topic string, partition int32) (earliest, latest int64, err error)
	DeleteRecords(ctx context.Context, topic string, partition int32, before int64) error

	TopicConfig(ctx context.Context, topic string) (map[string]string, error)
	AlterTopicConfig(ctx context.Context, topic string, config map[string]string) error
	CreatePartitions(ctx context.Context, topic string, total int) error

	Member(options MemberOptions) (Member, error)
	Groups(ctx context.Context) ([]string, error)
	DescribeGroup(ctx context.Context, group string) (Group, error)
	DeleteGroup(ctx context.Context, group string) error
	// Committed is the group's committed offset, -1 when there is none.
	Committed(ctx context.Context, group, topic string, partition int32) (int64, error)
}

// Producer lives longer than one call.
type Producer interface {
	// Send returns the offsets of the records, once all of them are acknowledged.
	Send(ctx context.Context, topic string, records []Outgoing) ([]int64, error)
	Close() error
}

// Member of a group, used by one goroutine. It starts from the beginning where the group has no offsets.
type Member interface {
	// Poll returns new records, after at most about that time. A Refused says that the group does not want the member.
	Poll(ctx context.Context, wait time.Duration) ([]Record, error)
	// Assigned are the partitions it owns, for a group of one topic.
	Assigned(ctx context.Context) ([]int32, error)
	// Commit commits what was polled and waits for the answer.
	Commit(ctx context.Context) error
	// Close leaves the group.
	Close() error
}

// ProducerOptions ask for a producer that waits for all replicas.
type ProducerOptions struct {
	// Codec is none, gzip, snappy, lz4 or zstd; empty for none.
	Codec      string
	Idempotent bool
	// Largest is the client's own limit of a request in bytes, 0 for the library's default.
	Largest int
}

// Protocol is a way to rebalance a group.
type Protocol string

// The classic protocol in its two forms, and the one of KIP-848.
const (
	Eager       Protocol = "eager"
	Cooperative Protocol = "cooperative"
	Consumer    Protocol = "consumer"
)

// MemberOptions ask for a member of a group.
type MemberOptions struct {
	Group    string
	Topic    string
	Instance string
	Protocol Protocol
}

// The timing of members of groups: short, as the tests wait for it.
const (
	SessionTimeout    = 10 * time.Second
	HeartbeatInterval = 500 * time.Millisecond
)

// Group as it is described.
type Group struct {
	// State is in the spelling of the protocol, for example PreparingRebalance.
	State   string
	Members int
}

// Header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Outgoing is a record to be sent. Without a time the client takes its clock.
type Outgoing struct {
	Partition int32
	Key       []byte
	Value     []byte
	Headers   []Header
	Time      time.Time
}

// Record as it was consumed.
type Record struct {
	Partition int32
	Offset    int64
	Time      time.Time
	Key       []byte
	Value     []byte
	Headers   []Header
}

// Refused is an error that the broker answered. Code is Kafka's number, 0 when the client only gave up.
type Refused struct {
	Code int
	Text string
}

func (refused Refused) Error() string {
	return fmt.Sprintf("error %d: %s", refused.Code, refused.Text)
}

// Skip is the reason why a check cannot be made with this client, or with this broker.
type Skip string

func (skip Skip) Error() string { return string(skip) }

// Kafka's error codes that the checks ask for.
const (
	offsetOutOfRange        = 1
	unknownTopicOrPartition = 3
	notLeader               = 6
	messageTooLarge         = 10
	unsupportedVersion      = 35
	topicAlreadyExists      = 36
	invalidPartitions       = 37
	invalidConfig           = 40
	transactionalIDRefused  = 53
	nonEmptyGroup           = 68
	groupIDNotFound         = 69
	fencedInstanceID        = 82
)
