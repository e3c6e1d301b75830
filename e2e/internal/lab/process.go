package lab

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Output runs a command on the machine to its end and returns what it wrote.
func (m *Machine) Output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var err error
	m.do(func() { err = cmd.Start() })
	if err == nil {
		err = cmd.Wait()
	}
	return strings.TrimSpace(out.String()), err
}

// Process is a program that runs on a machine until the test ends.
type Process struct {
	machine *Machine
	name    string
	cmd     *exec.Cmd
	exited  chan struct{}
	mutex   sync.Mutex
	log     bytes.Buffer
}

// Write is the process's standard output and error.
func (p *Process) Write(text []byte) (int, error) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return p.log.Write(text)
}

// Log is what the process has written so far, without colors.
func (p *Process) Log() string {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	return Plain(p.log.String())
}

// Plain is a log without its colors.
func Plain(log string) string { return colors.ReplaceAllString(log, "") }

var colors = regexp.MustCompile("\x1b\\[[0-9;]*m")

// Start starts a program on the machine, and ends it by the signal when the test does; a failed test shows the end of its log.
func (m *Machine) Start(cmd *exec.Cmd, end syscall.Signal) *Process {
	m.tb.Helper()
	p := &Process{machine: m, name: filepath.Base(cmd.Path), cmd: cmd, exited: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A test that is killed leaves nothing behind.
	cmd.SysProcAttr.Pdeathsig = end
	var err error
	m.do(func() { err = cmd.Start() })
	if err != nil {
		m.tb.Fatal(err)
	}
	go func() {
		cmd.Wait()
		close(p.exited)
	}()
	m.tb.Cleanup(func() {
		select {
		case <-p.exited:
			m.tb.Errorf("%s ended: %v", p.name, cmd.ProcessState)
		default:
			p.End(end)
		}
		if m.tb.Failed() {
			lines := strings.Split(strings.TrimSpace(p.Log()), "\n")
			lines = slices.DeleteFunc(lines, func(line string) bool { return strings.Contains(line, " DBG ") && !strings.Contains(line, "mp4: ") })
			m.tb.Logf("the end of what %s on %s said:\n%s", p.name, m.Address, strings.Join(lines[max(0, len(lines)-40):], "\n"))
		}
	})
	return p
}

// End sends the signal and waits until the process has ended.
func (p *Process) End(signal syscall.Signal) {
	p.cmd.Process.Signal(signal)
	select {
	case <-p.exited:
	case <-time.After(20 * time.Second):
		p.cmd.Process.Kill()
		<-p.exited
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Exited is closed when the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Traefik runs Traefik in a root folder, as its image does, with the lab's certificates. Its environment holds nothing else.
func (m *Machine) Traefik(bin, root string, env []string, args ...string) *Process {
	m.tb.Helper()
	inside := filepath.Join(root, "traefik")
	if err := os.Link(bin, inside); err != nil {
		if out, err := exec.Command("cp", bin, inside).CombinedOutput(); err != nil {
			m.tb.Fatalf("%v: %s", err, out)
		}
	}
	return m.Start(&exec.Cmd{
		Path: "/traefik",
		Args: append([]string{"traefik"}, args...),
		Dir:  "/",
		// What was compiled for another machine's libc does not run here: Traefik's own releases, and what the rig builds, need none.
		SysProcAttr: &syscall.SysProcAttr{Chroot: root},
		Env:         append([]string{"PATH=/"}, env...),
	}, syscall.SIGKILL)
}
