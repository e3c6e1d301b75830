package media

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
)

// Interval is what a request asks for, in milliseconds on the presentation timeline. End is -1 where it asks for all the rest.
type Interval struct {
	Start, End int64
	Why        string // what it is among the film's intervals
}

// Query is the interval as the arguments of a request.
func (v Interval) Query() string {
	q := fmt.Sprintf("start=%d.%03d", v.Start/1000, v.Start%1000)
	if v.End >= 0 {
		q += fmt.Sprintf("&end=%d.%03d", v.End/1000, v.End%1000)
	}
	return q
}

func (v Interval) String() string { return v.Why + " " + v.Query() }

// Starts are intervals of the film worth asking for: at, just before and between pictures and key frames, near both
// ends of the film and of each track, at random milliseconds (the same ones each time), with an end and without.
func Starts(f Film) ([]Interval, error) {
	path, err := f.Make()
	if err != nil {
		return nil, err
	}
	tracks, err := probe(path)
	if err != nil {
		return nil, fmt.Errorf("media: %s: %w", f.Name, err)
	}
	end := int64(0)
	for _, t := range tracks {
		end = max(end, t.end)
	}
	all := []Interval{
		{0, -1, "from 0"}, {0, end / 2, "first half"}, {0, end + 5000, "end past the end"},
		{1, -1, "1 ms"}, {19, -1, "within the first picture"}, {61, -1, "within the reorder delay"},
		{end - 700, -1, "near the end"}, {end - 700, end - 300, "near the end"},
		{end/2 + 7, end/2 + 17, "10 ms"}, {end/3 + 3, end/3 + 303, "300 ms"}, {1234, end - 1, "all but the last ms"},
	}
	for _, t := range tracks {
		all = append(all, t.starts()...)
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(f.Name))
	random := rand.New(rand.NewPCG(h.Sum64(), 0))
	for i := range 12 {
		at := random.Int64N(end - 200)
		v := Interval{at, -1, "random"}
		if i%3 == 0 {
			v.End = at + 1 + random.Int64N(end-at)
		}
		all = append(all, v)
	}
	return slices.DeleteFunc(all, func(v Interval) bool {
		return v.Start < 0 || !slices.ContainsFunc(tracks, func(t track) bool { return t.shows(v) }) ||
			slices.ContainsFunc(tracks, func(t track) bool { return t.undecided(v) })
	}), nil
}

// track is what the presentation shows of a track, by ffprobe: times in milliseconds, rounded down.
type track struct {
	kind       string
	begin, end int64
	times      []int64 // of what is shown, ascending
	keys       []int64 // of the key frames among them
}

// shows tells whether the track has anything in the interval.
func (t track) shows(v Interval) bool {
	return v.Start < t.end && (v.End <= v.Start || v.End > t.begin)
}

// undecided tells whether the interval touches the track by less than a decoder can tell: whether a track of sound is
// still there in the last frame of its codec is not said by what is decoded.
func (t track) undecided(v Interval) bool {
	const sound, picture = 70, 2
	margin := int64(picture)
	if t.kind == "audio" {
		margin = sound
	}
	begins := v.End >= 0 && v.End > t.begin-picture && v.End < t.begin+picture
	ends := v.Start > t.end-margin && v.Start < t.end+margin
	return begins || ends
}

// starts are those that the track's own times suggest.
func (t track) starts() []Interval {
	var all []Interval
	if t.begin > 50 {
		all = append(all, Interval{t.begin - 50, -1, t.kind + " begins later"}, Interval{t.begin + 90, -1, t.kind + " has begun"},
			Interval{t.begin / 3, t.begin / 2, t.kind + " has not begun"})
	}
	all = append(all, Interval{t.end - 1000, -1, t.kind + " ends"}, Interval{t.end + 100, -1, t.kind + " has ended"})
	if t.kind != "video" {
		return all
	}
	n := len(t.times)
	at, next := t.times[n*2/5], t.times[n*2/5+1]
	last := t.times[n-1]
	all = append(all,
		Interval{at, -1, "on a picture"}, Interval{at - 1, -1, "before a picture"}, Interval{at + 1, -1, "after a picture"},
		Interval{(at + next) / 2, -1, "between pictures"}, Interval{at, next, "one picture"}, Interval{at, t.times[n*2/5+10], "ten pictures"},
		Interval{at - 1, t.times[n*2/5+10] + 1, "pictures and 1 ms"},
		Interval{last, -1, "the last picture"}, Interval{last - 1, -1, "before the last picture"}, Interval{t.times[n-3], -1, "the last pictures"})
	if len(t.keys) > 1 {
		key, final := t.keys[len(t.keys)/2], t.keys[len(t.keys)-1]
		i, _ := slices.BinarySearch(t.times, key)
		all = append(all,
			Interval{key, -1, "on a key frame"}, Interval{key - 1, -1, "before a key frame"}, Interval{key + 1, -1, "after a key frame"},
			Interval{key, key + 1000, "on a key frame"}, Interval{t.times[i-1], -1, "the picture before a key frame"},
			Interval{t.times[i+1], -1, "the picture after a key frame"}, Interval{final, -1, "on the last key frame"},
			Interval{(final + last) / 2, -1, "in the last group"})
	}
	return all
}

func probe(path string) ([]track, error) {
	out, err := run("ffprobe", "-v", "error", "-show_entries", "packet=stream_index,pts_time,duration_time,flags:stream=index,codec_type", "-of", "json", path)
	if err != nil {
		return nil, err
	}
	var report struct {
		Streams []struct {
			CodecType string `json:"codec_type"`
		} `json:"streams"`
		Packets []struct {
			StreamIndex  int    `json:"stream_index"`
			PtsTime      string `json:"pts_time"`
			DurationTime string `json:"duration_time"`
			Flags        string `json:"flags"`
		} `json:"packets"`
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, err
	}
	tracks := make([]track, len(report.Streams))
	for i, s := range report.Streams {
		tracks[i] = track{kind: s.CodecType, begin: math.MaxInt64}
	}
	for _, p := range report.Packets {
		if strings.Contains(p.Flags, "D") {
			continue // hidden by the edit list
		}
		pts, err := strconv.ParseFloat(p.PtsTime, 64)
		if err != nil {
			return nil, err
		}
		duration, _ := strconv.ParseFloat(p.DurationTime, 64) // absent for some: then it is 0
		at := int64(pts*1000 + 0.0005)
		t := &tracks[p.StreamIndex]
		t.begin = min(t.begin, max(0, at))
		t.end = max(t.end, int64((pts+duration)*1000+0.0005))
		t.times = append(t.times, at)
		if strings.Contains(p.Flags, "K") {
			t.keys = append(t.keys, at)
		}
	}
	for i := range tracks {
		slices.Sort(tracks[i].times)
		slices.Sort(tracks[i].keys)
	}
	return slices.DeleteFunc(tracks, func(t track) bool { return len(t.times) == 0 || t.kind == "data" }), nil
}
