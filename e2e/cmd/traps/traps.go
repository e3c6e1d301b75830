// Command traps looks in the packages of a module for code that Go and Yaegi v0.16.1 understand differently. Where the two
// differ, Yaegi mostly says nothing and does something else.
package main

import (
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"os"
	"slices"

	"golang.org/x/tools/go/packages"
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

// Find lists the traps in the packages of the module in dir, less their tests.
func Find(dir string) ([]string, error) {
	loaded, err := packages.Load(&packages.Config{
		Mode: packages.NeedName | packages.NeedFiles | packages.NeedImports | packages.NeedTypes | packages.NeedSyntax | packages.NeedTypesInfo,
		Dir:  dir,
	}, "./...")
	if err != nil {
		return nil, err
	}
	var found []string
	for _, pkg := range loaded {
		for _, wrong := range pkg.Errors {
			err = errors.Join(err, wrong)
		}
		f := &finder{fset: pkg.Fset, info: pkg.TypesInfo}
		for _, file := range pkg.Syntax {
			f.walk(file)
		}
		found = append(found, f.found...)
	}
	return found, err
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
		f.checkFar(n)
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
	case *ast.ForStmt:
		if n.Init != nil && n.Cond == nil && n.Post == nil {
			f.report(n, "Yaegi forgets what the body of a loop without condition and post statement assigns to its variable: declare it before the loop")
		}
	case *ast.GenDecl:
		f.checkConstants(n)
	case *ast.DeferStmt:
		f.checkDefer(n, path)
	case *ast.GoStmt:
		f.checkGo(n, path)
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
	if loopAround(path) != nil {
		f.report(n, "Yaegi evaluates a deferred call's arguments late, in a loop all are the last's")
	}
	if name, ok := n.Call.Fun.(*ast.Ident); ok {
		if _, variable := f.info.Uses[name].(*types.Var); variable {
			f.report(n, "Yaegi hangs on a deferred function that is a variable")
		}
	}
}

// checkFar finds values that are assigned to another package's variable: Yaegi keeps only those that it need not compute.
func (f *finder) checkFar(n *ast.AssignStmt) {
	if n.Tok != token.ASSIGN {
		return
	}
	for _, to := range n.Lhs {
		selector, ok := to.(*ast.SelectorExpr)
		if !ok || f.info.Selections[selector] != nil {
			continue
		}
		if len(n.Rhs) == 1 && len(n.Lhs) == 1 && plain(n.Rhs[0]) {
			continue
		}
		f.report(n, "Yaegi drops what is assigned to another package's variable where it is computed: assign it to a variable first")
	}
}

// plain tells whether the expression is a name or a literal.
func plain(e ast.Expr) bool {
	switch ast.Unparen(e).(type) {
	case *ast.Ident, *ast.BasicLit:
		return true
	}
	return false
}

// checkConstants finds constants with a type whose values are computed: Yaegi keeps them as a number without the type, that
// compares as unequal to each of it, and is no key of a map.
func (f *finder) checkConstants(n *ast.GenDecl) {
	if n.Tok != token.CONST {
		return
	}
	var typ ast.Expr
	var values []ast.Expr // those of the last that had some, which others repeat
	for _, spec := range n.Specs {
		spec := spec.(*ast.ValueSpec)
		if spec.Values != nil {
			typ, values = spec.Type, spec.Values
		}
		if typ == nil {
			continue
		}
		for _, value := range values {
			if _, computed := ast.Unparen(value).(*ast.BinaryExpr); computed {
				f.report(spec, "Yaegi forgets the type of a constant that is computed, which then equals no variable: convert the value, T(1 + 2)")
			}
		}
	}
}

// checkGo finds pointers that goroutines of a loop are given as interfaces: Yaegi gives the last to all.
func (f *finder) checkGo(n *ast.GoStmt, path []ast.Node) {
	loop := loopAround(path)
	signature, ok := f.info.TypeOf(n.Call.Fun).Underlying().(*types.Signature)
	if loop == nil || !ok {
		return
	}
	for i, argument := range n.Call.Args {
		last := signature.Params().Len() - 1
		parameter := signature.Params().At(min(i, last)).Type()
		if slice, ok := parameter.(*types.Slice); ok && signature.Variadic() && i >= last {
			parameter = slice.Elem()
		}
		if types.IsInterface(parameter) && f.changes(argument, loop) {
			f.report(n, "Yaegi gives all goroutines of a loop the last of what they get as an interface: let the parameter have the type of the value")
		}
	}
}

// loopAround is the innermost loop around the end of the path, within its function.
func loopAround(path []ast.Node) ast.Node {
	for i := len(path) - 1; i >= 0; i-- {
		switch path[i].(type) {
		case *ast.ForStmt, *ast.RangeStmt:
			return path[i]
		case *ast.FuncDecl, *ast.FuncLit:
			return nil
		}
	}
	return nil
}

// changes tells whether the argument may be another one each time around the loop. What is not an interface yet, and declared
// within, is safe.
func (f *finder) changes(argument ast.Expr, loop ast.Node) bool {
	name, ok := ast.Unparen(argument).(*ast.Ident)
	if !ok {
		return f.info.Types[argument].Value == nil
	}
	object := f.info.Uses[name]
	if object.Pos() >= loop.Pos() && object.Pos() < loop.End() {
		return types.IsInterface(object.Type())
	}
	assigned := false
	ast.Inspect(loop, func(node ast.Node) bool {
		if n, ok := node.(*ast.AssignStmt); ok {
			for _, to := range n.Lhs {
				if to, ok := to.(*ast.Ident); ok && f.info.Uses[to] == object {
					assigned = true
				}
			}
		}
		return true
	})
	return assigned
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
