package mp4

// beginning is how a purely fragmented answer begins: with what a run of fragments has, in one fragment that is made.
type beginning struct {
	*search
	asked  timeWindow
	exact  bool             // what is before the picture on show is hidden; else the first picture is a key frame, and is shown
	media  map[uint32]int64 // media ticks of each track at the beginning, by track_ID: before its edit where that comes later
	showBy map[uint32]int64 // and those by which what is on show then is known
	run    *fragmentRun

	tracks []*beginningTrack
	delta  int64            // how late in the answer the beginning is, in ticks of the search's track
	later  map[uint32]int64 // ticks by which the media of a track are later in the answer
}

// beginningTrack is a track that has samples in the run.
type beginningTrack struct {
	*retimedTrack
	m      int64   // media time at the beginning
	before *hidden // pictures
	lead   int64   // how long the last of these stands
	quiet  int64   // no key frame is to be shown before, but the first
	timed  *fragmentTimes
}

// newBeginning is one for the tracks that have anything to show in the window, with the run that it takes.
func (s *search) newBeginning(w timeWindow, exact bool) (*beginning, error) {
	o := s.beginningOf(w, exact)
	if len(o.media) == 0 || w.to >= 0 && w.from >= w.to {
		return nil, errPastEnd
	}
	var err error
	o.run, err = s.find(o.showBy, o.seconds(), exact)
	return o, err
}

// beginningOf is newBeginning without the run.
func (s *search) beginningOf(w timeWindow, exact bool) *beginning {
	o := &beginning{search: s, asked: w, exact: exact, media: make(map[uint32]int64), showBy: make(map[uint32]int64)}
	for _, t := range s.movie.tracks {
		c := mediaClock{movie: w.ticks, source: s.movie.timescale, media: t.timescale}
		gap := int64(0)
		for _, e := range cutEdits(t, c, w.from, w.to) {
			if e.mediaTime == empty {
				gap += e.duration
				continue
			}
			o.media[t.id] = e.mediaTime - toMedia(c, gap, normalRate)
			o.showBy[t.id] = e.mediaTime
			if t.visual {
				o.showBy[t.id] = maxInt64(e.mediaTime, latestTick(e, c))
			}
			break
		}
	}
	return o
}

// seconds is when the beginning's window begins.
func (o *beginning) seconds() float64 { return float64(o.asked.from) / float64(o.asked.ticks) }

// atKeyFrame returns the beginning with the key frame of what is on show at the beginning of o.
func (o *beginning) atKeyFrame() (*beginning, error) {
	m, t := o.movie, o.track
	by, isShown := o.showBy[t.id]
	g, err := o.run.gather(t)
	if err != nil {
		return nil, err
	}
	heard := !o.run.protected() // else the fragments go out whole: none is needed for the sound before
	if g == nil || !isShown {
		o.exact = false
		o.run, err = o.find(o.showBy, o.seconds(), heard)
		return o, err
	}
	s := onShow(g.track, by-g.columns.begins)
	key := maxInt64(s.sample, 0)
	if t.visual {
		key = keyFor(g.track, s)
	}
	cts := g.columns.begins + compositionTime(g.track, key)
	w := o.asked.finer(t.timescale)
	at := t.shownAt(mediaClock{movie: w.ticks, source: m.timescale, media: t.timescale}, cts)
	if at > w.from+w.ticks*soonMS/1000 {
		at = w.from // there may be sound for long before
	}
	w.from = at
	moved := o.beginningOf(w, false)
	if late := moved.media[t.id] - cts; late > 0 { // the edit of the track hides the beginning of the group
		for _, other := range m.tracks {
			_, isShown = moved.media[other.id]
			if isShown { // to nearest, halves up
				moved.media[other.id] -= mulDivUp(late, 2*other.timescale, t.timescale) / 2
			}
		}
		moved.showBy[t.id] = cts
	}
	moved.run, err = o.find(moved.showBy, moved.seconds(), heard)
	return moved, err
}

// soonMS is how much later than the start a key frame may come for the cut to begin there.
const soonMS = 1000

// firstDecoded is the moment of the window's timeline when the first picture or sound of the run is decoded; 0 where an edit
// list says what is shown until then.
func (o *beginning) firstDecoded() int64 {
	first := maxSum
	for _, t := range o.movie.tracks {
		s := o.run.columns(t.id)
		if len(t.edits) > 0 {
			return 0
		}
		if len(s.sizes) > 0 && (t.visual || t.handler == "soun") {
			c := mediaClock{movie: o.asked.ticks, source: o.movie.timescale, media: t.timescale}
			first = minInt64(first, t.shownAt(c, s.begins))
		}
	}
	if first == maxSum {
		return 0
	}
	return first
}

