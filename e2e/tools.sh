#!/usr/bin/env bash
# Makes sure that the programs are there which the tests need beside Go and make: tools.sh, or
# tools.sh providers, or tools.sh bench.
# As root on Debian or Ubuntu it installs what is missing, else it prints the command and fails.
set -euo pipefail

case "${1:-}" in
# The race detector needs a C compiler, node drives the browsers.
"") needed=(git gcc curl nginx ffmpeg node npm chromium firefox-esr Xvfb WebKitWebDriver gstreamer libvlc mpv) ;;
providers) needed=(git nginx ffmpeg ip iptables dockerd docker-compose etcd) ;;
bench) needed=(git nginx ffmpeg wrk) ;;
*) echo "usage: $0 [providers|bench]" >&2; exit 2 ;;
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

install="apt-get install -y --no-install-recommends ${packages[*]}"
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
	echo "Some programs are missing. This installs them:" >&2
	echo "    sudo $install" >&2
	exit 1
fi

# The packages of servers start them when they are installed; nobody asked for an nginx on port 80.
if [[ ! -e /usr/sbin/policy-rc.d ]]; then
	trap 'rm -f /usr/sbin/policy-rc.d' EXIT
	printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
	chmod +x /usr/sbin/policy-rc.d
fi
echo "Installing ${packages[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
$install >/dev/null
