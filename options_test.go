package mp4

import "testing"

func findArguments(a *arguments, query string) [][]string {
	return a.pattern.FindAllStringSubmatch(query, -1)
}

func TestInterval(t *testing.T) {
	for _, tt := range []struct {
		query string
		want  msInterval
	}{
		{"start=5", msInterval{5000, -1}},
		{"start=5.25", msInterval{5250, -1}},
		{"start=1&end=2", msInterval{1000, 2000}},
		{"end=2", msInterval{0, 2000}},
		{"start=0", msInterval{0, -1}},
		{"x=1&start=5&y=2", msInterval{5000, -1}},
		{"x=start=5", everythingAsked},
		{"", everythingAsked},
		{"started=5", everythingAsked},
		{"restart=5", everythingAsked},
		{"start", everythingAsked},
		{"start=5;end=6", everythingAsked}, // ";" separates nothing

		// nginx laxity
		{"START=5", msInterval{5000, -1}},
		{"sTaRt=5&EnD=6", msInterval{5000, 6000}},
		{"start=5&start=6", msInterval{5000, -1}}, // the first counts,
		{"start=x&start=6", everythingAsked},      // also where it is invalid
		{"start=abc&end=5", msInterval{0, 5000}},
		{"start=5&end=5", msInterval{5000, -1}},
		{"start=5&end=4", msInterval{5000, -1}},
		{"start=5&end=0", msInterval{5000, -1}},
		{"start=5&end=abc", msInterval{5000, -1}},
		{"end=0", everythingAsked},
		{"start=abc", everythingAsked},
		{"&start=5&", msInterval{5000, -1}},
		{"&&start=5", msInterval{5000, -1}},
		{"%73tart=5", everythingAsked},    // the raw query counts
		{"\u017ftart=5", everythingAsked}, // which has no long s
	} {
		got := parseInterval(findArguments(newArguments("start", "end"), tt.query))
		if got != tt.want {
			t.Errorf("%q: %v, want %v", tt.query, got, tt.want)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	args := newArguments("start", "end")
	for _, tt := range []struct {
		seconds string
		want    int64 // -1: none
	}{
		{"12", 12000},
		{"12.3", 12300},
		{"238.88", 238880},
		{"9223372036854775.807", 9223372036854775807},
		{"9223372036854775.808", -1},
		{"99999999999999999999", -1},
		{"", -1},
		{"-1", -1},
		{"+5", -1},
		{"1e3", -1},
		{"0x10", -1},
		{"1_000", -1},
		{" 5", -1},
		{"5 ", -1},
		{"%35", -1},
		{"1,5", -1},
		{"1.2.3", -1},
		{"..", -1},
		{"1.2.", -1},
		{"1.x", -1},
		{"NaN", -1},

		// nginx laxity
		{"12.3456789", 12345},
		{"0.0009999", 0},
		{".5", 500},
		{"5.", 5000},
		{".", 0},
		{"0005", 5000},
		{"1.234x", -1}, // what is ignored must be digits all the same
	} {
		if got := parseInterval(findArguments(args, "start="+tt.seconds)).start; got != tt.want {
			t.Errorf("%q: %d, want %d", tt.seconds, got, tt.want)
		}
	}
}

func TestCutQuery(t *testing.T) {
	for _, tt := range []struct{ query, want string }{
		{"start=5", ""},
		{"start=5&end=6", ""},
		{"start=5&x=1", "x=1"},
		{"x=1&start=5", "x=1"},
		{"x=1&end=6&y=2&start=5&z", "x=1&y=2&z"},
		{"start=5&start=6&x", "x"},
		{"start=abc&end=5&x", "x"},
		{"&start=5", ""},
		{"&x&start=5", "&x"},
		{"x&&start=5", "x&"},
		{"restart=5&x", "restart=5&x"},
		{"X-Sig=a%2Fb+c%20d&START=5&q=\"%zz", "X-Sig=a%2Fb+c%20d&q=\"%zz"},
	} {
		args := newArguments("start", "end")
		if got := withoutArguments(args, tt.query, findArguments(args, tt.query)); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestParamNames(t *testing.T) {
	a := newArguments("t.from", "t-to")
	query := "tXfrom=1&T.FROM=2&t-to=3&start=9"
	found := findArguments(a, query)
	iv := parseInterval(found)
	if want := (msInterval{2000, 3000}); iv != want {
		t.Errorf("%v, want %v", iv, want)
	}
	if got := withoutArguments(a, query, found); got != "tXfrom=1&start=9" {
		t.Errorf("the rest is %q", got)
	}
}

func FuzzArguments(f *testing.F) {
	for _, query := range []string{"start=5&end=6", "x=1&START=.5&y", "&start=1.&&end=9223372036854775.807", "start=;end=", "%73tart=1"} {
		f.Add(query)
	}
	args := newArguments("start", "end")
	f.Fuzz(func(t *testing.T, query string) {
		found := findArguments(args, query)
		iv := parseInterval(found)
		if iv != everythingAsked && (iv.start < 0 || iv.end >= 0 && iv.end <= iv.start) {
			t.Errorf("%q: %v", query, iv)
		}
		rest := withoutArguments(args, query, found)
		if findArguments(args, rest) != nil || len(rest) > len(query) {
			t.Errorf("%q without the arguments is %q", query, rest)
		}
	})
}
