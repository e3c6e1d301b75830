package order

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var module = map[string]string{
	"go.mod": "module example.com/plugin\n\ngo 1.21\n",
	"top.go": `package plugin

import "example.com/plugin/internal/numbers"

type answer struct{ status int }

func (a *answer) send() { a.status = numbers.Double(middle(100)) }

func helper() int { return limit }
`,
	"middle.go": `package plugin

const limit = 3

func middle(n int) int {
	helper := bottom{n}
	return helper.size
}
`,
	"bottom.go": `package plugin

type bottom struct{ size int }

func (b bottom) middle(limit int) (answer int) { return b.size + limit }
`,
	"top_test.go": "package plugin\n\nvar _ = helper()\n",
	"internal/numbers/numbers.go": `package numbers

import "example.com/plugin/internal/words"

func Double(n int) int { return n + len(words.Two) + len(words.Two) }
`,
	"internal/words/words.go": "package words\n\nvar Two = \"two\"\n",
}

func load(t *testing.T, changed map[string]string) *Code {
	t.Helper()
	dir := t.TempDir()
	for name, text := range module {
		if other, ok := changed[name]; ok {
			text = other
		}
		file := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	code, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return code
}

var goodOrder = []string{"top.go", "middle.go", "bottom.go", "internal/numbers", "internal/words"}

func TestCheck(t *testing.T) {
	swapped := func(a, b int) []string {
		order := slices.Clone(goodOrder)
		order[a], order[b] = order[b], order[a]
		return order
	}
	for name, test := range map[string]struct {
		changed map[string]string
		order   []string
		want    []string
	}{
		"in order": {order: goodOrder},
		"a function": {
			changed: map[string]string{"bottom.go": "package plugin\n\ntype bottom struct{ size int }\n\nvar two = helper()\n"},
			order:   goodOrder,
			want:    []string{"bottom.go:5: bottom.go uses helper, which is declared in top.go, above it"},
		},
		"a field and a type": {
			changed: map[string]string{"bottom.go": "package plugin\n\ntype bottom struct{ size int }\n\nfunc (b bottom) of(a *answer) int {\n\treturn a.status\n}\n"},
			order:   goodOrder,
			want: []string{
				"bottom.go:5: bottom.go uses answer, which is declared in top.go, above it",
				"bottom.go:6: bottom.go uses status, which is declared in top.go, above it",
			},
		},
		"a method": {
			changed: map[string]string{"middle.go": "package plugin\n\nconst limit = 3\n\nvar sent = func() (a answer) {\n\ta.send()\n\treturn\n}()\n\nfunc middle(n int) int { return n }\n"},
			order:   goodOrder,
			want: []string{
				"middle.go:5: middle.go uses answer, which is declared in top.go, above it",
				"middle.go:6: middle.go uses send, which is declared in top.go, above it",
			},
		},
		"files the other way round": {
			order: swapped(1, 2),
			want: []string{
				"middle.go:6: middle.go uses bottom, which is declared in bottom.go, above it",
				"middle.go:7: middle.go uses size, which is declared in bottom.go, above it",
			},
		},
		"packages the other way round": {
			order: swapped(3, 4),
			want: []string{
				"internal/numbers/numbers.go:5: internal/numbers uses Two, which is declared in internal/words, above it",
				"internal/numbers/numbers.go:5: internal/numbers uses Two, which is declared in internal/words, above it",
			},
		},
		"a package above the root": {
			order: []string{"internal/numbers", "top.go", "middle.go", "bottom.go", "internal/words"},
			want:  []string{"top.go:7: top.go uses Double, which is declared in internal/numbers, above it"},
		},
		"incomplete": {order: goodOrder[:4], want: []string{"internal/words is not listed"}},
		"twice":      {order: append(slices.Clone(goodOrder), "internal/words"), want: []string{"internal/words is listed twice"}},
		"too much":   {order: append(slices.Clone(goodOrder), "none.go"), want: []string{"none.go is listed and not there"}},
	} {
		if got := load(t, test.changed).Check(test.order); !slices.Equal(got, test.want) {
			t.Errorf("%s:\n%s\nwant:\n%s", name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
}

func TestAmbiguous(t *testing.T) {
	var got []string
	for _, a := range load(t, nil).Ambiguous() {
		got = append(got, a.String())
	}
	want := []string{
		"answer (top.go:5); parameter: bottom.go:5",
		"helper (top.go:9); local: middle.go:6",
		"limit (middle.go:3); parameter: bottom.go:5",
		"middle (middle.go:5); method: bottom.go:5",
	}
	if !slices.Equal(got, want) {
		t.Errorf("ambiguous are\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestListed(t *testing.T) {
	const document = "# How\n\nA table of others:\n\n| `other.go` | is\n\n" + Heading + "\n\nWords about `words.go`.\n\n| file | holds |\n|---|---|\n| `top.go` | the `answer` |\n" +
		"|`internal/numbers/`| numbers |\n\n### Below\n\n| `last.go` | the last |\n\n## Next\n\n| `not.go` | here |\n"
	got, err := Listed(document)
	if want := []string{"top.go", "internal/numbers", "last.go"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("listed are %q (%v), not %q", got, err, want)
	}
	for _, document := range []string{"# How\n", Heading + "\n\n`top.go`\n"} {
		if got, err := Listed(document); err == nil {
			t.Errorf("%q lists %q", document, got)
		}
	}
}

// TestLoadRefuses: code that does not compile is in no order.
func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": module["go.mod"], "top.go": "package plugin\n\nvar a = nothing\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Load(dir); err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("code that does not compile gives %v", err)
	}
}
