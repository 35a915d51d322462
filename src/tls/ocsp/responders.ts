/**
 * The OCSP responders of a configuration: every TLS_OCSP stanza with its files read.
 *
 * A stanza speaks for the CAs in its file, and for each CA there is one stanza. URLs inside certificates are never
 * looked at. An https responder is verified against Responder_CA alone.
 */

import { createHash } from 'node:crypto'
import type { Diagnostic, Position } from '../../config/diagnostic.ts'
import type { FilePath, OcspSettings, Settings } from '../../config/settings.ts'
import { type ChainElement, chainElement, isIssuedBy } from '../chain-element.ts'
import { loadChain } from '../material.ts'
import { PemError } from '../pem.ts'
import { tlsScopes } from '../tls-scopes.ts'
import { certificateOf } from '../x509.ts'

export interface Responder {
  readonly settings: OcspSettings
  /** whose certificates it knows */
  readonly cas: readonly ChainElement[]
  /** who alone signs its answers; undefined: the CA, or whom the CA has appointed */
  readonly signers: readonly ChainElement[] | undefined
  /** against which an https responder is verified */
  readonly roots: readonly ChainElement[] | undefined
  /** of all that an answer rests on, hex: answers are kept under it */
  readonly digest: string
}

export interface LoadedResponders {
  readonly responders: readonly Responder[]
  readonly diagnostics: readonly Diagnostic[]
}

/** Reads the files of all stanzas; what is wrong becomes an error at the stanza. */
export async function loadResponders(settings: Settings): Promise<LoadedResponders> {
  const responders: Responder[] = []
  const diagnostics: Diagnostic[] = []
  const owners = new Map<string, string>()
  for (const stanza of settings.ocsp) {
    const error = (message: string): void => {
      diagnostics.push({ severity: 'error', message: `TLS_OCSP "${stanza.name}": ${message}`, at: stanza.at })
    }
    const responder = await loadResponder(stanza, error)
    if (responder === undefined) continue
    responders.push(responder)
    for (const { subject, facts } of responder.cas) {
      const key = `${subject}\0${facts.spki}`
      const owner = owners.get(key)
      if (owner === undefined) owners.set(key, stanza.name)
      else error(`the CA "${facts.subject}" has a responder already, in TLS_OCSP "${owner}"`)
    }
  }
  return { responders, diagnostics: [...diagnostics, ...checkUse(settings)] }
}

/** The responder that speaks for a certificate, with the CA that issued it. */
export function responderFor(
  element: ChainElement,
  responders: readonly Responder[],
): { readonly responder: Responder; readonly issuer: ChainElement } | undefined {
  for (const responder of responders) {
    const issuer = responder.cas.find((ca) => isIssuedBy(element, ca))
    if (issuer !== undefined) return { responder, issuer }
  }
  return undefined
}

async function loadResponder(
  settings: OcspSettings,
  error: (message: string) => void,
): Promise<Responder | undefined> {
  const load = async (option: string, file: FilePath | undefined): Promise<readonly Buffer[] | undefined> => {
    if (file === undefined) return undefined
    try {
      return await loadChain(file.path)
    } catch (fault) {
      if (!(fault instanceof PemError)) throw fault
      error(`${option} "${file.text}": ${fault.message}`)
      return undefined
    }
  }
  const cas = await load('CA', settings.ca)
  const signers = await load('Signer', settings.signer)
  const roots = await load('Responder_CA', settings.responder_ca)
  const secure = settings.responder.startsWith('https:')
  if (secure && settings.responder_ca === undefined) error('a Responder with https needs a Responder_CA')
  if (!secure && settings.responder_ca !== undefined) error('Responder_CA needs a Responder with https')
  const missing = (settings.signer !== undefined && signers === undefined) || (secure && roots === undefined)
  if (cas === undefined || missing) return undefined
  const { responder, nonce } = settings
  const files = [cas, signers, roots].map((all) => all?.map((der) => der.toString('base64')))
  return {
    settings,
    cas: cas.map(elementOf),
    signers: signers?.map(elementOf),
    roots: roots?.map(elementOf),
    digest: createHash('sha256')
      .update(JSON.stringify([responder, nonce, files]))
      .digest('hex'),
  }
}

function elementOf(der: Buffer): ChainElement {
  return chainElement(certificateOf(der))
}

/** Scopes that ask and have nobody to ask, and the other way round. */
function checkUse(settings: Settings): Diagnostic[] {
  const asking = [...tlsScopes(settings)].filter(({ scope }) => scope.options.tls_client_ocsp)
  if (asking.length === 0) {
    return settings.ocsp.map(({ name, at }) => {
      const message = `TLS_OCSP "${name}" does nothing: no scope has TLS_Client_OCSP = on`
      return { severity: 'warning', message, at } as const
    })
  }
  if (settings.ocsp.length > 0) return []
  const places = new Map<string, Position>()
  for (const { scope } of asking) {
    const at = scope.origin('tls_client_ocsp')
    if (at !== 'default') places.set(`${at.file}:${at.line}:${at.column}`, at)
  }
  const message = 'TLS_Client_OCSP needs a TLS_OCSP "…" { CA = … Responder = … } that says whom to ask'
  return [...places.values()].map((at) => ({ severity: 'error', message, at }))
}
