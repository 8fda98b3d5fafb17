package suite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"runtime/debug"
	"slices"
	"time"
)

const (
	checkDeadline = 60 * time.Second
	// How long a check may take to notice that its time is over.
	checkGrace = 5 * time.Second
	waitTime   = 20 * time.Second
	pollEvery  = 50 * time.Millisecond
	// A reason longer than this is cut.
	reasonBytes = 600
)

// T is one run of one check. Its methods end the check when something is not as it must be.
type T struct {
	context.Context
	Client
	next     int
	cleanups []func()
}

// Main runs the checks, those named on the command line or all, and reports every one as a line of JSON.
func Main(client Client) {
	say(map[string]any{"client": client.Name(), "version": client.Version()})
	wanted := os.Args[1:]
	for number, check := range checks {
		if len(wanted) > 0 && !slices.Contains(wanted, check.name) {
			continue
		}
		fmt.Fprintln(os.Stderr, "==>", check.name)
		began := time.Now()
		result, detail := "pass", ""
		var skip Skip
		if err := run(client, number, check.body); errors.As(err, &skip) {
			result, detail = "skip", string(skip)
		} else if err != nil {
			result, detail = "fail", err.Error()
		}
		say(map[string]any{
			"check":   check.name,
			"result":  result,
			"seconds": float64(time.Since(began).Milliseconds()) / 1000,
			"detail":  detail[:min(len(detail), reasonBytes)],
		})
	}
}

func run(client Client, number int, body func(*T)) error {
	ctx, cancel := context.WithTimeout(context.Background(), checkDeadline)
	defer cancel()
	t := &T{Context: ctx, Client: client, next: number * 100}
	done := make(chan error, 1)
	go func() { done <- t.run(body) }()
	select {
	case err := <-done:
		return err
	case <-time.After(checkDeadline + checkGrace):
		return fmt.Errorf("the check did not end within %s", checkDeadline+checkGrace)
	}
}

// failure ends a check from within.
type failure struct{ error }

func (t *T) run(body func(*T)) (err error) {
	defer func() {
		for _, cleanup := range slices.Backward(t.cleanups) {
			cleanup()
		}
	}()
	defer func() {
		switch reason := recover().(type) {
		case nil:
		case failure:
			err = reason.error
		default:
			err = fmt.Errorf("panic: %v", reason)
			debug.PrintStack()
		}
	}()
	body(t)
	return nil
}

// Fail ends the check with a reason.
func (t *T) Fail(format string, arguments ...any) {
	panic(failure{fmt.Errorf(format, arguments...)})
}

// Must ends the check if there is an error.
func (t *T) Must(err error, what string) {
	if err != nil {
		t.Fail("%s: %w", what, err)
	}
}

// Refuses ends the check unless the error is the broker's answer with this code.
func (t *T) Refuses(err error, code int, what string) {
	var refused Refused
	var skip Skip
	switch {
	case errors.As(err, &skip):
		panic(failure{skip})
	case err == nil:
		t.Fail("%s: not refused, expected error %d", what, code)
	case !errors.As(err, &refused) || refused.Code != code:
		t.Fail("%s: got %w, expected error %d", what, err, code)
	}
}

// Until waits for a condition; an error of the condition itself counts as not yet, and is told if it is the last.
func (t *T) Until(what string, limit time.Duration, condition func() (bool, error)) {
	deadline := time.Now().Add(limit)
	for {
		holds, err := condition()
		var skip Skip
		switch {
		case errors.As(err, &skip):
			panic(failure{skip})
		case holds:
			return
		case t.Err() != nil:
			t.Fail("waited for %s until the check's time was over (%w)", what, errors.Join(err, t.Err()))
		case time.Now().After(deadline):
			t.Fail("waited %s for %s: %w", limit, what, errors.Join(err, errors.New("it did not come")))
		}
		select {
		case <-t.Done():
		case <-time.After(pollEvery):
		}
	}
}

// Cleanup runs when the check is over, in reverse order.
func (t *T) Cleanup(action func()) { t.cleanups = append(t.cleanups, action) }

// Equal ends the check unless both are the same.
func Equal[V any](t *T, got, expected V, what string) {
	if !reflect.DeepEqual(got, expected) {
		t.Fail("%s: got %.300q, expected %.300q", what, fmt.Sprint(got), fmt.Sprint(expected))
	}
}

// NewName is a topic or group of this check's own.
func (t *T) NewName(kind string) string {
	t.next++
	return fmt.Sprintf("%s%s%d", Orders.Prefix, kind, t.next)
}

// NewTopic is ready to be written.
func (t *T) NewTopic(partitions int, config map[string]string) string {
	topic := t.NewName("t")
	t.Must(t.CreateTopic(t, topic, partitions, config), "create a topic")
	t.HasPartitions(topic, partitions)
	return topic
}

// HasPartitions waits for the topic to have that many.
func (t *T) HasPartitions(topic string, count int) {
	t.Until(fmt.Sprintf("%s to have %d partitions", topic, count), waitTime, func() (bool, error) {
		partitions, err := t.Partitions(t, topic)
		return len(partitions) == count, err
	})
}

// Send sends with a producer of its own; the offsets.
func (t *T) Send(topic string, records []Outgoing, options ProducerOptions) []int64 {
	offsets, err := t.trySend(topic, records, options)
	t.Must(err, "produce")
	return offsets
}

func (t *T) trySend(topic string, records []Outgoing, options ProducerOptions) ([]int64, error) {
	producer, err := t.Producer(options)
	if err != nil {
		return nil, err
	}
	offsets, err := producer.Send(t, topic, records)
	if closing := producer.Close(); err == nil {
		err = closing
	}
	return offsets, err
}

// restarting has the broker restarted meanwhile; the check does not end before that.
func (t *T) restarting() chan error {
	restarted := make(chan error, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		restarted <- restartBroker(t)
	}()
	t.Cleanup(func() { <-ended })
	return restarted
}

// Reads reads so many records of partition 0 from an offset.
func (t *T) Reads(topic string, start int64, count int) []Record {
	records, err := t.Read(t, topic, map[int32]int64{0: start}, count)
	t.Must(err, fmt.Sprintf("read from offset %d", start))
	return records
}

func say(line map[string]any) {
	text, err := json.Marshal(line)
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(os.Stdout, "%s\n", text)
}
