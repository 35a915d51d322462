/** The objects that a callout gets; `params` is for the TLS parameters of a handshake to come. */

export const kinds = ['ac', 'vctx', 'msg', 'mc', 'params'] as const
export type ObjectKind = (typeof kinds)[number]
