#!/usr/bin/env bash
# One run on a machine that has nothing but Python 3.11 or newer, git and make: a rented GPU, any SSH box.
#     bash bare.sh REPOSITORY REVISION [ARGUMENTS OF stages.flow.flow...]
# Clones the revision, makes the environment from the lock, fetches what stale stages read, runs
# them, sends results to the DVC remote and the record to a branch runs/<date>. Run again after an
# interruption, it goes on from the last saved state; on another machine too if YOLO_RUNS is an
# address such as s3://bucket/prefix. Ends as the flow does: 0 done, 76 budget
# spent, anything else failed.
set -euo pipefail

repository=${1:?usage: bare.sh REPOSITORY REVISION [ARGUMENTS...]}
revision=${2:?usage: bare.sh REPOSITORY REVISION [ARGUMENTS...]}
shift 2
folder=${YOLO_FOLDER:-yolov1}

# held as long as the run: another would change the files under it
exec 9>"$folder.lock"
flock --nonblock 9 || { echo "error: another run is at work in $folder" >&2; exit 1; }
[ -d "$folder/.git" ] || git clone --quiet "$repository" "$folder"
cd "$folder"
git fetch --quiet --tags origin
# a branch moves: what the remote has counts
revision=$(git rev-parse --verify --quiet "origin/$revision^{commit}" ||
    git rev-parse --verify "$revision^{commit}")
# this clone is the worker's own; its results are kept on branches
git checkout --quiet --force --detach "$revision"
make setup
exec .venv/bin/python -m stages.flow --pull --push --record branch "$@"
