/** A login by a client that is not ours: nodemailer, over STARTTLS. */

import { createTransport } from 'nodemailer'

interface Login {
  readonly port: number
  readonly user: string
  readonly pass: string
  readonly method: string
  /** the address to come from */
  readonly from: string
}

/** `235`, or the reply that nodemailer shows. */
export async function loginByNodemailer({ port, user, pass, method, from }: Login): Promise<string> {
  const transport = createTransport({
    host: '127.0.0.1',
    port,
    localAddress: from,
    requireTLS: true,
    tls: { rejectUnauthorized: false },
    authMethod: method,
    auth: { user, pass },
  })
  try {
    await transport.verify()
    return '235'
  } catch (error) {
    return (error as { response?: string }).response ?? String(error)
  } finally {
    transport.close()
  }
}
