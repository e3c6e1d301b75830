package mp4

import (
	"container/list"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/traefik-mp4/mp4/internal/budget"
	"github.com/traefik-mp4/mp4/internal/origin"
)

// What all instances of one plugin alias share, and what survives Traefik's
// reloads: each makes new instances, but the interpreter and so these stay.
var (
	indexes      = newCache()
	metadata     = &budget.Budget{}
	allInstances = &limits{cache: indexes, budget: metadata}
)

// limits knows the sizes that the live instances ask for.
type limits struct {
	cache  *indexCache
	budget *budget.Budget

	mu   sync.Mutex
	live []*instanceLimits
}

type instanceLimits struct {
	cacheSize, maxMemory int64
}

// join counts an instance until ctx, that of its New, ends: Traefik cancels
// it when a reload has replaced the instance.
func (s *limits) join(ctx context.Context, cacheSize, maxMemory int64) {
	l := &instanceLimits{cacheSize: cacheSize, maxMemory: maxMemory}
	s.mu.Lock()
	s.live = append(s.live, l)
	s.mu.Unlock()
	s.apply()
	context.AfterFunc(ctx, leaving(s, l))
}

// leaving is a function of its own because Yaegi's closures share their
// function's variables.
func leaving(s *limits, l *instanceLimits) func() {
	return func() {
		s.leave(l)
		s.apply()
	}
}

func (s *limits) leave(l *instanceLimits) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.live {
		if s.live[i] == l {
			s.live = append(s.live[:i:i], s.live[i+1:]...)
			return
		}
	}
}

// apply makes the largest values count.
func (s *limits) apply() {
	s.mu.Lock()
	defer s.mu.Unlock()
	var most instanceLimits
	for _, l := range s.live {
		most.cacheSize = maxInt64(most.cacheSize, l.cacheSize)
		most.maxMemory = maxInt64(most.maxMemory, l.maxMemory)
	}
	if len(s.live) == 0 {
		return // between two configurations; what is cached will be wanted again
	}
	s.cache.resize(most.cacheSize)
	s.budget.Resize(most.maxMemory)
}

// cachedIndex is a file's index at one version, or why there is none.
type cachedIndex struct {
	key     string
	query   string // of the request that read it
	version origin.Version
	movie   *movie
	plans   *recentCuts // of movie
	err     error       // where movie is nil
	asIs    bool        // the file is an answer itself to who wants all of it
	plain   bool        // it says no more than that plain requests are to be passed on
	shared  bool        // other requests may use it
	size    int64

	// What the validators of the file's cuts are made of (RFC 9110, 8.8):
	modified time.Time // zero where the file has no Last-Modified
	weak     string    // "W/" where a cut's tag is weak
	tagged   string    // the part of the file in that tag; "" where there can be none
}

// setVersion notes the version and what follows from it. A tag is weak where what it is made of is.
func (e *cachedIndex) setVersion(v origin.Version) {
	e.version = v
	if modified, err := http.ParseTime(v.Modified); err == nil {
		e.modified = modified
	}
	of := v.ETag
	if of == "" {
		e.weak, of = "W/", v.Modified
	}
	if strings.HasPrefix(of, "W/") {
		e.weak = "W/"
	}
	if of != "" {
		e.tagged = fmt.Sprintf("%d\n%s", v.Size, of)
	}
}

// entryOverhead is about what an entry takes beside its strings and movie.
const entryOverhead = 1 << 10

// maxVersions bounds how many versions of one file are kept: an origin that
// gives every answer another ETag would fill the cache with them.
const maxVersions = 8

// indexCache keeps indexes by file and version, the least recently used leaving
// first.
type indexCache struct {
	mu      sync.Mutex
	limit   int64
	size    int64
	recent  *list.List                 // of *entry, the latest used first
	files   map[string][]*list.Element // by key, the latest made last
	flights map[string]*flight         // by key: first seeks under way
}

func newCache() *indexCache {
	return &indexCache{
		recent:  list.New(),
		files:   make(map[string][]*list.Element),
		flights: make(map[string]*flight),
	}
}

// flight is one request reading an index while others wait for it.
type flight struct {
	key    string
	leader *origin.Client
	landed context.Context // over when the flight is
	land   context.CancelFunc
	// Set before the landing: the entry that was made, if any, and
	// whether the next of those who wait should try, because the one who
	// read has lost its client, or was content with less.
	entry *cachedIndex
	retry bool
}

