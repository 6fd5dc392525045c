#!/bin/sh
# SPDX-License-Identifier: MIT
# run.sh FUZZER SECONDS [OPTION...]: fuzzes from our fixtures, the corpus ($MAIL_CORPUS) where there is
# one, and what earlier runs found worth keeping in build/fuzz/corpus.
set -eu

fuzzer=$1 seconds=$2
shift 2
here=$(dirname "$0")
corpus=${MAIL_CORPUS:-$here/../../../shared/corpus/public}
mkdir -p build/fuzz/corpus build/fuzz/finds

seeds=
for folder in "$here/../fixtures/mime" "$corpus/mail" "$corpus/adversarial"; do
	if [ -d "$folder" ]; then
		seeds="$seeds $folder"
	else
		echo "no seeds at $folder"
	fi
done
# shellcheck disable=SC2086
exec "$fuzzer" -dict="$here/mime.dict" -artifact_prefix=build/fuzz/finds/ -max_len=10000 \
	-timeout=10 -rss_limit_mb=2048 -max_total_time="$seconds" -print_final_stats=1 \
	-reload=0 "$@" build/fuzz/corpus $seeds
