package mp4

import (
	"encoding/binary"
	"fmt"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// trackDefaults is a trex (8.8.3).
type trackDefaults struct {
	description, duration, size, flags uint32
}

// fragment is a moof (8.8.4) that was read.
type fragment struct {
	off     int64 // where the boxes before the moof begin
	moof    int64 // and where the moof does
	media   int64 // what follows the header of the mdat behind it
	end     int64 // of that mdat: there the next fragment's boxes begin
	number  uint32
	samples int64 // of all tracks
	tracks  []*trackFragment
}

// trackFragment is a traf (8.8.6): successive samples of a track.
type trackFragment struct {
	id        uint32
	hasTfdt   bool
	timed     bool  // its decode time is known: from its tfdt, or else by those before it
	protected bool  // it has auxiliary information, which is not taken along into the moov
	begins    int64 // decode time of its first sample
	duration  int64 // of all its samples
	shown     int64 // when the last of them has been shown, after begins
	least     int64 // no composition offset is less; never above 0
	durations []int64
	sizes     []int64
	offsets   []int64 // composition
	flags     []int64
	runs      []trackRun
}

// trackRun is a trun (8.8.8): samples that lie one after another.
type trackRun struct {
	off         int64
	samples     int64
	description uint32
}

// Flags of tfhd (8.8.7), trun and of samples (8.8.3.1).
const (
	tfhdBase        = 0x000001
	tfhdDescription = 0x000002
	tfhdDuration    = 0x000008
	tfhdSize        = 0x000010
	tfhdFlags       = 0x000020
	tfhdBaseIsMoof  = 0x020000
	trunDataOffset  = 0x000001
	trunFirstFlags  = 0x000004
	trunDuration    = 0x000100
	trunSize        = 0x000200
	trunFlags       = 0x000400
	trunComposition = 0x000800
	sampleIsNonSync = 0x00010000
)

const (
	maxMoof      = 4 << 20
	maxInMoof    = 1 << 17 // samples of a fragment; a run may claim any number of them in 20 bytes
	sampleMemory = 4 * 8   // bytes that a sample of a trackFragment takes
)

// readDefaults reads the trex boxes of a mvex.
func readDefaults(mvex *box) (map[uint32]trackDefaults, error) {
	defaults := make(map[uint32]trackDefaults)
	err := readChildren(mvex, "mehd")
	if err != nil {
		return nil, err
	}
	for _, b := range mvex.children {
		p := payload(b)
		if b.typ != "trex" {
			continue
		}
		if len(p) < fullBoxLen+20 {
			// Browsers refuse it, too.
			return nil, b.fail("too short")
		}
		defaults[binary.BigEndian.Uint32(p[4:])] = trackDefaults{
			description: binary.BigEndian.Uint32(p[8:]),
			duration:    binary.BigEndian.Uint32(p[12:]),
			size:        binary.BigEndian.Uint32(p[16:]),
			flags:       binary.BigEndian.Uint32(p[20:]),
		}
	}
	return defaults, nil
}

// readFragment reads a moof.
func readFragment(moof *box, defaults map[uint32]trackDefaults) (*fragment, error) {
	err := readChildren(moof, "mfhd")
	if err != nil {
		return nil, err
	}
	f := &fragment{off: moof.at, moof: moof.at, end: moof.at + int64(len(moof.data))}
	if mfhd := childOf(moof, "mfhd"); mfhd != nil && len(payload(mfhd)) >= fullBoxLen+4 {
		f.number = binary.BigEndian.Uint32(payload(mfhd)[fullBoxLen:])
	}
	end := moof.at // where the data of the traf before ended
	for _, traf := range moof.children {
		if traf.typ != "traf" {
			continue
		}
		t := &trackFragment{}
		end, err = t.read(traf, defaults, moof.at, end, maxInMoof-f.samples)
		if err != nil {
			return nil, fmt.Errorf("moof at %d: %w", moof.at, err)
		}
		f.samples += int64(len(t.sizes))
		f.tracks = append(f.tracks, t)
	}
	f.media = f.end
	return f, nil
}

// memory is the number of bytes that the fragment holds.
func (f *fragment) memory() int64 { return 1<<10 + sampleMemory*f.samples }

// part returns what the fragment has of a track first, or nil.
func (f *fragment) part(id uint32) *trackFragment {
	for _, t := range f.tracks {
		if t.id == id && len(t.sizes) > 0 {
			return t
		}
	}
	return nil
}

// timed reports whether the fragment tells its times: else they go on where the fragment before ended.
func (f *fragment) timed() bool {
	for _, t := range f.tracks {
		if !t.timed {
			return false
		}
	}
	return true
}

// fields takes 32-bit numbers off the front of a payload, as flags say which are there.
type fields struct {
	rest  []byte
	flags uint32
	short bool // there were too few bytes
}

// take returns the next number where flag is set, and otherwise the default.
func (f *fields) take(flag, otherwise uint32) uint32 {
	if f.flags&flag == 0 {
		return otherwise
	}
	if len(f.rest) < 4 {
		f.short = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.rest)
	f.rest = f.rest[4:]
	return v
}

// read reads a traf of the moof at an offset, with so many samples at most. It returns where its data end.
func (t *trackFragment) read(traf *box, all map[uint32]trackDefaults, moof, before, room int64) (int64, error) {
	err := readChildren(traf, "tfhdtfdt")
	if err != nil {
		return 0, err
	}
	tfhd := childOf(traf, "tfhd")
	if tfhd == nil || len(payload(tfhd)) < 8 {
		// Nobody knows whose samples they are.
		return 0, traf.fail("no tfhd in it, or a short one")
	}
	p := payload(tfhd)
	f := &fields{rest: p[8:], flags: binary.BigEndian.Uint32(p) & 0xFFFFFF}
	t.id = binary.BigEndian.Uint32(p[4:])
	d := all[t.id]
	base := before
	if f.flags&tfhdBaseIsMoof != 0 {
		base = moof
	}
	if f.flags&tfhdBase != 0 {
		high := int64(f.take(tfhdBase, 0))
		base = high<<32 | int64(f.take(tfhdBase, 0))
	}
	d.description = f.take(tfhdDescription, d.description)
	d.duration = f.take(tfhdDuration, d.duration)
	d.size = f.take(tfhdSize, d.size)
	d.flags = f.take(tfhdFlags, d.flags)
	if f.short || base < 0 || base > maxBoxSize {
		// No player finds the samples.
		return 0, tfhd.fail("too short, or its offset is beyond any file")
	}
	err = t.readTime(childOf(traf, "tfdt"))
	if err != nil {
		return 0, err
	}
	t.protected = childOf(traf, "saiz") != nil || childOf(traf, "senc") != nil
	at := base
	for _, b := range traf.children {
		if b.typ == "trun" {
			at, err = t.readRun(b, d, base, at, room)
			if err != nil {
				return 0, err
			}
		}
	}
	return at, nil
}

// readTime reads a tfdt (8.8.12), which may be absent.
func (t *trackFragment) readTime(tfdt *box) error {
	if tfdt == nil {
		return nil
	}
	p := payload(tfdt)
	if len(p) < 8 || p[0] != 0 && len(p) < 12 {
		// Browsers refuse it, too.
		return tfdt.fail("too short")
	}
	t.hasTfdt = true
	t.timed = true
	t.begins = int64(binary.BigEndian.Uint32(p[4:]))
	if p[0] != 0 {
		t.begins = int64(binary.BigEndian.Uint64(p[4:]))
	}
	if t.begins < -maxSum || t.begins > maxSum { // before 0 lies what sound decoders must hear first
		// Sums must not overflow; no media are that long.
		return tfdt.fail("a time is beyond 2^60")
	}
	return nil
}

// readRun reads a trun whose data begin at an offset unless it says otherwise. It returns where they end.
func (t *trackFragment) readRun(trun *box, d trackDefaults, base, at, room int64) (int64, error) {
	p := payload(trun)
	if len(p) < 8 {
		// Browsers refuse it, too.
		return 0, trun.fail("too short")
	}
	f := &fields{rest: p[8:], flags: binary.BigEndian.Uint32(p) & 0xFFFFFF}
	count := int64(binary.BigEndian.Uint32(p[4:]))
	if f.flags&trunDataOffset != 0 {
		at = base + int64(int32(f.take(trunDataOffset, 0)))
	}
	first := f.take(trunFirstFlags, d.flags)
	stride := 0
	for flag := uint32(trunDuration); flag <= trunComposition; flag <<= 1 {
		if f.flags&flag != 0 {
			stride++
		}
	}
	if f.short || at < 0 || at > maxBoxSize || count > room-int64(len(t.sizes)) || 4*count*int64(stride) > int64(len(f.rest)) {
		// No player finds the samples; or a bound of time and memory.
		return 0, trun.fail(fmt.Sprintf("%d samples do not fit into it, or their offset is beyond any file", count))
	}
	if count == 0 {
		return at, nil
	}
	t.runs = append(t.runs, trackRun{off: at, samples: count, description: d.description})
	u := make([]uint32, int(count)*stride)
	lanes.Decode(f.rest[:4*len(u)], u)
	field := 0
	t.durations = column(t.durations, u, stride, field, int(count), int64(d.duration), f.flags&trunDuration != 0)
	field += int(f.flags / trunDuration & 1)
	t.sizes = column(t.sizes, u, stride, field, int(count), int64(d.size), f.flags&trunSize != 0)
	field += int(f.flags / trunSize & 1)
	begin := len(t.flags)
	t.flags = column(t.flags, u, stride, field, int(count), int64(d.flags), f.flags&trunFlags != 0)
	if f.flags&trunFlags == 0 {
		t.flags[begin] = int64(first)
	}
	field += int(f.flags / trunFlags & 1)
	t.offsets = column(t.offsets, u, stride, field, int(count), 0, f.flags&trunComposition != 0)
	t.addTimes(begin)
	return at + sumOf(t.sizes[begin:]), nil
}

// column appends a field of so many entries to a table, or a default where the entries do not have it.
func column(to []int64, u []uint32, stride, field, count int, otherwise int64, there bool) []int64 {
	begin := len(to)
	to = append(to, make([]int64, count)...)
	if !there {
		if otherwise != 0 {
			for i := begin; i < len(to); i++ {
				to[i] = otherwise
			}
		}
		return to
	}
	for i := begin; i < len(to); i++ {
		to[i] = int64(u[field])
		field += stride
	}
	return to
}

// addTimes adds up the durations of the samples from one on. Composition offsets are read as signed in version 0 too,
// as in ctts.
func (t *trackFragment) addTimes(from int) {
	at, shown, least := t.duration, t.shown, t.least
	for i := from; i < len(t.durations); i++ {
		offset := int64(int32(t.offsets[i]))
		t.offsets[i] = offset
		if offset < least {
			least = offset
		}
		offset += at
		at += t.durations[i]
		offset += t.durations[i]
		if offset > shown {
			shown = offset
		}
	}
	t.duration = at
	t.shown = shown
	t.least = least
}

// after is the decode time of the first sample, which follows others that end at a time: where no tfdt says otherwise,
// it is that time.
func (t *trackFragment) after(end int64) int64 {
	if t.timed {
		return t.begins
	}
	return end
}

// sumOf adds up.
func sumOf(values []int64) int64 {
	all := int64(0)
	for _, v := range values {
		all += v
	}
	return all
}
