/**
 * Octets from a socket that nobody needs any more give their memory back at once, not with the next collection of garbage: the
 * next octets then come to memory that the processor's caches still know, and a large message leaves nothing to collect.
 */

/** octets; below it the collector is cheaper */
const SMALLEST = 8 * 1024

/** @param chunk of which nothing is kept: whoever still reads it, or a part of it, finds it empty */
export function giveBack(chunk: Buffer): void {
  const { buffer } = chunk
  // a part of something larger is not ours alone
  if (chunk.length < SMALLEST || chunk.length !== buffer.byteLength || !(buffer instanceof ArrayBuffer))
    return
  buffer.transfer(0)
}
