/** Everything at a glance: what is under way, what has happened, and what wants somebody's attention. */

import { view } from './api.js'
import { daysLeft } from './certificates.js'
import { drawChart } from './chart.js'
import { ago, count, h, moment, pageHead, problem, replace, verdict } from './dom.js'
import { whyLink } from './sessions.js'

/** of refreshes: what many sessions make costly is looked at less often */
const REFUSED_ROUNDS = 6

export function overview() {
  const parts = {
    tiles: h('dl', { class: 'tiles' }),
    chart: h('div', { class: 'chart-place' }),
    attention: h('ul', { class: 'attention' }),
    refused: h('ul', { class: 'attention timed' }),
    system: h('dl', { class: 'facts' }),
    processes: h('ul', { class: 'processes' }),
    errors: h('div'),
  }
  let round = 0
  void load(parts)
  void loadRefused(parts)
  return {
    element: h('div', {}, pageHead('Overview'), parts.errors, parts.tiles, cards(parts)),
    refresh: () => {
      void load(parts, true)
      round += 1
      if (round % REFUSED_ROUNDS === 0) void loadRefused(parts, true)
    },
  }
}

function cards({ chart, attention, refused, system, processes }) {
  return h(
    'div',
    { class: 'cards' },
    card('Handshakes of the last hour', chart, more('#/verdicts', 'By scope and issuer')),
    card('Wants attention', attention),
    card('Not verified lately', refused, more('#/why', 'All that are remembered')),
    card('This gate', system, processes),
  )
}

function more(href, text) {
  return h('p', { class: 'more' }, h('a', { href }, text))
}

async function load({ tiles, chart, attention, system, processes, errors }, refresh = false) {
  const ask = (name, query) => view(name, query, { refresh })
  try {
    // it is an error where one of them does not answer, which the head of the page says already
    const running = ask('processes').catch(() => ({ rows: [] }))
    const [summary, verdicts, expiring, panics, about] = await Promise.all([
      ask('summary'),
      ask('verdicts', { minutes: 60 }),
      ask('expiring', { size: 20 }),
      ask('panics'),
      ask('system'),
    ])
    replace(errors)
    replace(tiles, tilesOf(factsOf(summary)))
    replace(chart, drawChart(verdicts))
    replace(attention, attentionOf(expiring.rows, panics.data))
    replace(system, factList([...systemFacts(about.facts), ...laterFacts(summary.facts)]))
    replace(processes, (await running).rows.map(processOf))
  } catch (error) {
    complain(errors, error)
  }
}

/** Gathers every decision that is remembered: not each time. */
async function loadRefused({ refused, errors }, refresh = false) {
  const last = (outcome) =>
    view('handshakes', { only: `outcome:${outcome}`, sort: 'at', order: 'down', size: 5 }, { refresh })
  try {
    const [unverified, failed] = await Promise.all([last('unverified'), last('failed')])
    replace(refused, refusedOf([...unverified.rows, ...failed.rows]))
  } catch (error) {
    complain(errors, error)
  }
}

function complain(errors, error) {
  if (error.status !== 401 && error.name !== 'AbortError') replace(errors, problem(error))
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
