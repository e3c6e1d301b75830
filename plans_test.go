package mp4

import "testing"

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
