/** Verdicts over time, by scope and issuer. */

import { view } from './api.js'
import { drawChart, outcomes } from './chart.js'
import { h, pageHead, problem, replace, verdict } from './dom.js'

const spans = [
  ['60', 'last hour'],
  ['360', 'last 6 hours'],
  ['1440', 'last day'],
]

export function verdicts({ params }) {
  const chart = h('div', { class: 'card chart-place tall' })
  const errors = h('div')
  const body = h('tbody', { role: 'rowgroup' })
  const span = chooser('Time', 'minutes', '60')
  const listen = chooser('Listen', 'listen', '')
  const issuer = chooser('Issuer', 'issuer', '')
  fillChoices(span, spans, params.get('minutes') || '60')

  function chooser(name, key) {
    return h('select', {
      'aria-label': name,
      onchange: (event) => {
        params.set(key, event.target.value)
        void load()
      },
    })
  }

  async function load(refresh = false) {
    const query = {
      minutes: params.get('minutes') || '60',
      listen: params.get('listen'),
      issuer: params.get('issuer'),
    }
    try {
      const answer = await view('verdicts', query, { refresh })
      replace(errors)
      replace(chart, drawChart(answer))
      if (!refresh) {
        fillChoices(
          listen,
          [['', 'every Listen'], ...answer.listens.map((each) => [each, each])],
          query.listen,
        )
        fillChoices(
          issuer,
          [['', 'every issuer'], ...answer.issuers.map((each) => [each, each])],
          query.issuer,
        )
      }
      replace(body, answer.groups.length === 0 ? empty() : answer.groups.map(groupRow))
    } catch (error) {
      if (error.status !== 401) replace(errors, problem(error))
    }
  }

  void load()
  return {
    element: h(
      'div',
      {},
      pageHead('Verdicts', 'Handshakes over time. An issuer is a claim, unless the certificate verified.'),
      h('div', { class: 'tools' }, span, listen, issuer),
      errors,
      chart,
      h('section', { class: 'table-view' }, groupTable(body)),
    ),
    refresh: () => void load(true),
  }
}

function groupTable(body) {
  return h(
    'table',
    { role: 'table' },
    h('caption', {}, 'The same by Listen and issuer'),
    h(
      'thead',
      { role: 'rowgroup' },
      h(
        'tr',
        { role: 'row' },
        ['Listen', 'Issuer'].map((name) => h('th', { scope: 'col', role: 'columnheader' }, name)),
        outcomes.map((each) =>
          h('th', { scope: 'col', role: 'columnheader', class: 'numeric' }, verdict(each)),
        ),
      ),
    ),
    body,
  )
}

function groupRow(group) {
  return h(
    'tr',
    { role: 'row' },
    cell('Listen', group.listen, 'mono'),
    cell(
      'Issuer',
      group.issuer === '' ? h('span', { class: 'nothing' }, 'no certificate') : group.issuer,
      'wide',
    ),
    outcomes.map((each) =>
      cell(
        each,
        group[each] === 0 ? h('span', { class: 'nothing' }, '0') : group[each].toLocaleString('en'),
        'numeric',
      ),
    ),
  )
}

function cell(head, value, name) {
  return h('td', { role: 'cell', 'data-head': head, class: name }, value)
}

function empty() {
  return h(
    'tr',
    { role: 'row' },
    h('td', { role: 'cell', class: 'empty', colspan: 6 }, 'No handshake has ended in this time.'),
  )
}

function fillChoices(select, choices, chosen) {
  replace(
    select,
    choices.map(([value, text]) => h('option', { value, selected: value === chosen }, text)),
  )
}
