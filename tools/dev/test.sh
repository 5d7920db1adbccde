# ./dev test, sim, fuzz, interop.

verb_test() {
  local labels=(-LE full)
  case "${1:-}" in
    '') ;;
    full) labels=() ;;
    vm)
      test_vm
      return
      ;;
    *) fail 64 "test takes nothing, 'full' or 'vm', not '$1'" ;;
  esac
  [[ -z "${FILTER:-}" ]] || labels+=(-R "$FILTER")
  verb_build
  title "test"
  rm -rf "$BUILD/test_results"
  mkdir -p "$BUILD/test_results"
  # Tests that need the kernel to themselves say so (RUN_SERIAL); the others share the cores.
  local status=0
  ctest --test-dir "$BUILD" -j "$JOBS" "${labels[@]}" --output-on-failure --no-tests=error \
    --output-junit "$BUILD/test_results/ctest.junit" </dev/null || status=$?
  python3 -B tools/test_summary.py "$BUILD" "$status"
}

# The suites that touch the kernel, on Debian's own kernel with cgroup v2 alone (tests/vm/run.py). FILTER=regex picks
# suites by name.
test_vm() {
  verb_setup vm
  verb_build
  title "test vm"
  exec python3 -B tests/vm/run.py "$BUILD/bin" "$CACHE" "${FILTER:-}"
}

verb_sim() {
  [[ -e tests/sim/CMakeLists.txt ]] || fail 64 "there are no simulation tests yet"
  verb_setup
  build_targets sim
  exec "$BUILD/bin/sim" "$@"
}

verb_interop() {
  [[ -x tests/interop/run ]] || fail 64 "there are no interoperability suites yet"
  verb_setup interop
  verb_build
  exec tests/interop/run "$@"
}

# Builds the targets with clang and libFuzzer in a folder of their own; only the modules they include are compiled.
verb_fuzz() {
  local only="" seconds=60 name failed=0 names
  if [[ "${1:-}" =~ ^[0-9]+$ ]]; then
    seconds="$1"
  else
    only="${1:-}"
    seconds="${2:-60}"
  fi
  [[ "$seconds" =~ ^[0-9]+$ ]] || fail 64 "fuzz takes [NAME] [SECONDS], not '$seconds'"
  mapfile -t names < <(cd tests/fuzz && for f in *_fuzz.cpp; do [[ -e $f ]] && echo "${f%_fuzz.cpp}"; done)
  if [[ -n "$only" ]]; then
    [[ " ${names[*]} " == *" $only "* ]] || fail 64 "there is no fuzz target '$only'; there are: ${names[*]}"
    names=("$only")
  fi
  [[ ${#names[@]} -gt 0 ]] || fail 64 "there are no fuzz targets yet"
  verb_setup fuzz
  local build="$ROOT/build/fuzz"
  [[ -f "$build/build.ninja" ]] || cmake -S "$ROOT" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo \
    -DTARE_FUZZ=ON -DCMAKE_C_COMPILER=clang-19 -DCMAKE_CXX_COMPILER=clang++-19 >/dev/null
  ninja -C "$build" -j "$JOBS" "${names[@]/#/fuzz_}"
  for name in "${names[@]}"; do
    local corpus="$CACHE/fuzz/$name" seeds="tests/fuzz/seeds/$name"
    mkdir -p "$corpus"
    [[ -d "$seeds" ]] || seeds=""
    title "fuzz $name for $seconds s"
    # shellcheck disable=SC2086
    "$build/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="$corpus-" "$corpus" $seeds >"$corpus.log" 2>&1 </dev/null || {
      failed=1
      tail -n 40 "$corpus.log" >&2
    }
    grep -E '^stat::(number_of_executed_units|average_exec_per_sec)|^SUMMARY|Test unit written' "$corpus.log" || true
  done
  [[ $failed -eq 0 ]] || fail 1 "a fuzz target crashed; its input is in .cache/fuzz/"
}
