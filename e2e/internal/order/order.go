// Package order reads the plugin's code by its types: which of its files use what others declare, and which names of its
// packages have several meanings.
package order

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/tools/go/packages"
)

// Code is the plugin's code, less its tests. Its parts are the files of the root package, by their names, and the inner
// packages, by their folders.
type Code struct {
	dir    string
	module string
	pkgs   []*packages.Package
}

// Load reads the module in dir.
func Load(dir string) (*Code, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	pkgs, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo | packages.NeedModule,
		Dir:  dir,
	}, "./...")
	if err != nil {
		return nil, err
	}
	for _, pkg := range pkgs {
		for _, wrong := range pkg.Errors {
			err = errors.Join(err, wrong)
		}
	}
	if err != nil {
		return nil, err
	}
	if len(pkgs) == 0 || pkgs[0].Module == nil {
		return nil, fmt.Errorf("order: there is no module in %s", dir)
	}
	return &Code{dir: dir, module: pkgs[0].Module.Path, pkgs: pkgs}, nil
}

// Parts lists the code's parts.
func (c *Code) Parts() []string {
	var parts []string
	for _, pkg := range c.pkgs {
		if pkg.PkgPath != c.module {
			parts = append(parts, c.folder(pkg.PkgPath))
			continue
		}
		for _, file := range pkg.GoFiles {
			parts = append(parts, filepath.Base(file))
		}
	}
	slices.Sort(parts)
	return parts
}

func (c *Code) folder(path string) string { return strings.TrimPrefix(path, c.module+"/") }

// position is a place as "cache.go:12", from the module's folder on.
func (c *Code) position(set *token.FileSet, at token.Pos) string {
	p := set.Position(at)
	return fmt.Sprintf("%s:%d", strings.TrimPrefix(p.Filename, c.dir+"/"), p.Line)
}

// Use is a name that a part takes from another.
type Use struct {
	Part, At   string // At is file:line
	Name       string // with the type that it is a method or a field of, as far as the code says it there
	DeclaredIn string // the other part
}

func (u Use) String() string {
	return fmt.Sprintf("%s: %s uses %s, which is declared in %s", u.At, u.Part, u.Name, u.DeclaredIn)
}

// Uses lists what the parts take from each other, in the order of the code.
func (c *Code) Uses() []Use {
	var uses []Use
	for _, pkg := range c.pkgs {
		for _, file := range pkg.Syntax {
			part := c.part(pkg.PkgPath, pkg.Fset.Position(file.Package).Filename)
			ast.Inspect(file, func(node ast.Node) bool {
				name, ok := node.(*ast.Ident)
				if !ok {
					return true
				}
				object := pkg.TypesInfo.Uses[name]
				if object == nil || object.Pkg() == nil || !c.owns(object.Pkg().Path()) {
					return true
				}
				if _, imported := object.(*types.PkgName); imported {
					return true
				}
				// An object of another package knows its file, too, but its package is the part.
				if from := c.part(object.Pkg().Path(), pkg.Fset.Position(object.Pos()).Filename); from != part {
					uses = append(uses, Use{part, c.position(pkg.Fset, name.Pos()), name.Name, from})
				}
				return true
			})
		}
	}
	return uses
}

func (c *Code) owns(path string) bool {
	return path == c.module || strings.HasPrefix(path, c.module+"/")
}

func (c *Code) part(path, file string) string {
	if path == c.module {
		return filepath.Base(file)
	}
	return c.folder(path)
}

// Check lists what contradicts the order, from the top down: uses of what is declared further up, parts that the order leaves
// out or names twice, and those that do not exist.
func (c *Code) Check(order []string) []string {
	var problems []string
	place := map[string]int{}
	for i, part := range order {
		if _, twice := place[part]; twice {
			problems = append(problems, fmt.Sprintf("%s is listed twice", part))
		}
		place[part] = i
	}
	parts := c.Parts()
	for _, part := range parts {
		if _, listed := place[part]; !listed {
			problems = append(problems, fmt.Sprintf("%s is not listed", part))
		}
	}
	for _, part := range order {
		if !slices.Contains(parts, part) {
			problems = append(problems, fmt.Sprintf("%s is listed and not there", part))
		}
	}
	for _, use := range c.Up(order) {
		problems = append(problems, use.String()+", above it")
	}
	return problems
}

