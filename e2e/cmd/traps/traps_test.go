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

	"examples/far"
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

type kind int

const size = 1 << 3
const (
	first, second = kind(1 + 1), 2 * 2
	third kind = 3
	fourth kind = third | 1 // constant
	fifth                   // repeated
	sixth kind = iota
	seventh
	eighth = kind(iota * 10)
	ninth
	tenth = iota * 10
	eleventh
)
const limit int64 = 1 << 40 // constant

func elsewhere(more []int) {
	far.List = append(far.List, 1) // far
	far.List = []int{1} // far
	far.Count = far.Count + 1 // far
	far.Count, more = 1, nil // far
	longer := append(far.List, 1)
	far.List = longer
	far.Count = 1
	far.Count++
	far.Pair.A = len(more)
	far.List[0] = len(more)
}

func forever() {
	for try := 1; ; { // for
		try++
	}
	for try := 1; ; try++ {
	}
	for try := 1; try < 3; {
		try++
	}
}

func take(c io.Closer, n ...any) {}

func takePair(p *pair, n int) {}

func (p *pair) Close() error { return nil }

func start(given io.Closer, all []*pair) {
	var kept *pair
	for i, p := range all {
		kept = p
		fresh := &pair{i, 1}
		var closer io.Closer = fresh
		go take(&pair{i, 1}) // go
		go take(kept) // go
		go take(closer) // go
		go take(fresh)
		go take(given, 1, "")
		go take(given, 1, &pair{}) // go
		go takePair(&pair{i, 1}, i)
		func() {
			go take(&pair{i, 1})
		}()
	}
	go take(&pair{1, 2})
}
`

const far = `package far

var (
	List  []int
	Count int
	Pair  struct{ A int }
)

type list[T any] []T // generics
`

func TestFind(t *testing.T) {
	dir := t.TempDir()
	sources := map[string]string{"go.mod": "module examples\n\ngo 1.22\n", "examples.go": examples, "far/far.go": far}
	for name, text := range sources {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	found, err := Find(dir)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range sources {
		for i, line := range strings.Split(text, "\n") {
			reported := slices.ContainsFunc(found, func(trap string) bool {
				return strings.HasPrefix(trap, fmt.Sprintf("%s:%d:", filepath.Join(dir, name), i+1))
			})
			if wanted := strings.Contains(line, " // "); reported != wanted {
				t.Errorf("%s: %q: reported is %v", name, line, reported)
			}
		}
	}
}

// TestFindRefuses: packages that do not compile are not looked through, and so not said to be free of traps.
func TestFindRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module examples\n\ngo 1.22\n", "examples.go": "package examples\n\nvar a = nothing\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Find(dir); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("what does not compile gives %v", err)
	}
}
