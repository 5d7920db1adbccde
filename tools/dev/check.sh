# ./dev check, fmt. What was found good is not looked at again until it changes: .cache/check/<tool>/<hash> is an empty
# file, where the hash covers everything the verdict depends on.

cpp_files() { git ls-files -c -o --exclude-standard -- "$@" | grep -E '\.(cpp|h)$' || true; }

# remembered TOOL KEY: was this found good before?
remembered() { [[ -e "$CACHE/check/$1/$2" ]]; }
remember() {
  mkdir -p "$CACHE/check/$1"
  : >"$CACHE/check/$1/$2"
}

check_format() {
  title "layout (clang-format-19)"
  local files style key todo=() file hash
  mapfile -t files < <(cpp_files src tests bench)
  style="$(sha256sum <.clang-format | cut -c1-16)"
  while read -r hash file; do
    key="$style-${hash:0:32}"
    remembered format "$key" || todo+=("$key $file")
  done < <(sha256sum "${files[@]}")
  local bad=0
  for entry in "${todo[@]}"; do
    read -r key file <<<"$entry"
    if clang-format-19 --dry-run -Werror "$file" >/dev/null 2>&1; then
      remember format "$key"
    else
      bad=$((bad + 1))
      say "$file: not as .clang-format has it"
    fi
  done
  say "${#files[@]} files, ${#todo[@]} looked at, $bad to change${bad:+}"
  [[ $bad -eq 0 ]] || { say "./dev fmt [FILE...] changes them"; return 1; }
}

# Every header compiles on its own, as the first thing a unit includes. -fsyntax-only; the verdict depends on the
# header and on all it includes, which the compiler lists.
check_headers() {
  title "self-contained headers"
  python3 -B tools/header_check.py "$BUILD/compile_commands.json" "$CACHE/check/headers" "$JOBS"
}

check_clang_tidy() {
  title "clang-tidy-19 (${1:-changed files})"
  local mode="${1:-}"
  python3 -B tools/clang_tidy.py "$BUILD/compile_commands.json" "$CACHE/check/tidy" "$JOBS" ${mode:+--all}
}

verb_check() {
  local all=""
  case "${1:-}" in
    '') ;;
    --all) all=all ;;
    *) fail 64 "check takes nothing or --all, not '$1'" ;;
  esac
  verb_setup check
  configure
  cmake "$BUILD" >/dev/null # new files get their compile commands
  local failed=0
  check_format || failed=1
  title "house rules (tools/tidy.py)"
  python3 -B tools/tidy.py || failed=1
  check_headers || failed=1
  check_clang_tidy "$all" || failed=1
  [[ $failed -eq 0 ]] || fail 1 "check found something"
  say "check: all well"
}

verb_fmt() {
  verb_setup check
  local files=("$@")
  local file
  for file in "${files[@]}"; do
    [[ -f "$file" && "$file" =~ \.(cpp|h|c)$ ]] ||
      fail 64 "fmt: '$file' is no C++ file: name .cpp and .h files, or none"
  done
  [[ ${#files[@]} -gt 0 ]] || mapfile -t files < <(cpp_files src tests bench)
  clang-format-19 -i "${files[@]}"
  say "fmt: ${#files[@]} files as .clang-format has them"
}
