#!/usr/bin/env bash
# The headers of ONNX Runtime's C++ API into OUT/include: Debian 13's libonnxruntime-dev, unpacked. Older Debians have no
# such package, so apt reads an index of its own below OUT; nothing is installed and the system's sources stay as they are.
set -euo pipefail

out=${1:?usage: headers.sh OUT}
. /etc/os-release
mirror=$(apt-get indextargets --format '$(RELEASE) $(REPO_URI)' 'Created-By: Packages' |
    awk -v release="${VERSION_CODENAME:-}" '$1 == release && !found { print $2; found = 1 }')
if [ "${ID:-}" != debian ] || [ -z "$mirror" ]; then
    echo "headers.sh: works on Debian with its mirror among apt's sources; elsewhere unpack ONNX Runtime's archive" >&2
    exit 1
fi

mkdir -p "$out"
out=$(realpath "$out")
own=$(mktemp -d)
trap 'rm -rf "$own"' EXIT
mkdir -p "$own"/{lists,cache/archives}/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" > "$own/sources.list"
options=(-qq -o "Dir::Etc::sourcelist=$own/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$own/lists"
    -o "Dir::Cache=$own/cache" -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::Languages=none)
apt-get "${options[@]}" update
(cd "$own" && apt-get "${options[@]}" download libonnxruntime-dev)
dpkg -x "$own"/libonnxruntime-dev_*.deb "$own/unpacked"
rm -rf "$out/include"
mv "$own/unpacked/usr/include/onnxruntime" "$out/include"
