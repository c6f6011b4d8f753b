#!/bin/bash
# User data runs this at first boot on Amazon Linux 2023: fetch what the role manifest names, check it, install it.
# It stays thin: how a machine is set up lies in the artifact, in infra/boot/install.sh, and so behind the artifact's digest.
# There is no internet: S3 answers through the gateway endpoint. A second run finds everything done and changes nothing.
set -uo pipefail
umask 022

root=${VECTORFLEET_ROOT:-} # a folder instead of /, for tests
role=$root/etc/vectorfleet/role.json
home=$root/opt/vectorfleet
logs=$root/var/log/vectorfleet
log=$logs/bootstrap.log
imds=http://169.254.169.254/latest

say() {
  printf 'vectorfleet: %s\n' "$*"
}

refuse() {
  say "$*"
  exit 1
}

# field PATH [DEFAULT]: a value of the role manifest.
field() {
  python3 - "$role" "$@" <<'PYTHON'
import json, sys

value = json.load(open(sys.argv[1]))
for name in sys.argv[2].split("."):
    if name not in value:
        if len(sys.argv) == 4:
            value = sys.argv[3]
            break
        sys.exit(f"vectorfleet: the role manifest has no {sys.argv[2]}.")
    value = value[name]
print(value)
PYTHON
}

metadata() {
  local token
  token=$(curl --fail --silent --show-error --retry 5 --request PUT \
    --header "X-aws-ec2-metadata-token-ttl-seconds: 300" "$imds/api/token") || return 1
  curl --fail --silent --show-error --retry 5 --header "X-aws-ec2-metadata-token: $token" "$imds/meta-data/$1"
}

# again COMMAND…: up to six times, since a first boot may be faster than endpoints and permissions.
again() {
  local attempt
  for attempt in 1 2 3 4 5 6; do
    "$@" && return 0
    [ "$attempt" = 6 ] || sleep $((attempt * 5))
  done
  return 1
}

# fetch NAME: the zip that the manifest names, unpacked at $home/NAME-<sha256>, which only ever exists complete.
fetch() {
  local bucket key sha256 draft
  bucket=$(field "$1.bucket")
  key=$(field "$1.key")
  sha256=$(field "$1.sha256")
  [ ! -d "$home/$1-$sha256" ] || return 0
  draft=$home/draft
  rm -rf "$draft"
  mkdir "$draft"
  again aws s3 cp --only-show-errors "s3://$bucket/$key" "$draft/object.zip" ||
    refuse "s3://$bucket/$key can't be fetched: the object, the role's permission or the S3 endpoint is missing."
  printf '%s  %s\n' "$sha256" "$draft/object.zip" | sha256sum --check --status ||
    refuse "s3://$bucket/$key isn't what the role manifest names: its sha256 is not $sha256. Nothing of it was run."
  python3 -m zipfile -e "$draft/object.zip" "$draft/content"
  mv "$draft/content" "$home/$1-$sha256"
  rm -rf "$draft"
}

boot() {
  set -e
  [ -n "$(field wheelhouse "")" ] ||
    refuse "the role manifest names no wheelhouse; run make artifact, then deploy the stack again."
  AWS_DEFAULT_REGION=$(field environment.AWS_REGION)
  export AWS_DEFAULT_REGION
  mkdir -p "$home"
  fetch artifact
  fetch wheelhouse
  [ -z "$(field model "")" ] || fetch model
  artifact=$home/artifact-$(field artifact.sha256)
  wheelhouse=$home/wheelhouse-$(field wheelhouse.sha256)
  # shellcheck source=infra/boot/install.sh
  . "$artifact/infra/boot/install.sh"
  install_service
}

# The group's launch hook would wait for a node that never starts; its name is in the manifest where there is one.
abandon() {
  local hook region instance group
  hook=$(field environment.VECTORFLEET_LIFECYCLE_HOOK "")
  [ -n "$hook" ] || return 0
  region=$(field environment.AWS_REGION)
  instance=$(metadata instance-id)
  group=$(metadata tags/instance/aws:autoscaling:groupName 2>/dev/null) ||
    group=$(aws autoscaling describe-auto-scaling-instances --region "$region" --instance-ids "$instance" \
      --query 'AutoScalingInstances[0].AutoScalingGroupName' --output text)
  aws autoscaling complete-lifecycle-action --region "$region" --lifecycle-hook-name "$hook" \
    --auto-scaling-group-name "$group" --instance-id "$instance" --lifecycle-action-result ABANDON ||
    say "the launch hook $hook could not be told; it times out by itself."
}

mkdir -p "$logs"
(boot) 2>&1 | tee -a "$log"
[ "${PIPESTATUS[0]}" != 0 ] || exit 0
reason=$(tail -n 1 "$log")
abandon 2>&1 | tee -a "$log"
say "the machine powers off, and its group starts another. Reason: ${reason#vectorfleet: }" | tee -a "$log"
# The agent ships logs every five seconds.
[ ! -x "$root/opt/aws/amazon-cloudwatch-agent/bin/amazon-cloudwatch-agent-ctl" ] || sleep 10
systemctl poweroff
exit 1
