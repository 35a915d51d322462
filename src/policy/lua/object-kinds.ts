/**
 * The objects that a callout gets; `params` is for the TLS parameters of a handshake to come, `response` for what a failed
 * login is answered with.
 */

export const kinds = ['ac', 'vctx', 'msg', 'mc', 'params', 'response'] as const
export type ObjectKind = (typeof kinds)[number]

/** Its place in the list: to search the list for each object would cost more than the rest of making it. */
export function kindNumber(kind: ObjectKind): number {
  switch (kind) {
    case 'ac':
      return 0
    case 'vctx':
      return 1
    case 'msg':
      return 2
    case 'mc':
      return 3
    case 'params':
      return 4
    default:
      return 5
  }
}
