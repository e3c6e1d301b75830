// Package filmtest has what the tests of several packages need.
package filmtest

import (
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
