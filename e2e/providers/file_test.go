package providers

import (
	"bytes"
	"fmt"
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

// TestFileYAML runs Traefik with the static configuration of examples/file, which takes the plugin from the catalog, and
// all dynamic configurations there are in YAML.
func TestFileYAML(t *testing.T) {
	s := newStage(t)
	machine, upstream := s.Join("traefik"), s.Join("origin.internal", "minio")
	origin := s.origin(t, upstream, 8080)
	bucket := s.origin(t, upstream, 9000)

	files := map[string]string{
		"etc/traefik/traefik.yml":           s.example(t, "file/traefik.yml") + "\nlog: {level: DEBUG}\n",
		"etc/traefik/dynamic/films.yml":     s.example(t, "file/dynamic.yml"),
		"etc/traefik/dynamic/spellings.yml": spellingsFile(t),
		lab.Certificates:                    string(s.catalog.Authority),
	}
	for _, recipe := range []string{"chain.yml", "folder.yml", "hls.yml", "options.yml", "order.yml", "s3.yml"} {
		files["etc/traefik/dynamic/"+recipe] = s.example(t, "recipes/"+recipe)
	}
	root := machine.Root(files)
	if err := os.CopyFS(filepath.Join(root, "films"), os.DirFS(s.folder)); err != nil {
		t.Fatal(err)
	}
	traefik := machine.Traefik(s.traefik, root, nil)
	client := s.Client(machine.Address + ":80")

	t.Run("dynamic.yml", func(t *testing.T) {
		s.cut(t, client, "http://films.example.com/film.mp4?start=4.5", 4500, -1)
		s.cut(t, client, "http://films.example.com/film.mp4?start=2.75&end=6", 2750, 6000)
		s.archived(t)
	})
	t.Run("options.yml", func(t *testing.T) {
		s.cut(t, client, "http://options.example.com/film.mp4?start=4.5", 4500, -1)
		if told := awaitLine(t, traefik.Log, "mp4: options-seek@file: ", ""); !strings.Contains(told, defaults) {
			t.Errorf("every option at its default is in effect as %s", told)
		}
	})
	t.Run("options", func(t *testing.T) {
		checkSpellings(t, traefik.Log, client, written(), func(name string) string { return name + "@file" })
	})
	t.Run("folder.yml", func(t *testing.T) {
		s.cut(t, client, "http://folder.example.com/film.mp4?start=4.5", 4500, -1)
		status(t, client, "http://folder.example.com/nothing.mp4", 404)
		status(t, client, "http://folder.example.com/page.html", 418)
	})
	t.Run("order.yml", func(t *testing.T) { order(t, s, client, origin) })
	t.Run("s3.yml", func(t *testing.T) {
		const signed = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb%2fc&X-Amz-Signature=0123"
		bucket.Take()
		s.cut(t, client, "http://bucket.example.com/film.mp4?"+signed+"&start=4.5", 4500, -1)
		for _, asked := range bucket.Take() {
			if asked.URI != "/film.mp4?"+signed || asked.Host != "bucket.example.com" {
				t.Errorf("the bucket was asked for %s of %s", asked.URI, asked.Host)
			}
		}
	})
	t.Run("chain.yml", func(t *testing.T) {
		s.cut(t, client, "http://chain.example.com/media/film.mp4?start=4.5", 4500, -1, "Accept-Encoding", "gzip, br")
	})
	t.Run("hls.yml", func(t *testing.T) { streams(t, s, client, origin) })
	t.Run("nginx-cache.conf", func(t *testing.T) { cached(t, s, origin) })
}

func spellingsFile(t *testing.T) string {
	t.Helper()
	var d rig.Dynamic
	for name, spelling := range written() {
		d.Plugin(name, spelling.options)
		d.Route(name, rig.Router{Rule: fmt.Sprintf("Host(`%s.options.example.com`)", name), Middlewares: []string{name}, Service: "films"})
	}
	text, err := yaml.Marshal(map[string]any{"http": d})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestFileCheckout runs Traefik with the static configuration that takes the plugin from a checkout.
func TestFileCheckout(t *testing.T) {
	s := newStage(t)
	machine := s.Join("traefik")
	s.origin(t, s.Join("origin.internal"), 8080)
	root := machine.Root(map[string]string{
		"etc/traefik/traefik.yml":       s.example(t, "file/traefik-checkout.yml"),
		"etc/traefik/dynamic/films.yml": s.example(t, "file/dynamic.yml"),
	})
	s.local(t, root)
	machine.Traefik(s.traefik, root, nil)
	s.cut(t, s.Client(machine.Address+":80"), "http://films.example.com/film.mp4?start=2.75&end=6", 2750, 6000)
}

// TestFileTOML runs Traefik with the configurations in TOML, which take the plugin from a checkout.
func TestFileTOML(t *testing.T) {
	s := newStage(t)
	machine := s.Join("traefik")
	s.origin(t, s.Join("origin.internal"), 8080)
	root := machine.Root(map[string]string{
		"etc/traefik/traefik.toml": s.example(t, "file/traefik.toml") + "\n[log]\n  level = \"DEBUG\"\n",
		"etc/traefik/dynamic.toml": s.example(t, "file/dynamic.toml"),
	})
	s.local(t, root)
	traefik := machine.Traefik(s.traefik, root, nil)
	s.cut(t, s.Client(machine.Address+":80"), "http://films.example.com/film.mp4?start=4.5", 4500, -1)
	want := spelling{says: map[string]string{"maxBufferSize": "20971520", "limitRate": "1.1"}}.effective()
	if told := awaitLine(t, traefik.Log, "mp4: seek@file: ", ""); !strings.Contains(told, want) {
		t.Errorf("in effect are %s", told)
	}
}

// order wants the login to be asked for, and a player's requests to be counted and not the plugin's own.
func order(t *testing.T, s *stage, client *http.Client, origin *rig.Origin) {
	const url = "http://members.example.com/film.mp4?start="
	login := []string{"Authorization", "Basic dmlld2VyOnBvcGNvcm4="} // viewer:popcorn
	origin.Take()
	status(t, client, url+"1", 401)
	if asked := origin.Take(); len(asked) != 0 {
		t.Errorf("without a login the origin was asked %d times", len(asked))
	}
	s.cut(t, client, url+"4.5", 4500, -1, login...)
	if asked := origin.Take(); len(asked) == 0 || asked[0].Header.Get("Authorization") != "" {
		t.Errorf("the origin was asked %+v", asked)
	}

	// A film that is longer than the first read takes several requests.
	long := filepath.Join(s.checkout, "testdata", "film.mp4")
	if err := os.Symlink(long, filepath.Join(s.folder, "long.mp4")); err != nil {
		t.Fatal(err)
	}
	fetched(t, client, "http://members.example.com/long.mp4?start=4.5", login...)
	if asked := origin.Take(); len(asked) < 2 {
		t.Errorf("a first seek asked the origin only %d times: what is it to be limited for?", len(asked))
	}
	// Ten in a burst, of which two are gone, and one more every two seconds.
	begin, served := time.Now(), 2
	for ; served < 100; served++ {
		response, _, err := ask(client, fmt.Sprint(url, 4, ".", served), login...)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode == http.StatusTooManyRequests {
			break
		}
	}
	most := 11 + int(time.Since(begin)/(2*time.Second))
	if served < 10 || served > most {
		t.Errorf("%d of a player's requests were served, 10 to %d are due", served, most)
	}
}

// streams wants what HLS and DASH players ask for to pass untouched: the origin's bytes, by one request each.
func streams(t *testing.T, s *stage, client *http.Client, origin *rig.Origin) {
	for _, name := range []string{"live.m3u8", "film.mpd", "segment.ts", "segment.m4s", "init.mp4"} {
		if err := os.WriteFile(filepath.Join(s.folder, name), []byte(strings.Repeat(name+"\n", 1000)), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, header := range [][]string{nil, {"Range", "bytes=100-2099"}} {
			for _, query := range []string{"", "?_HLS_msn=3", "?start=4.5"} {
				origin.Take()
				through, body := fetched(t, client, "http://streams.example.com/"+name+query, header...)
				requests := origin.Take()
				if len(requests) != 1 || requests[0].URI != "/"+name+query {
					t.Errorf("%s%s: the origin was asked %+v", name, query, requests)
				}
				direct, want := fetched(t, s.Client(), "http://origin.internal:8080/"+name+query, header...)
				through.Header.Del("Date")
				direct.Header.Del("Date")
				if through.StatusCode != direct.StatusCode || fmt.Sprint(through.Header) != fmt.Sprint(direct.Header) || !bytes.Equal(body, want) {
					t.Errorf("%s%s %q: %d %v %d bytes, from the origin %d %v %d bytes", name, query, header,
						through.StatusCode, through.Header, len(body), direct.StatusCode, direct.Header, len(want))
				}
			}
		}
	}
	s.cut(t, client, "http://streams.example.com/film.mp4?clip-from=4.5&clip-to=6", 4500, 6000)
}

// cached wants nginx in front to keep each cut by its query, and to serve ranges of it.
func cached(t *testing.T, s *stage, origin *rig.Origin) {
	machine := s.Join("cache")
	dir := t.TempDir()
	hosts, conf := filepath.Join(dir, "hosts"), filepath.Join(dir, "nginx.conf")
	machine.Hosts(hosts)
	if err := os.WriteFile(conf, []byte(s.example(t, "recipes/nginx-cache.conf")), 0o644); err != nil {
		t.Fatal(err)
	}
	// Debian's nginx needs Debian's files: it has the machine's, less those that it would write to.
	const run = `set -e
		mount --bind "$2" /etc/hosts
		for dir in /var/cache /var/log /var/lib/nginx /run; do mount -t tmpfs none $dir; done
		mkdir /var/log/nginx
		exec "$0" -c "$1" -e stderr -g 'daemon off; user root;'`
	cmd := exec.Command("sh", "-c", run, rig.Tool(t, "nginx"), conf, hosts)
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	machine.Start(cmd, syscall.SIGTERM)

	client := s.Client(machine.Address + ":80")
	var bodies [][]byte
	for i, step := range []struct {
		start int64
		cache string
	}{{4500, "MISS"}, {4500, "HIT"}, {6250, "MISS"}, {4500, "HIT"}, {6250, "HIT"}} {
		origin.Take()
		url := fmt.Sprintf("http://films.example.com/film.mp4?start=%.3f", float64(step.start)/1000)
		response, body := s.cut(t, client, url, step.start, -1)
		if got := response.Header.Get("X-Cache"); got != step.cache {
			t.Errorf("request %d, %s: X-Cache %s, not %s", i, url, got, step.cache)
		}
		if asked := len(origin.Take()); (asked == 0) != (step.cache == "HIT") {
			t.Errorf("request %d, %s: the origin was asked %d times", i, url, asked)
		}
		bodies = append(bodies, body)
	}
	response, body := fetched(t, client, "http://films.example.com/film.mp4?start=4.500", "Range", "bytes=100-1099")
	if response.StatusCode != http.StatusPartialContent || !bytes.Equal(body, bodies[0][100:1100]) || response.Header.Get("X-Cache") != "HIT" {
		t.Errorf("a range of the cached cut: %d %v, %d bytes", response.StatusCode, response.Header, len(body))
	}
}
