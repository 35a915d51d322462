/** The part of the WebAssembly JavaScript API that `wasm.ts` uses; neither `es2024` nor @types/node declares it. */
declare namespace WebAssembly {
  type Imports = Record<string, Record<string, unknown>>

  class Module {
    constructor(bytes: Uint8Array)
    static imports(module: Module): { readonly module: string; readonly name: string }[]
  }

  class Instance {
    readonly exports: Record<string, unknown>
    constructor(module: Module, imports: Imports)
  }

  class Memory {
    readonly buffer: ArrayBuffer
    /** @throws RangeError when the memory cannot grow */
    grow(pages: number): number
  }

  class Table {
    grow(entries: number): number
    get(index: number): unknown
    set(index: number, value: unknown): void
  }
}
