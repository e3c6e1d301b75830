package providers

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/traefik-mp4/mp4/e2e/internal/lab"
	"github.com/traefik-mp4/mp4/e2e/internal/loader"
	"github.com/traefik-mp4/mp4/e2e/internal/rig"
)

// kubernetes is a cluster without nodes: etcd and kube-apiserver on the lab's gateway. The tests do what nodes would: they
// run the Deployment's containers, and say in EndpointSlices where these are.
type kubernetes struct {
	*stage
	dir, bin string
}

func newKubernetes(t *testing.T, s *stage) *kubernetes {
	t.Helper()
	k := &kubernetes{stage: s, dir: t.TempDir()}
	var err error
	if k.bin, err = rig.BuildKubernetes(t.Context(), os.Stderr); err != nil {
		t.Fatal(err)
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	serviceAccounts := k.write(t, "sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	tokens := k.write(t, "tokens.csv", `admin,admin,1,"system:masters"`+"\n")
	k.write(t, "kubeconfig", fmt.Sprintf(`
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: {server: "https://%s:6443", certificate-authority: %s/certs/apiserver.crt}}]
users: [{name: admin, user: {token: admin}}]
contexts: [{name: lab, context: {cluster: lab, user: admin, namespace: default}}]
current-context: lab
`, s.Address, k.dir))

	etcd := exec.Command(rig.Tool(t, "etcd"), "--data-dir", k.dir+"/etcd", "--unsafe-no-fsync",
		"--listen-client-urls", "http://127.0.0.1:2379", "--advertise-client-urls", "http://127.0.0.1:2379",
		"--listen-peer-urls", "http://127.0.0.1:2380")
	s.Start(etcd, syscall.SIGKILL)
	// The state is thrown away, and an apiserver that is asked to end lingers once its etcd is gone.
	server := s.Start(exec.Command(k.bin+"/kube-apiserver", "--etcd-servers=http://127.0.0.1:2379", "--cert-dir="+k.dir+"/certs",
		"--bind-address=0.0.0.0", "--advertise-address="+s.Address, "--secure-port=6443", "--service-cluster-ip-range=10.0.0.0/24",
		"--service-account-key-file="+serviceAccounts, "--service-account-signing-key-file="+serviceAccounts,
		"--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=RBAC", "--token-auth-file="+tokens,
		"--endpoint-reconciler-type=none", "--disable-admission-plugins=ServiceAccount"), syscall.SIGKILL)
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if out, err := k.try("get", "--raw", "/readyz"); err == nil && out == "ok" {
			return k
		}
		if time.Now().After(deadline) {
			t.Fatalf("kube-apiserver is not ready within two minutes:\n%s", server.Log())
		}
	}
}

func (k *kubernetes) write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(k.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func (k *kubernetes) try(args ...string) (string, error) {
	return k.Output(exec.Command(k.bin+"/kubectl", append([]string{"--kubeconfig", k.dir + "/kubeconfig"}, args...)...))
}

func (k *kubernetes) ctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := k.try(args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

// apply applies objects that the test makes up.
func (k *kubernetes) apply(t *testing.T, objects ...any) {
	t.Helper()
	var text bytes.Buffer
	encoder := yaml.NewEncoder(&text)
	for _, object := range objects {
		if err := encoder.Encode(object); err != nil {
			t.Fatal(err)
		}
	}
	k.ctl(t, "apply", "--validate=strict", "-f", k.write(t, "objects.yaml", text.String()))
}

// definitions installs Traefik's custom resources and its documented roles, and the resources of the Gateway API, all of the
// versions that Traefik is built from.
func (k *kubernetes) definitions(t *testing.T) {
	t.Helper()
	traefik := filepath.Join(k.module(t, "github.com/traefik/traefik/v3"), "docs", "content", "reference", "dynamic-configuration")
	gateway := filepath.Join(k.module(t, "sigs.k8s.io/gateway-api"), "config", "crd", "standard")
	k.ctl(t, "apply", "--server-side", "-f", filepath.Join(traefik, "kubernetes-crd-definition-v1.yml"), "-f", gateway)
	k.ctl(t, "wait", "--for=condition=Established", "--timeout=60s", "crd", "--all")
	k.ctl(t, "apply", "-f", filepath.Join(traefik, "kubernetes-crd-rbac.yml"), "-f", filepath.Join(traefik, "kubernetes-gateway-rbac.yml"))
}

// module is the folder of a module that the build of Traefik requires.
func (k *kubernetes) module(t *testing.T, path string) string {
	t.Helper()
	list := exec.Command("go", "list", "-m", "-f", "{{.Version}}", path)
	list.Dir = filepath.Join(k.checkout, "e2e", "internal", "builds", "traefik")
	version, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	dir, _, err := loader.Module(path, strings.TrimSpace(string(version)))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// deployment is what the tests read of a Deployment.
type deployment struct {
	Spec struct {
		Replicas int
		Template struct {
			Spec struct {
				ServiceAccountName string
				Containers         []struct {
					Args         []string
					VolumeMounts []struct{ MountPath string }
				}
			}
		}
	}
}

// pods runs the replicas of the Deployment "traefik", each with an address of its own, as a node would: with the arguments,
// the volumes and the service account that the stored object names.
func (k *kubernetes) pods(t *testing.T) (addresses []string, pods []*lab.Process) {
	t.Helper()
	var stored deployment
	if err := json.Unmarshal([]byte(k.ctl(t, "get", "deployment", "traefik", "--output=json")), &stored); err != nil {
		t.Fatal(err)
	}
	pod := stored.Spec.Template.Spec
	authority, err := os.ReadFile(k.dir + "/certs/apiserver.crt")
	if err != nil {
		t.Fatal(err)
	}
	for n := range stored.Spec.Replicas {
		machine := k.Join(fmt.Sprint("traefik-", n))
		const account = "var/run/secrets/kubernetes.io/serviceaccount/"
		root := machine.Root(map[string]string{
			account + "token":     k.ctl(t, "create", "token", pod.ServiceAccountName),
			account + "ca.crt":    string(authority),
			account + "namespace": "default",
			lab.Certificates:      string(k.catalog.Authority),
		})
		for _, volume := range pod.Containers[0].VolumeMounts {
			if err := os.MkdirAll(filepath.Join(root, volume.MountPath), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		env := []string{"KUBERNETES_SERVICE_HOST=" + k.Address, "KUBERNETES_SERVICE_PORT=6443"}
		pods = append(pods, machine.Traefik(k.traefik, root, env, append(pod.Containers[0].Args, "--log.level=DEBUG")...))
		addresses = append(addresses, machine.Address+":8000")
	}
	return addresses, pods
}

// TestKubernetes applies the manifests to a real kube-apiserver, from which Traefik reads them with the rights that its
// documentation gives it.
func TestKubernetes(t *testing.T) {
	s := newStage(t)
	k := newKubernetes(t, s)
	k.definitions(t)

	manifests, err := filepath.Glob(filepath.Join(s.checkout, "examples", "kubernetes", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifests = slices.DeleteFunc(manifests, func(file string) bool { return filepath.Base(file) == "values.yaml" })
	if len(manifests) < 7 {
		t.Fatalf("there are only %q", manifests)
	}
	t.Run("manifests", func(t *testing.T) {
		for _, file := range manifests {
			t.Log(k.ctl(t, "apply", "--dry-run=server", "--validate=strict", "-f", file))
		}
		// The server does find what is misspelt.
		for file, change := range map[string][2]string{
			"middleware.yaml": {"plugin:", "plugn:"},
			"traefik.yaml":    {"mountPath:", "mountpath:"},
			"gateway.yaml":    {"extensionRef:", "extension:"},
		} {
			text := strings.ReplaceAll(s.example(t, "kubernetes/"+file), change[0], change[1])
			out, err := k.try("apply", "--dry-run=server", "--validate=strict", "-f", k.write(t, file, text))
			if err == nil {
				t.Errorf("%s with %s is accepted: %s", file, change[1], out)
			}
		}
	})
	args := []string{"apply", "--validate=strict"}
	for _, file := range manifests {
		args = append(args, "-f", file)
	}
	k.ctl(t, args...)

	upstream := s.Join("films")
	s.origin(t, upstream, 80)
	k.apply(t, rig.Map{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    rig.Map{"name": "films-1", "namespace": "default", "labels": rig.Map{"kubernetes.io/service-name": "films"}},
		"addressType": "IPv4",
		"ports":       []rig.Map{{"name": "http", "port": 80, "protocol": "TCP"}},
		"endpoints":   []rig.Map{{"addresses": []string{upstream.Address}, "conditions": rig.Map{"ready": true}}},
	})

	addresses, pods := k.pods(t)
	if len(pods) < 2 {
		t.Fatalf("the Deployment has %d replicas", len(pods))
	}
	first, second := s.Client(addresses[0]), s.Client(addresses[1])
	for _, host := range []string{"films.example.com", "films.ingress.example.com", "films.gateway.example.com"} {
		t.Run(host, func(t *testing.T) {
			url := "http://" + host + "/film.mp4?start=4.5"
			a, bytesA := s.cut(t, first, url, 4500, -1)
			b, bytesB := s.cut(t, second, url, 4500, -1)
			if a.Header.Get("ETag") != b.Header.Get("ETag") || !bytes.Equal(bytesA, bytesB) {
				t.Errorf("one replica answers with ETag %s and %d bytes, the other with %s and %d", a.Header.Get("ETag"), len(bytesA), b.Header.Get("ETag"), len(bytesB))
			}
			// A download that began at one of them goes on at the other.
			half := len(bytesA) / 2
			rest, body := fetched(t, second, url, "Range", fmt.Sprintf("bytes=%d-", half), "If-Range", a.Header.Get("ETag"))
			if rest.StatusCode != http.StatusPartialContent || !bytes.Equal(body, bytesA[half:]) {
				t.Errorf("resumed at the other replica: %d, %d bytes", rest.StatusCode, len(body))
			}
			s.cut(t, second, "http://"+host+"/film.mp4?start=2.75&end=6", 2750, 6000)
		})
	}
	s.archived(t)
	t.Run("patch", func(t *testing.T) { patched(t, k, pods, first, second) })
	t.Run("options", func(t *testing.T) {
		all := written()
		all["secret"] = spelling{options: rig.Map{"startParam": "urn:k8s:secret:seek:start"}, says: map[string]string{"startParam": "from"}}
		k.apply(t, rig.Map{
			"apiVersion": "v1", "kind": "Secret", "metadata": rig.Map{"name": "seek", "namespace": "default"},
			"stringData": rig.Map{"start": "from"},
		})
		k.apply(t, routes(all)...)
		checkSpellings(t, pods[0].Log, first, all, func(name string) string { return "default-" + name + "@kubernetescrd" })

		missing := map[string]spelling{"nosecret": {options: rig.Map{"startParam": "urn:k8s:secret:nothing:start"}}}
		k.apply(t, routes(missing)...)
		awaitLine(t, pods[0].Log, "default-nosecret@kubernetescrd", "does not exist")
		status(t, first, "http://nosecret.options.example.com/film.mp4", http.StatusNotFound)
	})
}

// patched wants a changed Middleware to be in effect in every replica, without a restart of any.
func patched(t *testing.T, k *kubernetes, pods []*lab.Process, clients ...*http.Client) {
	begin := time.Now()
	k.ctl(t, "patch", "middleware", "seek", "--type=merge", "--patch", `{"spec":{"plugin":{"mp4":{"startParam":"from"}}}}`)
	whole, err := os.ReadFile(k.film)
	if err != nil {
		t.Fatal(err)
	}
	const url = "http://films.example.com/film.mp4?from=4.5"
	for _, client := range clients {
		for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if _, body := fetched(t, client, url); !bytes.Equal(body, whole) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatal("the patched Middleware is not in effect after 30 s")
			}
		}
		t.Logf("in effect after %v", time.Since(begin).Round(time.Millisecond))
		k.cut(t, client, url, 4500, -1)
	}
	for _, pod := range pods {
		select {
		case <-pod.Exited():
			t.Error("Traefik had to end for it")
		default:
		}
	}
}

// routes are a Middleware and an IngressRoute for each spelling.
func routes(all map[string]spelling) []any {
	var objects []any
	for name, spelling := range all {
		meta := rig.Map{"name": name, "namespace": "default"}
		objects = append(objects, rig.Map{
			"apiVersion": "traefik.io/v1alpha1", "kind": "Middleware", "metadata": meta,
			"spec": rig.Map{"plugin": rig.Map{"mp4": spelling.options}},
		}, rig.Map{
			"apiVersion": "traefik.io/v1alpha1", "kind": "IngressRoute", "metadata": meta,
			"spec": rig.Map{"routes": []rig.Map{{
				"kind": "Rule", "match": "Host(`" + name + ".options.example.com`)",
				"middlewares": []rig.Map{{"name": name}},
				"services":    []rig.Map{{"name": "films", "port": "http"}},
			}}},
		})
	}
	return objects
}

// TestHelmValues wants the values for Traefik's chart to amount to the arguments in traefik.yaml, which TestKubernetes runs.
// The arguments are made as the chart makes them, which itself cannot be had from a module proxy.
func TestHelmValues(t *testing.T) {
	root, err := rig.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{checkout: root}
	var values struct {
		Deployment struct {
			Replicas int `yaml:"replicas"`
		} `yaml:"deployment"`
		Experimental struct {
			Plugins map[string]struct {
				ModuleName string `yaml:"moduleName"`
				Version    string `yaml:"version"`
			} `yaml:"plugins"`
			AbortOnPluginFailure bool `yaml:"abortOnPluginFailure"`
		} `yaml:"experimental"`
		Providers struct {
			KubernetesGateway struct {
				Enabled bool `yaml:"enabled"`
			} `yaml:"kubernetesGateway"`
		} `yaml:"providers"`
	}
	decoder := yaml.NewDecoder(strings.NewReader(s.example(t, "kubernetes/values.yaml")))
	decoder.KnownFields(true)
	if err := decoder.Decode(&values); err != nil {
		t.Fatal(err)
	}
	args := []string{fmt.Sprintf("--experimental.abortOnPluginFailure=%t", values.Experimental.AbortOnPluginFailure)}
	for name, plugin := range values.Experimental.Plugins {
		args = append(args, "--experimental.plugins."+name+".moduleName="+plugin.ModuleName, "--experimental.plugins."+name+".version="+plugin.Version)
	}
	if values.Providers.KubernetesGateway.Enabled {
		args = append(args, "--providers.kubernetesgateway")
	}
	manifest := s.example(t, "kubernetes/traefik.yaml")
	for _, arg := range append(args, fmt.Sprintf("replicas: %d", values.Deployment.Replicas)) {
		if !strings.Contains(manifest, arg+"\n") {
			t.Errorf("traefik.yaml has no %s", arg)
		}
	}
	if len(args) != 4 {
		t.Errorf("the values give %q", args)
	}
}
