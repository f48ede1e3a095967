#!/usr/bin/env bash
# What a `cvops repro` costs when nothing changed, and when one parameter changed and changed back.
# Works in a fresh clone with the committed data; the first repro (minutes) is not measured.
#   RUNS=20     runs of the no-op (default)
#   EPOCHS=2    epochs of the first repro, to save time (default: as committed)
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
need_bin; machine
cd "$(clone noop)"
[ -z "${EPOCHS:-}" ] || set_param train.epochs "$EPOCHS"
say "first repro, not measured"
measure 1 "$bin" repro
measure "${RUNS:-20}" "$bin" repro
row "second \`cvops repro\`, nothing changed: wall" "$(ms "$wall")" "< 30 ms"
row "second \`cvops repro\`, nothing changed: CPU" "$(ms "$cpu")" "recorded"

# Files hashed, seen from outside: how many regular files of the data a no-op opens for reading.
# The program's own count is not asked, so that it cannot flatter itself.
if command -v strace >/dev/null; then
  strace -f -e trace=openat,open -o "$scratch/trace" "$bin" repro >/dev/null 2>&1
  # The `.gitignore` beside outputs is looked at; it is neither data nor an output.
  opened=$(grep -v '/\.gitignore"' "$scratch/trace" | grep -cE '"[^"]*(data/fashion5k|data/prepared|models|reports)/[^"]*", O_RDONLY(\|O_CLOEXEC)?\)? *= [0-9]' || true)
  row "second \`cvops repro\`: data and output files opened for reading (strace)" "$opened" "0"
else
  say "strace is not installed: files are counted by their access times instead"
  find data models reports -type f -exec touch -a -d '2001-01-01' {} + 2>/dev/null || true
  # atime is only a witness where the file system keeps it: read one file to see.
  touch -a -d '2001-01-01' params.yaml && cat params.yaml >/dev/null
  if [ -n "$(find params.yaml -newerat '2002-01-01')" ]; then
    "$bin" repro >/dev/null 2>&1 # sees nothing new: atime is no part of the stat cache's key
    opened=$(find data models reports -type f -newerat '2002-01-01' | wc -l)
    row "second \`cvops repro\`: data and output files read (atime)" "$opened" "0"
  else
    row "second \`cvops repro\`: files read" "not measured (no strace, no atime)" "0"
  fi
fi

# One parameter there and back.
epochs=$(get_param train.epochs)
set_param train.epochs $((epochs + 1))
measure 1 "$bin" repro --json
ran=$(python3 - "$scratch/out" <<'PY'
import json, re, sys
text = open(sys.argv[1]).read()
events = []
for line in text.splitlines():
    try:
        events.append(json.loads(line))
    except ValueError:
        pass
def stage(e):
    s = e.get("stage") or e.get("name") or "?"
    return s if isinstance(s, str) else s.get("name", "?")
names = [stage(e) for e in events
         if isinstance(e, dict) and str(e.get("event") or e.get("type") or e.get("kind")).lower() == "started"]
print(", ".join(dict.fromkeys(names)) or "none seen in --json")
PY
)
row "change \`train.epochs\`: stages run" "$ran" "train, evaluate"
set_param train.epochs "$epochs"
measure 1 "$bin" repro
row "change it back: restored, wall" "$(ms "$wall")" "< 1 s"
