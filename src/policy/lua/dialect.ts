/**
 * Momentum's spelling of "not equal", `!=`, becomes the `~=` of Lua 5.1 before a script is compiled. Both are two octets
 * long, so that positions in messages stay right. Strings and comments are left as they are; text whose strings or
 * comments do not end is left to the compiler. The dialect's other operators are refused by the compiler
 * (`explainSyntax`).
 */

const EXCLAMATION = 0x21
const EQUALS = 0x3d
const TILDE = 0x7e

/** Comments, quoted and long strings, and the operator: whatever begins first wins. */
const token =
  /--\[(?<comment>=*)\[[\s\S]*?\]\k<comment>\]|--[^\n]*|\[(?<string>=*)\[[\s\S]*?\]\k<string>\]|"(?:[^"\\\n]|\\[\s\S])*"|'(?:[^'\\\n]|\\[\s\S])*'|!=/g

/** The same array when there is nothing to replace. */
export function asLua51(text: Uint8Array): Uint8Array {
  if (!hasOperator(text)) return text
  const replaced = Uint8Array.from(text)
  for (const { 0: found, index } of Buffer.from(text).toString('latin1').matchAll(token)) {
    if (found === '!=') replaced[index] = TILDE
  }
  return replaced
}

function hasOperator(text: Uint8Array): boolean {
  for (let at = text.indexOf(EXCLAMATION); at !== -1; at = text.indexOf(EXCLAMATION, at + 1)) {
    if (text[at + 1] === EQUALS) return true
  }
  return false
}
