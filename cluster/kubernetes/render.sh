#!/bin/bash
# Writes what each overlay amounts to into rendered/, to be read, compared and applied as it is.
set -euo pipefail
cd "$(dirname "$0")"
for overlay in base dev gpu gpu-24gb ray-cluster jobs/running jobs/fresh; do
  kubectl kustomize "$overlay" > "rendered/${overlay//\//-}.yaml"
done
