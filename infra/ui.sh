#!/usr/bin/env bash
# Serve MLflow, Prefect and the report on the loopback interface only, until Ctrl-C or until one of them ends.
set -euo pipefail

bin=${1:-.venv/bin}
home=127.0.0.1
logs=.edgepress/ui
names=()
pids=()

# Each server leads a session of its own, so that its workers end with it.
start() {
    setsid "${@:2}" >"$logs/$1.log" 2>&1 </dev/null &
    names+=("$1")
    pids+=("$!")
}

stop() {
    trap - EXIT INT TERM HUP
    for pid in "${pids[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
    wait
}

mkdir -p "$logs" reports
trap stop EXIT
trap 'exit 0' INT TERM HUP

start mlflow "$bin/mlflow" server --backend-store-uri "${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" \
    --host "$home" --port "$MLFLOW_PORT" --workers 1
# Its page would ask port 4200, or the server of the user's own profile.
PREFECT_UI_API_URL="http://$home:$PREFECT_PORT/api" \
    start prefect "$bin/prefect" server start --host "$home" --port "$PREFECT_PORT"
start report "$bin/python" -m http.server --bind "$home" --directory reports "$REPORT_PORT"

echo "MLflow   http://$home:$MLFLOW_PORT   runs, models and their aliases"
echo "Prefect  http://$home:$PREFECT_PORT   flows, tasks and their tables"
echo "report   http://$home:$REPORT_PORT   the last run's report"
echo "Logs are in $logs. Ctrl-C stops all three."

wait -n || true
for i in "${!pids[@]}"; do
    kill -0 "${pids[$i]}" 2>/dev/null || {
        echo "ui: ${names[$i]} stopped: $(tail -n 1 "$logs/${names[$i]}.log")" >&2
        exit 1
    }
done