// Up lists the uses of what is declared further up in the order.
func (c *Code) Up(order []string) []Use {
	var up []Use
	for _, use := range c.Uses() {
		at, from := slices.Index(order, use.Part), slices.Index(order, use.DeclaredIn)
		if at >= 0 && from >= 0 && from < at {
			up = append(up, use)
		}
	}
	return up
}

// Ambiguous is a name of a package that is something else in the same package, too.
type Ambiguous struct {
	Package  string // the folder, "." for the root
	Name     string
	Declared string // file:line
	// Others are the places of its other meanings, by what it is there: "field", "method", "parameter" or "local".
	Others map[string][]string
}

func (a Ambiguous) String() string {
	text := fmt.Sprintf("%s (%s)", a.Name, a.Declared)
	for _, kind := range slices.Sorted(maps.Keys(a.Others)) {
		text += fmt.Sprintf("; %s: %s", kind, strings.Join(a.Others[kind], ", "))
	}
	return text
}

// Ambiguous lists the names that have several meanings in their packages.
func (c *Code) Ambiguous() []Ambiguous {
	var all []Ambiguous
	for _, pkg := range c.pkgs {
		found := map[string]*Ambiguous{}
		parameters := parametersOf(pkg)
		for name, object := range pkg.TypesInfo.Defs {
			if object == nil || object.Parent() == pkg.Types.Scope() {
				continue
			}
			declared := pkg.Types.Scope().Lookup(name.Name)
			if declared == nil {
				continue
			}
			folder := "."
			if pkg.PkgPath != c.module {
				folder = c.folder(pkg.PkgPath)
			}
			if found[name.Name] == nil {
				found[name.Name] = &Ambiguous{folder, name.Name, c.position(pkg.Fset, declared.Pos()), map[string][]string{}}
			}
			kind := kindOf(object, parameters)
			found[name.Name].Others[kind] = append(found[name.Name].Others[kind], c.position(pkg.Fset, name.Pos()))
		}
		for _, name := range slices.Sorted(maps.Keys(found)) {
			for _, places := range found[name].Others {
				slices.SortFunc(places, naturally)
			}
			all = append(all, *found[name])
		}
	}
	return all
}

func naturally(a, b string) int {
	if len(a) != len(b) && strings.HasPrefix(a, b[:strings.IndexByte(b, ':')+1]) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

func kindOf(object types.Object, parameters map[types.Object]bool) string {
	switch object := object.(type) {
	case *types.Func:
		return "method"
	case *types.Var:
		if object.IsField() {
			return "field"
		}
		if parameters[object] {
			return "parameter"
		}
	}
	return "local"
}

// parametersOf are the receivers, parameters and results of a package's functions.
func parametersOf(pkg *packages.Package) map[types.Object]bool {
	parameters := map[types.Object]bool{}
	add := func(fields *ast.FieldList) {
		if fields == nil {
			return
		}
		for _, field := range fields.List {
			for _, name := range field.Names {
				parameters[pkg.TypesInfo.Defs[name]] = true
			}
		}
	}
	for _, file := range pkg.Syntax {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.FuncDecl:
				add(node.Recv)
			case *ast.FuncType:
				add(node.Params)
				add(node.Results)
			}
			return true
		})
	}
	return parameters
}

// Heading is what the list of parts stands below.
const Heading = "## The files, from the top down"

var row = regexp.MustCompile("^\\| *`([^`]+)` *\\|")

// Listed reads the order from a document: the first column of the table below the heading.
func Listed(document string) ([]string, error) {
	_, section, ok := strings.Cut("\n"+document, "\n"+Heading+"\n")
	if !ok {
		return nil, fmt.Errorf("order: the document has no heading %q", Heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	var order []string
	for line := range strings.Lines(section) {
		if cells := row.FindStringSubmatch(line); cells != nil {
			order = append(order, strings.TrimSuffix(cells[1], "/"))
		}
	}
	if len(order) == 0 {
		return nil, fmt.Errorf("order: no table is below the heading %q", Heading)
	}
	return order, nil
}
