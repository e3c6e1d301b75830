// Command traps looks in a package for code that Go and Yaegi v0.16.1 understand differently. Where the two differ,
// Yaegi mostly says nothing and does something else.
package main

import (
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: traps folder")
		os.Exit(2)
	}
	found, err := Find(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	for _, trap := range found {
		fmt.Println(trap)
	}
	if len(found) > 0 {
		os.Exit(1)
	}
}

// Find lists the traps in the package in dir, less its tests.
func Find(dir string) ([]string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, "_test.go") })
	f := &finder{fset: token.NewFileSet()}
	var files []*ast.File
	for _, name := range names {
		file, err := parser.ParseFile(f.fset, name, nil, 0)
		if err != nil {
			return nil, err
		}
		files = append(files, file)
	}
	f.info = &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Selections: map[*ast.SelectorExpr]*types.Selection{}}
	config := types.Config{Importer: importer.ForCompiler(f.fset, "source", nil)}
	if _, err := config.Check(dir, f.fset, files, f.info); err != nil {
		return nil, err
	}
	for _, file := range files {
		f.walk(file)
	}
	return f.found, nil
}

type finder struct {
	fset  *token.FileSet
	info  *types.Info
	found []string
}

func (f *finder) report(at ast.Node, what string) {
	f.found = append(f.found, fmt.Sprintf("%s: %s", f.fset.Position(at.Pos()), what))
}

func (f *finder) walk(file *ast.File) {
	var path []ast.Node // from the file down to the node
	ast.Inspect(file, func(node ast.Node) bool {
		if node == nil {
			path = path[:len(path)-1]
			return false
		}
		f.check(node, path)
		path = append(path, node)
		return true
	})
}

func (f *finder) check(node ast.Node, path []ast.Node) {
	switch n := node.(type) {
	case *ast.AssignStmt:
		if n.Tok == token.ASSIGN && len(n.Rhs) > 1 && slices.ContainsFunc(n.Rhs, f.computed) {
			f.report(n, "of values assigned at once, Yaegi drops those beside a call: assign one at a time")
		}
	case *ast.SwitchStmt:
		for _, clause := range n.Body.List {
			list := clause.(*ast.CaseClause).List
			if len(list) > 1 && (n.Tag == nil || slices.ContainsFunc(list, f.computed)) {
				f.report(clause, "of a case's conditions, Yaegi looks at the first: join them by ||")
			}
		}
	case *ast.SelectStmt:
		f.report(n, "Yaegi's select shares its channels with all who run it at the same time: wait for one channel")
	case *ast.TypeSwitchStmt:
		f.report(n, "Yaegi's type switches miss interfaces and types with methods: assert one type at a time")
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			f.report(n, "Yaegi does not assign a range to existing variables: declare them with :=")
		}
		if kind := f.info.TypeOf(n.X).Underlying(); !rangeable(kind) {
			f.report(n, "Yaegi does not range over "+kind.String())
		}
	case *ast.DeferStmt:
		f.checkDefer(n, path)
	case *ast.CallExpr:
		f.checkCall(n)
	case *ast.SelectorExpr:
		f.checkSelector(n, path)
	case *ast.BinaryExpr:
		if compares(n.Op) && (f.constantShift(n.X) || f.constantShift(n.Y)) {
			f.report(n, "Yaegi panics over an unsigned number compared with a constant that is shifted by a variable: convert the constant")
		}
	case *ast.FuncDecl:
		for _, parameter := range n.Type.Params.List {
			if parameter.Names == nil {
				f.report(n, "Yaegi mixes up parameters without names")
			}
		}
	case *ast.TypeSpec:
		if n.TypeParams != nil {
			f.report(n, "generics crash Yaegi's import")
		}
	case *ast.FuncType:
		if n.TypeParams != nil {
			f.report(n, "generics crash Yaegi's import")
		}
	}
}

func (f *finder) checkDefer(n *ast.DeferStmt, path []ast.Node) {
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i].(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			f.report(n, "Yaegi evaluates a deferred call's arguments late, in a loop all are the last's")
		case *ast.FuncDecl, *ast.FuncLit:
			i = 0
		}
	}
	if name, ok := n.Call.Fun.(*ast.Ident); ok {
		if _, variable := f.info.Uses[name].(*types.Var); variable {
			f.report(n, "Yaegi hangs on a deferred function that is a variable")
		}
	}
}

func (f *finder) checkCall(n *ast.CallExpr) {
	switch fun := n.Fun.(type) {
	case *ast.Ident:
		if _, builtin := f.info.Uses[fun].(*types.Builtin); builtin && slices.Contains([]string{"min", "max", "clear"}, fun.Name) {
			f.report(n, "Yaegi has no builtin "+fun.Name)
		}
	case *ast.SelectorExpr:
		object := f.info.Uses[fun.Sel]
		if object != nil && object.Pkg() != nil && object.Pkg().Path() == "errors" && object.Name() == "As" {
			f.report(n, "Yaegi's errors.As panics on error types of the plugin's own: use sentinels")
		}
	}
}

// checkSelector finds methods that are taken as values, whose receiver Yaegi looks up when they are called.
func (f *finder) checkSelector(n *ast.SelectorExpr, path []ast.Node) {
	selection := f.info.Selections[n]
	if selection == nil || selection.Kind() == types.FieldVal {
		return
	}
	if call, ok := path[len(path)-1].(*ast.CallExpr); ok && call.Fun == n && selection.Kind() == types.MethodVal {
		return
	}
	f.report(n, "Yaegi binds a method value's receiver late, and crashes on method expressions: use a function")
}

// computed tells whether Yaegi computes the expression in steps of its own: calls, receives, composite literals. Conversions are none.
func (f *finder) computed(e ast.Expr) bool {
	switch e := ast.Unparen(e).(type) {
	case *ast.CallExpr:
		return !f.info.Types[e.Fun].IsType()
	case *ast.UnaryExpr:
		return e.Op == token.ARROW || f.computed(e.X)
	case *ast.BinaryExpr:
		return f.computed(e.X) || f.computed(e.Y)
	case *ast.CompositeLit, *ast.FuncLit:
		return true
	}
	return false
}

func compares(op token.Token) bool {
	return slices.Contains([]token.Token{token.EQL, token.NEQ, token.LSS, token.LEQ, token.GTR, token.GEQ}, op)
}

// constantShift tells whether the expression is an unsigned constant, shifted by a variable, whose type is left to what surrounds it.
func (f *finder) constantShift(e ast.Expr) bool {
	shift, ok := ast.Unparen(e).(*ast.BinaryExpr)
	if !ok || shift.Op != token.SHL && shift.Op != token.SHR {
		return false
	}
	basic, ok := f.info.TypeOf(shift).Underlying().(*types.Basic)
	if !ok || basic.Info()&types.IsUnsigned == 0 {
		return false
	}
	if call, ok := ast.Unparen(shift.X).(*ast.CallExpr); ok && f.info.Types[call.Fun].IsType() {
		return false
	}
	return f.info.Types[shift.X].Value != nil && f.info.Types[shift.Y].Value == nil
}

func rangeable(kind types.Type) bool {
	switch kind := kind.(type) {
	case *types.Signature:
		return false
	case *types.Basic:
		return kind.Info()&types.IsString != 0
	}
	return true
}
