#!/usr/bin/env bash
# Writes each library's PublicAPI.Unshipped.txt anew from what the compiler says is public, so that a widened or narrowed
# API shows in the diff. Shipped lines stay where they are.
set -euo pipefail
cd "$(dirname "$0")/.."
projects="src/GradientAtoms.Text src/GradientAtoms.Models src/GradientAtoms src/GradientAtoms.Runs src/GradientAtoms.Demo src/GradientAtoms.Server"
for project in $projects; do
  echo '#nullable enable' > "$project/PublicAPI.Unshipped.txt"
  [ -f "$project/PublicAPI.Shipped.txt" ] || echo '#nullable enable' > "$project/PublicAPI.Shipped.txt"
done
dotnet restore >/dev/null
for project in $projects; do
  # Not incremental: a compilation that is up to date would say nothing. What is reported twice counts once.
  lines=$(dotnet build "$project" --no-restore --no-incremental -p:UpdatePublicApi=true 2>/dev/null \
    | sed -n "s/.*warning RS0016: Symbol '\(.*\)' is not part of the declared public API.*\[.*\/\($(basename "$project")\)\.csproj\]/\1/p" | LC_ALL=C sort -u)
  { echo '#nullable enable'; [ -z "$lines" ] || printf '%s\n' "$lines"; } > "$project/PublicAPI.Unshipped.txt"
  echo "$project: $(grep -vc '^#' "$project/PublicAPI.Unshipped.txt" || true) lines"
done
