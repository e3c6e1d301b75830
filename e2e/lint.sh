#!/usr/bin/env bash
# gofmt, go vet and staticcheck over every module, and what the plugin and its inner packages may import.
set -euo pipefail
cd "$(dirname "$0")/.."
failed=0

unformatted=$(find . \( -name vendor -o -name node_modules -o -name .git \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l) || failed=1
if [[ -n $unformatted ]]; then
	echo "not formatted by gofmt:"
	echo "$unformatted"
	failed=1
fi

staticcheck=$(cd e2e && go tool -n staticcheck)
for module in . e2e bench; do
	[[ -e $module/go.mod ]] || continue
	(cd "$module" && go vet ./... && "$staticcheck" ./...) || failed=1
done

# Yaegi has the standard library less unsafe, syscall and their like, and the plugin brings nothing but its inner packages.
inner=$(go list ./...)
imports=$(go list -f '{{join .Imports "\n"}}' ./... | sort -u)
foreign=$(grep -vxF "$inner" <<<"$imports" | xargs -r go list -f '{{if not .Standard}}{{.ImportPath}}{{end}}')
refused=$(grep -xE 'C|unsafe|syscall|os/exec|plugin|embed|runtime/cgo' <<<"$imports" || true)
for name in $foreign $refused; do
	echo "the plugin imports $name, in $(go list -f "{{range .Imports}}{{if eq . \"$name\"}}{{\$.ImportPath}} {{end}}{{end}}" ./...)"
	failed=1
done

# What Yaegi would take otherwise than Go does.
go run -C e2e ./cmd/traps .. || failed=1

[[ $failed -eq 0 ]] && echo "lint: nothing found"
exit $failed
