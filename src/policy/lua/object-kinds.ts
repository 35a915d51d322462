/**
 * The objects that a callout gets; `params` is for the TLS parameters of a handshake to come, `response` for what a failed
 * login is answered with.
 */

export const kinds = ['ac', 'vctx', 'msg', 'mc', 'params', 'response'] as const
export type ObjectKind = (typeof kinds)[number]
