package main

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	suite "chronik/go_suite"

	"github.com/twmb/franz-go/pkg/kgo"
)

type member struct {
	client *kgo.Client

	lock     sync.Mutex
	assigned map[int32]bool
}

func (lib library) Member(options suite.MemberOptions) (suite.Member, error) {
	member := &member{assigned: map[int32]bool{}}
	settings := []kgo.Opt{
		kgo.ConsumerGroup(options.Group),
		kgo.ConsumeTopics(options.Topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(suite.SessionTimeout),
		kgo.HeartbeatInterval(suite.HeartbeatInterval),
		kgo.OnPartitionsAssigned(member.change(options.Topic, true)),
		kgo.OnPartitionsRevoked(member.change(options.Topic, false)),
		kgo.OnPartitionsLost(member.change(options.Topic, false)),
	}
	if options.Instance != "" {
		settings = append(settings, kgo.InstanceID(options.Instance))
	}
	switch options.Protocol {
	case suite.Eager:
		settings = append(settings, kgo.Balancers(kgo.RangeBalancer()))
	case suite.Cooperative:
		settings = append(settings, kgo.Balancers(kgo.CooperativeStickyBalancer()))
	case suite.Consumer:
		settings = append(settings, kgo.Balancers(kgo.StickyBalancer()), kgo.ServerSideBalancer())
	}
	var err error
	member.client, err = kgo.NewClient(base(settings...)...)
	return member, err
}

func (member *member) change(
	topic string, owned bool,
) func(context.Context, *kgo.Client, map[string][]int32) {
	return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
		member.lock.Lock()
		defer member.lock.Unlock()
		for _, partition := range changed[topic] {
			if owned {
				member.assigned[partition] = true
			} else {
				delete(member.assigned, partition)
			}
		}
	}
}

func (member *member) Poll(ctx context.Context, wait time.Duration) ([]suite.Record, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	fetches := member.client.PollFetches(waiting)
	// The library goes on after every error; only one of the group says that the member is not wanted.
	for _, found := range fetches.Errors() {
		var session *kgo.ErrGroupSession
		var answered suite.Refused
		if errors.As(found.Err, &session) && errors.As(refused(session.Err), &answered) {
			return nil, answered
		}
	}
	return converted(fetches), nil
}

func (member *member) Assigned(context.Context) ([]int32, error) {
	member.lock.Lock()
	defer member.lock.Unlock()
	return slices.Collect(maps.Keys(member.assigned)), nil
}

func (member *member) Commit(ctx context.Context) error {
	return refused(member.client.CommitUncommittedOffsets(ctx))
}

func (member *member) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := member.client.LeaveGroupContext(ctx)
	member.client.Close()
	return refused(err)
}
