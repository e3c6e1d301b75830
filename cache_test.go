package mp4

import (
	"context"
	"fmt"
	"testing"

	"github.com/traefik-mp4/mp4/internal/budget"
	"github.com/traefik-mp4/mp4/internal/filmtest"
	"github.com/traefik-mp4/mp4/internal/origin"
)

func testEntry(key, query, etag string) *cachedIndex {
	return &cachedIndex{key: key, query: query, version: origin.Version{ETag: etag, Modified: "day", Size: 1}, err: errNotMP4}
}

func entryFor(c *indexCache, key, query string, seen *origin.Version) *cachedIndex {
	e, _ := lookUp(c, key, &origin.Client{Query: query, Seen: seen}, false)
	return e
}

func TestCacheFind(t *testing.T) {
	c := newCache()
	c.resize(1 << 20)
	c.add(testEntry("/a", "", `"1"`))
	c.add(testEntry("/a", "sig=1", `"2"`))
	c.add(testEntry("/a", "file=b", ""))
	for _, tt := range []struct {
		key, query string
		seen       *origin.Version
		want       string // query of the entry; "-" for none
	}{
		{"/a", "", nil, ""},
		{"/a", "sig=1", nil, "sig=1"},
		{"/a", "sig=2", nil, "sig=1"}, // the latest with an ETag
		{"/a", "file=b", nil, "file=b"},
		{"/b", "", nil, "-"},
		{"/a", "sig=1", &origin.Version{ETag: `"1"`, Modified: "day", Size: 1}, ""}, // only that version
		{"/a", "sig=1", &origin.Version{ETag: `"1"`, Modified: "day", Size: 2}, "-"},
	} {
		got := "-"
		if e := entryFor(c, tt.key, tt.query, tt.seen); e != nil {
			got = e.query
		}
		if got != tt.want {
			t.Errorf("%s?%s %v: entry of %q, want %q", tt.key, tt.query, tt.seen, got, tt.want)
		}
	}
	c = newCache()
	c.resize(1 << 20)
	c.add(testEntry("/a", "file=b", ""))
	if entryFor(c, "/a", "file=c", nil) != nil {
		t.Error("an entry without an ETag serves another query")
	}
}

func TestCacheLimit(t *testing.T) {
	c := newCache()
	c.resize(10*entryOverhead + 200)
	for i := 0; i < 100; i++ {
		c.add(testEntry(fmt.Sprintf("/%d", i), "", `"x"`))
		entryFor(c, "/0", "", nil) // used, it stays
		if c.size > c.limit {
			t.Fatalf("%d bytes after %d entries", c.size, i+1)
		}
	}
	if c.recent.Len() != 10 || len(c.files) != 10 || entryFor(c, "/0", "", nil) == nil || entryFor(c, "/99", "", nil) == nil {
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
	all := &limits{cache: newCache(), budget: &budget.Budget{}}
	a, leaveA := context.WithCancel(context.Background())
	b, leaveB := context.WithCancel(context.Background())
	all.join(a, 100, 2000)
	all.join(b, 200, 1000)
	if all.cache.limit != 200 || !has(all.budget, 2000) {
		t.Errorf("%d bytes of cache", all.cache.limit)
	}
	leaveB()
	filmtest.WaitUntil(t, func() bool { return lengthOf(all) == 1 })
	filmtest.WaitUntil(t, func() bool {
		all.cache.mu.Lock()
		defer all.cache.mu.Unlock()
		return all.cache.limit == 100
	})
	leaveA()
	filmtest.WaitUntil(t, func() bool { return lengthOf(all) == 0 })
	if all.cache.limit != 100 || !has(all.budget, 2000) {
		t.Errorf("between two configurations, %d bytes of cache", all.cache.limit)
	}
}

// has reports whether there are just so many bytes to be had.
func has(b *budget.Budget, n int64) bool {
	more, all := &budget.Lease{Of: b}, &budget.Lease{Of: b}
	if more.Take(n+1) == nil || all.Take(n) != nil {
		return false
	}
	budget.Release(all)
	return true
}

func lengthOf(l *limits) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.live)
}

func TestPlans(t *testing.T) {
	p := &recentCuts{}
	for i := int64(0); i < keptPlans+1; i++ {
		keepPlan(p, &cut{interval: msInterval{i, -1}, seek: seekExact, length: i})
	}
	keepPlan(p, &cut{interval: msInterval{99, -1}, seek: seekExact, segments: []*segment{{pieces: []madePiece{{data: make([]byte, maxPlan+1)}}}}})
	if plannedCut(p, msInterval{0, -1}, seekExact) != nil {
		t.Error("the oldest plan is kept beyond the limit")
	}
	if c := plannedCut(p, msInterval{keptPlans, -1}, seekExact); c == nil || c.length != keptPlans {
		t.Errorf("the latest plan is %v", c)
	}
	if plannedCut(p, msInterval{keptPlans, -1}, seekSample) != nil || plannedCut(p, msInterval{keptPlans, 5}, seekExact) != nil {
		t.Error("a plan serves another request")
	}
	if plannedCut(p, msInterval{99, -1}, seekExact) != nil {
		t.Error("a plan too large is kept")
	}
}
