package budget

import (
	"context"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/internal/filmtest"
)

func TestBudget(t *testing.T) {
	b := &Budget{}
	b.Resize(100)
	if !b.try(60) || b.try(41) || !b.try(40) {
		t.Fatal("it does not count")
	}
	first := b.enqueue(70)
	second := b.enqueue(10)
	if b.try(0) {
		t.Error("who comes later overtakes")
	}
	b.release(60)
	if isReady(first) || isReady(second) {
		t.Error("60 bytes are enough for 70, or the second was served before the first")
	}
	b.release(10)
	if !isReady(first) || isReady(second) {
		t.Error("the first is not served in its turn")
	}
	b.release(70)
	if !isReady(second) {
		t.Error("the second is not served")
	}
	b.release(10)
	b.release(30)
	if b.used != 0 {
		t.Errorf("%d bytes are lost", b.used)
	}
	if b.enqueue(101) != nil {
		t.Error("one may wait for more than there is")
	}
}

func isReady(w *waiter) bool { return w.ready.Err() != nil }

func TestBudgetWaitEnds(t *testing.T) {
	b := &Budget{}
	b.Resize(100)
	b.try(100)
	ctx, cancel := context.WithCancel(context.Background())
	if b.wait(ctx, 50, time.Now().Add(20*time.Millisecond)) {
		t.Error("it got what is not there")
	}
	cancel()
	if b.wait(ctx, 50, time.Now().Add(time.Hour)) {
		t.Error("it waits for a client that is gone")
	}
	if len(b.queue) != 0 || b.used != 100 {
		t.Errorf("%d wait, %d bytes are used", len(b.queue), b.used)
	}
	// Who leaves at the moment when it is served gives back what it got.
	w := b.enqueue(50)
	b.release(100)
	b.leave(w)
	if b.used != 0 {
		t.Errorf("%d bytes are lost", b.used)
	}
}

func TestLease(t *testing.T) {
	all := &Budget{}
	all.Resize(100)
	a, b := Lease{Of: all}, Lease{Of: all}
	if a.Take(40) != nil || b.Take(40) != nil || a.Take(20) != nil {
		t.Fatal("there was room")
	}
	if err := b.Take(30); err != ErrNoMemory {
		t.Fatalf("%v", err)
	}
	done := make(chan bool)
	go renewLease(&b, done)
	filmtest.WaitUntil(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.queue) == 1 && all.used == 60 // b gave back its 40
	})
	Release(&a)
	if !<-done || b.Held != 70 || b.used != 0 || b.Take(70) != nil {
		t.Errorf("after waiting: held %d, used %d", b.Held, b.used)
	}
	Release(&b)
	if all.used != 0 {
		t.Errorf("%d bytes are lost", all.used)
	}
}

func renewLease(l *Lease, done chan bool) { done <- l.Renew(context.Background()) }
