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

// plannedCut returns the plan for an interval, or nil.
func plannedCut(p *plans, iv interval, seek string) *cut {
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
func keepPlan(p *plans, c *cut) {
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
