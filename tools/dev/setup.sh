# ./dev setup: packages, user and group. Quick and silent about what is there; says what it does.

# The packages of the groups named that must be there, one a line.
wanted_packages() {
  local group package rest
  while read -r group package rest; do
    [[ " $* " == *" $group "* ]] || continue
    [[ "$rest" =~ ^unless=([a-z0-9]+) ]] && have "${BASH_REMATCH[1]}" && continue
    printf '%s\n' "$package"
  done < <(sed 's/#.*//' tools/packages.txt) | sort -u
}

missing_packages() {
  local wanted
  mapfile -t wanted < <(wanted_packages "$@")
  [[ ${#wanted[@]} -gt 0 ]] || return 0
  dpkg-query -W -f '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null |
    sed -n 's/ installed$//p' | sort -u | comm -13 - <(printf '%s\n' "${wanted[@]}" | sort -u)
}

# apt-get, waiting for another one to finish rather than failing.
apt_get() {
  DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=900 -o Dpkg::Use-Pty=0 \
    -o Acquire::Retries=3 "$@" </dev/null
}

# Updates the package lists; `apt-get update` does not wait for its lock, so we do. A list that cannot be fetched is
# not an error here: whether the packages can be had is found out by installing them.
apt_update() {
  local attempt log
  log="$(mktemp)"
  for attempt in $(seq 1 60); do
    if apt_get update >"$log" 2>&1 || ! grep -q 'Could not get lock\|Unable to lock' "$log"; then
      break
    fi
    [[ $attempt -gt 1 ]] || say "setup: waiting for another apt to finish"
    sleep 5
  done
  grep -E '^(E|W|Err)' "$log" | head -n 5 >&2 || true
  rm -f "$log"
}

# setup_groups build test: installs what is missing of these groups.
setup_groups() {
  local missing log
  mapfile -t missing < <(missing_packages "$@")
  [[ ${#missing[@]} -gt 0 ]] || return 0
  [[ $EUID -eq 0 ]] || fail 77 "these packages are missing: ${missing[*]}; run ./dev setup as root"
  say "setup: installing ${#missing[@]} packages: ${missing[*]}"
  apt_update
  mkdir -p "$CACHE"
  log="$CACHE/apt.log"
  if ! apt_get install --no-install-recommends "${missing[@]}" >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    fail 1 "apt-get could not install the packages; the whole output is in $log"
  fi
  say "setup: packages installed"
}

# tared runs as this user, and its group may talk to it (docs/threat_model.md).
setup_user() {
  if ! getent group tare >/dev/null; then
    [[ $EUID -eq 0 ]] || fail 77 "the group tare is missing; run ./dev setup as root"
    say "setup: creating the system group tare"
    groupadd --system tare
  fi
  if ! getent passwd tare >/dev/null; then
    [[ $EUID -eq 0 ]] || fail 77 "the user tare is missing; run ./dev setup as root"
    say "setup: creating the system user tare"
    useradd --system --gid tare --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin tare
  fi
}

verb_setup() {
  [[ -r /etc/debian_version ]] && have dpkg-query || fail 64 "set-up needs Debian (bookworm)"
  setup_groups build test "$@"
  setup_user
}
