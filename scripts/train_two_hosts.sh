#!/usr/bin/env bash
# Trains one run on two hosts. The same line on both, but for the host's own number:
#
#   ./scripts/train_two_hosts.sh a:2222 b:2222 0 --preset=market1501 --data_dir=D --run_dir=R
#   ./scripts/train_two_hosts.sh a:2222 b:2222 1 --preset=market1501 --data_dir=D --run_dir=R
#
# Host 0 writes the run folder, host 1 must be able to read it. A worker that was killed, or that
# lost the other one, starts again, and both go on at the newest checkpoint. What ends the loop:
# training finished, bad input, Ctrl-C or SIGTERM.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

if [[ $# -lt 4 || ! "$3" =~ ^[01]$ ]]; then
  echo "usage: $0 HOST0:PORT HOST1:PORT OWN_NUMBER FLAGS_OF_DPIG_TRAIN..." >&2
  exit 1
fi
set_up
export PYTHONPATH="$ROOT${PYTHONPATH:+:$PYTHONPATH}"
export TF_CONFIG="{\"cluster\": {\"worker\": [\"$1\", \"$2\"]}, \"task\": {\"type\": \"worker\", \"index\": $3}}"

WORKER=
STOPPED=
stop() {
  STOPPED=yes
  [[ -z "$WORKER" ]] || kill -TERM "$WORKER" 2>/dev/null || true
}
trap stop INT TERM
# Jobs get a process group each, so that Ctrl-C reaches the worker through `stop` alone: to it, a
# second signal means that it shall not wait for the step and save.
set -m

while true; do
  "$PYTHON" -m dpig_tf2.cli.train --distribute=multi_worker "${@:4}" &
  WORKER=$!
  [[ -z "$STOPPED" ]] || stop # the signal came before the worker had its number
  wait "$WORKER" && STATUS=0 || STATUS=$?
  # A trapped signal ends `wait` early; the worker then saves and leaves in its own time.
  while kill -0 "$WORKER" 2>/dev/null; do
    wait "$WORKER" && STATUS=0 || STATUS=$?
  done
  if [[ "$STATUS" =~ ^(0|1|130)$ || -n "$STOPPED" ]]; then
    exit "$STATUS"
  fi
  echo "worker $3 ended with status $STATUS, starts again in 3 seconds" >&2
  sleep 3 &
  wait $! || true
  [[ -z "$STOPPED" ]] || exit 130
done
