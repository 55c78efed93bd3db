#!/usr/bin/env bash
# System libraries that no Python wheel brings: OSMesa (the simulated home renders without a screen), ffmpeg and flac
# (the tests check our files with other people's readers). Installs what is missing where it may; else says what to do.
set -eu
missing=()
ldconfig -p 2>/dev/null | grep -q libOSMesa || missing+=(libosmesa6)
command -v ffmpeg >/dev/null || missing+=(ffmpeg)
command -v flac >/dev/null || missing+=(flac)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
else
  echo "Please install: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
