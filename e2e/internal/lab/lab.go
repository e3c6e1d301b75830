// Package lab is a network of its own for tests of what people copy: files that name fixed ports, hosts and folders. A lab
// has machines, each with an address on one bridge and all of them with names; what runs on a machine sees the root folder
// that its test gave it, as in a container. Nothing of the lab is visible to the machine that the tests run on, and nothing
// stays behind. It takes root, with the right to make network namespaces.
package lab

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
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Lab is the network. Its gateway is a machine too, the one that the bridge belongs to.
type Lab struct {
	*Machine
	mutex    sync.Mutex
	machines int
	names    map[string]string // address by name
	hosts    []string          // the files that list them
}

// Machine is a network namespace with an address.
type Machine struct {
	Address string
	lab     *Lab
	tb      testing.TB
	calls   chan func()
	path    string // of the namespace
}

// network is 192.0.2.0/24, which is set aside for examples (RFC 5737).
const network = "192.0.2."

// New makes a lab that lasts as long as the test.
func New(tb testing.TB) *Lab {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatal("this test makes network namespaces, which takes root: run it as root, in a container with CAP_SYS_ADMIN and CAP_NET_ADMIN")
	}
	l := &Lab{machines: 1, names: map[string]string{}}
	l.Machine = l.machine(tb, network+"1")
	l.ip("link", "add", "lab", "type", "bridge")
	l.ip("addr", "add", l.Address+"/24", "dev", "lab")
	l.ip("link", "set", "lab", "up")
	return l
}

// Join adds a machine with those names.
func (l *Lab) Join(names ...string) *Machine {
	l.tb.Helper()
	l.mutex.Lock()
	l.machines++
	n := l.machines
	l.mutex.Unlock()
	m := l.machine(l.tb, fmt.Sprint(network, n))
	port := fmt.Sprint("lab", n)
	l.ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", m.path)
	l.ip("link", "set", port, "master", "lab", "up")
	m.ip("addr", "add", m.Address+"/24", "dev", "eth0")
	m.ip("link", "set", "eth0", "up")
	m.ip("route", "add", "default", "via", l.Address)
	m.Name(names...)
	return m
}

// machine starts a thread in a network namespace of its own. The namespace goes when the thread does, and with the thread
// goes whatever it has started.
func (l *Lab) machine(tb testing.TB, address string) *Machine {
	tb.Helper()
	m := &Machine{Address: address, lab: l, tb: tb, calls: make(chan func())}
	ready := make(chan error)
	go func() {
		runtime.LockOSThread() // for good: the thread must not serve others
		err := syscall.Unshare(syscall.CLONE_NEWNET)
		m.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), syscall.Gettid())
		ready <- err
		for call := range m.calls {
			call()
		}
	}()
	if err := <-ready; err != nil {
		tb.Fatalf("the kernel makes no network namespace (unshare: %v): this test needs root with CAP_SYS_ADMIN, and a kernel with network namespaces", err)
	}
	tb.Cleanup(func() { close(m.calls) })
	m.ip("link", "set", "lo", "up")
	return m
}

func (m *Machine) do(call func()) {
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

func (m *Machine) ip(args ...string) {
	m.tb.Helper()
	if out, err := m.Output(exec.Command("ip", args...)); err != nil {
		m.tb.Fatalf("ip %s: %v: %s; this test needs root with CAP_NET_ADMIN, and a kernel with bridges and veth", strings.Join(args, " "), err, out)
	}
}

// Name gives the machine names, which all machines of the lab know.
func (m *Machine) Name(names ...string) {
	m.tb.Helper()
	m.lab.mutex.Lock()
	defer m.lab.mutex.Unlock()
	for _, name := range names {
		m.lab.names[name] = m.Address
	}
	for _, file := range m.lab.hosts {
		m.lab.writeHosts(file)
	}
}

func (l *Lab) writeHosts(file string) {
	text := "127.0.0.1 localhost\n"
	for _, name := range slices.Sorted(maps.Keys(l.names)) {
		text += l.names[name] + " " + name + "\n"
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		l.tb.Fatal(err)
	}
}

// Hosts keeps a file in the form of /etc/hosts.
func (m *Machine) Hosts(file string) {
	m.lab.mutex.Lock()
	defer m.lab.mutex.Unlock()
	m.lab.hosts = append(m.lab.hosts, file)
	m.lab.writeHosts(file)
}

// Listen listens on a port of the machine's.
func (m *Machine) Listen(port int) net.Listener {
	m.tb.Helper()
	var listener net.Listener
	var err error
	m.do(func() { listener, err = net.Listen("tcp", fmt.Sprint(":", port)) })
	if err != nil {
		m.tb.Fatal(err)
	}
	m.tb.Cleanup(func() { listener.Close() })
	return listener
}

// Client is on the machine and knows the lab's names; where it is given an address, it sends every request there. It follows
// no redirects and asks for no compression of its own.
func (m *Machine) Client(address ...string) *http.Client {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	transport := &http.Transport{
		DisableCompression: true,
		DialContext: func(ctx context.Context, _, to string) (conn net.Conn, err error) {
			if len(address) > 0 {
				to = address[0]
			} else if to, err = m.lab.resolve(to); err != nil {
				return nil, err
			}
			m.do(func() { conn, err = dialer.DialContext(ctx, "tcp", to) })
			return conn, err
		},
	}
	m.tb.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       time.Minute,
	}
}

func (l *Lab) resolve(to string) (string, error) {
	host, port, err := net.SplitHostPort(to)
	if err != nil {
		return "", err
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if address, ok := l.names[host]; ok {
		host = address
	}
	if net.ParseIP(host) == nil {
		return "", errors.New("lab: nobody is called " + host)
	}
	return net.JoinHostPort(host, port), nil
}

// Root is a new folder with /tmp, /etc/hosts and the given files, for what runs on the machine.
func (m *Machine) Root(files map[string]string) string {
	m.tb.Helper()
	root := m.tb.TempDir()
	for _, dir := range []string{"tmp", "etc"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o777); err != nil {
			m.tb.Fatal(err)
		}
	}
	for name, content := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			m.tb.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			m.tb.Fatal(err)
		}
	}
	m.Hosts(filepath.Join(root, "etc", "hosts"))
	return root
}
