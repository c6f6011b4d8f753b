# shellcheck shell=bash
# shellcheck disable=SC2154  # root, role, home, logs, artifact and wheelhouse are bootstrap.sh's, which sources this file
# Sets up an Amazon Linux 2023 machine for the process of its role manifest, and waits for the first answer.
# A step that is already done is skipped. A folder or file is either complete or missing.

etc=$root/etc/vectorfleet
data=$root/var/lib/vectorfleet
units=$root/etc/systemd/system
agent=$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl
applied=$etc/applied

install_service() {
  mkdir -p "$data" "$etc" "$units"
  # The agent comes first, so that CloudWatch has the log of a boot that fails below.
  configure_agent
  check_cpu
  install_packages
  install_wheels
  make_user
  configure_service
  configure_log
  start_service
  await_service
  say "the service answers."
}

# The features of x86-64-v3 above the lower levels, by the kernel's names; it calls lzcnt abm.
check_cpu() {
  local flags flag missing=""
  flags=" $(grep -m 1 '^flags' "$root/proc/cpuinfo" || true) "
  for flag in abm avx avx2 bmi1 bmi2 f16c fma movbe xsave; do
    [[ $flags == *" $flag "* ]] || missing+=" $flag"
  done
  [ -z "$missing" ] ||
    refuse "this CPU is below x86-64-v3, for which the wheels are compiled: it lacks$missing. Use a type of the catalog."
}

# Amazon's package repository is in S3 and pinned to the image's release, so every launch gets the same packages.
install_packages() {
  ! command -v python3.11 >/dev/null || ! command -v logrotate >/dev/null || return 0
  again dnf install --assumeyes --quiet python3.11 libstdc++ logrotate ||
    refuse "dnf cannot install Python 3.11 and logrotate: is Amazon's repository reachable through the S3 endpoint?"
}

# The file `complete` is written last. Without it the environment is made again.
install_wheels() {
  local list=service.txt
  [ -z "$(field model "")" ] || list=onnx.txt
  [ "$(field environment.VECTORFLEET_ROLE)" != generator ] || list=loadtests.txt
  venv=$home/venv-${wheelhouse##*-}
  [ ! -e "$venv/complete" ] || return 0
  rm -rf "$venv"
  python3.11 -m venv "$venv"
  "$venv/bin/python" -m pip install --quiet --no-index --no-deps --no-cache-dir --disable-pip-version-check \
    --only-binary :all: --require-hashes --find-links "$wheelhouse/wheels" --requirement "$wheelhouse/$list" ||
    refuse "the wheelhouse lacks a wheel of its list, or has another version; run make artifact and deploy again."
  "$venv/bin/python" -m pip check --disable-pip-version-check >/dev/null ||
    refuse "the packages of the wheelhouse do not fit each other; run make lock, then make artifact, and deploy again."
  touch "$venv/complete"
}

make_user() {
  id vectorfleet >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /sbin/nologin vectorfleet
  chown vectorfleet:vectorfleet "$data"
}

# place FILE CONTENT: write the file if its content differs, and mark the service as not applied before that.
place() {
  [ "$(cat "$1" 2>/dev/null)" != "$2" ] || return 0
  rm -f "$applied"
  printf '%s\n' "$2" >"$1.draft"
  mv "$1.draft" "$1"
}

configure_service() {
  local address instance zone environment command unit
  address=$(metadata local-ipv4)
  instance=$(metadata instance-id)
  zone=$(metadata placement/availability-zone)
  environment=$(environment_file "$address" "$instance" "$zone")
  place "$etc/environment" "$environment"
  command=$(command_line)
  unit=$(unit_file "$command")
  place "$units/vectorfleet.service" "$unit"
}

environment_file() {
  python3 - "$role" <<'PYTHON'
import json, sys

for name, value in json.load(open(sys.argv[1]))["environment"].items():
    print(f"{name}={json.dumps(value)}")
PYTHON
  [ -z "$(field model "")" ] || printf 'VECTORFLEET_MODEL_FOLDER=%s\n' "$home/model-$(field model.sha256)"
  cat <<ENVIRONMENT
VECTORFLEET_HOST=$1
VECTORFLEET_INSTANCE=$2
VECTORFLEET_ZONE=$3
VECTORFLEET_DATA=$data
PATH=$venv/bin:/usr/bin:/bin
PYTHONPATH=$artifact
PYTHONUNBUFFERED=1
HOME=$data
LANG=C.UTF-8
ENVIRONMENT
}

# argv[0] is `python`. systemd needs a path, and the service runs only with the environment's interpreter.
command_line() {
  python3 - "$role" "$venv/bin/" <<'PYTHON'
import json, shlex, sys

first, *rest = json.load(open(sys.argv[1]))["argv"]
print(shlex.join([sys.argv[2] + first, *rest]))
PYTHON
}

# hnswlib holds the interpreter for less than WatchdogSec while it loads a shard of 10 million vectors.
# Five starts by the watchdog alone take 15 minutes, so the start limit counts over 20 minutes.
unit_file() {
  cat <<UNIT
[Unit]
Description=vectorfleet $(field environment.VECTORFLEET_ROLE)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=1200
StartLimitBurst=5
# The group replaces an instance that is off. It would keep one that runs without the service.
StartLimitAction=poweroff

[Service]
Type=notify
NotifyAccess=all
WatchdogSec=180
TimeoutStartSec=300
User=vectorfleet
WorkingDirectory=$data
EnvironmentFile=$etc/environment
ExecStart=$1
StandardOutput=append:$logs/service.log
StandardError=append:$logs/service.log
Restart=always
RestartSec=1
TimeoutStopSec=60
LimitNOFILE=65536
MemoryMax=92%
OOMPolicy=continue
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ReadWritePaths=$data

[Install]
WantedBy=multi-user.target
UNIT
}

# Every minute, since with a daily rotation the service could fill the disk within an hour.
configure_log() {
  place "$etc/logrotate.conf" "$logs/*.log {
  size 64M
  rotate 4
  copytruncate
  missingok
  notifempty
}"
  place "$units/vectorfleet-log.service" "[Unit]
Description=vectorfleet: keep the log files small

[Service]
Type=oneshot
ExecStart=/usr/sbin/logrotate --state $root/var/lib/vectorfleet-logrotate.status $etc/logrotate.conf"
  place "$units/vectorfleet-log.timer" "[Unit]
Description=vectorfleet: keep the log files small

[Timer]
OnBootSec=1min
OnUnitActiveSec=1min

[Install]
WantedBy=timers.target"
  # The agent reads files alone, so this unit writes the messages of kernel (memory) and systemd (restarts, watchdog).
  place "$units/vectorfleet-journal.service" "[Unit]
Description=vectorfleet: messages of kernel and systemd on the service, in a file

[Service]
ExecStart=/usr/bin/journalctl --follow --boot --lines=all --output=short-iso \\
  _TRANSPORT=kernel + UNIT=vectorfleet.service
StandardOutput=append:$logs/system.log
Restart=always
RestartSec=5

[Install]
WantedBy=multi-user.target"
}

