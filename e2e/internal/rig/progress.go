package rig

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// meter shows how far a long step is: on a terminal by one line that renews itself, elsewhere by a line for each tenth, or each half
// minute.
type meter struct {
	to       io.Writer
	terminal bool

	mutex  sync.Mutex
	text   string
	tenths int
	told   time.Time
	ended  chan struct{}
}

const (
	renewed = 100 * time.Millisecond // on a terminal
	repeats = 30 * time.Second       // elsewhere
)

// newMeter tells nothing before it is set. It has to be ended.
func newMeter(to io.Writer) *meter {
	m := &meter{to: to, told: time.Now(), ended: make(chan struct{})}
	if file, ok := to.(*os.File); ok {
		info, err := file.Stat()
		m.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	go m.repeat()
	return m
}

// repeat shows that a step goes on where it sets nothing for long.
func (m *meter) repeat() {
	for {
		select {
		case <-m.ended:
			return
		case <-time.After(time.Second):
			m.mutex.Lock()
			if !m.terminal && m.text != "" && time.Since(m.told) >= repeats {
				m.tell()
			}
			m.mutex.Unlock()
		}
	}
}

// set says what there is to see; done of all is how far it is, where all is known.
func (m *meter) set(done, all int, text string) {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	m.text = text
	tenths := 0
	if all > 0 {
		tenths = 10 * done / all
	}
	if m.terminal && time.Since(m.told) >= renewed || !m.terminal && tenths > m.tenths {
		m.tenths = tenths
		m.tell()
	}
}

func (m *meter) tell() {
	m.told = time.Now()
	if m.terminal {
		fmt.Fprintf(m.to, "\r\x1b[K%s", m.text)
	} else {
		fmt.Fprintln(m.to, m.text)
	}
}

// end leaves the last text standing.
func (m *meter) end() {
	m.mutex.Lock()
	defer m.mutex.Unlock()
	close(m.ended)
	if m.terminal && m.text != "" {
		m.tell()
		fmt.Fprintln(m.to)
	}
}

// follow counts what go build -v says from a reader: the modules that it downloads, and the packages that it compiles, of so
// many. What else is said it returns.
func (m *meter) follow(from io.Reader, packages int) (said string) {
	modules, compiled := 0, 0
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			modules++
		case line == "":
			continue
		case strings.ContainsAny(line, " \t:"):
			said += line + "\n"
			continue
		default:
			compiled++
		}
		text := fmt.Sprintf("  %d of %d packages compiled", compiled, packages)
		switch {
		case compiled == 0:
			text = fmt.Sprintf("  %d modules downloaded", modules)
		case compiled >= packages:
			text = fmt.Sprintf("  %d packages compiled", compiled)
		}
		m.set(compiled, packages, text)
	}
	return said
}
