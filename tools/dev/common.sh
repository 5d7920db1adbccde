# What the verbs share. Sourced by ./dev, with the repository as the working folder.
CACHE="$ROOT/.cache"
JOBS="${JOBS:-$(nproc)}"
BUILD_TYPE="${BUILD_TYPE:-RelWithDebInfo}"
SANITIZE="${SANITIZE:-}"
BUILD="$ROOT/build"
[[ "$BUILD_TYPE" == RelWithDebInfo ]] || BUILD="$ROOT/build/${BUILD_TYPE,,}"
[[ -z "$SANITIZE" ]] || BUILD="$ROOT/build/${SANITIZE//,/-}"

# Colours on a terminal only, and never in CI.
if [[ -t 1 && -z "${NO_COLOR:-}" && "${CI:-}" != true ]]; then
  BOLD=$'\e[1m' PLAIN=$'\e[0m'
else
  BOLD='' PLAIN=''
  export NO_COLOR=1 GTEST_COLOR=no CLICOLOR=0
fi

say() { printf '%s\n' "$*"; }
title() { printf '%s== %s%s\n' "$BOLD" "$*" "$PLAIN"; }
fail() {
  printf './dev: %s\n' "$2" >&2
  exit "$1"
}
have() { command -v "$1" >/dev/null 2>&1; }