// plan plans the answer: a moov without samples, a made fragment, and the fragments behind its run, as they end.
func (o *beginning) plan() (*cut, error) {
	for {
		err := o.time()
		if err != nil {
			return nil, err
		}
		next, err := o.wanted()
		if err != nil {
			return nil, err
		}
		if next == nil {
			break
		}
		err = o.src.Reserve(next.samples * (sampleMemory + sampleInTable))
		if err != nil {
			return nil, err
		}
		o.run.add(next)
	}
	e, err := o.endOf(o.asked, o.run.end)
	if err != nil {
		return nil, err
	}
	var tracks []*retimedTrack
	for _, t := range o.tracks {
		t.cutAt(e, o.later)
		tracks = append(tracks, t.retimedTrack)
	}
	follows := o.run.end
	if e.end <= follows {
		follows = 0
	}
	made, err := newMadeFragment(o.run.fragments[0].number, tracks, follows, o.src.Size())
	if err != nil {
		return nil, err
	}
	return o.answer(made, o.run.end, e)
}

// cutWhole plans an answer of whole fragments: those of the run, whose samples are encrypted, and those behind it. What
// says how they are encrypted goes with all samples of a fragment.
func (o *beginning) cutWhole() (*cut, error) {
	if o.run.fragments[0] == o.moov {
		// What decrypts samples of tables has no place in a fragment that is copied.
		return nil, o.movie.moov.fail("encrypted samples in it and in fragments")
	}
	for _, t := range o.movie.tracks {
		m, isShown := o.media[t.id]
		s := o.run.columns(t.id)
		if isShown && len(s.sizes) > 0 {
			o.reach(m-s.begins, t)
		}
	}
	o.move()
	from := o.run.fragments[0].off
	e, err := o.endOf(o.asked, from)
	if err != nil {
		return nil, err
	}
	return o.answer(nil, from, e)
}

// reach makes delta as long as so many ticks of a track, at least.
func (o *beginning) reach(ticks int64, t *track) {
	o.delta = maxInt64(o.delta, mulDivUp(maxInt64(ticks, 0), o.track.timescale, t.timescale))
}

// begin is delta in ticks of a track: its media time at the beginning of the answer.
func (o *beginning) begin(t *track) int64 {
	return toMedia(mediaClock{movie: o.track.timescale, media: t.timescale}, o.delta, normalRate)
}

// move sets how much later the media of each track are.
func (o *beginning) move() {
	o.later = make(map[uint32]int64)
	for _, t := range o.movie.tracks {
		m, isShown := o.media[t.id]
		if isShown {
			o.later[t.id] = o.begin(t) - m
		}
	}
}

// time times the samples of the run.
func (o *beginning) time() error {
	o.tracks = nil
	o.delta = 0
	for _, t := range o.movie.tracks {
		_, isShown := o.media[t.id]
		if !isShown {
			continue
		}
		g, err := o.run.gather(t)
		if err != nil {
			return err
		}
		if g != nil {
			o.tracks = append(o.tracks, o.open(g))
		}
	}
	for _, t := range o.tracks {
		if t.handler == "soun" && o.exact && len(t.cts) > 0 {
			o.reach(t.m-t.dts[0], t.track)
		}
	}
	for _, t := range o.tracks {
		if t.visual {
			t.timed = timeFragment(t.dts, t.cts, t.before, t.m, t.lead, o.begin(t.track))
			o.reach(t.timed.mediaTime, t.track)
		}
	}
	for _, t := range o.tracks {
		if t.visual {
			o.media[t.id] = t.m
		}
	}
	o.move()
	for _, t := range o.tracks {
		begin := o.begin(t.track)
		if t.visual && t.timed.mediaTime != begin {
			t.timed = timeFragment(t.dts, t.cts, t.before, t.m, t.lead, begin)
		}
		t.retime(begin, o.later[t.id])
	}
	return nil
}

// open chooses the samples that the made fragment begins with. Their times are still the source's.
func (o *beginning) open(g *gathered) *beginningTrack {
	m, begins := o.media[g.id], g.columns.begins
	t := &beginningTrack{m: m, quiet: -maxSum}
	if g.visual {
		s := onShow(g.track, o.showBy[g.id]-begins)
		key := keyFor(g.track, s)
		t.retimedTrack = newRetimedTrack(g.track, g.columns, int(key))
		if s.sample < 0 { // the first comes later
			s = firstShown(g.track, key, g.samples)
		} else if (2*(o.showBy[g.id]-m)-1)*1000 < 2*t.timescale { // else there is a gap before the edit
			t.m = maxInt64(m, begins+s.cts)
		}
		p := begins + s.cts
		t.before = rankHidden(t.cts, p)
		if o.exact && t.before.count > 0 {
			t.lead = leadTicks(t.timescale, 1, p-t.before.lastShown)
			t.quiet = p + t.timescale*quietMS/1000
			for i, at := range t.cts {
				if i > 0 && at < t.quiet {
					t.flags[i] |= sampleIsNonSync
				}
			}
		}
		return t
	}
	first, at := sampleAt(g.track, m-begins)
	if m >= g.columns.end {
		first = g.samples
	} else if g.handler == "soun" && o.exact {
		first = rollBack(g.track, first)
	} else if g.handler == "soun" && begins+at < m {
		first++
	}
	t.retimedTrack = newRetimedTrack(g.track, g.columns, int(first))
	return t
}

