package mp4

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// options is a Config, parsed.
type options struct {
	bufferSize     int64
	maxMoov        int64
	seek           string
	root           string
	paths          *regexp.Regexp // that are handled
	args           *arguments
	faststart      bool
	limitRate      float64
	limitRateAfter time.Duration
	cacheSize      int64
	maxMemory      int64
	effective      string // all of them, in words
}

// defaultExtensions are those of MP4's own names and of QuickTime, its parent.
var defaultExtensions = []string{".mp4", ".m4v", ".m4a", ".mov"}

// parseSize reads a size as nginx does: digits, and k, m or g in either case.
func parseSize(option, value string, least int64) (int64, error) {
	digits := strings.ToLower(strings.TrimSpace(value))
	shift := 0
	for i, unit := range []string{"k", "m", "g"} {
		if strings.HasSuffix(digits, unit) {
			digits = strings.TrimSuffix(digits, unit)
			shift = 10 * (i + 1)
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > int64(math.MaxInt64)>>uint(shift) || int64(n) < least {
		return 0, fmt.Errorf("%s: %q: want a size: digits with an optional k, m or g, at least %d", option, value, least)
	}
	return int64(n) << uint(shift), nil
}

func parseSeek(value string) (string, error) {
	seek := strings.TrimSpace(value)
	if seek != seekExact && seek != seekKeyframe && seek != seekSample {
		return "", fmt.Errorf("seek: %q: want exact, keyframe or sample", value)
	}
	return seek, nil
}

// splitList splits and trims a list: a label or a CRD may bring one string with commas, which Traefik does not trim.
func splitList(values []string) []string {
	var list []string
	for _, item := range strings.Split(strings.Join(values, ","), ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	if list == nil {
		return defaultExtensions
	}
	return list
}

// parseExtensions makes the pattern of the paths with one of the extensions.
func parseExtensions(values []string) (*regexp.Regexp, error) {
	var endings []string
	for _, ext := range splitList(values) {
		switch {
		case ext == "*":
			endings = append(endings, "")
		case len(ext) > 1 && ext[0] == '.' && !strings.ContainsAny(ext[1:], "./"):
			endings = append(endings, anyCase(ext))
		default:
			return nil, fmt.Errorf("extensions: %q: want extensions such as .mp4, or *", ext)
		}
	}
	return regexp.MustCompile("(?:" + strings.Join(endings, "|") + ")$"), nil
}

// paramName matches names that need no escaping in a query (RFC 3986, 2.3).
var paramName = regexp.MustCompile(`^[A-Za-z0-9._~-]+$`)

func parseParams(start, end string) (*arguments, error) {
	start = strings.TrimSpace(start)
	end = strings.TrimSpace(end)
	if !paramName.MatchString(start) {
		return nil, fmt.Errorf("startParam: %q: want letters, digits and -_.~", start)
	}
	if !paramName.MatchString(end) || strings.EqualFold(start, end) {
		return nil, fmt.Errorf("endParam: %q: want letters, digits and -_.~, and another name than startParam", end)
	}
	return newArguments(start, end), nil
}

func parseFactor(option, value string) (float64, error) {
	factor, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || !(factor >= 0) || math.IsInf(factor, 1) {
		return 0, fmt.Errorf("%s: %q: want a factor such as 1.1, or 0", option, value)
	}
	return factor, nil
}

// parseDuration reads a Go duration, or plain seconds.
func parseDuration(option, value string) (time.Duration, error) {
	text := strings.TrimSpace(value)
	if strings.Trim(text, "0123456789.") == "" {
		text += "s"
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%s: %q: want a duration such as 60s or 1m30s, or seconds", option, value)
	}
	return d, nil
}

// An interval is what a request asks for: milliseconds [start, end) on the
// presentation timeline, to the end of the file where end is negative.
type msInterval struct {
	start, end int64
}

// everythingAsked is the interval of a request that names none: all of the file.
var everythingAsked = msInterval{-1, -1}

// arguments finds the two arguments in a raw query as nginx does
// (ngx_http_arg): not percent-decoded, each name at the very start or right
// after an "&", in any case, followed by "=", its value up to the next "&".
type arguments struct{ pattern *regexp.Regexp }

// newArguments makes the pattern of the two arguments. Its groups are the name, where it is that of the start; the
// digits of the value; a dot and the digits behind it; and what else the value has.
func newArguments(start, end string) *arguments {
	return &arguments{regexp.MustCompile(`(?:^|&)(?:(` + anyCase(start) + `)|` + anyCase(end) + `)=([0-9]*)(\.[0-9]*)?([^&]*)`)}
}

// anyCase is a pattern for name in either case. Not (?i), which also takes
// the long s (U+017F) for an s.
func anyCase(name string) string {
	var pattern strings.Builder
	for _, letter := range name {
		c := string(letter)
		pattern.WriteString("(?:" + regexp.QuoteMeta(strings.ToLower(c)) + "|" + regexp.QuoteMeta(strings.ToUpper(c)) + ")")
	}
	return pattern.String()
}

// parseInterval reads the interval that the arguments ask for, each given as a match of the pattern, by nginx's decision
// table: an invalid argument is absent, an end that is not after start is ignored.
func parseInterval(found [][]string) msInterval {
	start, end := int64(-1), int64(-1)
	for i := len(found) - 1; i >= 0; i-- { // the first of a name counts
		ms := milliseconds(found[i])
		if found[i][1] != "" {
			start = ms
		} else {
			end = ms
		}
	}
	if end <= 0 || end <= start {
		return msInterval{start, -1}
	}
	if start < 0 {
		start = 0
	}
	return msInterval{start, end}
}

// milliseconds reads decimal seconds as ngx_http_mp4_atofp does: digits with
// at most one dot, truncated after three decimals, int64; else it is -1.
func milliseconds(argument []string) int64 {
	seconds, decimals := argument[2], argument[3]
	if seconds+decimals == "" || argument[4] != "" {
		return -1
	}
	ms, err := strconv.ParseInt(seconds+(decimals + "0000")[1:4], 10, 64)
	if err != nil {
		return -1 // out of range
	}
	return ms
}

// withoutArguments returns query without the arguments that were found in it. The rest keeps its bytes and
// its order: a signature over it still holds.
func withoutArguments(a *arguments, query string, found [][]string) string {
	if found == nil {
		return query
	}
	if found[0][0] == query {
		return "" // mostly there is no more
	}
	rest := a.pattern.ReplaceAllString(query, "")
	if found[0][0][0] == '&' {
		return rest
	}
	return strings.TrimPrefix(rest, "&")
}

// What seek may be.
const (
	seekExact    = "exact"
	seekKeyframe = "keyframe"
	seekSample   = "sample"
)
