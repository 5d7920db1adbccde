# ./dev run: the whole path once, on real data.

VEGA_DATASETS=3.2.1 # its stocks.csv: monthly prices, 2000 to 2010
TARE="$BUILD/bin/tare"

fetch_stocks() {
  local package="$CACHE/npm/node_modules/vega-datasets"
  if ! grep -qs "\"version\": \"$VEGA_DATASETS\"" "$package/package.json"; then
    title "market data (npm package vega-datasets $VEGA_DATASETS)"
    mkdir -p "$CACHE/npm"
    npm install --prefix "$CACHE/npm" --no-save --ignore-scripts --no-audit --no-fund --loglevel=error \
      "vega-datasets@$VEGA_DATASETS" </dev/null || fail 1 "npm could not install vega-datasets"
  fi
  STOCKS="$package/data/stocks.csv"
  [[ -s "$STOCKS" ]] || fail 1 "$STOCKS is missing from the package; remove $CACHE/npm and try again"
}

# Daemons whose program file was replaced by a newer build: `tare up` would keep them.
end_old_daemons() {
  local name pid
  for name in tared tare-launcher tare-store; do
    for pid in $(cat "$TARE_HOME/run/$name.pid" 2>/dev/null); do
      if [[ "$(readlink "/proc/$pid/exe" 2>/dev/null)" == "$BUILD/bin/$name (deleted)" ]]; then
        say "the daemons on $TARE_HOME are of an older build; ending them"
        "$TARE" down || true
        return
      fi
    done
  done
}

verb_run() {
  [[ $EUID -eq 0 ]] || fail 77 "the daemons need root: sudo ./dev run"
  export TARE_HOME="${TARE_HOME:-/var/lib/tare}"
  local agent=examples/stock-analyst out="$BUILD/stock-analyst" status=0 environment began
  setup_groups run
  verb_build
  fetch_stocks
  title "daemons on $TARE_HOME"
  end_old_daemons
  "$TARE" up --detach
  environment="$(sed -n 's/^environment = "\(.*\)"$/\1/p' "$agent/agent.toml")"
  title "environment $environment (once; a minute or two)"
  began=$SECONDS
  "$TARE" env build "$environment"
  [[ $((SECONDS - began)) -lt 2 ]] || say "environment: ready after $((SECONDS - began)) s"
  title "agent"
  "$TARE" agent apply "$agent"
  title "run"
  rm -rf "$out"
  mkdir -p "$out"
  "$TARE" run stock-analyst --input "$STOCKS" --out "$out" --json >"$BUILD/run.json" || status=$?
  python3 -B tools/dev/show_run.py "$BUILD/run.json" "$out" "$TARE"
  return "$status"
}
