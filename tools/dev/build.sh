# ./dev build, clean, bench.

# Paths of Python or pkg-config managers outside Debian must not decide what is found.
configure() {
  [[ -f "$BUILD/build.ninja" ]] && return 0
  mkdir -p "$BUILD"
  cmake -S "$ROOT" -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE="$BUILD_TYPE" -DTARE_SANITIZE="$SANITIZE" \
    >"$BUILD/configure.log" 2>&1 || {
    cat "$BUILD/configure.log" >&2
    fail 1 "cmake could not configure the build in $BUILD"
  }
}

build_targets() {
  configure
  ninja -C "$BUILD" -j "$JOBS" --quiet "$@" >/dev/null 2>&1 && return 0
  # Again, to show what is wrong (or, when a file was being edited under us, to get past it).
  ninja -C "$BUILD" -j "$JOBS" "$@"
}

verb_build() {
  verb_setup
  local began=$SECONDS
  title "build ($BUILD_TYPE${SANITIZE:+, $SANITIZE})"
  configure
  # With progress: one line that is rewritten on a terminal, a line every 25 units elsewhere.
  if [[ -t 1 ]]; then
    ninja -C "$BUILD" -j "$JOBS" "$@"
  else
    NINJA_STATUS='[%f/%t %es] ' ninja -C "$BUILD" -j "$JOBS" "$@" | awk '
      /^\[[0-9]+\/[0-9]+ / { split(substr($1, 2), n, "/"); last = $0
                             if (n[1] % 25 == 0) { print; fflush(); last = "" } next }
      { print; fflush() }
      END { if (last != "") print last }'
  fi
  say "build: done in $((SECONDS - began)) s"
}

verb_clean() {
  rm -rf "$ROOT/build"
  say "clean: build/ removed"
}

list_benches() {
  local file
  for file in bench/*_bench.cpp bench/*.sh bench/*.py; do
    [[ -e "$file" ]] || continue
    file="${file##*/}"
    file="${file%_bench.cpp}"
    say "  ${file%.*}"
  done | sort -u
}

verb_bench() {
  local name="${1:-}"
  if [[ -z "$name" ]]; then
    say "./dev bench NAME [--json]; the benchmarks:"
    list_benches
    exit 64
  fi
  shift
  list_benches | grep -qx "  $name" || fail 64 "there is no benchmark '$name'; ./dev bench lists them"
  verb_setup bench >&2
  configure >&2
  if [[ -e "bench/${name}_bench.cpp" ]]; then
    cmake "$BUILD" >/dev/null # finds Google Benchmark when it was installed just now
    ninja -C "$BUILD" -j "$JOBS" "bench_$name" >&2
    exec "$BUILD/bin/bench_$name" "$@"
  fi
  ninja -C "$BUILD" -j "$JOBS" >&2
  export TARE_BIN_DIR="$BUILD/bin"
  if [[ -e "bench/$name.sh" ]]; then exec bash "bench/$name.sh" "$@"; fi
  exec python3 "bench/$name.py" "$@"
}
