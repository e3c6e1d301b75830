#!/usr/bin/env bash
# Makes sure that the programs are there which tests need beside Go and make: tools.sh native|all|providers|bench.
# As root on Debian or Ubuntu it installs what is missing, else it prints the command and fails.
set -euo pipefail

case "${1:-}" in
# The race detector needs a C compiler.
native) needed=(gcc) ;;
# node drives the browsers.
all) needed=(git gcc curl nginx ffmpeg node npm chromium firefox-esr Xvfb WebKitWebDriver gstreamer libvlc mpv) ;;
providers) needed=(git nginx ffmpeg ip iptables dockerd docker-compose etcd) ;;
bench) needed=(git nginx ffmpeg wrk) ;;
*) echo "usage: $0 native|all|providers|bench" >&2; exit 2 ;;
esac

package() {
	case "$1" in
	gcc) echo gcc libc6-dev ;;
	node) echo nodejs ;;
	ip) echo iproute2 ;;
	dockerd) echo docker.io ;;
	etcd) echo etcd-server ;;
	Xvfb) echo xvfb ;;
	WebKitWebDriver) echo webkit2gtk-driver ;;
	gstreamer) echo python3-gi gir1.2-gst-plugins-base-1.0 gstreamer1.0-plugins-{base,good,bad} gstreamer1.0-libav ;;
	libvlc) echo libvlc5 vlc-plugin-base ;;
	*) echo "$1" ;;
	esac
}

# there tells whether a program is, or by their files whether libraries are.
there() {
	case "$1" in
	gstreamer) files /usr/lib/python3/dist-packages/gi/__init__.py \
		/usr/lib/*/girepository-1.0/GstVideo-1.0.typelib /usr/lib/*/gstreamer-1.0/libgst{playback,isomp4,videoparsersbad,libav}.so ;;
	libvlc) files /usr/lib/*/libvlc.so.5 /usr/lib/*/vlc/plugins/video_output/libvmem_plugin.so ;;
	*) command -v "$1" >/dev/null ;;
	esac
}
files() {
	local file
	for file; do
		[[ -e $file ]] || return 1
	done
}

# Debian keeps nginx where only root's PATH looks.
PATH="$PATH:/usr/sbin"
packages=()
for program in "${needed[@]}"; do
	if ! there "$program"; then
		read -ra names < <(package "$program")
		packages+=("${names[@]}")
	fi
done
[[ ${#packages[@]} -eq 0 ]] && exit 0

install=(apt-get install -y --no-install-recommends "${packages[@]}")
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
	echo "Some programs are missing. This installs them:" >&2
	echo "    sudo ${install[*]}" >&2
	exit 1
fi

# The packages of servers start them when they are installed; nobody asked for an nginx on port 80.
said=$(mktemp)
policy=
trap 'rm -f "$said" $policy' EXIT
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
	policy=/usr/sbin/policy-rc.d
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod +x "$policy"
fi
export DEBIAN_FRONTEND=noninteractive

# apt says how far it is as "dlstatus:3:42.1:Retrieving file 3 of 213": shown as a line that renews itself on a terminal, and
# as a line for each tenth elsewhere.
progress() {
	local phase percent text name tenth last=
	while IFS=: read -r phase name percent text; do
		percent=${percent%%.*}
		case $phase in
		dlstatus) phase=Downloading ;;
		pmstatus) phase=Installing ;;
		*) continue ;;
		esac
		if [[ -t 2 ]]; then
			printf '\r\033[K  %s: %s %%, %s' "$phase" "$percent" "${text:0:50}" >&2
		else
			tenth="$phase $((percent / 10))"
			[[ $tenth == "$last" ]] || echo "  $phase: $percent %" >&2
			last=$tenth
		fi
	done
	[[ ! -t 2 ]] || printf '\r\033[K' >&2
}

echo "Looking up packages"
apt-get update -qq
all=$("${install[@]}" --simulate | grep -c '^Inst ') || true
echo "Installing ${packages[*]}: $all packages, with what they need"
# Of what the packages' scripts say only a failure's is shown.
if ! "${install[@]}" -o APT::Status-Fd=3 3> >(progress) >"$said" 2>&1; then
	cat "$said" >&2
	exit 1
fi
