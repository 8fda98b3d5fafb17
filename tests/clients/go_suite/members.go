package suite

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	memberPoll  = 100 * time.Millisecond
	settleTime  = 30 * time.Second
	closingTime = 20 * time.Second
)

// running is a member in a goroutine of its own, as in a real program: it polls, and commits after every poll that
// brought something, until it is closed.
type running struct {
	stop  context.CancelFunc
	ended chan struct{}

	lock     sync.Mutex
	records  []Record
	assigned []int32
	err      error
	// While it cannot reach the broker it goes on.
	trouble error
}

// join starts a member, which ends with the check at the latest.
func (t *T) join(options MemberOptions) *running {
	ctx, cancel := context.WithCancel(t)
	member := &running{stop: cancel, ended: make(chan struct{})}
	go member.run(ctx, t.Client, options)
	t.Cleanup(func() { _ = member.close() })
	return member
}

func (member *running) run(ctx context.Context, client Client, options MemberOptions) {
	defer close(member.ended)
	library, err := client.Member(options)
	if err != nil {
		member.end(err)
		return
	}
	for ctx.Err() == nil {
		if err = member.step(ctx, library); err != nil {
			break
		}
	}
	if closing := library.Close(); err == nil && ctx.Err() == nil {
		err = closing
	}
	member.end(err)
}

func (member *running) step(ctx context.Context, library Member) error {
	polled, err := library.Poll(ctx, memberPoll)
	if err != nil || ctx.Err() != nil {
		return err
	}
	assigned, err := library.Assigned(ctx)
	member.note(polled, assigned, err)
	if len(polled) == 0 || ctx.Err() != nil {
		return nil
	}
	err = library.Commit(ctx)
	if isRefused(err, fencedInstanceID) {
		return err
	}
	// In a rebalance a commit may be refused; who owns the partition then reads again.
	member.note(nil, assigned, err)
	return nil
}

func (member *running) note(polled []Record, assigned []int32, trouble error) {
	member.lock.Lock()
	defer member.lock.Unlock()
	member.records = append(member.records, polled...)
	if trouble != nil {
		member.trouble = trouble
		return
	}
	member.assigned = slices.Sorted(slices.Values(assigned))
}

func (member *running) end(err error) {
	member.lock.Lock()
	defer member.lock.Unlock()
	member.err = err
	member.assigned = nil
}

// close leaves the group; returns what went wrong in the goroutine.
func (member *running) close() error {
	member.stop()
	select {
	case <-member.ended:
		return member.failed()
	case <-time.After(closingTime):
		return fmt.Errorf("a member did not leave within %s", closingTime)
	}
}

// failed is the error with which the member ended by itself.
func (member *running) failed() error {
	member.lock.Lock()
	defer member.lock.Unlock()
	return member.err
}

func (member *running) seen() []Record {
	member.lock.Lock()
	defer member.lock.Unlock()
	return slices.Clone(member.records)
}

func (member *running) owns() []int32 {
	member.lock.Lock()
	defer member.lock.Unlock()
	return member.assigned
}

func (member *running) lastTrouble() error {
	member.lock.Lock()
	defer member.lock.Unlock()
	return member.trouble
}

// waitRecords returns the records that the members got after they had got `before` of them, once there are `count`.
func (t *T) waitRecords(count int, before []int, members ...*running) [][]Record {
	var found [][]Record
	what := fmt.Sprintf("%d records for members that own %s", count, ownership(members))
	t.Until(what, settleTime, func() (bool, error) {
		found = nil
		total := 0
		for at, member := range members {
			if err := member.failed(); err != nil {
				t.Fail("a member of the group ended: %w", err)
			}
			fresh := member.seen()[before[at]:]
			found = append(found, fresh)
			total += len(fresh)
		}
		return total >= count, fmt.Errorf("got %d, trouble: %v", total, troubles(members))
	})
	return found
}

// waitSettled returns when the members own all partitions, each one of them at least one, and none twice.
func (t *T) waitSettled(partitions int, members ...*running) {
	var all []int32
	t.Until(fmt.Sprintf("%d members to share %d partitions", len(members), partitions), settleTime, func() (bool, error) {
		all = nil
		everyone := true
		for _, member := range members {
			if err := member.failed(); err != nil {
				t.Fail("a member of the group ended: %w", err)
			}
			owned := member.owns()
			everyone = everyone && len(owned) > 0
			all = append(all, owned...)
		}
		slices.Sort(all)
		settled := everyone && len(all) == partitions && len(slices.Compact(all)) == partitions
		return settled, fmt.Errorf("they own %s, trouble: %v", ownership(members), troubles(members))
	})
}

func ownership(members []*running) string {
	var words []string
	for _, member := range members {
		words = append(words, fmt.Sprint(member.owns()))
	}
	return strings.Join(words, " and ")
}

func troubles(members []*running) []error {
	var found []error
	for _, member := range members {
		if err := member.lastTrouble(); err != nil {
			found = append(found, err)
		}
	}
	return found
}
