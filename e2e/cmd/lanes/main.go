// Command lanes measures what docs/how-it-works.md says of tables: in three ways, interpreted by Yaegi and compiled, it adds
// a constant to each entry of a table of 32-bit offsets, as a cut does with stco.
package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"log"
	"time"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"

	"github.com/traefik-mp4/mp4/e2e/cmd/lanes/ways"
)

//go:embed ways/ways.go
var source string

const (
	entries = 200_000
	rounds  = 9
)

func main() {
	log.SetFlags(0)
	i := interp.New(interp.Options{})
	if err := i.Use(stdlib.Symbols); err != nil {
		log.Fatal(err)
	}
	if _, err := i.Eval(source); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("adding a constant to %d entries, best of %d\n%-34s %12s %12s\n", entries, rounds, "", "interpreted", "compiled")
	var want []byte
	for _, way := range []struct {
		called, name string
		compiled     func(table []byte, by uint32)
	}{
		{"entry by entry", "ways.OneByOne", ways.OneByOne},
		{"decoded at once, a loop, encoded", "ways.Bulk", ways.Bulk},
		{"as one long number", "ways.Lanes", ways.Lanes},
	} {
		value, err := i.Eval(way.name)
		if err != nil {
			log.Fatal(err)
		}
		interpreted := value.Interface().(func([]byte, uint32))
		slow, got := measure(interpreted)
		fast, also := measure(way.compiled)
		if want == nil {
			want = got
		}
		if !bytes.Equal(got, want) || !bytes.Equal(also, want) {
			log.Fatalf("%s: another result", way.called)
		}
		fmt.Printf("%-34s %9.2f ms %9.2f ms\n", way.called, slow.Seconds()*1000, fast.Seconds()*1000)
	}
}

func measure(add func([]byte, uint32)) (best time.Duration, table []byte) {
	for range rounds {
		table = make([]byte, 4*entries)
		for i := range table {
			table[i] = byte(i * 7)
		}
		for i := 0; i < len(table); i += 4 {
			table[i] &= 0x7F // so that no sum overflows
		}
		begun := time.Now()
		add(table, 123_456_789)
		if took := time.Since(begun); best == 0 || took < best {
			best = took
		}
	}
	return best, table
}
