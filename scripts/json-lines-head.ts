/** What docs/json-lines.md says before its tables. */

export const jsonLinesHead = `# Lines of JSON

Beside each log in Momentum’s format, or in its place, the same events as lines of JSON: for jq, Vector, Loki, Elasticsearch,
or whatever else collects logs. The tables below are made from the declarations in \`src/events\`.

\`\`\`
ec_logger "logs" {
  mainlog = "/var/log/postern/mainlog.ec"
  mainlog_json = "/var/log/postern/mainlog.jsonl"
  rejectlog_json = "/var/log/postern/rejectlog.jsonl"
  paniclog_json = "/var/log/postern/paniclog.jsonl"
  acctlog_json = "/var/log/postern/acctlog.jsonl"
}
bounce_logger "bounces" {
  bouncelog_json = "/var/log/postern/bouncelog.jsonl"
}
tls_log "decisions" { tlslog = "/var/log/postern/tls.jsonl" }
\`\`\`

What a \`log_…\` option switches off is in neither of the two files; permissions are those of the log beside it. Logs may
share one file of JSON, and an event that is in several of them has one line there. A file that holds other lines is an
error. \`custom_logger\` writes JSON of [your own layout](logs.md#lines-of-json); a [decision record](decision-record.md) is
a line of JSON anyway, whose \`connection\` is the one here.

\`\`\`sh
# who was refused, and why
jq -r 'select(.event == "rejection") | [.time, .client, .code, .module, .text] | @tsv' rejectlog.jsonl
# seconds in the queue by next hop, the slowest first
jq -s 'map(select(.event == "delivery")) | group_by(.remote)
  | map({remote: .[0].remote, slowest: (map(.seconds_queued) | max)}) | sort_by(-.slowest)' mainlog.jsonl
# the certificate behind each message that was taken
jq -s '(map(select(.event == "decision")) | INDEX(.connection)) as $tls | .[]
  | select(.event == "reception") | {message, sender, subject: $tls[.connection].subject}' mainlog.jsonl tls.jsonl
\`\`\`

**A line** is an object of at most 64 KiB in printable ASCII, which is UTF-8 too. It begins with \`event\` and \`time\`, is
written whole, and nothing that a client, a host, a certificate or a script says can end it. Names and meanings of keys
stay; new ones may come. A key that may be absent has no value then; nothing is ever null.

**Times** are RFC 3339 in UTC, with milliseconds. **Integers** and **numbers** are JSON’s.

**Text** is what the octets encode in UTF-8. An octet that is part of none is written as a backslash, \`x\` and two
hexadecimal digits, such as \`\\xe9\`; the log beside it has the octet itself. A text that would take more than 2048 octets
of the line, or 20480 where it says what an operator did, is cut and ends in \`…\`. Of each context a line has 8192 octets,
and says how many values it leaves out, the longest first. Names
in certificates are escaped as everywhere ([tls.md](tls.md)).

**Passwords**, and whatever AUTH carries beside the user’s name, are in no event, and so in no line; commands of operators have what looks like a
secret masked.

**A heartbeat** is a line with \`event\` (\`heartbeat\`), \`time\` and \`log\`: \`mainlog\`, \`rejectlog\` or \`bouncelog\`, as
often as \`heartbeat\` says. Of several processes one writes it.
`
