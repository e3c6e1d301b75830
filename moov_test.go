package mp4

import (
	"reflect"
	"testing"
)

// TestShortTables: what a moov has for a track whose samples are all in fragments may be cut short, for nobody has looked.
func TestShortTables(t *testing.T) {
	for _, typ := range []string{"stts", "ctts"} {
		for size, want := range map[int][]uint32{
			2: {0, typeNumber(typ), 0, 0},
			7: {0, typeNumber(typ), 0xFFFFFFFF, 0},
			9: {0, typeNumber(typ), 0xFFFFFFFF, 0xFFFFFFFF},
		} {
			data := make([]byte, headerLen+size)
			for i := range data {
				data[i] = 0xFF
			}
			got := tableBegins(&box{typ: typ, header: headerLen, data: data})
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s of %d bytes: %x, want %x", typ, size, got, want)
			}
		}
	}
}
