package mp4

import (
	"sort"
)

// collapsed is a lead-in after the formula of docs/lead-in.md.
type collapsed struct {
	dts, cts  []int64 // the last decode time is the end of the last sample
	mediaTime int64
	lead      int64 // for which the last hidden one stands, and a tick
}

// formula is that of docs/lead-in.md, a sample at a time: for samples with decode times d, lowered by K, of which the
// last is the end, and composition times c, where the picture on show at m is shown at p, and the last hidden one stands
// for lead ticks.
func formula(d, c []int64, m, p, lead int64) *collapsed {
	var hidden []int
	last := -1
	for i, v := range c {
		if v < p {
			hidden = append(hidden, i)
			last = i
		}
	}
	sort.SliceStable(hidden, func(i, j int) bool { return c[hidden[i]] < c[hidden[j]] })
	rank := make([]int64, len(c))
	count, most := int64(len(hidden)), int64(0)
	for r, h := range hidden {
		rank[h] = int64(r)
		most = maxInt64(most, int64(h)+count-int64(r))
	}
	out := &collapsed{lead: lead, mediaTime: int64(last) + 1 + maxInt64(0, m-d[last+1])}
	if count > 0 {
		out.mediaTime = maxInt64(out.mediaTime, most+lead)
	}
	for i, v := range c {
		if v < p {
			out.cts = append(out.cts, out.mediaTime-lead-count+rank[i])
		} else {
			out.cts = append(out.cts, maxInt64(v-m+out.mediaTime, out.mediaTime))
		}
	}
	for i, v := range d {
		if i <= last {
			out.dts = append(out.dts, int64(i))
		} else {
			out.dts = append(out.dts, v-m+out.mediaTime)
		}
	}
	return out
}
