#!/bin/sh
# In the folders of mercure or of a MONAI application package, where these are set: grades the study that lies there.
# Otherwise: whatever stenograde is asked for.
set -eu
study="${MERCURE_IN_DIR:-${HOLOSCAN_INPUT_PATH:-${MONAI_INPUTPATH:-}}}"
out="${MERCURE_OUT_DIR:-${HOLOSCAN_OUTPUT_PATH:-${MONAI_OUTPUTPATH:-}}}"
if [ -z "$study" ] || [ -z "$out" ]; then
    exec stenograde "$@"
fi
made="$(mktemp -d)"
trap 'rm -rf "$made"' EXIT
# (results are whole or not there at all, so they are made beside the folder that is looked at)
code=0
stenograde grade "$study" --out "$made/results" --dicom sr,pdf,sc,seg || code=$?
# (a report that says why a study cannot be graded is a result, too: who runs us would throw it away after an error)
if [ "$code" -eq 2 ] && [ -e "$made/results/sr.dcm" ]; then code=0; fi
[ "$code" -eq 0 ] || exit "$code"
mkdir -p "$out"
cp -R "$made/results/." "$out/"
