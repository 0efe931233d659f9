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
stenograde grade "$study" --out "$made/results" --dicom sr,pdf,sc,seg
cp -R "$made/results/." "$out/"
