/** Why a responder's answer tells nothing about a certificate. */
export class OcspFault extends Error {
  readonly kind: 'ocsp-unavailable' | 'ocsp-invalid'

  constructor(kind: OcspFault['kind'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'OcspFault'
    this.kind = kind
  }
}
