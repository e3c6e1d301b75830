#!/usr/bin/env bash
# Every test, in order of patience: native, interpreted by Yaegi, end to end. The last line counts them.
#     test.sh            all that take no root
#     test.sh providers  the examples, executed: the file provider, a real dockerd, a real kube-apiserver; as root
#     test.sh full       beside those an S3 server, pacing over a minute, and all of it with a Traefik that is a year older, and the soaks
#     ONLY='seek TestCues' test.sh   these groups and tests: native, interpreted, bench, folders of e2e, and tests by their names
# A test that is skipped counts as a failure, for it did not prove anything.
set -uo pipefail
cd "$(dirname "$0")/.."
what=${1:-}
only=${ONLY:-}

# folders lists the folders of e2e that hold tests, as ONLY names them.
folders() { (cd e2e && find . -name '*_test.go' -not -path '*/node_modules/*' -printf '%h\n' | sort -u | sed 's,^\./,,'); }

# holding lists the folders below $1 whose tests $2 names.
holding() { grep -rlE --include='*_test.go' --exclude-dir={vendor,node_modules,e2e,bench} "^func $2\(" "$1" | xargs -r -n 1 dirname | sort -u; }

if [[ -n $only && -n $what ]]; then
	echo "ONLY is for make test" >&2
	exit 2
fi
for group in $only; do
	[[ $group == native || $group == interpreted || $group == bench ]] || grep -qxF "$group" <(folders) && continue
	if [[ $group =~ ^Test[A-Za-z0-9_]+$ && -n $(holding . "$group"; cd e2e && holding . "$group") ]]; then
		continue
	fi
	echo "There is no group or test $group. The groups are" >&2
	{ echo native; echo bench; folders; } | sed 's/^/    /' >&2
	exit 2
done

needs_root() {
	if [[ $EUID -ne 0 ]]; then
		echo "The tests of the providers make network namespaces and run dockerd: run them as root." >&2
		exit 1
	fi
	local refused
	if ! refused=$(unshare --net --mount true 2>&1); then
		echo "The tests of the providers make network namespaces and mounts, which is refused here: $refused" >&2
		echo "In a container they take --privileged." >&2
		exit 1
	fi
}

case $what in
"") ;;
providers | full) e2e/tools.sh providers && needs_root || exit ;;
*) echo "usage: $0 [providers|full]" >&2; exit 2 ;;
esac
[[ $what == providers || -n $only ]] || e2e/tools.sh all || exit

log=$(mktemp)
trap 'rm -f "$log"' EXIT
failed=0
run() {
	echo "# $1"
	shift
	"$@" 2>&1 | tee -a "$log"
	[[ ${PIPESTATUS[0]} -eq 0 ]] || failed=1
}

# build does what is no test, and shows on a terminal how far it is.
build() {
	echo "# $1"
	shift
	"$@" || failed=1
}

traefik() { build "Traefik" go run -C e2e ./cmd/built traefik; }
drivers() { build "browser drivers" npm ci --prefix e2e/internal/browser --no-audit --no-fund --ignore-scripts; }

# What cuts thousands of made-up files takes five times as long with the race detector; the other tests run the same code.
long='^(TestFewBytesManySamples|TestBoundaries|TestBeginnings|TestRandomCuts|TestMutated|TestLongTables|TestOriginBytes|TestLeadInFormula)$'
native() {
	run "native, with the race detector" go test -v -race -timeout 10m -skip "$long" ./...
	run "native, what takes long" go test -v -timeout 10m -run "$long" .
}
interpreted() { run "interpreted" go test -C e2e -v -count=1 -timeout 10m ./interpreted "$@"; }
# One package at a time: browsers and clocks are watched, and a machine with other work shows pictures late.
end_to_end() { run "end to end" go test -C e2e -v -count=1 -p 1 -timeout 20m -skip '^TestFull' "$@"; }

# The measurements work, on short films; what they measure is not judged.
bench() { run "bench" go test -C bench -v -count=1 -timeout 10m; }

