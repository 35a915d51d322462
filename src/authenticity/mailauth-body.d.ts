// The hash of a body in its canonical form, which mailauth has and its types leave out.
declare module 'mailauth/lib/dkim/body/index.js' {
  export interface BodyHash {
    update(chunk: Buffer): void
    digest(encoding: 'base64'): string
  }
  export function dkimBody(canonicalization: 'simple' | 'relaxed', algorithm: 'sha256'): BodyHash
}
