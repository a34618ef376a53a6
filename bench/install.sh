#!/bin/bash
# Installs what bench runs besides what it builds: the peers and the tools that make
# the load. As root on Debian. Where a service manager runs it may start the peers:
# stop them before anything is measured.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
missing=()
for pair in wrk:wrk h2load:nghttp2-client nginx:nginx lighttpd:lighttpd h2o:h2o haproxy:haproxy; do
	PATH=$PATH:/usr/sbin command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
done
if [ ${#missing[@]} = 0 ]; then
	echo "install: nothing is missing"
	exit
fi
apt-get -q update </dev/null
apt-get -q install -y --no-install-recommends "${missing[@]}" </dev/null
