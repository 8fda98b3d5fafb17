package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	suite "chronik/go_suite"

	"github.com/IBM/sarama"
)

// member turns the library's callbacks into polls.
type member struct {
	group    sarama.ConsumerGroup
	stop     context.CancelFunc
	ended    chan struct{}
	messages chan delivery
	failures chan error
	polled   []delivery

	lock     sync.Mutex
	assigned map[int32]bool
}

type delivery struct {
	message *sarama.ConsumerMessage
	session sarama.ConsumerGroupSession
}

func (lib library) Member(options suite.MemberOptions) (suite.Member, error) {
	config := settings()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.InstanceId = options.Instance
	config.Consumer.Group.Session.Timeout = suite.SessionTimeout
	config.Consumer.Group.Heartbeat.Interval = suite.HeartbeatInterval
	config.Consumer.Group.Rebalance.Retry.Backoff = retryPause
	strategy := sarama.NewBalanceStrategyRange()
	if options.Protocol == suite.Cooperative {
		strategy = sarama.NewBalanceStrategyCooperativeSticky()
	}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}

	group, err := sarama.NewConsumerGroup(brokers(), options.Group, config)
	if err != nil {
		return nil, refused(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	member := &member{
		group:    group,
		stop:     stop,
		ended:    make(chan struct{}),
		messages: make(chan delivery),
		failures: make(chan error, 1),
		assigned: map[int32]bool{},
	}
	go member.watch()
	go member.consume(ctx, options.Topic)
	return member, nil
}

// consume joins again and again: the library's call ends with every generation, and with every error.
func (member *member) consume(ctx context.Context, topic string) {
	defer close(member.ended)
	for ctx.Err() == nil {
		if err := member.group.Consume(ctx, []string{topic}, member); err == nil {
			continue
		} else if errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return
		} else {
			member.failed(err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

func (member *member) watch() {
	for err := range member.group.Errors() {
		member.failed(err)
	}
}

// failed tells of what the library does not overcome by itself.
func (member *member) failed(err error) {
	if !errors.Is(err, sarama.ErrFencedInstancedId) {
		return
	}
	select {
	case member.failures <- err:
	default:
	}
}

func (member *member) Setup(sarama.ConsumerGroupSession) error   { return nil }
func (member *member) Cleanup(sarama.ConsumerGroupSession) error { return nil }

func (member *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	member.own(claim.Partition(), true)
	defer member.own(claim.Partition(), false)
	for {
		select {
		case message, open := <-claim.Messages():
			if !open {
				return nil
			}
			select {
			case member.messages <- delivery{message, session}:
			case <-session.Context().Done():
				return nil
			}
		case <-session.Context().Done():
			return nil
		}
	}
}

func (member *member) own(partition int32, owned bool) {
	member.lock.Lock()
	defer member.lock.Unlock()
	if owned {
		member.assigned[partition] = true
	} else {
		delete(member.assigned, partition)
	}
}

func (member *member) Poll(ctx context.Context, wait time.Duration) ([]suite.Record, error) {
	var records []suite.Record
	timeout := time.After(wait)
	for {
		select {
		case one := <-member.messages:
			member.polled = append(member.polled, one)
			records = append(records, converted(one.message))
		case err := <-member.failures:
			return records, refused(err)
		case <-timeout:
			return records, nil
		case <-ctx.Done():
			return records, nil
		}
	}
}

func (member *member) Assigned(context.Context) ([]int32, error) {
	member.lock.Lock()
	defer member.lock.Unlock()
	return slices.Collect(maps.Keys(member.assigned)), nil
}

func (member *member) Commit(context.Context) error {
	for _, one := range member.polled {
		one.session.MarkMessage(one.message, "")
	}
	if len(member.polled) > 0 {
		member.polled[len(member.polled)-1].session.Commit()
	}
	member.polled = nil
	return nil
}

func (member *member) Close() error {
	member.stop()
	<-member.ended
	return refused(member.group.Close())
}
