#!/bin/bash
# Runs once at first boot on Amazon Linux 2023: fetch the artifact, check it, install it, hand over to systemd.
# There is no internet: S3 answers through the gateway endpoint, and Amazon's package repository lies in S3 too.
set -euo pipefail

role=/etc/vectorfleet/role.json
home=/opt/vectorfleet
data=/var/lib/vectorfleet

field() {
  python3 -c 'import functools, json, sys
print(functools.reduce(lambda value, key: value[key], sys.argv[2].split("."), json.load(open(sys.argv[1]))))' "$role" "$1"
}

metadata() {
  curl --fail --silent --show-error --retry 5 --header "X-aws-ec2-metadata-token: $token" \
    "http://169.254.169.254/latest/meta-data/$1"
}

fetch_artifact() {
  local attempt
  for attempt in 1 2 3 4 5 6; do
    if aws s3 cp --only-show-errors "s3://$bucket/$key" "$home/artifact.zip"; then
      return 0
    fi
    echo "artifact not fetched, attempt $attempt of 6" >&2
    sleep $((attempt * 5))
  done
  return 1
}

install_artifact() {
  echo "$sha256  $home/artifact.zip" | sha256sum --check --quiet
  rm -rf "$home/artifact" "$home/venv"
  python3 -m zipfile -e "$home/artifact.zip" "$home/artifact"
  command -v python3.11 >/dev/null || dnf install --assumeyes --quiet python3.11
  python3.11 -m venv "$home/venv"
  if [ -d "$home/artifact/wheels" ]; then
    "$home/venv/bin/pip" install --quiet --no-index --find-links "$home/artifact/wheels" "$home"/artifact/wheels/*.whl
  fi
}

write_environment() {
  python3 - "$role" <<'PYTHON'
import json, sys
for name, value in json.load(open(sys.argv[1]))["environment"].items():
    print(f"{name}={value}")
PYTHON
  cat <<ENVIRONMENT
VECTORFLEET_HOST=$address
VECTORFLEET_INSTANCE=$instance
VECTORFLEET_ZONE=$zone
VECTORFLEET_DATA=$data
PATH=$home/venv/bin:/usr/bin:/bin
PYTHONPATH=$home/artifact
PYTHONUNBUFFERED=1
HOME=$data
LANG=C.UTF-8
ENVIRONMENT
}

# argv[0] is `python`; systemd wants a path, and the venv's is the only one the service may run with.
command_line() {
  python3 - "$role" "$home/venv/bin/" <<'PYTHON'
import json, shlex, sys
first, *rest = json.load(open(sys.argv[1]))["argv"]
print(shlex.join([sys.argv[2] + first, *rest]))
PYTHON
}

write_unit() {
  cat <<UNIT
[Unit]
Description=vectorfleet $(field environment.VECTORFLEET_ROLE)
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=60
StartLimitBurst=5
# The group replaces a machine that is off; one that only stopped trying would stay for ever.
StartLimitAction=poweroff

[Service]
User=vectorfleet
WorkingDirectory=$data
EnvironmentFile=/etc/vectorfleet/environment
ExecStart=$(command_line)
Restart=always
RestartSec=1
TimeoutStopSec=60
LimitNOFILE=65536
MemoryMax=92%
OOMPolicy=stop
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
ReadWritePaths=$data

[Install]
WantedBy=multi-user.target
UNIT
}

token=$(curl --fail --silent --show-error --retry 5 --request PUT \
  --header "X-aws-ec2-metadata-token-ttl-seconds: 300" http://169.254.169.254/latest/api/token)
address=$(metadata local-ipv4)
instance=$(metadata instance-id)
zone=$(metadata placement/availability-zone)
bucket=$(field artifact.bucket)
key=$(field artifact.key)
sha256=$(field artifact.sha256)
AWS_DEFAULT_REGION=$(field environment.AWS_REGION)
export AWS_DEFAULT_REGION

id vectorfleet >/dev/null 2>&1 || useradd --system --home-dir "$data" --shell /sbin/nologin vectorfleet
install --directory --owner vectorfleet --group vectorfleet "$data"
install --directory "$home"
fetch_artifact
install_artifact
write_environment >/etc/vectorfleet/environment
write_unit >/etc/systemd/system/vectorfleet.service
systemctl daemon-reload
systemctl enable --now vectorfleet.service
