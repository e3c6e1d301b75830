package docs

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/traefik-mp4/mp4/e2e/internal/order"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// code reads the plugin's.
func code(t *testing.T) (read *order.Code, root string) {
	t.Helper()
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	if read, err = order.Load(root); err != nil {
		t.Fatal(err)
	}
	return read, root
}

// TestOrder: docs/how-it-works.md lists the plugin's files and inner packages from the top down, all of them, and none uses what one
// above it declares.
func TestOrder(t *testing.T) {
	read, root := code(t)
	document, err := os.ReadFile(filepath.Join(root, "docs", "how-it-works.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed, err := order.Listed(string(document))
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range read.Check(listed) {
		t.Error(problem)
	}
}

// mostAmbiguous is how many of a package's names may be a field, a method, a parameter or a local of it as well.
const mostAmbiguous = 10

// TestMeanings: a name has one meaning in its package.
func TestMeanings(t *testing.T) {
	read, _ := code(t)
	all := read.Ambiguous()
	for _, name := range all {
		t.Log(name)
	}
	if len(all) > mostAmbiguous {
		t.Errorf("%d names have several meanings in their packages, more than %d", len(all), mostAmbiguous)
	}
}
