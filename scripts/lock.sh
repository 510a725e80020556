#!/usr/bin/env bash
# Lock every dependency with hashes; torch's own dependencies included, torch itself not: its build differs by machine.
set -eu
cd "$(dirname "$0")/../requirements"
for name in runtime dev bench; do
  pip-compile --quiet --generate-hashes --strip-extras --no-header --annotation-style line --unsafe-package torch \
    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --output-file "$name.txt" "$name.in"
  sed -i '/^# WARNING: The following packages were not pinned/,$d' "$name.txt"
done
