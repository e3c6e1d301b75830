package providers

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// TestFullS3 asks for cuts of a film in a private bucket of a real S3 server, by presigned addresses, through the recipe.
func TestFullS3(t *testing.T) {
	s := newStage(t)
	bin, err := rig.BuildS3(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	const accessKey, secretKey, host = "viewers", "not-so-secret", "bucket.example.com"
	upstream, dir := s.Join("minio"), t.TempDir()
	for _, name := range []string{"buckets", "metadata"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	server := upstream.Start(exec.Command(bin, "--port", ":9000", "--access", accessKey, "--secret", secretKey,
		"posix", "--sidecar", dir+"/metadata", dir+"/buckets"), syscall.SIGKILL)

	signed := func(method, path string, at time.Time) string {
		return presign(method, host, path, accessKey, secretKey, at, 10*time.Minute)
	}
	direct := s.Client(upstream.Address + ":9000")
	film, err := os.ReadFile(s.film)
	if err != nil {
		t.Fatal(err)
	}
	put(t, direct, signed("PUT", "/films", time.Now()), nil)
	put(t, direct, signed("PUT", "/films/film.mp4", time.Now()), film)

	machine := s.Join("traefik")
	root := machine.Root(map[string]string{
		"etc/traefik/traefik.toml": strings.Replace(s.example(t, "file/traefik.toml"), "dynamic.toml\"\n", "dynamic.yml\"\n", 1),
		"etc/traefik/dynamic.yml":  s.example(t, "recipes/s3.yml"),
	})
	s.local(t, root)
	machine.Traefik(s.traefik, root, nil)
	client := s.Client(machine.Address + ":80")

	asked := func() int { return len(regexp.MustCompile(`GET[ |]+/films/film\.mp4`).FindAllString(server.Log(), -1)) }
	link := signed("GET", "/films/film.mp4", time.Now())
	first, body := s.cut(t, client, link+"&start=4.5", 4500, -1)
	before := asked()
	if before == 0 {
		t.Fatalf("the bucket's log shows no request:\n%s", server.Log())
	}
	// Every viewer's address is another one; the index in memory serves them all.
	another := signed("GET", "/films/film.mp4", time.Now().Add(-time.Minute))
	if another == link {
		t.Fatal("both addresses are the same")
	}
	s.cut(t, client, another+"&start=2.75&end=6", 2750, 6000)
	if n := asked() - before; n != 1 {
		t.Errorf("a second viewer's seek asked the bucket %d times", n)
	}
	rest, tail := fetched(t, client, another+"&start=4.5", "Range", "bytes=5000-", "If-Range", first.Header.Get("ETag"))
	if rest.StatusCode != http.StatusPartialContent || !bytes.Equal(tail, body[5000:]) {
		t.Errorf("a range: %d, %d bytes", rest.StatusCode, len(tail))
	}
	head, err := client.Head(link + "&start=4.5")
	if err != nil {
		t.Fatal(err)
	}
	head.Body.Close()
	if head.StatusCode != http.StatusOK || head.ContentLength != int64(len(body)) {
		t.Errorf("HEAD of what is signed for GET: %d, Content-Length %d", head.StatusCode, head.ContentLength)
	}

	for name, refused := range map[string]string{
		"unsigned":       "http://" + host + "/films/film.mp4?x=1",
		"tampered with":  strings.Replace(link, "X-Amz-Expires=600", "X-Amz-Expires=601", 1),
		"expired":        signed("GET", "/films/film.mp4", time.Now().Add(-time.Hour)),
		"signed for PUT": signed("PUT", "/films/film.mp4", time.Now()),
	} {
		response, body := fetched(t, client, refused+"&start=4.5")
		if response.StatusCode != http.StatusForbidden || bytes.Contains(body, []byte("moov")) {
			t.Errorf("%s: %d %.200s", name, response.StatusCode, body)
		}
	}
}

func put(t *testing.T, client *http.Client, url string, body []byte) {
	t.Helper()
	var last string
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		request, err := http.NewRequest("PUT", url, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			last = err.Error()
			continue
		}
		text, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode == http.StatusOK {
			return
		}
		last = fmt.Sprintf("%d %s", response.StatusCode, text)
	}
	t.Fatalf("PUT %s: %s", url, last)
}

// presign makes an address that carries its permission: AWS's Signature Version 4 in the query, over method, host and path.
func presign(method, host, path, accessKey, secretKey string, at time.Time, expires time.Duration) string {
	const algorithm, region = "AWS4-HMAC-SHA256", "us-east-1"
	stamp := at.UTC().Format("20060102T150405Z")
	day := stamp[:8]
	scope := day + "/" + region + "/s3/aws4_request"
	query := url.Values{
		"X-Amz-Algorithm":     {algorithm},
		"X-Amz-Credential":    {accessKey + "/" + scope},
		"X-Amz-Date":          {stamp},
		"X-Amz-Expires":       {fmt.Sprint(int(expires.Seconds()))},
		"X-Amz-SignedHeaders": {"host"},
	}.Encode()
	request := strings.Join([]string{method, path, query, "host:" + host, "", "host", "UNSIGNED-PAYLOAD"}, "\n")
	toSign := strings.Join([]string{algorithm, stamp, scope, fmt.Sprintf("%x", sha256.Sum256([]byte(request)))}, "\n")
	key := []byte("AWS4" + secretKey)
	for _, part := range []string{day, region, "s3", "aws4_request", toSign} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return fmt.Sprintf("http://%s%s?%s&X-Amz-Signature=%x", host, path, query, key)
}
