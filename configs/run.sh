#!/bin/sh
# SPDX-License-Identifier: MIT
# `make run`: a server for trying things out, with its database and token in data/.
set -eu

server=$1
port=${PORT:-3000}
umask 077
mkdir -p data
[ -s data/token ] || "$server" token --quiet >data/token

cat <<EOF

  The server listens on http://127.0.0.1:$port and keeps its mail in data/mail.db.
  Ctrl-C stops it. From another terminal, in this folder, send it a mail:

    printf 'From: Alice <alice@example.org>\r\nTo: bob@example.com\r\nSubject: Hello\r\n\r\nIt works.\r\n' |
      curl -sS -H "Authorization: Bearer \$(cat data/token)" -H 'Content-Type: message/rfc822' \\
        -H 'X-Original-Sender: alice@example.org' -H 'X-Original-Recipient: bob@example.com' \\
        --data-binary @- http://127.0.0.1:$port/mail/inbound

  and look at it:

    sqlite3 data/mail.db 'select received_at, envelope_sender, subject, text from messages'

EOF
exec "$server" server -c configs/development.yaml -p "$port"
