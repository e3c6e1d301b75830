package main

import (
	"fmt"
	"strings"
)

// asked is what a seek whose answer is read to its end costs the origin.
type asked struct {
	Film     film  `json:"film"`
	Known    bool  `json:"repeated"`
	Requests int   `json:"requests"`
	Bytes    int64 `json:"bytes"` // that the origin sent
	Sent     int64 `json:"sent"`  // to the client
}

func measureAsked(f film, traefik string, n *nginx, fresh *hosts) ([]asked, error) {
	var all []asked
	host := fresh.next(viaCounted)
	for _, known := range []bool{false, true} {
		t, err := get(request{address: traefik, host: host, path: startPath(f, start(len(all), f)), bytes: everything})
		if err != nil {
			return nil, err
		}
		lines, err := n.takeAsked()
		if err != nil {
			return nil, err
		}
		a := asked{Film: f, Known: known, Requests: len(lines), Sent: t.bytes}
		for _, line := range lines {
			var bytes int64
			if _, err := fmt.Sscan(strings.Fields(line)[0], &bytes); err != nil {
				return nil, err
			}
			a.Bytes += bytes
		}
		all = append(all, a)
	}
	return all, nil
}
