/** Verdicts over time as columns. Whoever does not see them has the same in words, and a table. */

import { count, h, svg, verdict } from './dom.js'

export const outcomes = ['verified', 'anonymous', 'unverified', 'failed']

const WIDTH = 960
const HEIGHT = 200

/** @param answer of the view `verdicts` */
export function drawChart({ columns, totals, until, step }) {
  const ceiling = nice(Math.max(1, ...columns.map(sum)))
  const minutes = columns.length * step
  const end = new Date(until).getTime()
  const width = WIDTH / columns.length
  const bars = columns.flatMap((counts, index) => {
    const when = clock(end - (columns.length - index) * step * 60_000)
    return bar(counts, { x: index * width, width, scale: HEIGHT / ceiling, when })
  })
  const said = outcomes.map((each) => `${totals[each]} ${each}`).join(', ')
  const line = (y) => svg('line', { x1: 0, x2: WIDTH, y1: y, y2: y, class: y === HEIGHT ? 'base' : 'grid' })
  const drawing = svg(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      preserveAspectRatio: 'none',
      role: 'img',
      'aria-label': `Handshakes of the last ${spanText(minutes)}: ${said}`,
    },
    [0, HEIGHT / 2].map(line),
    bars,
    line(HEIGHT),
  )
  const times = [0, 0.25, 0.5, 0.75, 1].map((part) =>
    h('span', {}, clock(end - (1 - part) * minutes * 60_000)),
  )
  return h(
    'figure',
    { class: 'chart' },
    h(
      'div',
      { class: 'plot' },
      drawing,
      h('span', { 'aria-hidden': 'true' }, tick(ceiling, 'highest'), tick(ceiling / 2, 'middle')),
    ),
    h('div', { class: 'times', 'aria-hidden': 'true' }, times),
    h(
      'figcaption',
      {},
      outcomes.map((each) => legend(each, totals[each])),
    ),
  )
}

function tick(value, name) {
  return h('span', { class: `tick ${name}` }, value.toLocaleString('en'))
}

function legend(outcome, total) {
  return h(
    'span',
    { class: 'key' },
    verdict(outcome),
    h('span', { class: 'sum' }, total.toLocaleString('en')),
  )
}

function sum(counts) {
  return outcomes.reduce((all, each) => all + counts[each], 0)
}

function bar(counts, { x, width, scale, when }) {
  const parts = []
  let top = HEIGHT
  for (const outcome of outcomes) {
    const height = counts[outcome] * scale
    if (height === 0) continue
    top -= height
    const shape = { x: x + width * 0.06, y: top, width: width * 0.88, height, class: `bar ${outcome}` }
    const words = `${when}: ${count(counts[outcome], 'handshake')} ${outcome}`
    parts.push(svg('rect', shape, svg('title', {}, words)))
  }
  return parts
}

/** The next number that people like to read, and half of it too. */
function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number))
  const step = [1, 2, 3, 4, 6, 8, 10].find((each) => each * power >= number) ?? 10
  return Math.max(2, step * power)
}

function clock(milliseconds) {
  const date = new Date(milliseconds)
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
}

function spanText(minutes) {
  return minutes <= 90 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`
}
