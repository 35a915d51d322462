/**
 * What an OCSP response is worth as the answer to one question (RFC 6960 §3.2, §4.2.2; RFC 5019 §2.2, §4).
 *
 * It counts when it speaks of this very certificate, is signed by who may sign it, carries our nonce or none, and is of
 * now. Who may sign: the certificates of Signer alone where there are any; otherwise the CA itself, or a certificate that
 * this CA has issued directly for signing answers (extended key usage OCSPSigning), that is in date and not revoked: no
 * list of the CA holds it, and it either says itself that nobody need ask (id-pkix-ocsp-nocheck) or a list that is in
 * date speaks for it. Signatures with SHA-1 do not count, since what a client can have signed could have a twin.
 *
 * `revoked` counts however old it is: only a newer answer takes it back. Everything else is an `OcspFault`.
 */

import { createHash } from 'node:crypto'
import { type ChainElement, chainElement, KEY_USAGE } from '../chain-element.ts'
import { crlStatus, type ParsedCrl } from '../crl.ts'
import { MalformedCertificate } from '../der.ts'
import { verifySignature } from '../signature.ts'
import { certificateOf } from '../x509.ts'
import { type Subject, speaksOf } from './cert-id.ts'
import { certificateParts } from './certificate-parts.ts'
import { OcspFault } from './fault.ts'
import type { Responder } from './responders.ts'
import { type BasicResponse, parseResponse, type SingleAnswer } from './response.ts'

export interface Answer {
  readonly status: SingleAnswer['status']
  /** milliseconds since the epoch */
  readonly thisUpdate: number
  /** until when it counts */
  readonly until: number
}

export interface Question {
  readonly subject: Subject
  readonly responder: Responder
  /** undefined: none was sent */
  readonly nonce: Buffer | undefined
  /** all revocation lists that are at hand */
  readonly lists: readonly ParsedCrl[]
  /** milliseconds since the epoch */
  readonly now: number
}

/** by how much the clocks of the responder and of this machine may differ, milliseconds */
const SKEW = 60_000
/** how long an answer counts that names no next update, milliseconds */
const WITHOUT_NEXT_UPDATE = 300_000

const OCSP_SIGNING = '1.3.6.1.5.5.7.3.9'
const NOCHECK = '1.3.6.1.5.5.7.48.1.5'

/** @throws OcspFault */
export function judgeResponse(der: Buffer, question: Question): Answer {
  const response = parse(der)
  const ours = response.answers.filter(({ certId }) => speaksOf(certId, question.subject))
  if (ours.length === 0) throw invalid('the answer is about another certificate')
  checkSigner(response, question)
  const revoked = ours.find(({ status }) => status === 'revoked')
  const answer = revoked ?? ours.find(({ status }) => status === 'unknown') ?? ours[0]
  if (answer === undefined) throw invalid('there is no answer')
  const until = answer.nextUpdate ?? answer.thisUpdate + WITHOUT_NEXT_UPDATE
  if (revoked === undefined) {
    checkNonce(response, question)
    checkDates(response, { ...answer, until }, question.now)
  }
  return { status: answer.status, thisUpdate: answer.thisUpdate, until }
}

function parse(der: Buffer): BasicResponse {
  let response: ReturnType<typeof parseResponse>
  try {
    response = parseResponse(der)
  } catch (error) {
    if (!(error instanceof MalformedCertificate)) throw error
    throw new OcspFault('ocsp-invalid', `the answer is malformed: ${error.message}`, { cause: error })
  }
  if (response.kind === 'basic') return response
  throw new OcspFault('ocsp-unavailable', `the responder says ${response.status}`)
}

function checkNonce({ nonce: returned }: BasicResponse, { nonce, responder }: Question): void {
  if (returned === undefined) {
    if (responder.settings.nonce === 'require') throw invalid('the answer has no nonce')
  } else if (nonce !== undefined && !nonce.equals(returned)) {
    throw invalid('the answer has another nonce')
  }
}

function checkDates(
  { producedAt }: BasicResponse,
  { thisUpdate, nextUpdate, until }: SingleAnswer & { readonly until: number },
  now: number,
): void {
  if (thisUpdate > now + SKEW || producedAt > now + SKEW) throw invalid('the answer is from the future')
  if (nextUpdate !== undefined && nextUpdate < thisUpdate) throw invalid('the answer ends before it begins')
  if (until + SKEW < now) {
    throw invalid(`the answer is out of date since ${new Date(until).toISOString()}`)
  }
}

function checkSigner(response: BasicResponse, question: Question): void {
  const { subject, responder } = question
  const named = (element: ChainElement): boolean => isNamed(response.responder, element)
  const own = (responder.signers ?? [subject.issuer]).filter(named)
  const signer = own.find((element) => hasSigned(response, element))
  if (signer !== undefined) {
    // the CA's own dates are OpenSSL's business: the chain has verified
    if (responder.signers !== undefined) checkInDate(signer, question.now)
    return
  }
  if (responder.signers !== undefined) throw invalid('the answer is not signed by a certificate of Signer')
  const appointed = response.certificates.flatMap(readElement).filter(named)
  const delegate = appointed.find((element) => hasSigned(response, element))
  if (delegate === undefined) throw invalid('the answer is not signed by the CA or by whom it has appointed')
  checkDelegate(delegate, question)
}

function isNamed(responder: BasicResponse['responder'], element: ChainElement): boolean {
  if ('name' in responder) return responder.name === element.subject
  const { publicKeyBits } = certificateParts(element.certificate.raw)
  return createHash('sha1').update(publicKeyBits).digest().equals(responder.keyHash)
}

function hasSigned({ signature }: BasicResponse, { certificate }: ChainElement): boolean {
  return verifySignature(signature, certificate.publicKey, { sha1: false }) === true
}

function checkDelegate(delegate: ChainElement, { subject, lists, now }: Question): void {
  const { issuer } = subject
  const { signature, extensions } = certificateParts(delegate.certificate.raw)
  const issued =
    delegate.issuer === issuer.subject &&
    verifySignature(signature, issuer.certificate.publicKey, { sha1: false }) === true
  if (!issued) throw invalid("the signer's certificate was not issued by the CA")
  if (!(delegate.extendedUsage ?? []).includes(OCSP_SIGNING))
    throw invalid("the signer's certificate is not for signing answers")
  if (delegate.keyUsage !== undefined && (delegate.keyUsage & SIGNING_USAGE) === 0)
    throw invalid("the signer's certificate is not for signing")
  checkInDate(delegate, now)
  const status = crlStatus(delegate.facts, issuer, lists, now)
  if (status === 'revoked') throw invalid("the signer's certificate is revoked")
  if (status !== 'good' && !extensions.has(NOCHECK)) {
    throw invalid("nothing says that the signer's certificate is not revoked: neither nocheck nor a CRL")
  }
}

/** digitalSignature and nonRepudiation */
const SIGNING_USAGE = KEY_USAGE.digitalSignature | 0x40

function checkInDate({ facts }: ChainElement, now: number): void {
  if (now >= facts.notAfter) throw invalid("the signer's certificate has expired")
  if (now < facts.notBefore) throw invalid("the signer's certificate is not valid yet")
}

/** A certificate that cannot be read has signed nothing. */
function readElement(der: Buffer): ChainElement[] {
  try {
    certificateParts(der)
    const element = chainElement(certificateOf(der))
    // the key is read here, where it may fail
    return element.certificate.publicKey.type === 'public' ? [element] : []
  } catch {
    return []
  }
}

function invalid(message: string): OcspFault {
  return new OcspFault('ocsp-invalid', message)
}
