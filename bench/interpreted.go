package main

import (
	"context"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

// The plugin has no timers. To see where its time goes, it is interpreted here, as Traefik does it, from a copy in which
// chosen functions report to a clock when they are entered and left.

const module = "github.com/traefik-mp4/mp4"

// interpret serves a static origin through the plugin on loopback, with the functions that chosen picks reporting to c.
func interpret(ctx context.Context, plugin string, settings map[string]string, origin string, c *clock, chosen func(function string) bool) (address string, err error) {
	gopath, err := os.MkdirTemp("", "gopath-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(gopath)
	if err := c.copyPlugin(filepath.Join(gopath, "src", filepath.FromSlash(module)), plugin, chosen); err != nil {
		return "", err
	}

	interpreter := interp.New(interp.Options{GoPath: gopath, Stdout: io.Discard, Stderr: os.Stderr})
	for _, symbols := range []interp.Exports{stdlib.Symbols, {"stopwatch/stopwatch": {
		"Enter": reflect.ValueOf(c.enter),
		"Leave": reflect.ValueOf(c.leave),
	}}} {
		if err := interpreter.Use(symbols); err != nil {
			return "", err
		}
	}
	if _, err := interpreter.Eval(fmt.Sprintf("import %q", module)); err != nil {
		return "", err
	}
	createConfig, err := interpreter.Eval("mp4.CreateConfig")
	if err != nil {
		return "", err
	}
	newPlugin, err := interpreter.Eval("mp4.New")
	if err != nil {
		return "", err
	}
	config := createConfig.Call(nil)[0]
	for option, value := range settings {
		config.Elem().FieldByName(option).SetString(value)
	}
	to, err := url.Parse("http://" + origin)
	if err != nil {
		return "", err
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.ErrorLog = log.New(io.Discard, "", 0) // every seek ends by breaking off
	var next http.Handler = proxy
	results := newPlugin.Call([]reflect.Value{reflect.ValueOf(ctx), reflect.ValueOf(next), config, reflect.ValueOf("bench")})
	if failure := results[1].Interface(); failure != nil {
		return "", failure.(error)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: results[0].Interface().(http.Handler)}
	go server.Serve(listener)
	context.AfterFunc(ctx, func() { server.Close() })
	return listener.Addr().String(), nil
}

// copyPlugin copies the files of the plugin and its inner packages, with calls of the clock in the chosen functions.
func (c *clock) copyPlugin(to, from string, chosen func(function string) bool) error {
	return fs.WalkDir(os.DirFS(from), ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && name != "." && name != "internal" && !strings.HasPrefix(name, "internal/"):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(filepath.Join(to, name), 0o755)
		case path.Ext(name) != ".go" || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := c.instrument(filepath.Join(from, name), strings.TrimPrefix(path.Dir(name), "."), chosen)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), text, 0o644)
	})
}

// instrument adds calls of the clock to a file's chosen functions, without moving a line. The functions of inner packages are
// named with their folder.
func (c *clock) instrument(file, folder string, chosen func(function string) bool) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	parsed, err := parser.ParseFile(set, file, text, 0)
	if err != nil {
		return nil, err
	}
	type insertion struct {
		at   int
		text string
	}
	var insertions []insertion
	for _, declaration := range parsed.Decls {
		function, ok := declaration.(*ast.FuncDecl)
		if !ok || function.Body == nil {
			continue
		}
		name := nameOf(function)
		if folder != "" {
			name = folder + "." + name
		}
		if !chosen(name) {
			continue
		}
		id := c.register(name)
		insertions = append(insertions, insertion{set.Position(function.Body.Lbrace).Offset + 1, fmt.Sprintf(" stopwatch.Enter(%d); defer stopwatch.Leave(%d); ", id, id)})
	}
	if insertions == nil {
		return text, nil
	}
	insertions = append(insertions, insertion{set.Position(parsed.Name.End()).Offset, `; import "stopwatch"`})
	slices.SortFunc(insertions, func(a, b insertion) int { return b.at - a.at })
	for _, i := range insertions {
		text = slices.Insert(text, i.at, []byte(i.text)...)
	}
	return text, nil
}

// nameOf is a function's name as "findMovie" or "movie.cut".
func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	receiver := function.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	return fmt.Sprintf("%s.%s", receiver, function.Name.Name)
}
