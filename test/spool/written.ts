/** What the messages of writer.ts contain, so that another process can tell whether all of it is there. */

export function contentOf(id: string, size: number): { readonly header: Buffer; readonly body: Buffer } {
  return {
    header: Buffer.from(`X-Header-Of: ${id}\r\n\r\n`, 'latin1'),
    body: Buffer.alloc(size, `body-of ${id}\r\n`),
  }
}
