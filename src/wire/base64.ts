/**
 * Base64 as AUTH has it (RFC 4954 §4 with RFC 4648 §4): the canonical form and nothing else. Buffer's own decoder skips
 * what it does not know, so that two different lines would mean the same credentials.
 */

/** The octets, or undefined when the text is not canonical base64. '' is no octets. */
export function decodeBase64(text: string): Buffer | undefined {
  const octets = Buffer.from(text, 'base64')
  return octets.toString('base64') === text ? octets : undefined
}
