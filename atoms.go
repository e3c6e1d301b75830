package mp4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/traefik-mp4/mp4/internal/lanes"
)

// What can be wrong with a file. ServeHTTP turns each into an answer.
var (
	errNotMP4     = errors.New("mp4: not an MP4 file")
	errFragmented = errors.New("mp4: a fragmented file")
	errFormat     = errors.New("mp4: not parseable")
	errOverflow   = fmt.Errorf("%w: %w", errFormat, lanes.ErrSum) // no media is that long
)

// Box sizes that mean something else (ISO/IEC 14496-12, 4.2), and the lengths of headers.
const (
	sizeToEnd      = 0 // the box reaches to the end of the file
	sizeLarge      = 1 // a 64-bit size follows the type
	headerLen      = 8 // size(4) + type(4)
	largeHeaderLen = headerLen + 8
	fullBoxLen     = 4              // version(1) + flags(3)
	countedLen     = fullBoxLen + 4 // + entry_count(4)
	maxTopBoxes    = 1000           // between the moov and the fragments; each may cost a request to the origin
	maxWalked      = 4000           // boxes in the search for the moov, at some 30 µs each
	hopsToEnd      = 24             // of such a search; then the end of the file is looked at
	endLen         = 64 << 10       // of the file, read at first in search for a moov that ends it
	maxNamed       = 64             // places there that are looked at because they say moov
	maxFileType    = 4 << 10
	maxTracks      = 100              // of a movie; each costs the interpreter a millisecond or more
	maxChildren    = 200              // of a box; ten million bytes could hold a million of them
	maxBoxSize     = int64(1) << 56   // a larger box is no box; leaves room for sums
	max32          = int64(1)<<32 - 1 // the largest 32-bit field
	maxSum         = lanes.MaxSum
)

// readHeader reads the header of the box at off, fetching so much at once; typ is empty at the end of the file. size is as
// parseHeader has it.
func readHeader(src byteSource, off, atOnce int64) (typ string, header, size int64, err error) {
	if src.Size() >= 0 && off+headerLen > src.Size() {
		return "", 0, 0, nil
	}
	b, err := src.Peek(off, largeHeaderLen, atOnce)
	if err != nil || len(b) < headerLen {
		return "", 0, 0, err
	}
	typ, header, size = parseHeader(b)
	return typ, header, size, nil
}

// parseHeader takes a box header apart. size is sizeToEnd, -1 where it is impossible, or the whole box's length.
func parseHeader(b []byte) (typ string, header, size int64) {
	size = int64(binary.BigEndian.Uint32(b))
	typ = string(b[4:8])
	if size == sizeToEnd {
		return typ, headerLen, sizeToEnd
	}
	header = headerLen
	if size == sizeLarge {
		header, size = largeHeaderLen, -1
		if len(b) >= largeHeaderLen {
			large := binary.BigEndian.Uint64(b[8:])
			if large <= uint64(maxBoxSize) {
				size = int64(large)
			}
		}
	}
	if size < header {
		return typ, header, -1
	}
	return typ, header, size
}

// plausible reports whether a file may begin with such a box: what is seen at the front of MP4 and QuickTime files.
func plausible(typ string) bool {
	switch typ {
	case "ftyp", "moov", "mdat", "free", "skip", "wide", "pnot", "uuid", "styp", "sidx", "moof", "meta", "pdin", "udta", "junk", "pict":
		return true
	}
	return false
}

// readBox reads a whole box, size bytes at off.
func readBox(src byteSource, typ string, off, size int64) ([]byte, error) {
	b, err := src.Read(off, size)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) < size {
		return nil, endsInside(typ, off)
	}
	return b[:size], nil
}

// endsInside is what is wrong with tables without their end: no player has all samples.
func endsInside(typ string, off int64) error {
	return fmt.Errorf("%w: the file ends inside of %s at %d", errFormat, typ, off)
}

// box is a box of the moov. Only the containers that a cut looks into have children.
type box struct {
	typ      string
	at       int64 // where its header lies in the file, for errors
	header   int64
	data     []byte // the whole box
	children []*box
	tail     []byte // what follows the last child: terminators and padding of some QuickTime writers
}

// payload is what follows the header.
func payload(b *box) []byte { return b.data[b.header:] }

// childOf returns the first child of that type, or nil.
func childOf(b *box, typ string) *box {
	for _, c := range b.children {
		if c.typ == typ {
			return c
		}
	}
	return nil
}

// fail makes an error about the box: its path is prefixed by the callers.
func (b *box) fail(what string) error { return failAt(inText(b.typ), b.at, what) }

// failAt makes an error about the box at a path.
func failAt(path string, at int64, what string) error {
	return fmt.Errorf("%w: %s at %d: %s", errFormat, path, at, what)
}

// inText is a box type as errors name it. One with bytes that are not printable ASCII is quoted: errors go to a log,
// and a file must not write control characters into it.
func inText(typ string) string {
	for i := 0; i < len(typ); i++ {
		if typ[i] < ' ' || typ[i] > '~' {
			return strconv.QuoteToASCII(typ)
		}
	}
	return typ
}

