package rig

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Nginx is Debian's nginx over a folder, as three servers.
type Nginx struct {
	Static   string // URL of plain files
	MP4      string // URL of the same files through `mp4`
	KeyFrame string // and through `mp4` with `mp4_start_key_frame on`

	accessLog string
	pid       int
	seen      int
}

// StartNginx serves dir until the test ends.
func StartNginx(tb testing.TB, dir string) *Nginx {
	tb.Helper()
	bin := Tool(tb, "nginx")
	home := tb.TempDir()
	n := &Nginx{accessLog: filepath.Join(home, "access.log")}

	// nginx takes over open listeners by the variable that its own upgrade uses: no port can be lost in between.
	var files []*os.File
	var addresses []string
	inherited := ""
	for i := range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			tb.Fatal(err)
		}
		defer listener.Close()
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			tb.Fatal(err)
		}
		defer file.Close()
		files, addresses = append(files, file), append(addresses, listener.Addr().String())
		inherited += fmt.Sprintf("%d;", 3+i)
	}
	n.Static, n.MP4, n.KeyFrame = "http://"+addresses[0], "http://"+addresses[1], "http://"+addresses[2]

	user := ""
	if os.Getuid() == 0 {
		// Test folders are private to root, as whom the workers would not run otherwise.
		user = "user root;"
	}
	text := strings.NewReplacer("$HOME", home, "$DIR", dir, "$USER", user,
		"$STATIC", addresses[0], "$MP4", addresses[1], "$KEYFRAME", addresses[2]).Replace(nginxConfig)
	config := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		tb.Fatal(err)
	}
	var log logBuffer
	cmd := exec.Command(bin, "-p", home, "-c", config, "-e", "stderr")
	cmd.Env = append(os.Environ(), "NGINX="+inherited)
	cmd.ExtraFiles = files
	cmd.Stdout, cmd.Stderr = &log, &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	n.pid = cmd.Process.Pid
	tb.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		cmd.Wait()
		if tb.Failed() {
			tb.Logf("nginx's log:\n%s", log.String())
		}
	})
	return n
}

const nginxConfig = `
daemon off;
worker_processes 1;
pid $HOME/nginx.pid;
$USER
events { worker_connections 1024; }
http {
	types { text/html html; video/mp4 mp4 m4v; audio/mp4 m4a; video/quicktime mov; }
	client_body_temp_path $HOME; proxy_temp_path $HOME; fastcgi_temp_path $HOME; uwsgi_temp_path $HOME; scgi_temp_path $HOME;
	log_format rig '$request_method $request_uri $status $body_bytes_sent $http_range';
	access_log $HOME/access.log rig;
	sendfile on;
	root $DIR;
	server { listen $STATIC; }
	server { listen $MP4; location / { mp4; mp4_max_buffer_size 64m; } }
	server { listen $KEYFRAME; location / { mp4; mp4_max_buffer_size 64m; mp4_start_key_frame on; } }
}
`

// Pid is the id of nginx's master process.
func (n *Nginx) Pid() int { return n.pid }

// Take waits up to five seconds for at least so many requests since the last Take and returns them, each as
// "method uri status bytes range".
func (n *Nginx) Take(tb testing.TB, atLeast int) []string {
	tb.Helper()
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(n.accessLog)
		if err != nil && !os.IsNotExist(err) {
			tb.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		if len(text) == 0 {
			lines = nil
		}
		if taken := lines[min(n.seen, len(lines)):]; len(taken) >= atLeast {
			n.seen = len(lines)
			return taken
		}
		if time.Now().After(deadline) {
			tb.Fatalf("nginx logged fewer than %d requests:\n%s", atLeast, text)
		}
	}
}

// Tool finds a program that a test needs; without it the test fails.
func Tool(tb testing.TB, name string) string {
	tb.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		// Debian keeps nginx where only root's PATH looks.
		if bin, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err != nil {
			tb.Fatalf("%s is not installed; `make tools` installs what the tests need", name)
		}
	}
	return bin
}
