package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	suite "chronik/go_suite"

	"github.com/segmentio/kafka-go"
)

const dialTime = 3 * time.Second

var clients atomic.Int64

type member struct {
	library library
	reader  *kafka.Reader
	polled  []kafka.Message
	// The library does not tell what a reader is assigned, the broker does: by the name of its client.
	clientID string
	group    string
	topic    string
}

func (lib library) Member(options suite.MemberOptions) (suite.Member, error) {
	if options.Instance != "" {
		return nil, suite.Skip("the reader of kafka-go has no instance id")
	}
	clientID := fmt.Sprintf("%sclient-%d", suite.Orders.Prefix, clients.Add(1))
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers:           []string{suite.Orders.Bootstrap},
		Dialer:            &kafka.Dialer{ClientID: clientID, Timeout: dialTime},
		GroupID:           options.Group,
		Topic:             options.Topic,
		GroupBalancers:    []kafka.GroupBalancer{kafka.RangeGroupBalancer{}},
		StartOffset:       kafka.FirstOffset,
		SessionTimeout:    suite.SessionTimeout,
		RebalanceTimeout:  suite.SessionTimeout,
		HeartbeatInterval: suite.HeartbeatInterval,
		JoinGroupBackoff:  pause,
		ReadBackoffMax:    pause,
		MaxWait:           fetchWait,
	})
	return &member{
		library: lib, reader: reader, clientID: clientID, group: options.Group, topic: options.Topic,
	}, nil
}

func (member *member) Poll(ctx context.Context, wait time.Duration) ([]suite.Record, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	var records []suite.Record
	for {
		message, err := member.reader.FetchMessage(waiting)
		if waiting.Err() != nil && errors.Is(err, waiting.Err()) {
			return records, nil
		}
		if errors.Is(err, io.EOF) {
			return records, fmt.Errorf("the reader ended by itself: %w", err)
		}
		if err != nil {
			// The reader heals by itself.
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		member.polled = append(member.polled, message)
		records = append(records, converted(message))
	}
}

func (member *member) Assigned(ctx context.Context) ([]int32, error) {
	described, err := member.library.described(ctx, member.group)
	if err != nil {
		return nil, err
	}
	var partitions []int32
	for _, one := range described.Members {
		if one.ClientID != member.clientID {
			continue
		}
		for _, topic := range one.MemberAssignments.Topics {
			for _, partition := range topic.Partitions {
				partitions = append(partitions, int32(partition))
			}
		}
	}
	return partitions, nil
}

func (member *member) Commit(ctx context.Context) error {
	polled := member.polled
	member.polled = nil
	return refused(member.reader.CommitMessages(ctx, polled...))
}

func (member *member) Close() error { return member.reader.Close() }