// retime sets the times in the answer, which begins at a media time. What is neither sound nor pictures begins then, if it
// began earlier.
func (t *beginningTrack) retime(begin, later int64) {
	if t.visual {
		t.dts = t.timed.dts
		t.cts = t.timed.cts
		return
	}
	t.delay(later)
	n := len(t.cts)
	if t.handler == "soun" || n == 0 || t.dts[0] >= begin {
		return
	}
	if t.dts[n] <= begin {
		t.cts = nil
		return
	}
	t.dts[0] = begin
	t.cts[0] = maxInt64(t.cts[0], begin)
}

// wanted is the fragment behind the run if it must be part of that: because its pictures cannot keep their own decode
// times, or begin with a key frame that is not to be one.
func (o *beginning) wanted() (*fragment, error) {
	if o.lacksTfdt() {
		return o.following()
	}
	for _, t := range o.tracks {
		n, end, later := int64(len(t.cts)), t.columns.end, o.later[t.id]
		if !t.visual || end+later >= n && end+t.least >= t.quiet {
			continue
		}
		next, err := o.following()
		if next == nil || err != nil {
			return nil, err
		}
		part := next.part(t.id)
		if part == nil {
			return next, nil
		}
		begins := part.after(end)
		if begins+later < n || part.flags[0]&sampleIsNonSync == 0 && begins+part.offsets[0] < t.quiet {
			return next, nil
		}
	}
	return nil, nil
}

// following is the fragment behind the run, if there is one and it may be part of it.
func (o *beginning) following() (*fragment, error) {
	next, err := o.next(o.run.end)
	if next == nil || err != nil || next.protected() || len(o.run.fragments) == maxRun {
		return nil, err
	}
	return next, nil
}

// lacksTfdt reports whether a track would begin in a fragment that does not tell when.
func (o *beginning) lacksTfdt() bool {
	if o.run.fragments[len(o.run.fragments)-1].tracks[0].hasTfdt {
		return false
	}
	begun := make(map[uint32]bool)
	for _, t := range o.tracks {
		begun[t.id] = len(t.cts) > 0
	}
	for _, t := range o.movie.tracks {
		_, isShown := o.media[t.id]
		if isShown && !begun[t.id] && (t.visual || t.handler == "soun") {
			return true
		}
	}
	return false
}

// answer lays the cut out: a made fragment, if there is one, and the source's from an offset on, as they end.
func (o *beginning) answer(made *madeFragment, from int64, e *ending) (*cut, error) {
	m := o.movie
	w := &moovWriter{ftyp: m.ftyp, template: m.template, madeUp: true, shown: timeWindow{ticks: m.timescale}, fragmented: true}
	length := 0.0 // seconds
	for _, t := range m.tracks {
		later, isShown := o.later[t.id]
		if !isShown {
			continue
		}
		k := &trackCut{track: t, clock: mediaClock{movie: m.timescale, source: m.timescale, media: t.timescale}, none: true, moved: -1}
		if o.exact {
			k.edits = []edit{{mediaTime: o.begin(t), rate: normalRate}}
		}
		w.kept = append(w.kept, k)
		end := t.end
		if e.shown != nil {
			end = minInt64(end, e.shown[t.id]+1)
		}
		if seconds := float64(end+later) / float64(t.timescale); seconds > length {
			length = seconds
		}
	}
	w.length = int64(length*float64(m.timescale) + 0.5)
	buildMoov(w, 0)
	c := &cut{duration: int64(length * 1000), length: w.size, segments: []*segment{{length: w.size, pieces: joinPieces(w.boxWriter)}}}
	c.appendMade(made)
	c.follow(o.later, from, e.end)
	last, err := e.last(o)
	if err != nil {
		return nil, err
	}
	c.appendMade(last)
	return c, nil
}

// appendMade appends a made fragment to a cut.
func (c *cut) appendMade(made *madeFragment) {
	if made == nil {
		return
	}
	last := c.segments[len(c.segments)-1]
	if last.fromSource {
		last = &segment{}
		c.segments = append(c.segments, last)
	}
	last.pieces = append(last.pieces, madePiece{data: made.moof})
	last.length += int64(len(made.moof))
	c.length += int64(len(made.moof))
	for _, r := range made.ranges {
		c.segments = append(c.segments, &segment{fromSource: true, off: r.from, length: r.to - r.from})
		c.length += r.to - r.from
	}
}

