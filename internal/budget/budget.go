// Package budget shares out memory among requests that are under way at the same time.
package budget

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrNoMemory ends a try that must wait for memory.
var ErrNoMemory = errors.New("mp4: requests in flight hold all of maxMemory")

// maxWait is how long a request waits for memory before it gets a 503.
const maxWait = 10 * time.Second

// Either waits until one of two contexts is over. By no select: Yaegi keeps the
// channels of one where all who run it at the same time put theirs, and one of
// them waits for what another was to wait for.
func Either(a, b context.Context) {
	both, cancel := context.WithCancel(a)
	stop := context.AfterFunc(b, cancel)
	<-both.Done()
	stop()
	cancel()
}

// Budget is the memory that all requests under way may hold for metadata.
type Budget struct {
	mu    sync.Mutex
	limit int64
	used  int64
	queue []*waiter // in order of arrival
}

type waiter struct {
	need  int64
	ready context.Context // over when need is the waiter's
	serve context.CancelFunc
}

// try takes n bytes if they are free and nobody waits for them.
func (b *Budget) try(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) > 0 || n > b.limit-b.used {
		return false
	}
	b.used += n
	return true
}

// wait takes n bytes when it is their turn. It reports false when that is not
// before the deadline or the end of ctx.
func (b *Budget) wait(ctx context.Context, n int64, deadline time.Time) bool {
	w := b.enqueue(n)
	if w == nil {
		return false
	}
	until, cancel := context.WithDeadline(ctx, deadline)
	Either(w.ready, until)
	cancel()
	if w.ready.Err() != nil {
		return true
	}
	b.leave(w)
	return false
}

// enqueue returns nil where n is more than there will ever be.
func (b *Budget) enqueue(n int64) *waiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > b.limit {
		return nil
	}
	ready, serve := context.WithCancel(context.Background())
	w := &waiter{need: n, ready: ready, serve: serve}
	b.queue = append(b.queue, w)
	b.serve()
	return w
}

// leave gives up w's place, or what it was given at the last moment.
func (b *Budget) leave(w *waiter) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.queue {
		if b.queue[i] == w {
			b.queue = append(b.queue[:i:i], b.queue[i+1:]...)
			b.serve()
			return
		}
	}
	b.used -= w.need
	b.serve()
}

func (b *Budget) release(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
	b.serve()
}

// Resize sets how much there is.
func (b *Budget) Resize(limit int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.limit = limit
	b.serve()
}

// serve gives the first in the queue what they wait for.
func (b *Budget) serve() {
	for len(b.queue) > 0 && b.queue[0].need <= b.limit-b.used {
		w := b.queue[0]
		b.queue = b.queue[1:]
		b.used += w.need
		w.serve()
	}
}

// Lease is one request's part of a budget, of which nothing is held at first.
type Lease struct {
	Of       *Budget
	Held     int64 // of the budget
	used     int64 // of Held
	deadline time.Time
}

// Take uses n more bytes. Who cannot have them at once must give back all it
// holds before it waits, else two that wait for each other would wait for ever.
func (l *Lease) Take(n int64) error {
	more := l.used + n - l.Held
	if more > 0 {
		if !l.Of.try(more) {
			l.used += n // what to wait for
			return ErrNoMemory
		}
		l.Held += more
	}
	l.used += n
	return nil
}

// Renew waits for as much as was asked for when Take failed.
func (l *Lease) Renew(ctx context.Context) bool {
	need := l.used
	Release(l)
	if l.deadline.IsZero() {
		l.deadline = time.Now().Add(maxWait)
	}
	if !l.Of.wait(ctx, need, l.deadline) {
		return false
	}
	l.Held = need
	return true
}

// Used is how much of it is in use.
func (l *Lease) Used() int64 { return l.used }

// Reuse lets n bytes that are in use be used again. They stay held.
func (l *Lease) Reuse(n int64) { l.used -= n }

// Release gives back all that is held. It is a function because a method costs the interpreter more.
func Release(l *Lease) {
	if l.Held > 0 {
		l.Of.release(l.Held)
	}
	l.Held = 0
	l.used = 0
}
