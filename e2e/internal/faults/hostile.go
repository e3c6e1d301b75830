package faults

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
)

// Hostile is a file that somebody made to do harm.
type Hostile struct {
	Name  string
	Bytes []byte
}

// atom is a box within a file, with those around it.
type atom struct {
	path     string
	at, size int
	around   []int // where the boxes around it begin
}

func (a atom) kind() string { return a.path[strings.LastIndexByte(a.path, '/')+1:] }

var containers = []string{"moov", "trak", "edts", "mdia", "minf", "dinf", "stbl", "udta", "moof", "traf", "mvex", "mfra"}

// atoms lists the boxes in file[from:to], containers before what is in them.
func atoms(file []byte, from, to int, path string, around []int) []atom {
	var found []atom
	for at := from; at+8 <= to; {
		size, kind := int(binary.BigEndian.Uint32(file[at:])), string(file[at+4:at+8])
		if size < 8 || at+size > to {
			break
		}
		a := atom{path + "/" + kind, at, size, slices.Clone(around)}
		found = append(found, a)
		if slices.Contains(containers, kind) {
			found = append(found, atoms(file, at+8, at+size, a.path, append(slices.Clone(around), at))...)
		}
		at += size
	}
	return found
}

// put returns the file with another value of so many bytes at a place.
func put(file []byte, at, width int, value uint64) []byte {
	changed := bytes.Clone(file)
	var field [8]byte
	binary.BigEndian.PutUint64(field[:], value)
	copy(changed[at:], field[8-width:])
	return changed
}

// swap puts other bytes in the place of a box, and makes those around it fit.
func (a atom) swap(file, by []byte) []byte {
	changed := slices.Concat(file[:a.at], by, file[a.at+a.size:])
	for _, at := range a.around {
		binary.BigEndian.PutUint32(changed[at:], binary.BigEndian.Uint32(file[at:])+uint32(len(by)-a.size))
	}
	return changed
}

// box makes a box.
func box(kind string, payload ...[]byte) []byte {
	content := slices.Concat(payload...)
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(content))), []byte(kind), content)
}

// table makes a box of version and flags, a count, and that many times one entry.
func table(kind string, count int, entry ...uint32) []byte {
	var fields []byte
	for _, field := range entry {
		fields = binary.BigEndian.AppendUint32(fields, field)
	}
	return box(kind, make([]byte, 4), binary.BigEndian.AppendUint32(nil, uint32(count)), bytes.Repeat(fields, count))
}

// tables are the boxes that count entries, with where the count lies and how many bytes an entry has.
var tables = map[string][2]int{
	"stts": {12, 8}, "ctts": {12, 8}, "stss": {12, 4}, "stsz": {16, 4}, "stsc": {12, 12}, "stco": {12, 4}, "elst": {12, 12},
	"stsd": {12, 0}, "dref": {12, 0}, "sgpd": {16, 0}, "sbgp": {16, 8}, "trun": {12, 0}, "sidx": {38, 12},
}

// Mangle makes hostile files of a good one: each box cut off, of impossible size, twice, or gone; each table with counts
// and entries that lie; each word of a header at its limits; and whatever a whole table or tree of boxes can be made to be.
func Mangle(file []byte) []Hostile {
	var made []Hostile
	add := func(bytes []byte, format string, args ...any) {
		made = append(made, Hostile{fmt.Sprintf(format, args...), bytes})
	}
	all := atoms(file, 0, len(file), "", nil)
	for _, a := range all {
		for _, n := range []int{0, 4, 8, a.size / 2, a.size - 1} {
			add(file[:a.at+n], "%s ends after %d bytes", a.path, n)
		}
		for _, size := range []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, uint64(a.size - 1), uint64(a.size + 1), 1 << 31, math.MaxUint32} {
			add(put(file, a.at, 4, size), "%s has the size %d", a.path, size)
		}
		if a.size >= 16 {
			for _, size := range []uint64{0, 1, 15, 16, 17, 1 << 32, 1 << 56, 1<<63 - 1, 1 << 63, math.MaxUint64} {
				add(put(put(file, a.at, 4, 1), a.at+8, 8, size), "%s has the 64-bit size %d", a.path, size)
			}
		}
		if a.kind() == "mdat" {
			continue
		}
		whole := file[a.at : a.at+a.size]
		add(a.swap(file, slices.Concat(whole, whole)), "%s is there twice", a.path)
		add(a.swap(file, nil), "%s is not there", a.path)
		add(a.swap(file, box(a.kind())), "%s is empty", a.path)
		add(a.swap(file, box(a.kind(), whole)), "%s is in itself", a.path)
		if slices.Contains(containers, a.kind()) {
			continue
		}
		if other := map[string]string{"stsz": "stz2", "stco": "co64", "stss": "stps", "saiz": "senc", "ctts": "cslg"}[a.kind()]; other != "" {
			add(a.swap(file, slices.Concat(whole, box(other))), "%s has an empty %s beside it", a.path, other)
		}
		for at := 8; at+4 <= min(a.size, 60); at += 4 {
			for _, value := range []uint64{0, 1, 1 << 31, math.MaxUint32} {
				add(put(file, a.at+at, 4, value), "%s has %d at %d", a.path, value, at)
			}
		}
		if t, counts := tables[a.kind()]; counts && a.size >= t[0]+4 {
			count := uint64(binary.BigEndian.Uint32(file[a.at+t[0]:]))
			for _, lie := range []uint64{count - 1, count + 1, 1 << 16, 1<<32/max(uint64(t[1]), 1) + 1} {
				add(put(file, a.at+t[0], 4, lie), "%s counts %d instead of %d", a.path, uint32(lie), count)
			}
			for at := a.size - max(t[1], 4); at > 0 && at+4 <= a.size; at += 4 {
				for _, value := range []uint64{0, 1, 1 << 31, math.MaxUint32} {
					add(put(file, a.at+at, 4, value), "%s has %d in its last entry", a.path, value)
				}
			}
		}
	}
	return append(made, monsters(file, all)...)
}