everything() {
	native
	interpreted
	# The rest needs Traefik; here one can see that it is being built, and within no test's time limit.
	traefik
	drivers
	mapfile -t packages < <(cd e2e && go list ./... | grep -vE '/(interpreted|providers)$')
	end_to_end "${packages[@]}"
	bench
}

# some runs what ONLY names.
some() {
	local group folder
	for group in $only; do
		case $group in
		native) e2e/tools.sh native || exit; native ;;
		interpreted) interpreted ;;
		bench) e2e/tools.sh bench || exit; traefik; bench ;;
		providers) e2e/tools.sh providers && needs_root || exit; providers ;;
		Test*)
			for folder in $(holding . "$group"); do
				e2e/tools.sh native || exit
				run "native, with the race detector" go test -v -race -timeout 10m -run "^$group\$" "./$folder"
				interpreted -run '^TestInterpreted$' -args -only "$group"
			done
			for folder in $(cd e2e && holding . "$group"); do
				prepare "$folder"
				run "$folder" go test -C e2e -v -count=1 -timeout 60m -run "^$group\$" "$folder"
			done
			;;
		*) prepare "$group"; end_to_end "./$group" ;;
		esac
	done
}

# prepare sees to what the tests in a folder of e2e need, once.
prepared=
prepare() {
	case $1 in
	*/internal/parser | *docs | *interpreted | *internal/order | *cmd/traps) return ;;
	*providers) needs_root; e2e/tools.sh providers || exit ;;
	*) e2e/tools.sh all || exit ;;
	esac
	[[ -n $prepared ]] || { traefik; drivers; }
	prepared=yes
}

providers() {
	traefik
	build "kube-apiserver" go run -C e2e ./cmd/built kubernetes
	run "providers" go test -C e2e -v -count=1 -timeout 10m -skip '^TestFull' ./providers
}

full() {
	traefik
	drivers
	build "S3 server" go run -C e2e ./cmd/built s3
	run "S3, and pacing over a minute" go test -C e2e -v -count=1 -timeout 10m -run '^TestFull' ./providers ./seek
	local older
	if ! older=$(go run -C e2e ./cmd/built older); then
		failed=1
		return
	fi
	build "kube-apiserver" go run -C e2e ./cmd/built kubernetes
	run "$older: cuts and providers" env TRAEFIK_BIN="$older" go test -C e2e -v -count=1 -timeout 20m -p 1 -skip '^TestFullPace' ./seek ./providers
	# Soaks go on for as long as SOAK says.
	local soaks
	mapfile -t soaks < <(grep -rl --include='*_test.go' '^func TestSoak' e2e | xargs -r -n 1 dirname | sort -u)
	[[ ${#soaks[@]} -gt 0 ]] || run "soak" sh -c 'echo "there is no soak to run"; exit 1'
	for soak in "${soaks[@]}"; do
		run "soak" env SOAK="${SOAK:-10m}" go test -C e2e -v -count=1 -timeout 60m -run '^TestSoak' "./${soak#e2e/}"
	done
}

case $what$only in
"") everything ;;
providers | full) "$what" ;;
*) some ;;
esac

count() { grep -cE "^ *--- $1: " "$log"; }
skipped=$(count SKIP)
[[ $skipped -eq 0 ]] || failed=1
[[ $(count PASS) -gt 0 ]] || failed=1
if [[ $failed -ne 0 ]]; then
	echo "# what failed"
	# What each failed test said, without its parts that passed; of much, the first and the last.
	awk -v most=120 '
		/^=== RUN +[^\/]+$/ { n = 0 }
		!/^ *(=== |--- PASS)/ { said[n++] = $0 }
		/^--- FAIL/ {
			for (i = 0; i < n; i++) {
				if (i < most / 2 || i >= n - most / 2) print said[i]
				else if (i == most / 2) print "        [" n - most " lines left out]"
			}
			n = 0
		}' "$log"
	grep -E '^( *--- (FAIL|SKIP)|FAIL|panic)' "$log"
fi
echo "tests: $(count PASS) passed, $(count FAIL) failed, $skipped skipped"
exit $failed
