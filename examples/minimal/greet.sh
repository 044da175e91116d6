#!/usr/bin/env sh
echo "Hello from $(busybox whoami), of $(busybox id -Gn)"
