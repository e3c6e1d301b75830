package providers

import (
	"bytes"
	"context"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/traefik-mp4/mp4/e2e/internal/lab"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// docker is a dockerd of the test's own, in the lab's network, with images made from nothing under the examples' names.
type docker struct {
	*stage
	dir    string
	socket string
}

func newDocker(t *testing.T, s *stage) *docker {
	t.Helper()
	for _, tool := range []string{"dockerd", "docker", "docker-compose", "iptables"} {
		rig.Tool(t, tool)
	}
	// Not the test's own folder: containerd's sockets lie below this one, and a socket's path may have no more than 107 bytes.
	dir, err := os.MkdirTemp("/tmp", "dk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("something of dockerd's is left: %v", err)
		}
	})
	d := &docker{stage: s, dir: dir, socket: filepath.Join(dir, "docker.sock")}
	// It makes a bridge and no rules: the lab has no other network to protect or to reach.
	daemon := s.Start(exec.Command(rig.Tool(t, "dockerd"), "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--host", "unix://"+d.socket, "--iptables=false", "--ip6tables=false", "--ip-masq=false", "--ip-forward=false"), syscall.SIGTERM)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		if _, err := d.try("docker", "version"); err == nil {
			break
		}
		select {
		case <-daemon.Exited():
			t.Fatalf("dockerd ended; it takes root with the right to mount and to make control groups:\n%s", daemon.Log())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("dockerd does not answer within a minute:\n%s", daemon.Log())
		}
	}

	d.image(t, "traefik:v3.7", "ADD . /\nENTRYPOINT [\"/traefik\"]", "traefik", s.traefik)
	server := filepath.Join(t.TempDir(), "fileserver")
	build := exec.Command("go", "build", "-o", server, "../cmd/fileserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	d.image(t, "nginx:1", "ADD . /\nENTRYPOINT [\"/fileserver\"]", "fileserver", server)
	return d
}

// image makes an image of one program and an empty /tmp.
func (d *docker) image(t *testing.T, tag, recipe, name, program string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "image")
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", program, filepath.Join(dir, name)).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"+recipe+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.run(t, "docker", "build", "--quiet", "--tag", tag, dir)
}

func (d *docker) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := d.try(name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func (d *docker) try(name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST=unix://"+d.socket)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// service is a service of a compose file.
type service struct {
	Image      string   `yaml:"image,omitempty"`
	Command    []string `yaml:"command,omitempty"`
	Volumes    []string `yaml:"volumes,omitempty"`
	Labels     []string `yaml:"labels,omitempty"`
	ExtraHosts []string `yaml:"extra_hosts,omitempty"`
}

type compose struct {
	Services map[string]service `yaml:"services"`
}

// up starts an example with an override: where the socket and the films are here, who plays the catalog, what Traefik is to
// log, and further services. It returns Traefik's log, and takes all of it down when the test ends.
func (d *docker) up(t *testing.T, example string, override compose) func() string {
	t.Helper()
	var asIs compose
	if err := yaml.Unmarshal([]byte(d.example(t, "docker/"+example)), &asIs); err != nil {
		t.Fatal(err)
	}
	traefik := override.Services["traefik"]
	traefik.Command = append(asIs.Services["traefik"].Command, "--log.level=DEBUG")
	traefik.Volumes = append(traefik.Volumes, d.socket+":/var/run/docker.sock:ro")
	override.Services["traefik"] = traefik
	text, err := yaml.Marshal(override)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "override.yml")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"--project-name", "examples", "--file", filepath.Join(d.checkout, "examples", "docker", example)}
	d.run(t, "docker-compose", append(args, "config", "--quiet")...)
	args = append(args, "--file", file)
	logs := func() string {
		out, _ := d.try("docker-compose", append(args, "logs", "--no-color", "traefik")...)
		return lab.Plain(out)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the containers' logs:\n%s", logs())
		}
		d.run(t, "docker-compose", append(args, "down", "--timeout", "1")...)
	})
	d.run(t, "docker-compose", append(args, "up", "--detach")...)
	return logs
}

// TestDocker runs the examples for Docker: a real dockerd, a real docker-compose, and the labels of real containers.
func TestDocker(t *testing.T) {
	s := newStage(t)
	d := newDocker(t, s)
	client := s.Client("127.0.0.1:80")

	t.Run("docker-compose.yml", func(t *testing.T) {
		authority := filepath.Join(t.TempDir(), "authority.pem")
		if err := os.WriteFile(authority, s.catalog.Authority, 0o644); err != nil {
			t.Fatal(err)
		}
		films := d.folder + ":/usr/share/nginx/html:ro"
		override := compose{map[string]service{
			"traefik": {
				Volumes:    []string{authority + ":/" + lab.Certificates + ":ro"},
				ExtraHosts: []string{lab.CatalogName + ":" + s.Address},
			},
			"films": {Volumes: []string{films}},
		}}
		spellings := maps.Clone(spellings)
		spellings["absent"] = absent
		for name, spelling := range spellings {
			override.Services[name] = service{Image: "nginx:1", Volumes: []string{films}, Labels: append([]string{
				"traefik.enable=true",
				"traefik.http.routers." + name + ".rule=Host(`" + name + ".options.example.com`)",
				"traefik.http.routers." + name + ".middlewares=" + name,
				"traefik.http.services." + name + ".loadBalancer.server.port=80",
			}, spelling.labels("traefik.http.middlewares."+name+".plugin.mp4")...)}
		}
		logs := d.up(t, "docker-compose.yml", override)

		s.cut(t, client, "http://films.localhost/film.mp4?start=4.5", 4500, -1)
		s.cut(t, client, "http://films.localhost/film.mp4?start=2.75&end=6", 2750, 6000)
		s.archived(t)
		want := spelling{says: map[string]string{"maxBufferSize": "20971520"}}.effective()
		if told := awaitLine(t, logs, "mp4: seek@docker: ", ""); !strings.Contains(told, want) {
			t.Errorf("in effect are %s", told)
		}
		checkSpellings(t, logs, client, spellings, func(name string) string { return name + "@docker" })
	})

	t.Run("docker-compose.local.yml", func(t *testing.T) {
		logs := d.up(t, "docker-compose.local.yml", compose{map[string]service{
			"traefik": {Volumes: []string{d.folder + ":/films:ro"}},
		}})
		s.cut(t, client, "http://films.localhost/film.mp4?start=4.5", 4500, -1)
		want := spelling{says: map[string]string{"root": `"/films"`}}.effective()
		if told := awaitLine(t, logs, "mp4: seek@docker: ", ""); !strings.Contains(told, want) {
			t.Errorf("in effect are %s", told)
		}
		for path, want := range map[string]int{"nothing.mp4": http.StatusNotFound, "page.html": http.StatusTeapot} {
			status(t, client, "http://films.localhost/"+path, want)
		}
	})
}
