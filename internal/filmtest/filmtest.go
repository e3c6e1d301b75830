// Package filmtest has what the tests of several packages need.
package filmtest

import (
	"encoding/binary"
	"runtime"
	"strings"
	"testing"
	"time"
)

// WaitUntil waits until something has come to pass, for five seconds at most.
func WaitUntil(t *testing.T, done func() bool) {
	t.Helper()
	for i := 0; i < 500; i++ {
		if done() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("it does not come to pass")
}

// Interpreted reports whether the tests are run by Yaegi, where every step takes a hundred times as long.
func Interpreted() bool {
	pc, _, _, _ := runtime.Caller(0)
	return !strings.HasSuffix(runtime.FuncForPC(pc).Name(), ".Interpreted")
}

// Rounds is how often a test with random input repeats: fewer times when interpreted.
func Rounds(compiled, slow int) int {
	if Interpreted() {
		return slow
	}
	return compiled
}

// Zip makes a table of rows out of columns of 32 bits.
func Zip(columns ...[]uint64) []byte {
	var b []byte
	for i := range columns[0] {
		for _, c := range columns {
			b = binary.BigEndian.AppendUint32(b, uint32(c[i]))
		}
	}
	return b
}