// ending is how the fragments of an answer end: unchanged ones up to an offset, and behind them one that is made of the
// rest, without what is shown after a window.
type ending struct {
	end   int64
	rest  *fragmentRun     // nil: none
	shown map[uint32]int64 // media ticks up to which each track is shown; nil: to its end
}

// endOf is how the fragments end that a window needs, of those from an offset on.
func (s *search) endOf(w timeWindow, from int64) (*ending, error) {
	if w.to < 0 {
		return &ending{end: maxInt64(s.end, from)}, nil
	}
	ends := s.movie.endTimes(w)
	run, err := s.find(ends, float64(w.to)/float64(w.ticks), false)
	if err != nil {
		return nil, err
	}
	r := newProgress(run.begins)
	for i, f := range run.fragments {
		if f.off >= from && f.goesOn(ends, r.ends) {
			rest := run.without(i)
			if rest.protected() {
				break // what says how they are encrypted goes with all samples
			}
			return &ending{end: f.off, rest: rest, shown: ends}, nil
		}
		r.add(f)
	}
	return &ending{end: maxInt64(run.end, from), shown: ends}, nil
}

// goesOn reports whether the fragment has media that are shown after the ends of their tracks.
func (f *fragment) goesOn(ends, before map[uint32]int64) bool {
	for _, part := range f.tracks {
		end, shown := ends[part.id]
		if shown && part.after(before[part.id])+part.shown > end+1 {
			return true
		}
	}
	return false
}

// cutAt leaves out what is shown after the ending, in the answer's times.
func (t *retimedTrack) cutAt(e *ending, later map[uint32]int64) {
	end, ends := e.shown[t.id]
	if ends {
		t.cutBehind(end + later[t.id])
	}
}

// last makes the fragment that the ending needs.
func (e *ending) last(o *beginning) (*madeFragment, error) {
	if e.rest == nil {
		return nil, nil
	}
	var tracks []*retimedTrack
	for _, t := range o.movie.tracks {
		later, isShown := o.later[t.id]
		s := e.rest.columns(t.id)
		if isShown && len(s.sizes) > 0 {
			made := newRetimedTrack(t, s, 0)
			made.delay(later)
			made.cutAt(e, o.later)
			tracks = append(tracks, made)
		}
	}
	return newMadeFragment(e.rest.fragments[0].number, tracks, 0, o.src.Size())
}

// endTimes are the media ticks up to which each track is shown in a window.
func (m *movie) endTimes(w timeWindow) map[uint32]int64 {
	all := make(map[uint32]int64)
	for _, t := range m.tracks {
		c := mediaClock{movie: w.ticks, source: m.timescale, media: t.timescale}
		_, to, media := span(cutEdits(t, c, w.from, w.to), c)
		if media > 0 {
			all[t.id] = minInt64(to, t.end) - 1
		}
	}
	return all
}

// shownAt is the moment of the movie timeline at which the track's edit list first shows a media time; 0 where it does
// not.
func (t *track) shownAt(c mediaClock, mediaTime int64) int64 {
	edits := cutEdits(t, c, 0, -1)
	at := int64(0)
	for _, e := range edits {
		if e.mediaTime != empty && mediaTime < mediaEnd(e, c) {
			return at + toMovieNearest(c, maxInt64(mediaTime-e.mediaTime, 0))
		}
		at += e.duration
	}
	return 0
}

// finer is the window in ticks that a media timescale's are a multiple of, if there are such.
func (w timeWindow) finer(timescale int64) timeWindow {
	const most = 1 << 30 // a second
	a, b := w.ticks, timescale
	for b != 0 {
		a, b = b, a%b
	}
	factor := timescale / a
	if w.ticks*factor > most || w.from > maxSum/factor || w.to > maxSum/factor {
		return w
	}
	w.ticks *= factor
	w.from *= factor
	if w.to >= 0 {
		w.to *= factor
	}
	return w
}

// follow appends the bytes [from, to) of the source to a cut: fragments whose tracks are later by so many ticks. They are
// one stretch with what lies before them.
func (c *cut) follow(later map[uint32]int64, from, to int64) {
	if to <= from {
		return
	}
	r := &fragmentRetiming{later: later, moved: c.length - from}
	c.length += to - from
	last := c.segments[len(c.segments)-1]
	if last.fromSource && last.off+last.length == from {
		r.plain = last.length
		last.retiming = r
		last.length += to - from
		return
	}
	c.segments = append(c.segments, &segment{fromSource: true, off: from, length: to - from, retiming: r})
}