// readChildren parses the box's children. Those named more than once that must be there only once are refused, as nginx
// does since CVE-2022-41741.
func readChildren(b *box, once string) error {
	rest, at := payload(b), b.at+b.header
	for len(rest) >= headerLen {
		typ, header, size := parseHeader(rest)
		if size == sizeToEnd {
			break // 32 zero bits end a QuickTime list
		}
		if size < 0 || size > int64(len(rest)) {
			// nginx and browsers refuse it, too: what follows is not known.
			return failAt(inText(b.typ)+"/"+inText(typ), at, "its size is impossible")
		}
		if len(once) > 0 && containsType(once, typ) && childOf(b, typ) != nil {
			return failAt(inText(b.typ)+"/"+inText(typ), at, "there is one already")
		}
		if len(b.children) == maxChildren {
			// A bound of time and memory.
			return b.fail("too many boxes in it")
		}
		b.children = append(b.children, &box{typ: typ, at: at, header: header, data: rest[:size:size]})
		rest = rest[size:]
		at += size
	}
	b.tail = rest
	return nil
}

// containsType reports whether typ is one of the types of four characters that list is made of.
func containsType(list, typ string) bool {
	for i := 0; i+4 <= len(list); i += 4 {
		if list[i:i+4] == typ {
			return true
		}
	}
	return false
}

// entriesOf returns the entries of a table, each of width bytes, behind lead bytes of the payload of which the last
// four count them. More bytes than the count needs are tolerated, as nginx does.
func entriesOf(b *box, lead, width int) ([]byte, error) {
	p := payload(b)
	if len(p) < lead {
		// nginx and browsers refuse it, too.
		return nil, b.fail("too short")
	}
	n := int64(binary.BigEndian.Uint32(p[lead-4:]))
	if n*int64(width) > int64(len(p)-lead) {
		// nginx and browsers refuse it, too; FFmpeg takes bytes of the next box for entries.
		return nil, b.fail(fmt.Sprintf("%d entries do not fit into it", n))
	}
	return p[lead : lead+int(n)*width], nil
}

// durationField is where the version-dependent times of mvhd (8.2.2), tkhd (8.3.2) and mdhd (8.4.2) lie in the payload.
type durationField struct {
	duration int // offset of the duration
	wide     bool
	least    int // bytes that the payload must have
}

// headerTimes finds the duration of a header box whose duration lies at v0 in version 0 and at v1 in version 1.
func headerTimes(b *box, v0, v1 int) (durationField, error) {
	p := payload(b)
	t := durationField{duration: v0, least: v0 + 4}
	if len(p) > 0 && p[0] != 0 {
		t = durationField{duration: v1, wide: true, least: v1 + 8}
	}
	if len(p) < t.least {
		// nginx and browsers refuse it, too.
		return t, b.fail("too short")
	}
	return t, nil
}

// value is the duration in ticks; 0 where it is not known, as all ones say.
func (t durationField) value(b *box) int64 {
	p := payload(b)[t.duration:]
	duration := uint64(binary.BigEndian.Uint32(p))
	if t.wide {
		duration = binary.BigEndian.Uint64(p)
	}
	if duration > uint64(maxSum) || !t.wide && duration == uint64(max32) {
		return 0
	}
	return int64(duration)
}

// Offsets of the durations in versions 0 and 1, after version and flags, creation and modification time.
const (
	mvhdDuration0, mvhdDuration1 = 16, 24 // timescale before it
	tkhdDuration0, tkhdDuration1 = 20, 28 // track_ID and a reserved field before it
	mdhdDuration0, mdhdDuration1 = 16, 24 // timescale before it
)

func minInt(a, b int) int {
	if a < b {
		return a
	}
	return b
}

func minInt64(a, b int64) int64 {
	if a < b {
		return a
	}
	return b
}

func maxInt64(a, b int64) int64 {
	if a > b {
		return a
	}
	return b
}

// mulDiv returns a·b/c rounded down, for a, b ≥ 0 and c > 0, and whether it is below 2^60; else 2^60.
func mulDiv(a, b, c int64) (int64, bool) {
	if a < 1<<40 && b < 1<<20 { // nearly always
		return a * b / c, true
	}
	return mulDivWide(a, b, c)
}

// mulDivWide is mulDiv where the product may have more than 64 bits.
func mulDivWide(a, b, c int64) (int64, bool) {
	high, low := bits.Mul64(uint64(a), uint64(b))
	if high >= uint64(c) {
		return maxSum, false
	}
	quotient, _ := bits.Div64(high, low, uint64(c))
	if quotient > uint64(maxSum) {
		return maxSum, false
	}
	return int64(quotient), true
}

// mulDivUp is mulDiv rounded up.
func mulDivUp(a, b, c int64) int64 {
	if a < 1<<40 && b < 1<<20 {
		return (a*b + c - 1) / c
	}
	return mulDivUpWide(a, b, c)
}

// mulDivUpWide is mulDivUp where the product may have more than 64 bits.
func mulDivUpWide(a, b, c int64) int64 {
	n, ok := mulDivWide(a, b, c)
	if ok && uint64(n)*uint64(c) != uint64(a)*uint64(b) { // equal modulo 2^64 only where there is no remainder
		n++
	}
	return n
}

// ceilDiv returns a/b rounded up.
func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// byteSource is what of a file (origin.File) its tables are read by.
type byteSource interface {
	Size() int64
	Read(off, n int64) ([]byte, error)
	ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error)
	Peek(off, n, atOnce int64) ([]byte, error)
	Settled() bool
	Reserve(n int64) error
}

// maxListed is how many samples' times are listed for one request. A few bytes of a table can claim billions of samples
// that are shown out of order.
const maxListed = 1 << 20
