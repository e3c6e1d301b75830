package mp4

import (
	"regexp"
	"strconv"
	"strings"
)

// An interval is what a request asks for: milliseconds [start, end) on the
// presentation timeline, to the end of the file where end is negative.
type interval struct {
	start, end int64
}

// whole is the interval of a request that names none: all of the file.
var whole = interval{-1, -1}

// everything reports whether nothing is to be cut off.
func everything(iv interval) bool { return iv.start <= 0 && iv.end < 0 }

// arguments finds the two arguments in a raw query as nginx does
// (ngx_http_arg): not percent-decoded, each name at the very start or right
// after an "&", in any case, followed by "=", its value up to the next "&".
type arguments struct {
	either, start, end *regexp.Regexp
}

func newArguments(start, end string) *arguments {
	return &arguments{
		either: argument(start, end),
		start:  argument(start),
		end:    argument(end),
	}
}

// argument matches the first of the names that occurs, with its value.
func argument(names ...string) *regexp.Regexp {
	for i := range names {
		names[i] = anyCase(names[i])
	}
	return regexp.MustCompile(`(?:^|&)(?:` + strings.Join(names, "|") + `)=([^&]*)`)
}

// anyCase is a pattern for name in either case. Not (?i), which also takes
// the long s (U+017F) for an s.
func anyCase(name string) string {
	var pattern strings.Builder
	for i := 0; i < len(name); i++ {
		c := name[i : i+1]
		pattern.WriteString("(?:" + regexp.QuoteMeta(strings.ToLower(c)) + "|" + regexp.QuoteMeta(strings.ToUpper(c)) + ")")
	}
	return pattern.String()
}

// parseInterval reads the interval that query asks for, by nginx's decision table:
// an invalid argument is absent, an end that is not after start is ignored.
func parseInterval(a *arguments, query string) (iv interval, asked bool) {
	start, started := milliseconds(value(a.start, query))
	end, ended := milliseconds(value(a.end, query))
	if ended && end > start { // start is 0 where it is absent
		return interval{start, end}, true
	}
	if !started {
		return whole, false
	}
	return interval{start, -1}, true
}

// value is that of the argument's first occurrence.
func value(argument *regexp.Regexp, query string) string {
	found := argument.FindStringSubmatch(query)
	if found == nil {
		return ""
	}
	return found[1]
}

// milliseconds reads decimal seconds as ngx_http_mp4_atofp does: digits with
// at most one dot, truncated after three decimals, int64 or invalid.
func milliseconds(seconds string) (int64, bool) {
	digits, decimals, _ := strings.Cut(seconds, ".")
	if seconds == "" || strings.Trim(digits+decimals, "0123456789") != "" {
		return 0, false
	}
	ms, err := strconv.ParseInt(digits+(decimals + "000")[:3], 10, 64)
	if err != nil {
		return 0, false // out of range
	}
	return ms, true
}

// withoutArguments returns query without the two arguments. The rest keeps its bytes and
// its order: a signature over it still holds.
func withoutArguments(a *arguments, query string) string {
	first := a.either.FindStringIndex(query)
	if first == nil {
		return query
	}
	rest := a.either.ReplaceAllString(query, "")
	if first[0] == 0 && query[0] != '&' {
		rest = strings.TrimPrefix(rest, "&")
	}
	return rest
}
