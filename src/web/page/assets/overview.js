/** Everything at a glance: what is under way, what has happened, and what wants somebody's attention. */

import { view } from './api.js'
import { daysLeft } from './certificates.js'
import { drawChart } from './chart.js'
import { ago, count, h, moment, pageHead, problem, replace, verdict } from './dom.js'
import { whyLink } from './sessions.js'

export function overview() {
  const tiles = h('dl', { class: 'tiles' })
  const chart = h('div', { class: 'chart-place' })
  const attention = h('ul', { class: 'attention' })
  const refused = h('ul', { class: 'attention timed' })
  const system = h('dl', { class: 'facts' })
  const processes = h('ul', { class: 'processes' })
  const errors = h('div')
  async function load(refresh = false) {
    try {
      const ask = (name, query) => view(name, query, { refresh })
      // it is an error where one of them does not answer, which the head of the page says already
      const running = ask('processes').catch(() => ({ rows: [] }))
      const [summary, verdicts, expiring, panics, about, unverified, failed] = await Promise.all([
        ask('summary'),
        ask('verdicts', { minutes: 60 }),
        ask('expiring', { size: 20 }),
        ask('panics'),
        ask('system'),
        ask('handshakes', { only: 'outcome:unverified', sort: 'at', order: 'down', size: 5 }),
        ask('handshakes', { only: 'outcome:failed', sort: 'at', order: 'down', size: 5 }),
      ])
      replace(errors)
      replace(tiles, tilesOf(factsOf(summary)))
      replace(chart, drawChart(verdicts))
      replace(attention, attentionOf(expiring.rows, panics.data))
      replace(refused, refusedOf([...unverified.rows, ...failed.rows]))
      replace(processes, (await running).rows.map(processOf))
      replace(system, factList([...systemFacts(about.facts), ...laterFacts(summary.facts)]))
    } catch (error) {
      if (error.status !== 401 && error.name !== 'AbortError') replace(errors, problem(error))
    }
  }
  void load()
  return {
    element: h(
      'div',
      {},
      pageHead('Overview'),
      errors,
      tiles,
      h(
        'div',
        { class: 'cards' },
        card(
          'Handshakes of the last hour',
          chart,
          h('p', { class: 'more' }, h('a', { href: '#/verdicts' }, 'By scope and issuer')),
        ),
        card('Wants attention', attention),
        card(
          'Not verified lately',
          refused,
          h('p', { class: 'more' }, h('a', { href: '#/why' }, 'All that are remembered')),
        ),
        card('This gate', system, processes),
      ),
    ),
    refresh: () => void load(true),
  }
}

function card(title, ...children) {
  return h('section', { class: 'card' }, h('h2', {}, title), children)
}

function factsOf({ facts }) {
  return Object.fromEntries(facts.map(({ key, value }) => [key, value]))
}

function tilesOf(facts) {
  return [
    tile('Sessions', facts.inboundConcurrency, '#/sessions'),
    tile('Waiting in queues', facts.totalQueueSize, '#/queue', `${facts.delayedQueueSize} delayed`),
    tile('Received', facts.receivedMessages, undefined, rate(facts.receptionRate)),
    tile('Delivered', facts.successfullyDeliveredMessages, undefined, rate(facts.deliveryRate)),
    tile('Rejected', facts.rejectedMessages),
    tile('Failed', facts.failedMessages),
  ]
}

function rate(value) {
  return `${(value ?? 0).toFixed(2)}/s`
}

function tile(name, value, href, beside) {
  const number = (value ?? 0).toLocaleString('en')
  return h(
    'div',
    { class: 'tile' },
    h('dt', {}, href === undefined ? name : h('a', { href }, name)),
    h('dd', {}, h('span', { class: 'number' }, number), beside && h('span', { class: 'beside' }, beside)),
  )
}

function attentionOf(expiring, panics) {
  const ends = expiring
    .filter(({ days, renewed }) => days <= 30 && renewed !== true)
    .slice(0, 6)
    .map(({ days, what, name }) =>
      h('li', {}, daysLeft(days), h('a', { href: '#/certificates' }, `${what} ${name}`)),
    )
  const lines = panics
    .filter(({ level }) => ['critical', 'error', 'warning'].includes(level))
    .slice(0, 8)
    .map(({ at, level, module, text }) =>
      h(
        'li',
        {},
        h('span', { class: `level ${level}` }, level),
        h('span', { class: 'line' }, `${module}: ${text} `, h('span', { class: 'when' }, moment(at))),
      ),
    )
  if (ends.length + lines.length === 0)
    return h(
      'li',
      { class: 'fine' },
      'Nothing. No certificate ends within 30 days, and the panic log is empty.',
    )
  return [...ends, ...lines]
}

/** The latest first: whoever asks "why was I refused" is probably among them. */
function refusedOf(rows) {
  if (rows.length === 0)
    return h('li', { class: 'fine' }, 'Nobody: every handshake that is remembered came to its end.')
  return rows
    .toSorted((a, b) => (a.at < b.at ? 1 : -1))
    .slice(0, 7)
    .map(({ at, client, connection, outcome, cause }) =>
      h('li', {}, moment(at), h('span', {}, whyLink(connection, client), ' ', verdict(outcome), ' ', cause)),
    )
}

function processOf({ process, pid, uptime, memory, sessions }) {
  const rest = `up ${uptime}, ${memory.toLocaleString('en')} MiB, ${count(sessions, 'session')}`
  return h('li', {}, h('span', { class: 'mono' }, `${process} ${pid}`), h('span', {}, rest))
}

function systemFacts(facts) {
  return facts.filter(({ key }) => key !== 'productName').map(({ label, value }) => [label, value])
}

function laterFacts(facts) {
  const { uptime, statisticsLastReset } = factsOf({ facts })
  return [
    ['up for', ago(uptime ?? 0)],
    ['counted since', moment(statisticsLastReset)],
  ]
}

function factList(facts) {
  return facts.map(([label, value]) => h('div', {}, h('dt', {}, label), h('dd', {}, value)))
}
