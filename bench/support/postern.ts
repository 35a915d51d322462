/** Postern as it is measured: its default configuration with the main log, mail for one domain kept and not delivered. */

import { writeFileSync } from 'node:fs'
import path from 'node:path'
import { bin } from '../../test/support/gate-process.ts'
import type { Cleanup } from './cleanup.ts'
import { startProgram } from './program.ts'
import type { Subject } from './subject.ts'

export interface PosternRequest {
  readonly name: string
  /** of `writePki` */
  readonly pki: string
  /** one process for everything, unless given */
  readonly workers?: number
  /** scripts with four callouts each */
  readonly scripts?: number
  /** stanzas inside the Listen */
  readonly peers?: number
  /** sessions at once, where the limit of open files would allow fewer by default */
  readonly sessions?: number
  /** where the spool lies; default: the system's temporary folder */
  readonly under?: string | undefined
  /** a Spoolbase that is there already */
  readonly spool?: string
}

/** Four callouts that read six keys of the connection each, as a policy does that decides by certificate. */
const SCRIPT = (name: string): string => `
require("msys.core"); require("msys.extended.vctx"); require("msys.extended.message")
local mod = {}
local keys = { "tls", "tls_client_verified", "tls_client_cert_subject", "tls_client_cert_issuer_cn", "tls_protocol", "ehlo_domain" }
local function look(vctx)
  local n = 0
  for i = 1, #keys do n = n + #(vctx:get(msys.core.VCTX_CONN, keys[i]) or "") end
  return n
end
function mod:validate_ehlo(line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_mailfrom(line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_rcptto(msg, line, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
function mod:validate_data(msg, ac, vctx) look(vctx) return msys.core.VALIDATE_CONT end
msys.registerModule("${name}", mod)
`

export async function startPostern(request: PosternRequest, cleanup: Cleanup): Promise<Subject> {
  const folder = cleanup.folder('postern', request.under)
  const scripts = Array.from({ length: request.scripts ?? 0 }, (_, n) => `reader${n}`)
  for (const name of scripts) writeFileSync(path.join(folder, `${name}.lua`), SCRIPT(name))
  const file = path.join(folder, 'gate.conf')
  writeFileSync(file, configuration(request, scripts))
  const { pids, match, stop } = await startProgram({
    command: bin,
    args: [
      'serve',
      '-c',
      file,
      ...(request.workers === undefined ? [] : ['--workers', `${request.workers}`]),
    ],
    ready: /postern ready pid=\d+ 127\.0\.0\.1:(\d+)/,
    cleanup,
  })
  return { name: request.name, host: '127.0.0.1', port: Number(match[1]), pids, stop }
}

function configuration(
  { pki, peers = 0, spool = 'spool', sessions }: PosternRequest,
  scripts: readonly string[],
) {
  const stanzas = Array.from({ length: peers }, (_, n) => {
    const network = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}/32`
    return `    Peer "${network}" { Max_Message_Size = ${30_000_000 + n} }`
  })
  const scriptlet = scripts.map((name) => `  script "${name}" { source = "./${name}.lua" }`)
  return `Hostname = "gate.example"
${sessions === undefined ? '' : `Max_Sessions = ${sessions}\n`}Spoolbase = "${spool}"
ESMTP_Listener {
  SMTP_Extensions = ( "STARTTLS" )
  TLS_Certificate = "${pki}/server.pem"
  TLS_Key = "${pki}/server.key"
  TLS_Client_CA = "${pki}/ca.pem"
  Listen "127.0.0.1:0" {
${stanzas.join('\n')}
  }
}
# what is measured is reception
Suspend_Delivery = true
Domain "gate.example" { Gateway = "127.0.0.1" }
Pathway "default" { Relay_Domains = ( "gate.example" ) }
ec_logger "l" { mainlog = "main.ec" }
${scriptlet.length === 0 ? '' : `scriptlet "scriptlet" {\n${scriptlet.join('\n')}\n}\n`}`
}
