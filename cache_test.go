package mp4

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func testEntry(key, query, etag string) *entry {
	return &entry{key: key, query: query, version: version{etag: etag, modified: "day", size: 1}, err: errNotMP4}
}

func TestCacheFind(t *testing.T) {
	c := newCache()
	c.resize(1 << 20)
	c.add(testEntry("/a", "", `"1"`))
	c.add(testEntry("/a", "sig=1", `"2"`))
	c.add(testEntry("/a", "file=b", ""))
	for _, tt := range []struct {
		key, query string
		seen       version
		want       string // query of the entry; "-" for none
	}{
		{"/a", "", version{}, ""},
		{"/a", "sig=1", version{}, "sig=1"},
		{"/a", "sig=2", version{}, "sig=1"}, // the latest with an ETag
		{"/a", "file=b", version{}, "file=b"},
		{"/b", "", version{}, "-"},
		{"/a", "sig=1", version{`"1"`, "day", 1}, ""}, // only that version
		{"/a", "sig=1", version{`"1"`, "day", 2}, "-"},
	} {
		got := "-"
		if e := findEntry(c, tt.key, tt.query, tt.seen, false); e != nil {
			got = e.query
		}
		if got != tt.want {
			t.Errorf("%s?%s %v: entry of %q, want %q", tt.key, tt.query, tt.seen, got, tt.want)
		}
	}
	c = newCache()
	c.resize(1 << 20)
	c.add(testEntry("/a", "file=b", ""))
	if findEntry(c, "/a", "file=c", version{}, false) != nil {
		t.Error("an entry without an ETag serves another query")
	}
}

func TestCacheLimit(t *testing.T) {
	c := newCache()
	c.resize(10*entryOverhead + 200)
	for i := 0; i < 100; i++ {
		c.add(testEntry(fmt.Sprintf("/%d", i), "", `"x"`))
		findEntry(c, "/0", "", version{}, false) // used, it stays
		if c.size > c.limit {
			t.Fatalf("%d bytes after %d entries", c.size, i+1)
		}
	}
	if c.recent.Len() != 10 || len(c.files) != 10 || findEntry(c, "/0", "", version{}, false) == nil || findEntry(c, "/99", "", version{}, false) == nil {
		t.Errorf("%d entries, %d files", c.recent.Len(), len(c.files))
	}
	for i := 0; i < 100; i++ { // another ETag with every answer
		c.add(testEntry("/a", "", fmt.Sprintf(`"%d"`, i)))
	}
	if n := len(c.files["/a"]); n != maxVersions {
		t.Errorf("%d versions of one file", n)
	}
	c.add(testEntry("/a", "other", `"99"`))
	if n := len(c.files["/a"]); n != maxVersions {
		t.Errorf("%d versions after one came twice", n)
	}
	c.resize(0)
	if c.size != 0 || c.recent.Len() != 0 || len(c.files) != 0 {
		t.Errorf("turned off, it holds %d bytes, %d entries", c.size, c.recent.Len())
	}
	c.add(testEntry("/a", "", `"x"`))
	if c.recent.Len() != 0 {
		t.Error("turned off, it takes entries")
	}
}

func TestLimits(t *testing.T) {
	all := &limits{cache: newCache(), budget: &budget{}}
	a, leaveA := context.WithCancel(context.Background())
	b, leaveB := context.WithCancel(context.Background())
	all.join(a, 100, 2000)
	all.join(b, 200, 1000)
	if all.cache.limit != 200 || all.budget.limit != 2000 {
		t.Errorf("limits %d and %d", all.cache.limit, all.budget.limit)
	}
	leaveB()
	waitUntil(t, func() bool { return lengthOf(all) == 1 })
	waitUntil(t, func() bool {
		all.cache.mu.Lock()
		defer all.cache.mu.Unlock()
		return all.cache.limit == 100
	})
	leaveA()
	waitUntil(t, func() bool { return lengthOf(all) == 0 })
	if all.cache.limit != 100 || all.budget.limit != 2000 {
		t.Errorf("between two configurations, limits %d and %d", all.cache.limit, all.budget.limit)
	}
}

func lengthOf(l *limits) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.live)
}

func waitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for i := 0; i < 500; i++ {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not come to pass")
}

func TestBudget(t *testing.T) {
	b := &budget{}
	b.resize(100)
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
	b := &budget{}
	b.resize(100)
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
	all := &budget{}
	all.resize(100)
	a, b := lease{budget: all}, lease{budget: all}
	if a.take(40) != nil || b.take(40) != nil || a.take(20) != nil {
		t.Fatal("there was room")
	}
	if err := b.take(30); err != errNoMemory {
		t.Fatalf("%v", err)
	}
	done := make(chan bool)
	go renewLease(&b, done)
	waitUntil(t, func() bool {
		all.mu.Lock()
		defer all.mu.Unlock()
		return len(all.queue) == 1 && all.used == 60 // b gave back its 40
	})
	a.release()
	if !<-done || b.held != 70 || b.used != 0 || b.take(70) != nil {
		t.Errorf("after waiting: held %d, used %d", b.held, b.used)
	}
	b.release()
	if all.used != 0 {
		t.Errorf("%d bytes are lost", all.used)
	}
}

func renewLease(l *lease, done chan bool) { done <- l.renew(context.Background()) }
