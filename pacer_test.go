package mp4

import (
	"bytes"
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// TestPacedTogether: of many who wait at the same time, none waits for another's turn.
func TestPacedTogether(t *testing.T) {
	const waiting = 50
	var done int64
	for i := 0; i < waiting; i++ {
		go paceASecond(&done)
	}
	for i := 0; i < 500 && atomic.LoadInt64(&done) < waiting; i++ {
		time.Sleep(10 * time.Millisecond)
	}
	if n := atomic.LoadInt64(&done); n < waiting {
		t.Errorf("after five seconds %d of %d have written what takes one", n, waiting)
	}
}

// paceASecond writes 200 pieces, one each five milliseconds.
func paceASecond(done *int64) {
	var out bytes.Buffer
	p := &pacer{ctx: endable(), w: &out, rate: 200 << 10, piece: 1 << 10}
	n, err := p.Write(make([]byte, 200<<10))
	if err == nil && n == 200<<10 && out.Len() == n {
		atomic.AddInt64(done, 1)
	}
}

// endable is a context of its own that can end, and does not.
func endable() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(time.Hour, cancel)
	return ctx
}