// monsters are whole tables and trees that no one would write.
func monsters(file []byte, all []atom) []Hostile {
	const many = 600_000
	var made []Hostile
	for _, swap := range []struct {
		name string
		by   []byte
	}{
		{"stts", table("stts", many, 1, 0)},
		{"stts", table("stts", many, math.MaxUint32, math.MaxUint32)},
		{"stts", table("stts", 1, math.MaxUint32, 1)},
		{"stts", table("stts", 0)},
		{"ctts", table("ctts", many, 1, 1<<31)},
		{"ctts", table("ctts", 1, math.MaxUint32, math.MaxInt32)},
		{"stss", table("stss", many, 1)},
		{"stss", table("stss", many, math.MaxUint32)},
		{"stsc", table("stsc", many, 1, 1, 1)},
		{"stsc", table("stsc", many, 1, 0, 0)},
		{"stsc", table("stsc", 1, 1, math.MaxUint32, 1)},
		{"stsz", box("stsz", []byte{0, 0, 0, 0, 0, 0, 0, 1, 255, 255, 255, 255})},
		{"stsz", box("stsz", []byte{0, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255})},
		{"stco", table("stco", many, math.MaxUint32)},
		{"stco", table("co64", many, 1<<31, 0)},
		{"stco", table("co64", 1, math.MaxUint32, math.MaxUint32)},
		{"elst", table("elst", 100_000, 1, 0, 1<<16)},
		{"elst", table("elst", 100_000, 0, 0, 1<<16)},
		{"elst", table("elst", 100_000, math.MaxUint32, math.MaxUint32, 1<<16)},
		{"elst", table("elst", 1, math.MaxUint32, math.MaxInt32, 1<<16)},
		{"elst", table("elst", 2, 1000, 0, math.MaxUint32)},
		{"elst", table("elst", 0)},
		{"stbl", bytes.Repeat(box("free"), many)},
		{"trak", bytes.Repeat(box("trak"), many)},
		{"tkhd", nested("trak", 100_000)},
		{"mvhd", nested("moov", 100_000)},
	} {
		for _, a := range all {
			if a.kind() == swap.name {
				made = append(made, Hostile{fmt.Sprintf("%s is a monster of %d bytes, %x", a.path, len(swap.by), swap.by[:min(24, len(swap.by))]), a.swap(file, swap.by)})
				break
			}
		}
	}
	var tracks []byte
	var last atom
	for _, a := range all {
		if a.path == "/moov/trak" {
			last, tracks = a, file[a.at:a.at+a.size]
		}
	}
	for _, n := range []int{300, 900} {
		made = append(made, Hostile{fmt.Sprintf("%d tracks", n), last.swap(file, bytes.Repeat(tracks, n))})
	}
	for name, front := range map[string][]byte{
		"small boxes": bytes.Repeat(box("free"), 2*many), "movies": bytes.Repeat(box("moov"), many), "types": bytes.Repeat(box("ftyp"), many),
		"a large type": box("ftyp", make([]byte, 5<<20)), "nested": nested("free", many),
	} {
		made = append(made, Hostile{name + " first", slices.Concat(front, file)})
	}
	slices.SortFunc(made, func(a, b Hostile) int { return strings.Compare(a.Name, b.Name) })
	return made
}

// nested is a box in a box, and so on.
func nested(kind string, depth int) []byte {
	var made []byte
	for i := range depth {
		made = binary.BigEndian.AppendUint32(made, uint32(8*(depth-i)))
		made = append(made, kind...)
	}
	return made
}
