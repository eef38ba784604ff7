#!/usr/bin/env bash
# Trains one experiment on a machine that has nothing yet, and ends the machine, whatever happens.
#
#     MORPHOSPACE_RUN=wide MORPHOSPACE_BUCKET=my-bucket MORPHOSPACE_MINUTES=120 bash cloud/entry.sh z_dim=150
#
# It runs in a fresh clone of the repository; arguments are settings for `dvc exp run -S`. Credentials come from the
# machine's role or the environment, AWS_REGION is the bucket's. In the bucket, runs/RUN/ holds log.txt, used (seconds
# paid so far, on all machines), ended (the exit code) and experiment.bundle; checkpoints/RUN/ holds what the next
# machine goes on from.
#
#     MORPHOSPACE_MINUTES   limit of all machines of this run together: time and money
#     MORPHOSPACE_SHUTDOWN  what ends the machine, given +MINUTES (default: sudo shutdown -P); `true` keeps it
#     MORPHOSPACE_GPU       when set, a machine whose GPU torch cannot use ends at once
#     MORPHOSPACE_SYNC      seconds between two looks at the checkpoints (default: 30)
set -euo pipefail
cd "$(dirname "$0")/.."
run=${MORPHOSPACE_RUN:?the name of the experiment} bucket=${MORPHOSPACE_BUCKET:?} minutes=${MORPHOSPACE_MINUTES:?}
shutdown=${MORPHOSPACE_SHUTDOWN:-sudo shutdown -P}   # off, not halted: a halted machine is paid for
$shutdown "+$minutes"   # first of all: holds even when this script is killed

say() { printf '%s %s\n' "$(date -u +%H:%M:%S)" "$*"; }
export MORPHOSPACE_SCRATCH=${MORPHOSPACE_SCRATCH:-$HOME/.cache/morphospace}
mkdir -p "$MORPHOSPACE_SCRATCH/train"
log=$MORPHOSPACE_SCRATCH/log.txt frozen=$MORPHOSPACE_SCRATCH/frozen
exec > >(tee "$log") 2>&1

export PATH=$PWD/.venv/bin:$PATH
provider=${AWS_ENDPOINT_URL:+Rclone}   # AWS, or the server of `make s3`
export RCLONE_CONFIG_S3_TYPE=s3 RCLONE_CONFIG_S3_PROVIDER=${provider:-AWS} RCLONE_CONFIG_S3_ENV_AUTH=true
export RCLONE_CONFIG_S3_NO_CHECK_BUCKET=true RCLONE_CONFIG_S3_ENDPOINT=${AWS_ENDPOINT_URL:-}
export RCLONE_CONFIG_S3_REGION=${AWS_REGION:-}
[ -z "${AWS_REGION:-}" ] || export AWS_DEFAULT_REGION=$AWS_REGION   # the one that DVC's client reads
home=s3:$bucket/runs/$run checkpoints=s3:$bucket/checkpoints/$run
bucket() { timeout 120 rclone --config= --retries=2 --contimeout=10s "$@"; }

# An epoch's pictures are written before its checkpoint, which counts on them: freeze it, send the rest, then send it.
# What marks a training as done stays here: the stages after it may have to run again elsewhere, and it not.
# An object appears when it is whole, so what another machine finds is always the state after some epoch.
mirror() {
    local found=(find . -name checkpoint.safetensors -exec cp -l --parents -t "$frozen" '{}' +)
    rm -rf "$frozen" && mkdir "$frozen" && (cd "$MORPHOSPACE_SCRATCH/train" && "${found[@]}") &&
        bucket copy "$MORPHOSPACE_SCRATCH/train" "$checkpoints" --exclude '.*' --exclude 'checkpoint*' --exclude done.json &&
        bucket copy "$frozen" "$checkpoints" &&
        bucket copyto "$log" "$home/log.txt" &&
        { [ -z "$before" ] || echo $((before + SECONDS)) | bucket rcat "$home/used"; }
}

# finish CODE: whatever happened, save what there is and end the machine. A signal means that the machine was taken
# away: such a run may go on elsewhere. Every other end is final, and a machine started for it again stops at once.
finish() {
    trap '' EXIT TERM INT HUP
    [ -z "$job" ] || kill -KILL -- "-$job" 2>/dev/null || true
    say "Ends with code $1 after $((SECONDS / 60)) minutes."
    mirror || say "The last state could not be saved in $bucket."
    case $1 in 129 | 130 | 143) ;; *) echo "$1" | bucket rcat "$home/ended" || true ;; esac
    $shutdown +2   # time for whoever watches to read the end; replaces the first one
    exit "$1"
}
job='' before=''
trap 'finish $?' EXIT
trap 'exit 129' HUP; trap 'exit 130' INT; trap 'exit 143' TERM

work() {
    export GIT_AUTHOR_NAME=morphospace GIT_AUTHOR_EMAIL=morphospace@localhost
    export GIT_COMMITTER_NAME=morphospace GIT_COMMITTER_EMAIL=morphospace@localhost
    dvc config --local remote.store.url "s3://$bucket/dvc"
    env PYTHONPATH=src python -m morphospace doctor --lock   # a kill may have torn dvc.lock
    # What training and the stages after it read; the raw images and the labels stay in the bucket.
    sed -nE 's|^ +- path: (data/.*)|\1|p' dvc.lock | sort -u |
        grep -vE '^data/(raw|illumination|objects|models|embeddings|package|timings$)' | xargs dvc pull
    bucket copy "$checkpoints" "$MORPHOSPACE_SCRATCH/train"
    dvc exp run --pull --allow-missing --name "$run" "${@/#/--set-param=}"
    dvc push --run-cache
    local bundle=$MORPHOSPACE_SCRATCH/experiment.bundle made
    made=$(git for-each-ref --format='%(refname)' "refs/exps/*/*/$run")
    git bundle create "$bundle" "HEAD..$made"
    bucket copyto "$bundle" "$home/experiment.bundle"
}

say "Run $run of commit $(git rev-parse --short HEAD) on $(hostname): $*"
bash environments/setup.sh training
ended=$(bucket cat "$home/ended") used=$(bucket cat "$home/used")   # empty when there is none
if [ -n "$ended" ]; then
    say "This run has ended already."
    trap - EXIT   # its log and checkpoints stay as they are
    $shutdown +2
    exit "$ended"
fi
before=${used:-0}
limit=$((minutes * 60 - before)) seen=$SECONDS
# A GPU that is paid for but not used, or too old for this torch, ends the run here.
[ -z "${MORPHOSPACE_GPU:-}" ] || python -c 'import torch; print(torch.ones(9, device="cuda").exp().sum().item())'
set -m   # a process group for the work: DVC leaves its children behind
work "$@" &
job=$!
set +m
while kill -0 "$job" 2>/dev/null; do
    if [ "$SECONDS" -ge "$limit" ]; then say "The limit of $minutes minutes is reached."; exit 124; fi
    if [ $((SECONDS - seen)) -ge "${MORPHOSPACE_SYNC:-30}" ]; then
        mirror || say "The bucket cannot be reached; trying again."
        seen=$SECONDS
    fi
    sleep 1
done
wait "$job"
