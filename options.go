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
	extensions     map[string]bool
	everyPath      bool
	args           *arguments
	faststart      bool
	limitRate      float64
	limitRateAfter time.Duration
	cacheSize      int64
	maxMemory      int64
	plain          bool   // requests without arguments are ours too
	effective      string // all of them, in words
}

// defaultExtensions are those of MP4's own names and of QuickTime, its parent.
var defaultExtensions = []string{".mp4", ".m4v", ".m4a", ".mov"}

// parse reads the options. The error names the option, the value and what is accepted.
func (c *Config) parse() (*options, error) {
	o := &options{root: strings.TrimSpace(c.Root)}
	var err error
	if o.bufferSize, err = parseSize("bufferSize", c.BufferSize, 1); err != nil {
		return nil, err
	}
	if o.maxMoov, err = parseSize("maxBufferSize", c.MaxBufferSize, 1); err != nil {
		return nil, err
	}
	o.maxMoov = maxInt64(o.maxMoov, o.bufferSize)
	if o.seek, err = parseSeek(c.Seek); err != nil {
		return nil, err
	}
	if err = o.parseExtensions(c.Extensions); err != nil {
		return nil, err
	}
	if o.args, err = parseParams(c.StartParam, c.EndParam); err != nil {
		return nil, err
	}
	if o.faststart, err = strconv.ParseBool(strings.TrimSpace(c.Faststart)); err != nil {
		return nil, fmt.Errorf("faststart: %q: want true or false", c.Faststart)
	}
	if o.limitRate, err = parseFactor("limitRate", c.LimitRate); err != nil {
		return nil, err
	}
	if o.limitRateAfter, err = parseDuration("limitRateAfter", c.LimitRateAfter); err != nil {
		return nil, err
	}
	if o.cacheSize, err = parseSize("cacheSize", c.CacheSize, 0); err != nil {
		return nil, err
	}
	if o.maxMemory, err = parseSize("maxMemory", c.MaxMemory, 1); err != nil {
		return nil, err
	}
	o.plain = o.faststart || o.root != ""
	o.effective = c.words(o)
	return o, nil
}

// words names every option in effect.
func (c *Config) words(o *options) string {
	return fmt.Sprintf("bufferSize=%d maxBufferSize=%d seek=%s root=%q extensions=%s startParam=%s endParam=%s "+
		"faststart=%t limitRate=%g limitRateAfter=%s cacheSize=%d maxMemory=%d",
		o.bufferSize, o.maxMoov, o.seek, o.root, strings.Join(listed(c.Extensions), ","),
		strings.TrimSpace(c.StartParam), strings.TrimSpace(c.EndParam),
		o.faststart, o.limitRate, o.limitRateAfter.String(), o.cacheSize, o.maxMemory)
}

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

// listed splits and trims a list: a label or a CRD may bring one string with commas, which Traefik does not trim.
func listed(values []string) []string {
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

func (o *options) parseExtensions(values []string) error {
	o.extensions = make(map[string]bool)
	for _, ext := range listed(values) {
		switch {
		case ext == "*":
			o.everyPath = true
		case len(ext) > 1 && ext[0] == '.' && !strings.ContainsAny(ext[1:], "./"):
			o.extensions[strings.ToLower(ext)] = true
		default:
			return fmt.Errorf("extensions: %q: want extensions such as .mp4, or *", ext)
		}
	}
	return nil
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
