package mp4

import "testing"

// TestShortTables: what a moov has for a track whose samples are all in fragments may be cut short, for nobody has looked.
func TestShortTables(t *testing.T) {
	w := &moovWriter{}
	for _, typ := range []string{"stts", "ctts"} {
		at, size := openTable(w, typ, &box{typ: typ, header: headerLen, data: make([]byte, headerLen+2)})
		closeTable(w, at, size, 0)
		if got := w.size - size; got != headerLen+countedLen {
			t.Errorf("%s: %d bytes", typ, got)
		}
	}
}
