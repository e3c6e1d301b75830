package origin

import (
	"net/http"
	"strings"
	"time"
)

// replayCookies sends what the origin has set on the way, so that a sticky load balancer asks the same replica again.
func replayCookies(c *Client, req *http.Request) {
	set := parseCookies(c.Cookies)
	newer := make(map[string]bool)
	for _, cookie := range set {
		newer[cookie.Name] = true
	}
	old := req.Cookies()
	req.Header.Del("Cookie")
	for _, cookie := range old {
		if !newer[cookie.Name] {
			req.AddCookie(cookie)
		}
	}
	for _, cookie := range set {
		takenBack := cookie.MaxAge < 0 || cookie.MaxAge == 0 && !cookie.Expires.IsZero() && cookie.Expires.Before(time.Now())
		if !takenBack {
			req.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		}
	}
}

// parseCookies reads Set-Cookie lines, but for those that are none.
func parseCookies(lines []string) []*http.Cookie {
	return (&http.Response{Header: http.Header{"Set-Cookie": lines}}).Cookies()
}

// mergeCookies adds Set-Cookie lines to others. Of those with one name, path and domain the last counts (RFC 6265, 5.3).
func mergeCookies(lines, more []string) []string {
	for _, line := range more {
		var others []string
		for _, other := range lines {
			if !sameCookie(line, other) {
				others = append(others, other)
			}
		}
		lines = append(others, line)
	}
	return lines
}

// sameCookie reports whether one of two Set-Cookie lines takes the place of the other.
func sameCookie(line, other string) bool {
	a, b := parseCookies([]string{line}), parseCookies([]string{other})
	if len(a) == 0 || len(b) == 0 {
		return line == other
	}
	return a[0].Name == b[0].Name && a[0].Path == b[0].Path &&
		strings.EqualFold(strings.TrimPrefix(a[0].Domain, "."), strings.TrimPrefix(b[0].Domain, "."))
}
