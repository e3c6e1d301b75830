package mp4

import "testing"

func TestInterval(t *testing.T) {
	for _, tt := range []struct {
		query string
		want  msInterval
		asked bool
	}{
		{"start=5", msInterval{5000, -1}, true},
		{"start=5.25", msInterval{5250, -1}, true},
		{"start=1&end=2", msInterval{1000, 2000}, true},
		{"end=2", msInterval{0, 2000}, true},
		{"start=0", msInterval{0, -1}, true},
		{"x=1&start=5&y=2", msInterval{5000, -1}, true},
		{"x=start=5", everythingAsked, false},
		{"", everythingAsked, false},
		{"started=5", everythingAsked, false},
		{"restart=5", everythingAsked, false},
		{"start", everythingAsked, false},
		{"start=5;end=6", everythingAsked, false}, // ";" separates nothing

		// nginx laxity
		{"START=5", msInterval{5000, -1}, true},
		{"sTaRt=5&EnD=6", msInterval{5000, 6000}, true},
		{"start=5&start=6", msInterval{5000, -1}, true}, // the first counts,
		{"start=x&start=6", everythingAsked, false},     // also where it is invalid
		{"start=abc&end=5", msInterval{0, 5000}, true},
		{"start=5&end=5", msInterval{5000, -1}, true},
		{"start=5&end=4", msInterval{5000, -1}, true},
		{"start=5&end=0", msInterval{5000, -1}, true},
		{"start=5&end=abc", msInterval{5000, -1}, true},
		{"end=0", everythingAsked, false},
		{"start=abc", everythingAsked, false},
		{"&start=5&", msInterval{5000, -1}, true},
		{"&&start=5", msInterval{5000, -1}, true},
		{"%73tart=5", everythingAsked, false},    // the raw query counts
		{"\u017ftart=5", everythingAsked, false}, // which has no long s
	} {
		got, asked := parseInterval(newArguments("start", "end"), tt.query)
		if got != tt.want || asked != tt.asked {
			t.Errorf("%q: %v %v, want %v %v", tt.query, got, asked, tt.want, tt.asked)
		}
	}
}

func TestMilliseconds(t *testing.T) {
	for _, tt := range []struct {
		seconds string
		want    int64
		ok      bool
	}{
		{"12", 12000, true},
		{"12.3", 12300, true},
		{"238.88", 238880, true},
		{"9223372036854775.807", 9223372036854775807, true},
		{"9223372036854775.808", 0, false},
		{"99999999999999999999", 0, false},
		{"", 0, false},
		{"-1", 0, false},
		{"+5", 0, false},
		{"1e3", 0, false},
		{"0x10", 0, false},
		{"1_000", 0, false},
		{" 5", 0, false},
		{"5 ", 0, false},
		{"%35", 0, false},
		{"1,5", 0, false},
		{"1.2.3", 0, false},
		{"..", 0, false},
		{"1.2.", 0, false},
		{"1.x", 0, false},
		{"NaN", 0, false},

		// nginx laxity
		{"12.3456789", 12345, true},
		{"0.0009999", 0, true},
		{".5", 500, true},
		{"5.", 5000, true},
		{".", 0, true},
		{"0005", 5000, true},
		{"1.234x", 0, false}, // what is ignored must be digits all the same
	} {
		got, ok := milliseconds(tt.seconds)
		if got != tt.want || ok != tt.ok {
			t.Errorf("%q: %d %v, want %d %v", tt.seconds, got, ok, tt.want, tt.ok)
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
		if got := withoutArguments(newArguments("start", "end"), tt.query); got != tt.want {
			t.Errorf("%q: %q, want %q", tt.query, got, tt.want)
		}
	}
}

func TestParamNames(t *testing.T) {
	a := newArguments("t.from", "t-to")
	iv, asked := parseInterval(a, "tXfrom=1&T.FROM=2&t-to=3&start=9")
	if want := (msInterval{2000, 3000}); iv != want || !asked {
		t.Errorf("%v %v, want %v", iv, asked, want)
	}
	if got := withoutArguments(a, "tXfrom=1&T.FROM=2&t-to=3&start=9"); got != "tXfrom=1&start=9" {
		t.Errorf("the rest is %q", got)
	}
}

func FuzzArguments(f *testing.F) {
	for _, query := range []string{"start=5&end=6", "x=1&START=.5&y", "&start=1.&&end=9223372036854775.807", "start=;end=", "%73tart=1"} {
		f.Add(query)
	}
	args := newArguments("start", "end")
	f.Fuzz(func(t *testing.T, query string) {
		iv, asked := parseInterval(args, query)
		if asked && (iv.start < 0 || iv.end >= 0 && iv.end <= iv.start) || !asked && iv != everythingAsked {
			t.Errorf("%q: %v, %v", query, iv, asked)
		}
		rest := withoutArguments(args, query)
		if _, still := parseInterval(args, rest); still || args.either.MatchString(rest) || len(rest) > len(query) {
			t.Errorf("%q without the arguments is %q", query, rest)
		}
	})
}
