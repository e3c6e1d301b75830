package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each line that ends with a word after // is a trap, and every other is none.
const examples = `package examples

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
)

type pair struct{ a, b int }

func (p *pair) sum() int { return p.a + p.b }

type list[T any] []T // generics

func assign(p *pair, s string, c chan int) {
	p.a, p.b = 1, len(s) // assign
	p.a, p.b = <-c, 2    // assign
	p.a, p.b = 1+len(s), 2 // assign
	p.a, p.b = p.b, p.a
	p.a, p.b = int(p.b), 2
	a, b := len(s), 2
	_, _ = a, b
	s, err := os.Hostname()
	_ = err
}

func cases(p *pair, s string) {
	switch {
	case p.a == 1, p.b == 2: // case
	case p.a == 1 || p.b == 2:
	}
	switch s {
	case "a", "b":
	case "c", strings.ToUpper(s): // case
	}
	var e any = p
	switch e.(type) { // type
	}
}

func wait(a, b chan int) {
	select { // select
	case <-a:
	case <-b:
	}
	<-a
}

func loops(p *pair, s []int, c io.Closer) {
	var i int
	for i = range s { // range
	}
	for range 10 { // range
		defer c.Close() // defer
	}
	for i := range s {
		func() {
			defer c.Close()
			_ = i
		}()
	}
	cleanup := func() {}
	defer cleanup() // defer
	defer p.sum()
	f := p.sum     // value
	g := (*pair).sum // value
	_, _ = f, g
	_ = min(1, i) // min
}

func nameless(int, string) {} // names

func (*pair) named(n int, _ string) {}

func misc(err error, n uint) {
	var p *os.PathError
	_ = errors.As(err, &p) // as
	_ = uint64(4) > math.MaxInt64>>n // shift
	_ = uint64(4) > uint64(math.MaxInt64)>>n
	_ = int64(4) > math.MaxInt64>>n
	_ = uint64(4) + 1<<n
}
`

func TestFind(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "examples.go"), []byte(examples), 0o644); err != nil {
		t.Fatal(err)
	}
	found, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(examples, "\n") {
		reported := slices.ContainsFunc(found, func(trap string) bool {
			return strings.HasPrefix(trap, fmt.Sprintf("%s:%d:", filepath.Join(dir, "examples.go"), i+1))
		})
		if wanted := strings.Contains(line, " // "); reported != wanted {
			t.Errorf("%q: reported is %v", line, reported)
		}
	}
}