start_service() {
  if [ -e "$applied" ]; then
    systemctl start --no-block vectorfleet.service
    return 0
  fi
  systemctl daemon-reload
  systemctl enable vectorfleet.service
  systemctl enable --now vectorfleet-log.timer vectorfleet-journal.service
  systemctl restart --no-block vectorfleet.service
  touch "$applied"
}

await_service() {
  local address port attempt
  address=$(metadata local-ipv4)
  port=$(field environment.VECTORFLEET_PORT)
  for attempt in {1..200}; do
    ! curl --fail --silent --output /dev/null --max-time 2 "http://$address:$port/healthz" || return 0
    [ "$attempt" = 200 ] || sleep 1
  done
  tail -n 20 "$logs/service.log" || true
  refuse "the service does not answer at http://$address:$port/healthz; its last log lines, if any, are above."
}

# A failure of the agent costs logs and memory metrics; it is no reason to lose a machine that can serve.
configure_agent() {
  local file=$etc/cloudwatch-agent.json config
  if [ ! -x "$agent" ] && ! dnf install --assumeyes --quiet amazon-cloudwatch-agent; then
    say "the CloudWatch agent cannot be installed; the service runs without it."
    return 0
  fi
  config=$(agent_file)
  [ "$(cat "$file.applied" 2>/dev/null)" != "$config" ] || return 0
  printf '%s\n' "$config" >"$file"
  if "$agent" -a fetch-config -m ec2 -s -c "file:$file" >/dev/null; then
    cp "$file" "$file.applied"
  else
    say "the CloudWatch agent does not start; the service runs without it."
  fi
}

agent_file() {
  python3 - "$role" "$logs" <<'PYTHON'
import json, sys

place = json.load(open(sys.argv[1]))["environment"]
fleet, slot, role = (place[f"VECTORFLEET_{name}"] for name in ("FLEET", "SLOT", "ROLE"))
streams = {"service": "{instance_id}", "system": "{instance_id}-system", "bootstrap": "{instance_id}-bootstrap"}
group = {"log_group_name": f"/vectorfleet/{fleet}/service"}
logs = [
    {"file_path": f"{sys.argv[2]}/{name}.log", "log_stream_name": stream, **group} for name, stream in streams.items()
]
dimensions = {"Fleet": fleet, "Slot": slot, "Role": role}
memory = {"measurement": ["mem_used_percent"], "append_dimensions": dimensions}
config = {
    # A host name would be a fourth dimension, and alarms look for exactly three.
    "agent": {"metrics_collection_interval": 60, "omit_hostname": True, "run_as_user": "cwagent"},
    "logs": {"logs_collected": {"files": {"collect_list": logs}}},
    "metrics": {"namespace": "vectorfleet", "metrics_collected": {"mem": memory}},
}
print(json.dumps(config, indent=1))
PYTHON
}
