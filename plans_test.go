package mp4

import "testing"

func TestPlans(t *testing.T) {
	p := &plans{}
	for i := int64(0); i < keptPlans+1; i++ {
		p.keep(&cut{interval: interval{i, -1}, seek: seekExact, length: i})
	}
	p.keep(&cut{interval: interval{99, -1}, seek: seekExact, segments: []*segment{{pieces: []piece{{data: make([]byte, maxPlan+1)}}}}})
	if p.of(interval{0, -1}, seekExact) != nil {
		t.Error("the oldest plan is kept beyond the limit")
	}
	if c := p.of(interval{keptPlans, -1}, seekExact); c == nil || c.length != keptPlans {
		t.Errorf("the latest plan is %v", c)
	}
	if p.of(interval{keptPlans, -1}, seekSample) != nil || p.of(interval{keptPlans, 5}, seekExact) != nil {
		t.Error("a plan serves another request")
	}
	if p.of(interval{99, -1}, seekExact) != nil {
		t.Error("a plan too large is kept")
	}
}