// lookUp returns the index to try for a client's request. Where there is no index it returns the flight that will bring
// it. A plain request names no interval.
//
// Of a version that was seen it takes only that; then it prefers the latest with the same query, since one path may name
// many files (/?file=1.mp4), then the latest that says by ETag what it is, since one file may have many queries (every
// presigned address is another).
func lookUp(c *indexCache, key string, client *origin.Client, plain bool) (*cachedIndex, *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var best *list.Element
	rank := 1
	for _, el := range c.files[key] {
		if r := rankOf(el.Value.(*cachedIndex), client, plain); r >= rank {
			best = el
			rank = r
		}
	}
	if best == nil {
		return nil, board(c, key, client)
	}
	c.recent.MoveToFront(best)
	return best.Value.(*cachedIndex), nil
}

// rankOf is 0 for an entry that cannot be of use. Without an ETag an entry
// serves only its own query: two films may share a second and a length.
func rankOf(e *cachedIndex, client *origin.Client, plain bool) int {
	if e.plain && !plain || client.Seen != nil && e.version != *client.Seen {
		return 0
	}
	if e.query == client.Query {
		return 2
	}
	if e.version.ETag == "" {
		return 0
	}
	return 1
}

// board returns the flight under way, or else a new one, which the client leads.
func board(c *indexCache, key string, client *origin.Client) *flight {
	f := c.flights[key]
	if f == nil {
		landed, land := context.WithCancel(context.Background())
		f = &flight{key: key, leader: client, landed: landed, land: land}
		c.flights[key] = f
	}
	return f
}

// land ends a flight and lets those who wait for it go on.
func (c *indexCache) land(f *flight) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.flights, f.key)
	f.land()
}

// add keeps e, in the place of an older one for the same.
func (c *indexCache) add(e *cachedIndex) {
	e.size = int64(len(e.key)+len(e.query)) + entryOverhead
	if e.movie != nil {
		e.size += e.movie.memory() + keptPlans*maxPlan
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.size > c.limit {
		return
	}
	elements := c.files[e.key]
	for _, el := range elements {
		old := el.Value.(*cachedIndex)
		if old.version == e.version && (old.query == e.query || e.version.ETag != "") {
			c.remove(el)
		}
	}
	if elements = c.files[e.key]; len(elements) >= maxVersions {
		c.remove(elements[0])
	}
	c.files[e.key] = append(c.files[e.key], c.recent.PushFront(e))
	c.size += e.size
	c.shrink()
}

func (c *indexCache) resize(limit int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.limit = limit
	c.shrink()
}

func (c *indexCache) shrink() {
	for c.size > c.limit {
		c.remove(c.recent.Back())
	}
}

func (c *indexCache) remove(el *list.Element) {
	e := el.Value.(*cachedIndex)
	c.recent.Remove(el)
	c.size -= e.size
	// A new slice: the caller may be ranging over the old one.
	var others []*list.Element
	for _, other := range c.files[e.key] {
		if other != el {
			others = append(others, other)
		}
	}
	if others == nil {
		delete(c.files, e.key)
		return
	}
	c.files[e.key] = others
}

// recentCuts are the cuts of a file that were asked for last. A player asks for the same cut again and again, a range at a
// time, and many viewers follow one link.
type recentCuts struct {
	mu   sync.Mutex
	last []*cut // the latest at the end
}

const (
	keptPlans = 4
	maxPlan   = 16 << 10 // bytes of a plan that is kept; what it shows of the index is not counted
)

// plannedCut returns the plan for an interval, or nil.
func plannedCut(p *recentCuts, iv msInterval, seek string) *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.last {
		if c.interval == iv && c.seek == seek {
			return c
		}
	}
	return nil
}

// keepPlan remembers a plan that is laid out, in the place of the oldest.
func keepPlan(p *recentCuts, c *cut) {
	if madeBytes(c) > maxPlan || plannedCut(p, c.interval, c.seek) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == keptPlans {
		p.last = append([]*cut(nil), p.last[1:]...)
	}
	p.last = append(p.last, c)
}

// madeBytes is the number of bytes in the plan that are not the index's.
func madeBytes(c *cut) int {
	n := 0
	for _, s := range c.segments {
		for _, p := range s.pieces {
			if !p.view {
				n += len(p.data)
			}
		}
	}
	return n
}
