/** Verdicts over time as columns. Whoever does not see them has the same in words, and a table. */

import { count, h, svg, verdict } from './dom.js'

export const outcomes = ['verified', 'anonymous', 'unverified', 'failed']

const WIDTH = 720
const HEIGHT = 160
const FOOT = 18

/** @param answer of the view `verdicts` */
export function drawChart({ columns, totals, until, step }) {
  const sum = (counts) => outcomes.reduce((all, each) => all + counts[each], 0)
  const highest = Math.max(1, ...columns.map(sum))
  const ceiling = nice(highest)
  const width = WIDTH / columns.length
  const scale = (HEIGHT - FOOT - 8) / ceiling
  const said = outcomes.map((each) => `${totals[each]} ${each}`).join(', ')
  const minutes = columns.length * step
  const bars = columns.flatMap((counts, index) =>
    bar(counts, { x: index * width, width, scale, when: whenOf(until, columns.length - index - 1, step) }),
  )
  const lines = [0.5, 1].map((part) => {
    const y = HEIGHT - FOOT - part * ceiling * scale
    return [
      svg('line', { x1: 0, x2: WIDTH, y1: y, y2: y, class: 'grid' }),
      svg('text', { x: 2, y: y - 3, class: 'tick' }, (part * ceiling).toLocaleString('en')),
    ]
  })
  const times = [0, 0.25, 0.5, 0.75, 1].map((part) =>
    svg(
      'text',
      {
        x: part * WIDTH,
        y: HEIGHT - 4,
        class: 'tick',
        'text-anchor': part === 0 ? 'start' : part === 1 ? 'end' : 'middle',
      },
      clock(new Date(until).getTime() - (1 - part) * minutes * 60_000),
    ),
  )
  return h(
    'figure',
    { class: 'chart' },
    svg(
      'svg',
      {
        viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
        role: 'img',
        'aria-label': `Handshakes of the last ${spanText(minutes)}: ${said}`,
        preserveAspectRatio: 'none',
      },
      lines,
      svg('line', { x1: 0, x2: WIDTH, y1: HEIGHT - FOOT, y2: HEIGHT - FOOT, class: 'base' }),
      bars,
      times,
    ),
    h(
      'figcaption',
      {},
      outcomes.map((each) =>
        h(
          'span',
          { class: 'key' },
          verdict(each),
          h('span', { class: 'sum' }, totals[each].toLocaleString('en')),
        ),
      ),
    ),
  )
}

function bar(counts, { x, width, scale, when }) {
  const parts = []
  let top = HEIGHT - FOOT
  for (const outcome of outcomes) {
    const height = counts[outcome] * scale
    if (height === 0) continue
    top -= height
    parts.push(
      svg(
        'rect',
        { x: x + 0.75, y: top, width: Math.max(1, width - 1.5), height, class: `bar ${outcome}` },
        svg('title', {}, `${when}: ${count(counts[outcome], 'handshake')} ${outcome}`),
      ),
    )
  }
  return parts
}

/** The next number that people like to read. */
function nice(number) {
  const power = 10 ** Math.floor(Math.log10(number))
  const step = [1, 2, 5, 10].find((each) => each * power >= number) ?? 10
  return Math.max(2, step * power)
}

function whenOf(until, columnsAgo, step) {
  return clock(new Date(until).getTime() - (columnsAgo + 1) * step * 60_000)
}

function clock(milliseconds) {
  const date = new Date(milliseconds)
  return `${String(date.getHours()).padStart(2, '0')}:${String(date.getMinutes()).padStart(2, '0')}`
}

function spanText(minutes) {
  return minutes <= 90 ? `${minutes} minutes` : `${Math.round(minutes / 60)} hours`
}
