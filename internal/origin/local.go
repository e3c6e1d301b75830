package origin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/traefik-mp4/mp4/internal/budget"
)

// Folder serves the plain files below root.
type Folder struct{ Root string }

func (d *Folder) ServeHTTP(rw http.ResponseWriter, req *http.Request) {
	l, err := openLocal(d.Root, req.URL.Path)
	if err != nil {
		code := localStatus(err)
		http.Error(rw, http.StatusText(code), code)
		return
	}
	defer l.file.Close()
	addHeaders(rw.Header(), l.header)
	http.ServeContent(rw, req, "", l.modified, l.file)
}

// localStatus is what a file that cannot be opened is answered with.
func localStatus(err error) int {
	if errors.Is(err, fs.ErrPermission) {
		return http.StatusForbidden
	}
	return http.StatusNotFound
}

// local is a file below root.
type local struct {
	file     *os.File
	version  Version
	modified time.Time
	header   http.Header
	lease    *budget.Lease // of the request that reads the file's tables
}

// localTypes are our own, since Traefik's image has no mime.types.
var localTypes = map[string]string{
	".mp4": "video/mp4",
	".m4v": "video/mp4",
	".m4a": "audio/mp4",
	".mov": "video/quicktime",
}

// OpenLocal opens the client's file below root.
func OpenLocal(c *Client, root string) (File, error) {
	l, err := openLocal(root, c.Request.URL.Path)
	if err != nil {
		return nil, err
	}
	l.lease = c.Lease
	c.Seen = &l.version
	return l, nil
}

// openLocal opens the file of that name in its URL below root. Everything that is no regular file is missing, a
// symbolic link out of root forbidden.
func openLocal(root, name string) (*local, error) {
	target, err := resolve(root, name)
	if err != nil {
		return nil, missing(err)
	}
	// Before it is opened: opening a named pipe would wait for a writer.
	before, err := os.Lstat(target)
	if err != nil || !before.Mode().IsRegular() {
		return nil, missing(err)
	}
	f, err := os.Open(target)
	if err != nil {
		return nil, missing(err)
	}
	info, err := f.Stat()
	if err != nil || !os.SameFile(before, info) {
		_ = f.Close()
		return nil, fs.ErrNotExist // replaced by something else in between
	}
	return newLocal(f, info, name), nil
}

// resolve follows links, and stays below root: os.Root does not exist in the interpreter.
func resolve(root, name string) (string, error) {
	if strings.ContainsAny(name, "\x00\\") {
		return "", fs.ErrNotExist
	}
	target := root + filepath.FromSlash(path.Clean("/"+name))
	followed, err := filepath.EvalSymlinks(target)
	if err != nil || followed == target { // without a link on the way it is below root
		return followed, err
	}
	return followed, stayBelow(root, followed)
}

// stayBelow fails where a target is not below root.
func stayBelow(root, target string) error {
	base, err := filepath.EvalSymlinks(root)
	if err != nil {
		return err
	}
	inside, err := filepath.Rel(base, target)
	if err != nil || !filepath.IsLocal(inside) {
		return fs.ErrPermission
	}
	return nil
}

// missing reduces what the system says of a name to one of two: a file below a file, a name too long or links in a
// circle are missing as well, as they are to nginx.
func missing(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fs.ErrPermission
	}
	return fs.ErrNotExist
}

// newLocal is the file of a name that is open.
func newLocal(f *os.File, info fs.FileInfo, name string) *local {
	v := localVersion(info)
	contentType := localTypes[strings.ToLower(path.Ext(name))]
	if contentType == "" {
		contentType = "application/octet-stream"
	}
	header := http.Header{"Content-Type": {contentType}, "Etag": {v.ETag}, "Last-Modified": {v.Modified}}
	return &local{file: f, modified: info.ModTime(), version: v, header: header}
}

// localVersion makes a strong validator: two states of a file with one length and one time to the nanosecond do not
// happen.
func localVersion(info fs.FileInfo) Version {
	size, modified := info.Size(), info.ModTime()
	return Version{
		ETag:     fmt.Sprintf(`"%x-%x"`, modified.UnixNano(), size),
		Modified: modified.UTC().Format(http.TimeFormat),
		Size:     size,
	}
}

func (l *local) Size() int64    { return l.version.Size }
func (l *local) State() Version { return l.version }
func (l *local) Settled() bool  { return true }

func (l *local) Read(off, n int64) ([]byte, error) {
	if err := l.lease.Take(clip(l, off, n)); err != nil {
		return nil, err
	}
	b, err := readAt(l, off, n)
	if err != nil {
		return nil, err
	}
	return b, unchanged(l)
}

// ReadAlong is Read: what is on the disk is there at once.
func (l *local) ReadAlong(off, n int64, follow func(come []byte) int64) ([]byte, error) {
	return l.Read(off, n)
}

// clip is how many of n bytes at off there are.
func clip(l *local, off, n int64) int64 { return maxInt64(0, minInt64(n, l.version.Size-off)) }

func readAt(l *local, off, n int64) ([]byte, error) {
	b := make([]byte, clip(l, off, n))
	if _, err := l.file.ReadAt(b, off); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}

// Peek is Read, for a moment. A hop is no more than that: whether the file has changed, the next Read finds out.
func (l *local) Peek(off, n, atOnce int64) ([]byte, error) {
	if atOnce <= HopLen {
		return readAt(l, off, n)
	}
	used := l.lease.Used()
	b, err := l.Read(off, n)
	if err == nil {
		l.lease.Reuse(l.lease.Used() - used)
	}
	return b, err
}

func (l *local) Reserve(n int64) error { return l.lease.Take(n) }

// unchanged fails where somebody has written to the file since it was opened. A file that was replaced stays what it
// was as long as it is open.
func unchanged(l *local) error {
	info, err := l.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() == l.version.Size && info.ModTime().Equal(l.modified) {
		return nil
	}
	return fmt.Errorf("%w: from %v to %v", ErrChanged, l.version.words(), localVersion(info).words())
}

// sendLocal keeps the last byte back until it is sure that the file did not change while the others were read.
func sendLocal(l *local, out Receiver, off, n int64) error {
	if err := unchanged(l); err != nil {
		return err
	}
	w, err := out.Begin(l.header)
	if err != nil {
		return err
	}
	if err = sendSection(l, w, off, n-1); err != nil {
		return err
	}
	if err = unchanged(l); err != nil {
		return err
	}
	return sendSection(l, w, off+n-1, 1)
}

func sendSection(l *local, w io.Writer, off, n int64) error {
	_, err := io.CopyN(w, io.NewSectionReader(l.file, off, n), n)
	if err == io.EOF {
		return fmt.Errorf("%w: it is shorter now", ErrChanged)
	}
	return err
}
