package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// nginx is Debian's nginx over a folder, set up as Debian does, but for the logs.
type nginx struct {
	static  string // host:port of the plain files, the origin of all that goes through Traefik,
	mp4     string // of the same files through nginx's mp4 module,
	counted string // and of the plain files again, with a log of what was asked for

	cmd  *exec.Cmd
	home string
}

func startNginx(dir string) (*nginx, error) {
	bin, err := tool("nginx")
	if err != nil {
		return nil, err
	}
	home, err := os.MkdirTemp("", "nginx-")
	if err != nil {
		return nil, err
	}
	n := &nginx{home: home}

	// nginx takes over open listeners by the variable that its own upgrade uses: no port can be lost in between.
	var addresses []string
	var listeners []*net.TCPListener
	var files []*os.File
	inherited := ""
	for i := range 3 {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close()
		file, err := listener.(*net.TCPListener).File()
		if err != nil {
			return nil, err
		}
		defer file.Close()
		listeners = append(listeners, listener.(*net.TCPListener))
		addresses, files = append(addresses, listener.Addr().String()), append(files, file)
		inherited += fmt.Sprintf("%d;", 3+i)
	}
	n.static, n.mp4, n.counted = addresses[0], addresses[1], addresses[2]
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // the films are in root's cache folder
	}
	text := strings.NewReplacer("$HOME", home, "$DIR", dir, "$USER", user,
		"$STATIC", n.static, "$MP4", n.mp4, "$COUNTED", n.counted).Replace(nginxConfig)
	config := filepath.Join(home, "nginx.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}

	n.cmd = exec.Command(bin, "-p", home, "-c", config, "-e", "stderr")
	n.cmd.Env = append(os.Environ(), "NGINX="+inherited)
	n.cmd.ExtraFiles = files
	n.cmd.Stderr = os.Stderr
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	if err := n.cmd.Start(); err != nil {
		return nil, err
	}
	return n, unblock(listeners)
}

// unblock mends what handing the sockets over has done to them: Go makes them blocking, nginx leaves an inherited socket
// as it is, and of two workers that are woken by one connection, the second would hang in accept, with all it serves.
func unblock(listeners []*net.TCPListener) error {
	for _, listener := range listeners {
		socket, err := listener.SyscallConn()
		if err != nil {
			return err
		}
		var failure error
		if err := socket.Control(func(fd uintptr) { failure = syscall.SetNonblock(int(fd), true) }); err != nil {
			return err
		}
		if failure != nil {
			return failure
		}
	}
	return nil
}

const nginxConfig = `
daemon off;
worker_processes auto;
pid $HOME/nginx.pid;
$USER
events { worker_connections 1024; }
http {
	types { text/html html; video/mp4 mp4; }
	client_body_temp_path $HOME; proxy_temp_path $HOME; fastcgi_temp_path $HOME; uwsgi_temp_path $HOME; scgi_temp_path $HOME;
	log_format asked '$body_bytes_sent $http_range';
	access_log off;
	sendfile on;
	tcp_nopush on;
	root $DIR;
	server { listen $STATIC; }
	server { listen $MP4; location / { mp4; mp4_max_buffer_size 64m; } }
	server { listen $COUNTED; access_log $HOME/asked.log asked; }
}
`

func (n *nginx) stop() {
	n.cmd.Process.Signal(syscall.SIGTERM)
	n.cmd.Wait()
	os.RemoveAll(n.home)
}

// takeAsked returns what the counted server was asked since the last call, a line "bytes range" each, once nothing more comes.
func (n *nginx) takeAsked() ([]string, error) {
	path := filepath.Join(n.home, "asked.log")
	seen := -1
	for {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if len(text) > 0 && len(text) == seen {
			return strings.Split(strings.TrimSpace(string(text)), "\n"), os.Truncate(path, 0)
		}
		seen = len(text)
		time.Sleep(50 * time.Millisecond)
	}
}

// Routes of Traefik, by the last part of the host. What stands before it is free: it is part of the key in the plugin's
// cache, so that a host that was never used before makes a first seek.
const (
	viaPlugin  = "plugin"  // the plugin before the static origin
	viaRoot    = "root"    // the plugin over a folder, without an origin
	viaNginx   = "nginx"   // nginx's mp4 module
	viaNothing = "plain"   // the static origin
	viaCounted = "counted" // the plugin before the static origin that keeps a log
)

// startTraefik starts Traefik with the plugin in the folder plugin. One route of it serves the files in root.
func startTraefik(ctx context.Context, plugin string, n *nginx, root string, options rig.Map) (*rig.Traefik, error) {
	var dynamic rig.Dynamic
	dynamic.Plugin("mp4", options)
	rooted := maps.Clone(options)
	if rooted == nil {
		rooted = rig.Map{}
	}
	rooted["root"] = root
	dynamic.Middleware("rooted", rig.Map{"plugin": rig.Map{"mp4": rooted}})
	route := func(name, origin string, middlewares ...string) {
		dynamic.Route(name, rig.Router{
			Rule:        fmt.Sprintf("HostRegexp(`^[a-z0-9]+\\.%s$`)", name),
			Service:     name,
			Middlewares: middlewares,
		})
		dynamic.Service(name, "http://"+origin)
	}
	route(viaPlugin, n.static, "mp4")
	route(viaRoot, n.static, "rooted")
	route(viaNginx, n.mp4)
	route(viaNothing, n.static)
	route(viaCounted, n.counted, "mp4")
	dynamic.Route("debug", rig.Router{Rule: "Host(`debug`)", Service: "api@internal"})
	return rig.Run(ctx, rig.Config{
		Dynamic:  dynamic,
		Plugins:  map[string]string{"mp4": plugin},
		Static:   rig.Map{"api": rig.Map{"debug": true}},
		LogLevel: "ERROR",
	})
}

// debug fetches one of Traefik's debug pages.
func debug(ctx context.Context, t *rig.Traefik, path string) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, "GET", "http://debug/debug"+path, nil)
	if err != nil {
		return nil, err
	}
	response, err := t.Client().Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		return nil, fmt.Errorf("%s from Traefik for %s", response.Status, path)
	}
	return response, nil
}

// tool finds a program.
func tool(name string) (string, error) {
	bin, err := exec.LookPath(name)
	if err == nil {
		return bin, nil
	}
	// Debian keeps nginx where only root's PATH looks.
	if bin, err = exec.LookPath(filepath.Join("/usr/sbin", name)); err == nil {
		return bin, nil
	}
	return "", errors.New(name + " is not installed; `make bench` installs it where it runs as root")
}
