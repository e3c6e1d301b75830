package main

import (
	"os"
	"os/signal"
	"syscall"
	"unsafe"
)

// takeTerminal has Ctrl-C interrupt this process and what it starts, and nobody else: make and go run, which wait for it, would take
// the signal for a failure. giveBack returns the terminal to them.
func takeTerminal() (giveBack func()) {
	giveBack = func() {}
	terminal, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return giveBack // there is none
	}
	var foreground int32
	ours := int32(syscall.Getpgrp())
	if group(terminal, syscall.TIOCGPGRP, &foreground) != nil || foreground != ours || syscall.Setpgid(0, 0) != nil {
		terminal.Close()
		return giveBack
	}
	// A group in the background that sets the terminal's is stopped, and nobody would continue this one.
	signal.Ignore(syscall.SIGTTOU, syscall.SIGTSTP)
	own := int32(syscall.Getpgrp())
	_ = group(terminal, syscall.TIOCSPGRP, &own)
	return func() {
		_ = group(terminal, syscall.TIOCSPGRP, &ours)
		terminal.Close()
	}
}

// group reads or sets the terminal's foreground group.
func group(terminal *os.File, request uintptr, id *int32) error {
	if _, _, failed := syscall.Syscall(syscall.SYS_IOCTL, terminal.Fd(), request, uintptr(unsafe.Pointer(id))); failed != 0 {
		return failed
	}
	return nil
}
