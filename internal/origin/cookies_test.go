package origin

import (
	"strings"
	"testing"
)

func TestMergeCookies(t *testing.T) {
	for _, tt := range []struct {
		lines, more []string
		want        string
	}{
		{nil, nil, ""},
		{nil, []string{"a=1", "b=2"}, "a=1|b=2"},
		{[]string{"a=1", "b=2"}, []string{"a=3"}, "b=2|a=3"},
		{[]string{"a=1; Path=/"}, []string{"a=2"}, "a=1; Path=/|a=2"},
		{[]string{"a=1; Domain=x.org"}, []string{"a=2; Domain=.X.ORG"}, "a=2; Domain=.X.ORG"},
		{[]string{"a=1; Domain=x.org"}, []string{"a=2; Domain=y.org"}, "a=1; Domain=x.org|a=2; Domain=y.org"},
		{[]string{"a=1"}, []string{"A=2"}, "a=1|A=2"}, // names are case-sensitive
		{[]string{"=x"}, []string{"=x", "=y"}, "=x|=y"},
		{nil, []string{"a=1", "a=2", "a=3"}, "a=3"},
	} {
		if got := strings.Join(mergeCookies(tt.lines, tt.more), "|"); got != tt.want {
			t.Errorf("%q and %q: %q, want %q", tt.lines, tt.more, got, tt.want)
		}
	}
}
