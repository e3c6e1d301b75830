package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// TestInterrupt presses Ctrl-C on a terminal of the demo's own: what waits for the demo, as make does, sees that it ended well.
func TestInterrupt(t *testing.T) {
	terminal, name := newTerminal(t)
	makefile := filepath.Join(t.TempDir(), "Makefile")
	if err := os.WriteFile(makefile, []byte("demo:\n\tgo run . -address 127.0.0.1:0\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	its, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("make", "-f", makefile, "demo")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = its, its, its
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	its.Close()
	said := make(chan string, 1)
	go func() {
		var all strings.Builder
		for part := make([]byte, 1<<10); ; {
			n, err := terminal.Read(part)
			if all.Write(part[:n]); err != nil {
				said <- all.String()
				return
			}
			if strings.Contains(string(part[:n]), "Ctrl-C stops it.") {
				io.WriteString(terminal, "\x03")
			}
		}
	}()
	hung := time.AfterFunc(time.Minute, func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	defer hung.Stop()
	err = cmd.Wait()
	if text := <-said; err != nil || !strings.Contains(text, "Ctrl-C") {
		t.Errorf("make ended with %v\n%s", err, text)
	}
}

// newTerminal makes a pair of terminals: what is written to one is typed on the other, which has the name.
func newTerminal(t *testing.T) (terminal *os.File, name string) {
	t.Helper()
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	var number, unlocked int32
	for request, value := range map[uintptr]*int32{syscall.TIOCGPTN: &number, syscall.TIOCSPTLCK: &unlocked} {
		if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), request, uintptr(unsafe.Pointer(value))); failed != 0 {
			t.Fatal(failed)
		}
	}
	return terminal, fmt.Sprint("/dev/pts/", number)
}
