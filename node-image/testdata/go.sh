#!/bin/sh
# A go command for tests: "builds" programs that hold their package's name.
echo "$*" >> "$FAKE_DIR/go.log"
if [ -e "$FAKE_DIR/go.fails" ]; then cat "$FAKE_DIR/go.fails" >&2; exit 1; fi
case $1 in
env)
  case $2 in
  GOVERSION) cat "$FAKE_DIR/go.version" ;;
  GOROOT) echo /goroot ;;
  GOMODCACHE) echo /modules ;;
  esac ;;
list) echo "$FAKE_DIR/module" ;;
test) # -c -o PROGRAM ... PACKAGE
  out=$4
  for p; do :; done
  echo "$p" > "$out" ;;
build)
  out=$3
  shift 3
  for p; do
    case $p in
    -*) ;;
    */v[0-9]) echo "$p" > "$out$(basename "$(dirname "$p")")" ;;
    *) echo "$p" > "$out$(basename "$p")" ;;
    esac
  done ;;
esac
