package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Catalog stands for the plugin catalog as Traefik asks it: by HTTPS, for the archive of a release and whether its hash is right.
type Catalog struct {
	// Authority is the certificate, in PEM, that Traefik has to trust.
	Authority []byte

	mutex sync.Mutex
	asked []string
}

// CatalogName is the host that Traefik asks.
const CatalogName = "plugins.traefik.io"

// Certificates is where Traefik's image, as others, keeps the authorities that it trusts.
const Certificates = "etc/ssl/certs/ca-certificates.crt"

// Catalog lets the machine offer one release of one plugin, whose archive it is.
func (m *Machine) Catalog(module, version string, archive []byte) *Catalog {
	m.tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		m.tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: CatalogName},
		DNSNames:              []string{CatalogName},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		m.tb.Fatal(err)
	}
	c := &Catalog{Authority: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})}
	release := module + "/" + version
	mux := http.NewServeMux()
	mux.HandleFunc("GET /public/download/"+release, func(w http.ResponseWriter, _ *http.Request) { w.Write(archive) })
	mux.HandleFunc("GET /public/validate/"+release, func(http.ResponseWriter, *http.Request) {})
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c.mutex.Lock()
			c.asked = append(c.asked, r.Method+" "+r.URL.Path)
			c.mutex.Unlock()
			mux.ServeHTTP(w, r)
		}),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}},
	}
	m.Name(CatalogName)
	go server.ServeTLS(m.Listen(443), "", "")
	m.tb.Cleanup(func() { server.Close() })
	return c
}

// Asked are the requests so far.
func (c *Catalog) Asked() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return strings.Join(c.asked, "\n")
}

// Archive is the checkout's last commit as the catalog has it of a release: every tracked file below a folder with a name of its own.
func Archive(checkout string) ([]byte, error) {
	archive, err := exec.Command("git", "-C", checkout, "archive", "--format=zip", "--prefix=traefik-mp4-mp4-0123456/", "HEAD").Output()
	if err != nil {
		return nil, fmt.Errorf("git archive HEAD in %s: %w", checkout, err)
	}
	return archive, nil
}
