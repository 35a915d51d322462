import { h, pageHead } from './dom.js'

export function configuration() {
  return { element: h('div', {}, pageHead('Configuration')) }
}
