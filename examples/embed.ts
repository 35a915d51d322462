/** A gate inside a program of your own: `node examples/embed.ts FOLDER`. Ctrl-C ends it. */

import { createServer, definePolicy, reject } from 'postern'

const policy = definePolicy({
  rcptTo: (_session, _message, { local }) =>
    local === 'nobody' ? reject(550, '5.1.1 nobody is not at home') : undefined,
})
const text = `
Hostname = "gate.example"  Spoolbase = "spool"
ESMTP_Listener { Listen "127.0.0.1:0" { } }
maildir "m" { basedir = "mail"  domains = ( "gate.example" )  create_users = true }`

const server = await createServer({
  config: { text, directory: process.argv[2] ?? '.' },
  policy,
  onEvent: (event) => {
    if (event.kind === 'reception') console.log('received', event.envelope.id)
  },
})
console.log('listening on', ...server.addresses)
process.once('SIGINT', () => void server.close())
