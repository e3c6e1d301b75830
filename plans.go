package mp4

import "sync"

// plans are the cuts of a movie that were asked for last. A player asks for the same cut again and again, a range at a
// time, and many viewers follow one link.
type plans struct {
	mu   sync.Mutex
	last []*cut // the latest at the end
}

const (
	keptPlans = 4
	maxPlan   = 16 << 10 // bytes of a plan that is kept; what it shows of the index is not counted
)

// of returns the plan for an interval, or nil.
func (p *plans) of(iv interval, seek string) *cut {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.last {
		if c.interval == iv && c.seek == seek {
			return c
		}
	}
	return nil
}

// keep remembers a plan that is laid out, in the place of the oldest.
func (p *plans) keep(c *cut) {
	if c.made() > maxPlan || p.of(c.interval, c.seek) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.last) == keptPlans {
		p.last = append([]*cut(nil), p.last[1:]...)
	}
	p.last = append(p.last, c)
}

// made is the number of bytes in the plan that are not the index's.
func (c *cut) made() int {
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
