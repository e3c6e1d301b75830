package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"time"
)

// behindMoov is how much of the media a seek reads behind the moov: a player's first picture is among it.
const behindMoov = 64 << 10

// request is one request for a film.
type request struct {
	address string // host:port that is asked
	host    string
	path    string
	// bytes of the body that are read; 0: up to behindMoov bytes of the mdat; everything: all
	bytes int64
	// patience is how long the client waits; 0: a minute
	patience time.Duration
}

const everything = -1

// timing is what a client sees.
type timing struct {
	first time.Duration // from the request to the first byte of the body
	last  time.Duration // and to the last that is read
	bytes int64
}

// get makes a request over a connection of its own, which is open before the clock runs, and breaks it off when it has
// read what it wants, as a player does that seeks on.
func get(r request) (timing, error) {
	s, err := open(r)
	if err != nil {
		return timing{}, err
	}
	return s.timing, s.Close()
}

// seek is a request that has got what it wanted, and whose connection is still open.
type seek struct {
	net.Conn
	timing timing
	body   *bufio.Reader
}

func open(r request) (*seek, error) {
	conn, err := net.Dial("tcp", r.address)
	if err != nil {
		return nil, err
	}
	s := &seek{Conn: conn}
	if err := s.start(r); err != nil {
		conn.Close()
		return nil, fmt.Errorf("http://%s%s: %w", r.host, r.path, err)
	}
	return s, nil
}

func (s *seek) start(r request) error {
	s.SetDeadline(time.Now().Add(cmp.Or(r.patience, time.Minute)))
	begin := time.Now()
	if _, err := fmt.Fprintf(s, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", r.path, r.host); err != nil {
		return err
	}
	response, err := http.ReadResponse(bufio.NewReader(s.Conn), nil)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", response.Status)
	}
	s.body = bufio.NewReaderSize(response.Body, 256<<10)
	if _, err := s.body.Peek(1); err != nil {
		return err
	}
	s.timing.first = time.Since(begin)
	if s.timing.bytes, err = read(s.body, r.bytes); err != nil {
		return err
	}
	s.timing.last = time.Since(begin)
	return nil
}

// read discards n bytes; or all boxes before the mdat, its header, and behindMoov bytes of it; or everything.
func read(body *bufio.Reader, n int64) (int64, error) {
	switch n {
	case 0:
		return readMoov(body)
	case everything:
		return drain(body)
	}
	k, err := body.Discard(int(n))
	return int64(k), err
}

func readMoov(body *bufio.Reader) (int64, error) {
	for read := int64(0); ; {
		start, err := body.Peek(16)
		if err != nil {
			return read, err
		}
		typ, size, header := boxHeader(start)
		if typ == "mdat" {
			size = header + behindMoov
		}
		k, err := body.Discard(int(size))
		read += int64(k)
		if err != nil || typ == "mdat" {
			return read, err
		}
	}
}

// drain discards in larger pieces than io.Copy to io.Discard does, so that the client is not what is measured.
func drain(body *bufio.Reader) (int64, error) {
	for read := int64(0); ; {
		k, err := body.Discard(1 << 20)
		read += int64(k)
		if err == io.EOF {
			return read, nil
		}
		if err != nil {
			return read, err
		}
	}
}

// hosts gives out hosts that were never used before.
type hosts struct{ n int }

func (h *hosts) next(route string) string {
	h.n++
	return fmt.Sprintf("n%d.%s", h.n, route)
}

// start is the second at which round i seeks: spread over the film by the golden ratio, the same for every route.
func start(i int, f film) float64 {
	_, fraction := math.Modf(0.1 + float64(i)*0.6180339887)
	return math.Round(1000*(0.02+0.96*fraction)*f.seconds()) / 1000
}

func startPath(f film, seconds float64) string { return fmt.Sprintf("/%s?start=%.3f", f.Name, seconds) }

// series are the timings of one route in one film.
type series struct {
	FirstByte quartiles `json:"firstByteMs"`
	Moov      quartiles `json:"moovMs"` // to the last byte of the moov and behindMoov bytes of mdat

	firstByte, moov []float64
}

func (s *series) add(t timing) {
	s.firstByte, s.moov = append(s.firstByte, ms(t.first)), append(s.moov, ms(t.last))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// seeks are the timings of all routes in one film.
type seeks struct {
	Film     film    `json:"film"`
	First    *series `json:"pluginFirst"`    // plugin behind Traefik, nothing cached
	Repeated *series `json:"pluginRepeated"` // another start, in a film that was sought in before
	Again    *series `json:"pluginAgain"`    // the same start again, as for each Range of a player
	Nginx    *series `json:"nginxBehindTraefik"`
	Direct   *series `json:"nginxDirectly"`
	Plain    *series `json:"plainFile"` // as many bytes of the plain file through Traefik
}

// measureSeeks times all routes in turn, in another order every round.
func measureSeeks(f film, rounds int, traefik string, n *nginx, fresh *hosts) (seeks, error) {
	s := seeks{Film: f, First: &series{}, Repeated: &series{}, Again: &series{}, Nginx: &series{}, Direct: &series{}, Plain: &series{}}
	known, again := fresh.next(viaPlugin), fresh.next(viaPlugin)
	if _, err := get(request{address: traefik, host: known, path: startPath(f, 1)}); err != nil {
		return s, err
	}
	random := rand.New(rand.NewPCG(1, 2))
	for round := range rounds {
		path := startPath(f, start(round, f))
		// Not timed: how much the plain file has to send, and the pages of the film come into memory.
		ahead, err := get(request{address: traefik, host: again, path: path})
		if err != nil {
			return s, err
		}
		routes := []struct {
			to *series
			request
		}{
			{s.First, request{address: traefik, host: fresh.next(viaPlugin), path: path}},
			{s.Repeated, request{address: traefik, host: known, path: path}},
			{s.Again, request{address: traefik, host: again, path: path}},
			{s.Nginx, request{address: traefik, host: "any." + viaNginx, path: path}},
			{s.Direct, request{address: n.mp4, host: "any", path: path}},
			{s.Plain, request{address: traefik, host: "any." + viaNothing, path: "/" + f.Name, bytes: ahead.bytes}},
		}
		random.Shuffle(len(routes), func(i, j int) { routes[i], routes[j] = routes[j], routes[i] })
		for _, route := range routes {
			settle()
			t, err := get(route.request)
			if err != nil {
				return s, err
			}
			route.to.add(t)
		}
	}
	for _, one := range []*series{s.First, s.Repeated, s.Again, s.Nginx, s.Direct, s.Plain} {
		one.FirstByte, one.Moov = quartilesOf(one.firstByte), quartilesOf(one.moov)
	}
	return s, nil
}
