// Command order tells where the plugin's files use what is declared above them, and which names have several meanings:
// order [-files a.go,b.go,internal/c] [-names] [folder]. Without -files, docs/how-it-works.md says the order.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/traefik-mp4/mp4/e2e/internal/order"
)

func main() {
	files := flag.String("files", "", "the order, from the top down, instead of the document's")
	names := flag.Bool("names", false, "list the names that have several meanings in their package, and where")
	flag.Parse()
	dir := ".."
	if flag.NArg() > 0 {
		dir = flag.Arg(0)
	}
	problems, err := check(dir, *files, *names)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if problems > 0 {
		os.Exit(1)
	}
}

func check(dir, files string, names bool) (problems int, err error) {
	code, err := order.Load(dir)
	if err != nil {
		return 0, err
	}
	if names {
		all := code.Ambiguous()
		for _, name := range all {
			fmt.Println(name)
		}
		fmt.Println("names with several meanings:", len(all))
		return 0, nil
	}
	parts := strings.Split(files, ",")
	if files == "" {
		document, err := os.ReadFile(filepath.Join(dir, "docs", "how-it-works.md"))
		if err != nil {
			return 0, err
		}
		if parts, err = order.Listed(string(document)); err != nil {
			return 0, err
		}
	}
	wrong := code.Check(parts)
	for _, problem := range wrong {
		fmt.Println(problem)
	}
	fmt.Println("against the order:", len(wrong))
	return len(wrong), nil
}
